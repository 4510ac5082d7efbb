"""What is heard of one timed call, written down without making anything while the call runs."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable

from detectors.contract import Stage
from harness.clocks import Clock

__all__ = ["Tape"]

_SPANS = 128
"""Stages that there is room for from the start: half of the marks that a clock is ready for."""

_NO_MARKS = array("q", [0, 0])


class Tape:
    """Listener of one timed call: which stages lay between which marks, and the notices.

    The room for them grows where a call has more of them than any before it, and is kept. Stages do not nest: an inner
    mark would count its time twice.
    """

    def __init__(self) -> None:
        self._clock: Clock | None = None
        self._running = False
        self._open: Stage | None = None
        self._stages = [Stage.CONV] * _SPANS
        # Arrays, since a list or an attribute would keep a new object for each number. Two marks a span.
        self._marks, self._spans = array("q", bytes(16 * _SPANS)), array("q", [0])
        # A deque brings room for its first entries with it.
        self._notices: deque[str] = deque()

    def start(self, clock: Clock | None) -> None:
        """Forget the last call; without a clock, marks are not heard.

        Raises:
            RuntimeError: another call is running.
        """
        if self._running:
            raise RuntimeError("a timed call is running already; of calls that overlap no time means anything")
        self._clock, self._running, self._open = clock, True, None
        self._spans[0] = 0
        self._notices.clear()

    def stop(self, on_notice: Callable[[str], None]) -> None:
        """The call is over: pass on the notices."""
        self._running = False
        while self._notices:
            on_notice(self._notices.popleft())

    def enter(self, stage: Stage) -> None:
        """A stage begins; stages that nest are refused with a RuntimeError."""
        clock = self._clock
        if clock is None:
            return
        if self._open is not None:
            raise RuntimeError(f"stage {stage} begins inside stage {self._open}; stages of detect must not nest")
        self._open = stage
        span = self._spans[0]
        if span == len(self._stages):
            self._stages.append(stage)
            self._marks.extend(_NO_MARKS)
        self._stages[span] = stage
        # Last, and first when it is left, so that the stage holds as little of this as can be.
        self._marks[2 * span] = clock.mark()

    def leave(self, stage: Stage) -> None:
        """It ends."""
        clock = self._clock
        if clock is None or self._open is None:
            return
        number, span = clock.mark(), self._spans[0]
        self._marks[2 * span + 1] = number
        self._spans[0] = span + 1
        self._open = None

    def progress(self, done: int, total: int, text: str) -> None:
        """Not kept: detecting is short."""

    def notice(self, text: str) -> None:
        """Keep it until the call is over."""
        self._notices.append(text)

    @property
    def marks(self) -> int:
        """Marks that the clock was asked for."""
        return 2 * self._spans[0]

    def stage_seconds(self, clock: Clock) -> dict[Stage, float]:
        """Seconds of every detecting stage, 0.0 for one that did not occur; the clock must have settled.

        Raises:
            RuntimeError: a stage belongs to fitting.
        """
        seconds = dict.fromkeys(Stage.of_detecting(), 0.0)
        for span in range(self._spans[0]):
            stage = self._stages[span]
            if stage not in seconds:
                raise RuntimeError(f"stage {stage} belongs to fitting but was marked while detecting")
            seconds[stage] += clock.seconds(self._marks[2 * span], self._marks[2 * span + 1])
        return seconds
