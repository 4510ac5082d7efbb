"""The instrument: it knows detectors by their names and their contract alone."""
