"""Times of the same work that lie on two levels: from one moment on, or from one process to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.intervals import t_quantile

__all__ = ["Apart", "apart", "step"]

_STEP_SPREADS, _STEP_SPREADS_OF_FEW = 7, 12
"""Standard deviations of the two levels that must lie between them. A machine that wanders and finds nine tenths of
its state again at the next look comes to 5.5 once in a thousand processes of 25 looks, to 7 in those of 12, and to 12
in those of 6."""
_FEW, _FEWEST_FOR_STEP = 10, 6
_EDGE = 0.15
"""Share of the looks that a level must last for. A shorter one is a disturbance."""

_FEWEST_FOR_HALVES = 6
_MEMORY = 0.9
"""Share of its state that a machine finds again at the next look. One that forgets more slowly cannot be told from one
that differs from process to process."""

Floats = npt.NDArray[np.float64]


def step(seconds: Sequence[float]) -> tuple[int, float] | None:
    """Where one level ends and another begins, and by what share it lies above; None where there is no step.

    Of all ways to cut N times in two, the one that leaves the least spread. There always is one, so it must leave very
    little: a drift does not, and neither does a machine that wanders.
    """
    logs = np.log(np.asarray(seconds, dtype=np.float64))
    n = len(logs)
    if n < _FEWEST_FOR_STEP:
        return None
    edge = max(2, int(np.ceil(_EDGE * n)))
    spent = {cut: _within(logs[:cut]) + _within(logs[cut:]) for cut in range(edge, n - edge + 1)}
    cut = min(spent, key=lambda each: spent[each])
    rise = float(logs[cut:].mean() - logs[:cut].mean())
    spread = (spent[cut] / (n - 2)) ** 0.5
    least = spread * (_STEP_SPREADS_OF_FEW if n < _FEW else _STEP_SPREADS)
    return (cut, float(np.expm1(rise))) if abs(rise) > least else None


def _within(logs: Floats) -> float:
    return float(((logs - logs.mean()) ** 2).sum())


@dataclass(frozen=True, slots=True)
class Apart:
    """The slowest process against the fastest one."""

    slowest: int
    fastest: int
    """Places of the two in what was given."""
    share: float
    """By which the median time of the slowest is longer."""
    certain: bool
    """Whether processes that only wander would not come to lie so far apart."""


def apart(series: Sequence[Sequence[float]], confidence: float) -> Apart | None:
    """How far the medians of processes lie apart; None for fewer than two.

    How far a process wanders by itself is seen in the difference of its halves, and what wanders further lets
    processes differ by more: t intervals, corrected for the number of pairs.
    """
    logs = [np.log(np.asarray(seconds, dtype=np.float64)) for seconds in series]
    if len(logs) < 2:
        return None
    medians = [float(np.median(one)) for one in logs]
    slowest, fastest = int(np.argmax(medians)), int(np.argmin(medians))
    rise = medians[slowest] - medians[fastest]
    long = [one for one in logs if len(one) >= _FEWEST_FOR_HALVES]
    certain = bool(long) and rise > _reach(long, len(logs), confidence)
    return Apart(slowest, fastest, float(np.expm1(rise)), certain)


def _reach(series: Sequence[Floats], processes: int, confidence: float) -> float:
    """What two of so many processes come to differ by if they wander as their halves do."""
    pairs = processes * (processes - 1) / 2
    variance = float(np.mean([_halves(logs) ** 2 * _whole_over_halves(len(logs)) for logs in series]))
    return t_quantile(len(series), 1 - (1 - confidence) / pairs) * float((2 * variance) ** 0.5)


def _halves(logs: Floats) -> float:
    middle = len(logs) // 2
    return float(np.median(logs[-middle:]) - np.median(logs[:middle]))


def _whole_over_halves(looks: int) -> float:
    """Variance of a mean over that of the difference of its halves, for a machine that forgets as slowly as allowed."""
    middle, place = looks // 2, np.arange(looks)
    correlation = _MEMORY ** np.abs(place[:, None] - place)
    whole = np.full(looks, 1 / looks)
    halves = ((place >= looks - middle).astype(np.float64) - (place < middle)) / middle
    return float((whole @ correlation @ whole) / (halves @ correlation @ halves))
