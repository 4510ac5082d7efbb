"""A device that does its work later than it is given, in time that is made up, to try stopwatches on without one.

It behaves as a GPU does: the host launches work and goes on; each stream does its work in order, at the earliest when
it was launched; an event is a place in a stream, whose time is known once the stream got there; waiting moves the host
on to where the device is free. No real time passes and nothing is drawn, so that with binary fractions such as 0.25
every number is exact and can be compared with ``==``.

What can go wrong with a device can be planted: see the settings of `FakeDevice` and `FakeClock`. A detector that hands
over its detections too early is one that does not `fetch`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from harness.surroundings.sensors import DESCRIBED

__all__ = ["FakeClock", "FakeDevice", "FakeSensors"]


def _steady(_seconds: float) -> float:
    return 1.0


class FakeDevice:
    """The host's time, the device's streams, and its memory."""

    def __init__(
        self,
        *,
        launch_seconds: float = 0.0,
        event_seconds: float = 0.0,
        event_device_seconds: float = 0.0,
        memory_bytes: int | None = None,
        slow_down: Callable[[float], float] = _steady,
        first_touch_seconds: float | Mapping[Hashable, float] = 0.0,
    ) -> None:
        """Without settings, a device without fault whose launches and events cost nothing.

        Args:
            launch_seconds: what launching one piece of work costs the host.
            event_seconds: what recording one event, hence a mark, costs the host.
            event_device_seconds: what an event costs its stream.
            memory_bytes: more than this cannot be allocated; None: as much as one likes.
            slow_down: by the device's time at which a piece of work begins, how many times longer it takes: rising for
                a drift, 1 and then 2 for a clock that is throttled.
            first_touch_seconds: what the first work of a shape costs the device on top, once; the same for all shapes,
                or by shape, where those that are missing cost nothing more.
        """
        self.host = 0.0
        """Seconds; the time that the host's clock shows."""
        self.used_bytes = 0
        self._launch_seconds = launch_seconds
        self._event_seconds, self._event_device_seconds = event_seconds, event_device_seconds
        self._memory_bytes = memory_bytes
        self.slow_down = slow_down
        self._first_touch_seconds = first_touch_seconds
        self._touched: set[Hashable] = set()
        self._free = {0: 0.0}
        self._stream = 0

    @property
    def busy(self) -> bool:
        """Whether there is work that the host has not seen the end of, in any stream."""
        return max(self._free.values()) > self.host

    def think(self, seconds: float) -> None:
        """Work on the host, while the device goes on with its own."""
        self.host += seconds

    def work(self, seconds: float, shape: Hashable = None) -> None:
        """Launch work of so many seconds in the current stream; the host goes on at once.

        Work without a `shape` has no first touch.
        """
        self.host += self._launch_seconds
        begin = max(self._free[self._stream], self.host)
        self._free[self._stream] = begin + seconds * self.slow_down(begin) + self._first_touch(shape)

    def _first_touch(self, shape: Hashable) -> float:
        if shape is None or shape in self._touched:
            return 0.0
        self._touched.add(shape)
        extra = self._first_touch_seconds
        return extra.get(shape, 0.0) if isinstance(extra, Mapping) else extra

    def fetch(self, seconds: float = 0.0) -> None:
        """Copy a result to the host, which takes so many seconds: the host waits for the current stream."""
        self.work(seconds)
        self.host = max(self.host, self._free[self._stream])

    @contextmanager
    def stream(self, number: int) -> Iterator[None]:
        """Work and events of the block go to this stream; 0 is the default one."""
        before = self._stream
        self._free.setdefault(number, 0.0)
        self._stream = number
        try:
            yield
        finally:
            self._stream = before

    def wait_stream(self, number: int) -> None:
        """What is launched next in the current stream begins when that stream has done all that it has been given."""
        self._free[self._stream] = max(self._free[self._stream], self._free.get(number, 0.0))

    def record(self) -> float:
        """An event in the current stream; returns the time at which the device gets there."""
        self.host += self._event_seconds
        at = max(self._free[self._stream], self.host) + self._event_device_seconds
        self._free[self._stream] = at
        return at

    def synchronise(self) -> None:
        """The host waits for all streams."""
        self.host = max(self.host, *self._free.values())

    @contextmanager
    def holding(self, size_bytes: int) -> Iterator[None]:
        """Memory for the length of the block.

        Raises:
            torch.OutOfMemoryError: there is not so much left.
        """
        if self._memory_bytes is not None and self.used_bytes + size_bytes > self._memory_bytes:
            raise torch.OutOfMemoryError(
                f"out of fake memory: {size_bytes} bytes wanted, {self.used_bytes} of {self._memory_bytes} in use"
            )
        self.used_bytes += size_bytes
        try:
            yield
        finally:
            self.used_bytes -= size_bytes


