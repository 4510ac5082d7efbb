"""All that a timed pass reads: the clock, a fixed piece of work, the device's sensors and the load of the machine."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from harness.clocks import Clock, clock_for
from harness.surroundings.load import LoadMeter
from harness.surroundings.sensors import Sensors, sensors_for

__all__ = ["Instruments", "instruments_for"]


@dataclass(frozen=True, slots=True)
class Instruments:
    """What tells the time, and what tells how far to trust it."""

    clock: Clock
    sentinel: Callable[[Clock], tuple[float, ...]]
    """Seconds of the same work, some times over."""
    sensors: Sensors
    load: LoadMeter


def instruments_for(device: str, *, own: Collection[int] = ()) -> Instruments:
    """Those of ``cpu`` or ``cuda``; processes `own` are not foreign to it, such as the one that waits for this one."""
    from harness.surroundings.sentinel import Sentinel

    return Instruments(clock_for(device), Sentinel(device).run, sensors_for(device, own=own), LoadMeter())
