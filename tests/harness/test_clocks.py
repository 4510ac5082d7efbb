"""Clocks: what a mark is worth, what it makes, and what it must never do."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from detectors.contract import Stage, stage
from harness.clocks import Clock, CudaClock, HostClock, clock_for
from harness.testing.device import FakeClock, FakeDevice
from harness.timing import measure


class FakeEvent:
    """A `torch.cuda.Event` of a fake device."""

    def __init__(self, device: FakeDevice) -> None:
        self._device = device
        self.recorded = 0
        self.at = math.nan

    def record(self) -> None:
        self.recorded += 1
        self.at = self._device.record()

    def elapsed_time(self, end: FakeEvent) -> float:
        assert max(self.at, end.at) <= self._device.host, "not complete"
        return (end.at - self.at) * 1e3


class FakeStream:
    """A `torch.cuda.Stream` that knows only whether there is work."""

    def __init__(self, device: FakeDevice) -> None:
        self._device = device

    def query(self) -> bool:
        return not self._device.busy


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> tuple[FakeDevice, list[FakeEvent]]:
    """A fake device behind `torch.cuda`, whose host clock is that of the process; and the events that are made."""
    device, made = FakeDevice(), list[FakeEvent]()

    def event(*, enable_timing: bool) -> FakeEvent:
        assert enable_timing
        made.append(FakeEvent(device))
        return made[-1]

    monkeypatch.setattr(torch.cuda, "Event", event)
    monkeypatch.setattr(torch.cuda, "synchronize", device.synchronise)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: FakeStream(device))
    monkeypatch.setattr(torch.cuda, "default_stream", lambda: FakeStream(device))
    monkeypatch.setattr("harness.clocks.time.perf_counter", lambda: device.host)
    return device, made


def test_the_host_clock_runs_with_the_wall() -> None:
    """A sleep of 20 ms lasts 20 ms or somewhat longer, by its marks and by its readings."""
    clock = clock_for("cpu")
    assert isinstance(clock, HostClock)
    clock.begin()
    start, first = clock.now(), clock.mark()
    time.sleep(0.02)
    second, end = clock.mark(), clock.now()
    assert 0.02 <= clock.seconds(first, second) <= end - start < 2
    assert clock.idle()


def test_marks_beyond_the_pool_are_kept() -> None:
    """However many there are, each keeps its own time."""
    clock = HostClock()
    clock.begin()
    numbers = [clock.mark() for _ in range(2000)]
    assert numbers == list(range(2000))
    steps = [clock.seconds(number, number + 1) for number in numbers[:-1]]
    assert min(steps) >= 0
    assert sum(steps) == pytest.approx(clock.seconds(0, 1999))


@pytest.mark.parametrize("make", [HostClock, lambda: FakeClock(FakeDevice())])
def test_marks_of_before_are_forgotten(make: Callable[[], Clock]) -> None:
    """A number of an earlier call does not quietly stand for some other point."""
    clock = make()
    clock.begin()
    for _ in range(4):
        clock.mark()
    assert clock.seconds(3, 3) == 0
    clock.begin()
    assert clock.mark() == 0
    for start, end in ((0, 3), (1, 0), (-1, 0)):
        with pytest.raises(IndexError, match=f"marks {start} and {end}: there are 1"):
            clock.seconds(start, end)


def test_cuda_stages_and_total_are_exact(cuda: tuple[FakeDevice, list[FakeEvent]]) -> None:
    """Milliseconds of events become seconds of stages, and the host's clock tells the total."""
    device, _ = cuda

    def detect() -> None:
        with stage(Stage.CONV):
            device.work(2.0)
        with stage(Stage.SUPPRESS):
            device.fetch(0.5)
        device.think(0.25)

    seconds = measure(detect, clock_for("cuda")).as_seconds()
    assert (seconds["conv"], seconds["suppress"], seconds["unattributed"], seconds["total"]) == (2.0, 0.5, 0.25, 2.75)


def test_cuda_events_come_from_a_pool(cuda: tuple[FakeDevice, list[FakeEvent]]) -> None:
    """Events are made and recorded once before any call, and more only by the first call that needs more."""
    _, made = cuda
    clock = CudaClock()
    first = len(made)
    assert first >= 128
    assert {event.recorded for event in made} == {1}, "the driver makes an event when it is first recorded"
    counts = []
    for marks in (6, first, first + 7, first + 7, 6, first + 7):
        clock.begin()
        for _ in range(marks):
            clock.mark()
        counts.append(len(made))
    assert counts == [first, first, *[first + 7] * 4]