class FakeClock:
    """The `harness.clocks.Clock` of a `FakeDevice`."""

    asynchronous = True

    def __init__(self, device: FakeDevice, *, forgetful: bool = False) -> None:
        """A `forgetful` clock returns from `settle` at once: the synchronisation that a stopwatch must not lack."""
        self._device, self._forgetful = device, forgetful
        self._events: list[float] = []
        self._made = 0
        self.waits = 0
        """How often it was asked to settle."""

    @property
    def pool(self) -> int:
        """Events that were ever made."""
        return len(self._events)

    def now(self) -> float:
        """Seconds of the host."""
        return self._device.host

    def begin(self) -> None:
        """Start again at number 0; the events are kept."""
        self._made = 0

    def mark(self) -> int:
        """An event in the current stream."""
        number, at = self._made, self._device.record()
        if number == len(self._events):
            self._events.append(at)
        self._events[number] = at
        self._made = number + 1
        return number

    def settle(self) -> None:
        """Wait for the device, unless forgetful."""
        self.waits += 1
        if not self._forgetful:
            self._device.synchronise()

    def idle(self) -> bool:
        """Whether the device has nothing left to do."""
        return not self._device.busy

    def seconds(self, start: int, end: int) -> float:
        """Device time between two marks.

        Raises:
            IndexError: there is no such mark since `begin`.
            RuntimeError: the device has not got to one of them, as the host knows.
        """
        if not (0 <= start < self._made and 0 <= end < self._made):
            raise IndexError(f"marks {start} and {end}: there are {self._made} since `begin`")
        if max(self._events[start], self._events[end]) > self._device.host:
            raise RuntimeError("the device has not reached this mark yet; settle first")
        return self._events[end] - self._events[start]


class FakeSensors:
    """What the sensors of a `FakeDevice` show: `state`, `foreign` and `describe`, as of a real one."""

    def __init__(
        self,
        device: FakeDevice,
        *,
        full_clock_mhz: int = 2048,
        throttle: str = "sw_thermal",
        throttled_from: float = 1.0,
        foreign: tuple[dict[str, Any], ...] = (),
    ) -> None:
        """Slower than `throttled_from` times its full speed, the device names `throttle` as the reason."""
        self._device, self._full_clock_mhz = device, full_clock_mhz
        self._throttle, self._throttled_from = throttle, throttled_from
        self._foreign = foreign

    def state(self) -> tuple[dict[str, Any] | None, str | None]:
        """The clock now, slowed down as the work is, 40 degrees, why it is throttled, and the memory in use."""
        factor = self._device.slow_down(self._device.host)
        return {
            "clock_mhz": self._full_clock_mhz / factor,
            "temperature_c": 40.0,
            "throttle": [self._throttle] if factor > self._throttled_from else [],
            "memory_bytes": self._device.used_bytes,
        }, None

    def foreign(self) -> tuple[list[dict[str, Any]] | None, str | None]:
        """The other processes that were planted: ``pid`` and ``memory_bytes`` of each."""
        return [dict(one) for one in self._foreign], None

    def describe(self) -> dict[str, Any]:
        """The little that there is to say; the other fields are None with a reason."""
        told = {"name": "fake device", "driver": "fake", "max_clock_mhz": self._full_clock_mhz}
        reasons = {field: "a fake device has none" for field in DESCRIBED if field not in told}
        return {**dict.fromkeys(DESCRIBED), **told, "reasons": reasons}
