"""The stopwatch.

What each number covers:

- ``total`` runs from the decoded image and its boxes in host memory to the detections in host memory, device work
  finished on both sides. The host's clock tells it.
- A stage is what a detector marks as such. ``prepare`` covers the copy to the device, mean subtraction, resizing,
  cropping and warping; ``conv`` the convolutions alone; ``pool`` box mapping and pooling; ``fc`` the fc layers;
  ``decode`` scores and box regression; ``suppress`` top k and non-maximum suppression with the copy back to the host.
- ``unattributed`` is the rest of the total, so that stages and it add up to the total.
- ``features`` is prepare + conv + pool + fc.
- The tail is the part of the total after the detector's return in which the device was still at work.

Proposals are made beforehand and timed apart; image decoding and evaluation are outside. On a CUDA device a stage lies
between two events that are recorded without waiting; the device is waited for once, at the end of the image. Inside the
timed block garbage is not collected, and what is heard is noted on a tape that was made before. Costs of first calls
are left to the warm-up (`harness.warmup`), those of taking turns to an untimed call at the start of each
(`harness.turns`).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from detectors.contract import Stage, listening, stage
from harness.claims import FEATURES
from harness.clocks import Clock
from harness.tape import Tape

__all__ = [
    "FEATURE_STAGES",
    "FitWatch",
    "SynchronisationError",
    "Timing",
    "mark_seconds",
    "measure",
]

FEATURE_STAGES = tuple(Stage(name) for name in FEATURES)

_CALIBRATIONS = 51
"""Times that the cost of a mark is taken; some tenths of a second in all."""
_SWEPT_BYTES = 1 << 24
"""More than the caches next to a core hold, as the maps of a convolution are."""

T = TypeVar("T")


class SynchronisationError(RuntimeError):
    """A clock waited for its device and the device was still at work: no time that it tells means anything."""


@dataclass(frozen=True, slots=True)
class Timing(Generic[T]):
    """One timed call."""

    result: T
    total_seconds: float
    stage_seconds: dict[Stage, float] | None
    """Every detecting stage; 0.0 for one that did not occur. None where it was timed without marks."""
    marks: int | None = None
    """Marks that the clock was asked for. None where it was timed without marks."""
    tail_seconds: float = 0.0
    """From the detector's return until the device was idle; the cost of asking an idle device is in it. 0 on a CPU."""

    @property
    def unattributed_seconds(self) -> float | None:
        """What of the total lies in no stage; None without marks.

        On a CUDA device a hair below zero is possible, since stages and total are told by two clocks.
        """
        return None if self.stage_seconds is None else self.total_seconds - sum(self.stage_seconds.values())

    @property
    def features_seconds(self) -> float | None:
        """prepare + conv + pool + fc; None without marks."""
        return None if self.stage_seconds is None else sum(self.stage_seconds[stage] for stage in FEATURE_STAGES)

    def as_seconds(self) -> dict[str, float]:
        """Seconds by the names that run folders use; ``total`` alone without marks."""
        if self.stage_seconds is None:
            return {"total": self.total_seconds}
        named = {str(stage): seconds for stage, seconds in self.stage_seconds.items()}
        return {
            **named,
            "unattributed": self.total_seconds - sum(named.values()),
            "features": sum(named[stage] for stage in FEATURE_STAGES),
            "total": self.total_seconds,
        }


_TAPE = Tape()
"""One for the process, so that it has grown by the second call at the latest; timed calls must not overlap anyway."""


def _unheard(_text: str) -> None:
    pass


def _settle(clock: Clock) -> None:
    clock.settle()
    _check_idle(clock)


def _check_idle(clock: Clock) -> None:
    if not clock.idle():
        raise SynchronisationError(
            f"{type(clock).__name__} waited for its device, and the device is still at work; times would be too short"
        )


