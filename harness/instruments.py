"""All that a timed pass reads: the clock, a fixed piece of work, the device's peak, its sensors, the machine's load."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from harness.clocks import Clock, clock_for
from harness.surroundings.load import LoadMeter
from harness.surroundings.peak import NO_PEAK, Peak, PeakMeter
from harness.surroundings.sensors import Sensors, sensors_for

__all__ = ["Instruments", "instruments_for"]


def _no_peak(_clock: Clock, _precision: str) -> tuple[Peak | None, str | None]:
    return None, NO_PEAK


@dataclass(frozen=True, slots=True)
class Instruments:
    """What tells the time, and what tells how far to trust it."""

    clock: Clock
    sentinel: Callable[[Clock], tuple[float, ...]]
    """Seconds of the same work, some times over."""
    sensors: Sensors
    load: LoadMeter
    peak: Callable[[Clock, str], tuple[Peak | None, str | None]] = _no_peak
    """What the device gives at most in an arithmetic, or None and why; asked once, when a process begins."""


def instruments_for(device: str, *, own: Collection[int] = ()) -> Instruments:
    """Those of ``cpu`` or ``cuda``; processes `own` are not foreign to it, such as the one that waits for this one."""
    from harness.surroundings.sentinel import Sentinel

    return Instruments(
        clock_for(device),
        Sentinel(device).run,
        sensors_for(device, own=own),
        LoadMeter(),
        PeakMeter(device).measure,
    )
