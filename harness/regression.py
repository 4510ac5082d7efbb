"""Least squares over images: lines with their intervals, and ratios read where both methods have equal places.

Letters: N images, B blocks of images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.intervals import Estimate, Floats, Ints, check_values, no_value, number_blocks, t_quantile

__all__ = ["Line", "Placed", "in_equal_places", "line"]

_BLOCKS_FOR_PLACES = 4
"""One round of the orders AB BA BA AB; with fewer blocks the places cannot be told from the noise."""

_FARTHEST = 8.0
"""How far off equal places may lie, squared and in variances of the lags. The standard error is three times as large
there; a ratio of methods that changed places more seldom is left as it is."""


@dataclass(frozen=True, slots=True)
class Line:
    """``y = intercept + slope * x``, fitted."""

    intercept: Estimate
    slope: Estimate
    points: int
    """How many it was fitted to."""


def line(x: Floats, y: Floats, blocks: Ints | None = None) -> Line:
    """Least squares line through one point an image, with t intervals by leaving out one block at a time.

    Leaving out sees what residuals hide: a single large image bends the line towards itself. Both estimates have no
    value, and say why, where all x are equal.

    Raises:
        StatisticsError: lengths differ, or a value is not finite.
    """
    check_values(x, y, blocks)
    n = len(x)
    if n < 2 or np.ptp(x) == 0:
        none = no_value("a line needs points at two places, there is none or one")
        return Line(none, none, n)
    numbers, n_blocks = number_blocks(blocks, n)
    centre_x, centre_y = float(x.mean()), float(y.mean())
    from_x, from_y = x - centre_x, y - centre_y
    columns = (np.ones(n), from_x, from_y, from_x**2, from_x * from_y)
    sums = np.stack([np.bincount(numbers, column, n_blocks) for column in columns])
    whole = sums.sum(axis=1)
    slope = float(whole[4] / whole[3])
    intercept = centre_y - slope * centre_x
    left = whole[:, None] - sums
    size = np.maximum(left[0], 1)
    squares = left[3] - left[1] ** 2 / size
    if n_blocks < 3 or squares.min() <= 1e-9 * whole[3]:
        reason = "an interval needs 3 blocks, and points at two places when any of them is left out"
        return Line(Estimate(intercept, None, None, reason), Estimate(slope, None, None, reason), n)
    slopes = (left[4] - left[1] * left[2] / size) / squares
    intercepts = centre_y + left[2] / size - slopes * (centre_x + left[1] / size)
    return Line(_left_out(intercept, intercepts), _left_out(slope, slopes), n)


def _left_out(value: float, without: Floats) -> Estimate:
    """Jackknife interval from the values without each block."""
    n = len(without)
    half = t_quantile(n - 1) * float(np.sqrt((n - 1) / n * np.sum((without - value) ** 2)))
    return Estimate(value, value - half, value + half)


@dataclass(frozen=True, slots=True)
class Placed:
    """What a ratio would be in equal places."""

    shift: float
    """To be added to its logarithm."""
    influence: Floats
    """(B,): what each block adds to the logarithm then, 0 in all."""
    shares: Floats
    """(B,): how much each block counts then, 1 in all."""


def in_equal_places(influence: Floats, shares: Floats, lags: Floats, n_blocks: int) -> Placed | None:
    """A ratio, read off a line over the lag at lag 0.

    To run later costs a share of the time. That cancels in a ratio as far as each method was later equally often, in
    blocks that count alike. It does not in the squares, where it would pass for noise, and an odd number of blocks
    leaves some over in the ratio, too.

    `influence` and `shares` (B,) are those of each block in the ratio as measured; `lags` (B,) are times `shares`: how
    many places later the first method ran. `n_blocks` of the B tell something, the others are 0.

    Returns:
        None where the order hardly ever changed, so that nothing tells the place from the method.
    """
    lag = float(lags.sum())
    around = lags - shares * lag
    squares = float(np.sum(around**2))
    # Where the order was the same all through, rounding is all that is left.
    same = squares <= 1e-24 * float(np.sum(lags**2))
    if n_blocks < _BLOCKS_FOR_PLACES or same or lag**2 > _FARTHEST * n_blocks * squares:
        return None
    cost = float(np.sum(influence * around)) / squares
    pull = 1 - lag * (around - float(np.sum(around * shares))) / squares
    return Placed(-lag * cost, (influence - cost * around) * pull, shares * pull)
