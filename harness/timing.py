"""The stopwatch.

What each number covers:

- ``total`` runs from the decoded image and its boxes in host memory to the detections in host memory, device work
  finished on both sides.
- A stage is what a detector marks as such. ``prepare`` covers the copy to the device, mean subtraction, resizing,
  cropping and warping; ``conv`` the convolutions alone; ``pool`` box mapping and pooling; ``fc`` the fc layers;
  ``decode`` scores and box regression; ``suppress`` top k and non-maximum suppression with the copy back to the host.
- ``unattributed`` is the rest of the total, so that stages and it add up to the total.
- ``features`` is prepare + conv + pool + fc.

Proposals are made beforehand and timed apart; image decoding and evaluation are outside. On a CUDA device a stage lies
between two events that are recorded without waiting; the device is waited for once, at the end of the image.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from detectors.contract import Stage, listening

if TYPE_CHECKING:
    import torch

__all__ = ["FEATURE_STAGES", "Clock", "CudaClock", "FitWatch", "HostClock", "Timing", "clock_for", "measure", "order"]

FEATURE_STAGES = (Stage.PREPARE, Stage.CONV, Stage.POOL, Stage.FC)

T = TypeVar("T")
Mark = Any


class Clock(Protocol):
    """Marks points in a device's stream of work and tells the seconds between them."""

    def mark(self) -> Mark:
        """Note this point; must not wait for the device."""

    def settle(self) -> None:
        """Wait until the device has done all that it was given."""

    def seconds(self, start: Mark, end: Mark) -> float:
        """Seconds of device time between two marks; valid after `settle`."""


class HostClock:
    """For work that happens when it is called: the CPU."""

    def mark(self) -> float:
        """Seconds of the monotonic clock."""
        return time.perf_counter()

    def settle(self) -> None:
        """Nothing runs on behind a CPU's back."""

    def seconds(self, start: float, end: float) -> float:
        """The difference."""
        return end - start


class CudaClock:
    """For work that a CUDA device does later than it is given: events in its stream."""

    def __init__(self) -> None:
        """Needs a CUDA device."""
        import torch

        self._cuda = torch.cuda

    def mark(self) -> torch.cuda.Event:
        """Record an event."""
        event = self._cuda.Event(enable_timing=True)
        event.record()
        return event

    def settle(self) -> None:
        """Synchronise the device."""
        self._cuda.synchronize()

    def seconds(self, start: torch.cuda.Event, end: torch.cuda.Event) -> float:
        """Device time between two recorded events."""
        return float(start.elapsed_time(end)) / 1e3


def clock_for(device: str) -> Clock:
    """The clock of ``cpu`` or ``cuda``."""
    return CudaClock() if device == "cuda" else HostClock()


@dataclass(frozen=True, slots=True)
class Timing(Generic[T]):
    """One timed call."""

    result: T
    total_seconds: float
    stage_seconds: dict[Stage, float]
    """Every detecting stage; 0.0 for one that did not occur."""

    @property
    def unattributed_seconds(self) -> float:
        """What of the total lies in no stage.

        On a CUDA device a hair below zero is possible, since stages and total are told by two clocks.
        """
        return self.total_seconds - sum(self.stage_seconds.values())

    @property
    def features_seconds(self) -> float:
        """prepare + conv + pool + fc."""
        return sum(self.stage_seconds[stage] for stage in FEATURE_STAGES)

    def as_seconds(self) -> dict[str, float]:
        """Seconds by the names that run folders use."""
        named = {str(stage): seconds for stage, seconds in self.stage_seconds.items()}
        return {
            **named,
            "unattributed": self.unattributed_seconds,
            "features": self.features_seconds,
            "total": self.total_seconds,
        }