@contextmanager
def _no_collections() -> Iterator[None]:
    """Garbage waits until the block is over: when it is collected depends on what others have allocated."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def measure(
    call: Callable[[], T], clock: Clock, on_notice: Callable[[str], None] = _unheard, *, marked: bool = True
) -> Timing[T]:
    """Time one detect call, and its stages unless told otherwise. `on_notice` is called when the time is over.

    Raises:
        SynchronisationError: the clock does not wait for its device.
        RuntimeError: stages nest, or a stage of fitting was marked, or another timed call is running.
        Exception: whatever the call raises; its notices are passed on all the same.
    """
    _TAPE.start(clock if marked else None)
    try:
        with listening(_TAPE), _no_collections():
            clock.begin()
            _settle(clock)
            start = clock.now()
            result = call()
            returned = ended = clock.now()
            # The CPU is done when a call returns; a second reading would add the cost of reading.
            if clock.asynchronous:
                clock.settle()
                ended = clock.now()
        _check_idle(clock)
        if not marked:
            return Timing(result, ended - start, None, None, ended - returned)
        return Timing(result, ended - start, _TAPE.stage_seconds(clock), _TAPE.marks, ended - returned)
    finally:
        _TAPE.stop(on_notice)


def mark_seconds(clock: Clock) -> float:
    """What one mark, an enter or a leave, costs at most: marking adds less than marks x this to a call.

    The host's part and the device's, although they overlap where the host does not wait for the device. The host's is
    what a stage that is heard takes, 90th percentile, beyond one that nobody hears, median: the detector's ``with`` is
    there in either case. Both are taken after the caches were swept, as a convolution leaves them, where they are some
    times what they are in a loop. The device's is what a mark adds to waiting for an idle device, 90th percentile.
    """
    source, target = bytes(_SWEPT_BYTES), bytearray(_SWEPT_BYTES)

    def one_stage() -> float:
        target[:] = source
        start = clock.now()
        with stage(Stage.CONV):
            pass
        return clock.now() - start

    def waiting(marks: int) -> float:
        clock.begin()
        clock.settle()
        for _ in range(marks):
            clock.mark()
        start = clock.now()
        clock.settle()
        return clock.now() - start

    heard, unheard = [], []
    for _ in range(_CALIBRATIONS):  # in turns, so that both meet the same machine
        heard.append(measure(one_stage, clock).result)
        unheard.append(one_stage())
    device = sorted(waiting(1) - waiting(0) for _ in range(_CALIBRATIONS))
    # Not a quartile: inside a detector a mark costs on average about what the upper quartile is here.
    high, middle = 90 * _CALIBRATIONS // 100, _CALIBRATIONS // 2
    host = (sorted(heard)[high] - sorted(unheard)[middle]) / 2
    return max(host, 0.0) + max(device[high], 0.0)


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
        _settle(self._clock)
        start = self._clock.now()
        with listening(self):
            fit()
        _settle(self._clock)
        self.total_seconds += self._clock.now() - start

    def as_seconds(self) -> dict[str, float]:
        """Seconds by the names that run folders use: each stage, ``unattributed`` and ``total``."""
        named = {str(stage): seconds for stage, seconds in self.seconds.items()}
        return {**named, "unattributed": self.total_seconds - sum(named.values()), "total": self.total_seconds}

    def enter(self, stage: Stage) -> None:
        """Start a fitting stage."""
        if stage in self.seconds:
            if self._current is not None:
                raise RuntimeError(f"stage {stage} begins inside stage {self._current}; stages of fit must not nest")
            _settle(self._clock)
            self._current, self._start = stage, self._clock.now()

    def leave(self, stage: Stage) -> None:
        """End it."""
        if stage in self.seconds:
            _settle(self._clock)
            self.seconds[stage] += self._clock.now() - self._start
            self._current = None

    def progress(self, done: int, total: int, text: str) -> None:
        """Pass on."""
        if self._current is not None:
            self._on_progress(self._current, done, total, text)

    def notice(self, text: str) -> None:
        """Pass on."""
        self._on_notice(text)
