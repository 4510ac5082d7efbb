"""What surrounds a measurement: processors, other programs, the device's sensors, and whether all that keeps still."""