class _Marks:
    """Listener of one detect call. Stages do not nest: an inner mark would count its time twice."""

    def __init__(self, clock: Clock, on_notice: Callable[[str], None]) -> None:
        self._clock = clock
        self.notice = on_notice
        self._open: tuple[Stage, Mark] | None = None
        self.spans: list[tuple[Stage, Mark, Mark]] = []

    def enter(self, stage: Stage) -> None:
        if self._open is not None:
            raise RuntimeError(f"stage {stage} begins inside stage {self._open[0]}; stages of detect must not nest")
        self._open = (stage, self._clock.mark())

    def leave(self, stage: Stage) -> None:
        if self._open is not None:
            self.spans.append((stage, self._open[1], self._clock.mark()))
        self._open = None

    def progress(self, done: int, total: int, text: str) -> None:
        pass  # detect is short


def _unheard(_text: str) -> None:
    pass


def measure(call: Callable[[], T], clock: Clock, on_notice: Callable[[str], None] = _unheard) -> Timing[T]:
    """Time one detect call and its stages. `on_notice` is called inside the timed block, so it must be quick."""
    marks = _Marks(clock, on_notice)
    with listening(marks):
        clock.settle()
        start = time.perf_counter()
        result = call()
        clock.settle()
        total = time.perf_counter() - start
    seconds = dict.fromkeys(Stage.of_detecting(), 0.0)
    for stage, begin, end in marks.spans:
        if stage not in seconds:
            raise RuntimeError(f"stage {stage} belongs to fitting but was marked while detecting")
        seconds[stage] += clock.seconds(begin, end)
    return Timing(result, total, seconds)


class FitWatch:
    """Listener of a fit: seconds of each fitting stage, and progress passed on.

    Detecting stages that occur inside a fitting stage are its inner work and not counted.
    """

    def __init__(
        self,
        clock: Clock,
        on_progress: Callable[[Stage, int, int, str], None],
        on_notice: Callable[[str], None] = _unheard,
    ) -> None:
        """`on_progress` is told (stage, done, total, text)."""
        self._clock = clock
        self._on_progress = on_progress
        self._on_notice = on_notice
        self._current: Stage | None = None
        self._start = 0.0
        self.seconds = dict.fromkeys(Stage.of_fitting(), 0.0)
        self.total_seconds = 0.0

    def time(self, fit: Callable[[], None]) -> None:
        """Time a whole fit and listen to its stages."""
        self._clock.settle()
        start = time.perf_counter()
        with listening(self):
            fit()
        self._clock.settle()
        self.total_seconds += time.perf_counter() - start

    def as_seconds(self) -> dict[str, float]:
        """Seconds by the names that run folders use: each stage, ``unattributed`` and ``total``."""
        named = {str(stage): seconds for stage, seconds in self.seconds.items()}
        return {**named, "unattributed": self.total_seconds - sum(named.values()), "total": self.total_seconds}

    def enter(self, stage: Stage) -> None:
        """Start a fitting stage."""
        if stage in self.seconds:
            if self._current is not None:
                raise RuntimeError(f"stage {stage} begins inside stage {self._current}; stages of fit must not nest")
            self._clock.settle()
            self._current, self._start = stage, time.perf_counter()

    def leave(self, stage: Stage) -> None:
        """End it."""
        if stage in self.seconds:
            self._clock.settle()
            self.seconds[stage] += time.perf_counter() - self._start
            self._current = None

    def progress(self, done: int, total: int, text: str) -> None:
        """Pass on."""
        if self._current is not None:
            self._on_progress(self._current, done, total, text)

    def notice(self, text: str) -> None:
        """Pass on."""
        self._on_notice(text)


def order(names: Sequence[str], turn: int) -> list[str]:
    """The order of M methods on one image, from a Williams design.

    Over 2 M turns each method stands in each position twice and comes right after each other one twice, so neither a
    place in the queue nor what a neighbour leaves in the caches favours one of them. For two methods: AB, BA, BA, AB.
    """
    count = len(names)
    if count == 0:
        return []
    # 0, 1, M-1, 2, M-2, ...: the steps between neighbours are all different, so the M rotations pair everybody once
    # (twice with the mirrored rotations, which odd M needs).
    zigzag = [(step + 1) // 2 if step % 2 else -(step // 2) for step in range(count)]
    turned = [names[(place + turn) % count] for place in zigzag]
    return turned[::-1] if turn // count % 2 else turned
