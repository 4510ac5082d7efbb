"""Clocks: marks in the work of a device, and the seconds between them.

There are two times. The host's runs on by itself; a total is told by it. The device's is told by marks: on a CPU a mark
reads the host's clock, on a CUDA device it is an event in the current stream, which the device notes when it gets
there. A mark never waits, and its number stands for it, so that nothing has to be made for it inside a timed block:
events come from a pool, and the pool grows only where more marks are made than ever before.
"""

from __future__ import annotations

import time
from array import array
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch

__all__ = ["Clock", "CudaClock", "HostClock", "clock_for"]

_POOL = 256
"""Marks that a clock is ready for from the start: an image needs a few dozen, with many small chunks some hundreds."""


class Clock(Protocol):
    """Marks points in a device's work and tells the seconds between them."""

    asynchronous: bool
    """Whether the device may be at work when a call has returned."""

    def now(self) -> float:
        """Seconds of the host's monotonic clock; only differences mean something."""

    def begin(self) -> None:
        """Forget earlier marks; the next one is number 0. Call it outside timed blocks. The pool is kept."""

    def mark(self) -> int:
        """Note this point and return its number. Never waits, and allocates nothing once the pool has grown."""

    def settle(self) -> None:
        """Wait until the device has done all that it was given."""

    def idle(self) -> bool:
        """Whether the device has nothing left to do; asks without waiting."""

    def seconds(self, start: int, end: int) -> float:
        """Seconds of device time between two marks that were made since `begin`; valid after `settle`.

        Raises:
            IndexError: there is no such mark.
        """


class _Counting:
    """What clocks have in common: the host's time, and how many marks were made since `begin`."""

    def __init__(self) -> None:
        # An array, since an attribute would keep a new object for each mark.
        self._made = array("q", [0])

    def now(self) -> float:
        """Seconds of the host's monotonic clock."""
        return time.perf_counter()

    def begin(self) -> None:
        """Start again at number 0; what marks are kept in stays."""
        self._made[0] = 0


class HostClock(_Counting):
    """For work that is done when it is called: the CPU."""

    asynchronous = False

    def __init__(self) -> None:
        super().__init__()
        self._times = array("d", bytes(8 * _POOL))

    def mark(self) -> int:
        """Read the clock."""
        number = self._made[0]
        self._made[0] = number + 1
        if number < len(self._times):
            self._times[number] = time.perf_counter()
        else:
            self._times.append(time.perf_counter())
        return number

    def settle(self) -> None:
        """Nothing runs on behind a CPU's back."""

    def idle(self) -> bool:
        """Always."""
        return True

    def seconds(self, start: int, end: int) -> float:
        """Seconds between two readings since `begin`."""
        _check(start, end, self._made[0])
        return self._times[end] - self._times[start]


class CudaClock(_Counting):
    """For work that a CUDA device does later than it is given: events in its current stream.

    Work in another stream counts for a stage only as far as the current stream waits for it; the total counts all.
    """

    asynchronous = True

    def __init__(self) -> None:
        """Needs a CUDA device."""
        import torch

        super().__init__()
        self._cuda = torch.cuda
        self._pool: list[torch.cuda.Event] = []
        for _ in range(_POOL):
            self._grow().record()  # The driver makes an event when it is recorded for the first time.
        self.settle()

    def _grow(self) -> torch.cuda.Event:
        event = self._cuda.Event(enable_timing=True)
        self._pool.append(event)
        return event

    def mark(self) -> int:
        """Record the next event of the pool in the current stream."""
        number = self._made[0]
        self._made[0] = number + 1
        event = self._pool[number] if number < len(self._pool) else self._grow()
        event.record()
        return number

    def settle(self) -> None:
        """Synchronise the device, all of its streams."""
        self._cuda.synchronize()

    def idle(self) -> bool:
        """Ask the current and the default stream; PyTorch cannot list others, but `settle` waits for them."""
        return self._cuda.current_stream().query() and self._cuda.default_stream().query()

    def seconds(self, start: int, end: int) -> float:
        """Device time between two events."""
        _check(start, end, self._made[0])
        return float(self._pool[start].elapsed_time(self._pool[end])) / 1e3


def _check(start: int, end: int, made: int) -> None:
    if not (0 <= start < made and 0 <= end < made):
        raise IndexError(f"marks {start} and {end}: there are {made} since `begin`; earlier ones are forgotten")


def clock_for(device: str) -> Clock:
    """The clock of ``cpu`` or ``cuda``."""
    return CudaClock() if device == "cuda" else HostClock()