def test_a_cuda_mark_does_not_wait(cuda: tuple[FakeDevice, list[FakeEvent]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Between `begin` and `settle` nothing synchronises, and `idle` says so without waiting."""
    device, _ = cuda
    clock, waits = CudaClock(), list[float]()

    def synchronize() -> None:
        waits.append(device.host)
        device.synchronise()

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    clock.begin()
    start = clock.mark()
    device.work(3.0)
    end = clock.mark()
    assert not clock.idle()
    assert (waits, clock.now()) == ([], 0.0)
    clock.settle()
    assert clock.idle()
    assert (waits, clock.now(), clock.seconds(start, end)) == ([0.0], 3.0, 3.0)
    clock.begin()
    with pytest.raises(IndexError, match="there are 0"):
        clock.seconds(start, end)


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_on_a_gpu_nothing_is_made_or_waited_for_between_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events come from the pool, PyTorch sees no synchronisation, and stages fill what two other events have between
    them."""
    clock, matrix, made = CudaClock(), torch.rand(2048, 2048, device="cuda"), list[object]()
    event: Any = torch.cuda.Event
    first, last = (event(enable_timing=True) for _ in range(2))

    def counted(**settings: bool) -> Any:
        made.append(settings)
        return event(**settings)

    monkeypatch.setattr(torch.cuda, "Event", counted)

    def detect() -> torch.Tensor:
        torch.cuda.set_sync_debug_mode("error")
        first.record()
        try:
            with stage(Stage.CONV):
                found = matrix @ matrix
                for _ in range(60):
                    found = found @ matrix / 1024
            with stage(Stage.FC):
                found = found.relu() @ matrix
            assert not clock.idle()
        finally:
            torch.cuda.set_sync_debug_mode("default")
        with stage(Stage.SUPPRESS):
            here = found[0, :4].cpu()
        last.record()
        return here

    for _ in range(3):
        timing = measure(detect, clock)
    assert made == []
    assert timing.marks == 6
    assert timing.stage_seconds is not None
    assert timing.stage_seconds[Stage.CONV] > timing.stage_seconds[Stage.FC] > 0
    seconds, total = first.elapsed_time(last) / 1e3, timing.total_seconds
    assert 0.9 * seconds < sum(timing.stage_seconds.values()) < seconds + 6e-6  # an event is told to half a microsecond
    assert 0.9 * total < seconds < total + 1e-5 + 2e-4 * total  # of two oscillators
    assert timing.tail_seconds < 0.1 * total


@pytest.mark.gpu
def test_on_a_gpu_events_and_the_wall_tell_the_same_time() -> None:
    """Work of some hundred milliseconds lasts as long by events as by the host's clock around a synchronisation."""
    clock, matrix = CudaClock(), torch.rand(4096, 4096, device="cuda")

    def seconds(products: int) -> tuple[float, float]:
        clock.begin()
        clock.settle()
        began, first = time.perf_counter(), clock.mark()
        for _ in range(products):
            matrix @ matrix
        last = clock.mark()
        clock.settle()
        return clock.seconds(first, last), time.perf_counter() - began

    seconds(20)
    of_one = seconds(20)[1] / 20
    device, wall = seconds(max(20, round(0.3 / of_one)))
    # The wall has the launch of the first product and the return from waiting besides; they are two oscillators.
    assert 0.98 * wall < device < wall + 1e-5 + 2e-4 * wall


@pytest.mark.gpu
def test_on_a_gpu_work_that_is_not_waited_for_is_in_the_tail() -> None:
    """A detector that returns while the device computes is found, also where it computes in another stream."""
    clock, matrix = CudaClock(), torch.rand(4096, 4096, device="cuda")
    other: Any = torch.cuda.Stream()

    def early() -> None:
        for _ in range(20):
            matrix @ matrix

    def aside() -> None:
        with torch.cuda.stream(other):
            early()

    for detect in (early, aside):
        measure(detect, clock)
        timing = measure(detect, clock)
        assert timing.tail_seconds > 0.5 * timing.total_seconds
