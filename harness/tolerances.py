"""How much a machine may vary before the times taken on it are doubted: one limit each, and how it is measured.

Both `harness doctor`, before a run, and the findings of a run, afterwards, go by these. So what the one calls bad now,
the other would call inconclusive.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = [
    "CLOCK_SPREAD",
    "DRIFT_SHARE",
    "NOISE_SHARE",
    "OTHERS_SHARE",
    "STEAL_SHARE",
    "STEP_SHARE",
    "THROTTLED_SHARE",
    "clock_spread",
    "middle_half",
]

OTHERS_SHARE = 0.05
"""That other processes take of all usable cores' time: on two cores, a tenth of one. A desktop at rest stays below."""
STEAL_SHARE = 0.02
"""What the host of a virtual machine took. It takes whole milliseconds at once, and no counter says from which call."""

DRIFT_SHARE = 0.02
"""Of the time of equal work, steadily over a process. The order of methods cancels a drift in the ratio but not in the
seconds, and a machine that changes by more is not the one that the manifest describes."""
STEP_SHARE = 0.05
"""Between two levels of the time of equal work: from one moment of a process on, from a process to the next, or between
the thirds of some seconds. More than a drift, since a level is told by fewer times."""
NOISE_SHARE = 0.10
"""The middle half of the times of equal work, of which torch.utils.benchmark begins to warn at a tenth, too."""

CLOCK_SPREAD = 0.05
"""A spread of the clock passes on to the times almost whole."""
THROTTLED_SHARE = 0.05
"""Of all readings. A single one may fall between two calls."""


def clock_spread(mhz: Sequence[float]) -> float:
    """From the 5th to the 95th percentile over the median: a single reading may fall between two calls."""
    low, middle, high = np.percentile(np.asarray(mhz, dtype=np.float64), [5, 50, 95])
    return float((high - low) / middle)


def middle_half(looks: Sequence[Sequence[float]]) -> float:
    """The upper quartile of the times over the lower one, less 1; what changed steadily is taken out first.

    The line that is taken out goes through the medians of the first and the last third of the looks, so that a few
    times that were disturbed do not turn it.

    Args:
        looks: in the order of time, the times of each, seconds; at least one time.
    """
    logs = np.concatenate([np.log(np.asarray(look, dtype=np.float64)) for look in looks])
    place = np.repeat(np.arange(len(looks), dtype=np.float64), [len(look) for look in looks])
    third = len(looks) // 3
    if third:
        first, last = place < third, place >= len(looks) - third
        run = place[last].mean() - place[first].mean()
        logs = logs - place * (float(np.median(logs[last]) - np.median(logs[first])) / run)
    low, high = np.percentile(logs, [25, 75])
    return float(np.expm1(high - low))
