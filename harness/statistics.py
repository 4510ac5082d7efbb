"""Intervals, all of 95 %.

Letters: N images, B blocks of images, P processes.

- `mean`, `ratio_of_means`, `geometric_mean_ratio`: over the images of one process. They say nothing of what another
  process would measure.
- `over_processes`: over processes that measured the same images. It says nothing of other images.
- `percentile`: over images, from ranks alone.
- `line`: least squares over images.

The methods take turns block by block, so what the machine did during a block is shared by its images, and images of a
block are not independent. Blocks are: hence each sum of squares runs over the B sums of a block's residuals, and
Student's t has B - 1 degrees of freedom. Intervals of times and of ratios are made for the logarithm and turned back,
so no end is ever below zero, and the interval of a / b is the one of b / a turned over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "CONFIDENCE",
    "PROCESSES_FOR_INTERVAL",
    "Estimate",
    "Line",
    "StatisticsError",
    "geometric_mean_ratio",
    "line",
    "mean",
    "over_processes",
    "percentile",
    "ratio_of_means",
]

CONFIDENCE = 0.95

PROCESSES_FOR_INTERVAL = 3
"""Two processes leave one degree of freedom: an interval 13 standard errors to either side, which helps nobody."""

_BLOCKS_FOR_LAG = 4
"""One round of the orders AB BA BA AB; with fewer blocks the places cannot be told from the noise."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class StatisticsError(ValueError):
    """The values do not belong together; the message is one line."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval."""

    value: float | None
    """None where there is none, which has its `reason`."""
    low: float | None
    high: float | None
    reason: str | None = None
    """Why there is no value, or no interval."""


def _nothing(reason: str) -> Estimate:
    return Estimate(None, None, None, reason)


def _t_quantile(freedom: int) -> float:
    from scipy import special

    return float(special.stdtrit(freedom, 0.5 + CONFIDENCE / 2))


def _check(values: Floats, *others: npt.NDArray[np.generic] | None) -> None:
    if values.ndim != 1:
        raise StatisticsError(f"values: expected one an image, (N,), got {values.shape}")
    for other in others:
        if other is not None and other.shape != values.shape:
            raise StatisticsError(f"expected arrays of one length, got {values.shape} and {other.shape}")
    for each in (values, *others):
        if each is not None and not np.isfinite(each).all():
            raise StatisticsError("expected finite values only; leave out images that were not measured")


def _numbered(blocks: Ints | None, n: int) -> tuple[Ints, int]:
    """Each image's block as 0..B - 1, and B; without blocks, each image is its own."""
    if blocks is None:
        return np.arange(n), n
    found, numbers = np.unique(blocks, return_inverse=True)
    return numbers.astype(np.int64), len(found)


def _informed(blocks: Ints, *values: Floats) -> int:
    """In how many blocks the values are not all 0; the fewest, where there are several kinds."""
    return min(len(np.unique(blocks[each != 0])) for each in values)


def _half(influence: Floats, blocks: Ints, n_blocks: int) -> float:
    """Half the interval of a sum of `influence` (N,), which is 0 in all, over blocks that are independent."""
    sums = np.bincount(blocks, influence)
    return _t_quantile(n_blocks - 1) * float(np.sqrt(n_blocks / (n_blocks - 1) * np.sum(sums**2)))


def _half_of_ratio(influence: Floats, weights: Floats, blocks: Ints, n_blocks: int, lag: Floats | None) -> float:
    """`_half` of what the place in the order does not explain.

    To run second costs the same share each time. That cancels in the ratio, as each method is second as often as the
    other, but not in the squares: there it would pass for noise.
    """
    if lag is None or n_blocks < _BLOCKS_FOR_LAG:
        return _half(influence, blocks, n_blocks)
    sums, shares, places = (np.bincount(blocks, each) for each in (influence, weights, weights * lag))
    all_squares = float(np.sum(places**2))
    places = places - shares * places.sum()
    squares = float(np.sum(places**2))
    # All but rounding is gone where the order was the same all through: nothing tells the place from the method.
    if squares <= 1e-24 * all_squares:
        return _half(influence, blocks, n_blocks)
    rest = sums - places * float(np.sum(sums * places)) / squares
    return _t_quantile(n_blocks - 2) * float(np.sqrt(n_blocks / (n_blocks - 2) * np.sum(rest**2)))


def _there(count: int) -> str:
    return f"there is {count}" if count == 1 else f"there are {count or 'none'}"


def _few(found: int, blocks: Ints | None) -> str:
    return f"an interval needs at least two {'images' if blocks is None else 'blocks of images'}, {_there(found)}"


def _around(value: float, half: float) -> Estimate:
    """`half` is of the logarithm."""
    return Estimate(value, value * float(np.exp(-half)), value * float(np.exp(half)))


def mean(values: Floats, blocks: Ints | None = None) -> Estimate:
    """Mean of one value an image, (N,), with a t interval over blocks.

    Where a value is negative, as the unattributed rest can be by a hair, so may be the ends of the interval: there it
    is not made for the logarithm.

    Raises:
        StatisticsError: lengths differ, or a value is not finite.
    """
    _check(values, blocks)
    if not len(values):
        return _nothing("no image was measured")
    value = float(values.mean())
    if not values.any():
        return Estimate(value, None, None, "it is 0 on every image")
    numbers, n_blocks = _numbered(blocks, len(values))
    informed = _informed(numbers, values)
    if informed < 2:
        return Estimate(value, None, None, _few(informed, blocks))
    half = _half((values - value) / len(values), numbers, n_blocks)
    return Estimate(value, value - half, value + half) if values.min() < 0 else _around(value, half / value)


def ratio_of_means(above: Floats, below: Floats, blocks: Ints | None = None, lag: Floats | None = None) -> Estimate:
    """``mean(above) / mean(below)`` of values paired by image, with a t interval by the delta method.

    The logarithm of the ratio moves with image i by ``above_i / sum(above) - below_i / sum(below)``. Pairing takes out
    what makes an image dear for both methods, such as its number of boxes.

    `lag` (N,) is how many places later in its block `above` ran than `below`, the mean over repeats: with it the
    interval is free of what the place costs, and about a quarter narrower where little else differs between blocks.

    Raises:
        StatisticsError: lengths differ, or a value is not finite.
    """
    _check(above, below, blocks, lag)
    if not len(above):
        return _nothing("no image was measured")
    total_above, total_below = float(above.sum()), float(below.sum())
    if total_below <= 0:
        return _nothing("what it would be divided by is 0")
    ratio = total_above / total_below
    if total_above <= 0:
        return Estimate(ratio, None, None, "what is divided is 0")
    numbers, _ = _numbered(blocks, len(above))
    informed = _informed(numbers, above, below)
    if informed < 2:
        return Estimate(ratio, None, None, _few(informed, blocks))
    shares_above, shares_below = above / total_above, below / total_below
    weights = (shares_above + shares_below) / 2
    return _around(ratio, _half_of_ratio(shares_above - shares_below, weights, numbers, informed, lag))


def geometric_mean_ratio(
    above: Floats, below: Floats, blocks: Ints | None = None, lag: Floats | None = None
) -> Estimate:
    """Geometric mean of ``above_i / below_i``: every image counts alike, however dear it is.

    `lag` and errors as in `ratio_of_means`.
    """
    _check(above, below, blocks, lag)
    if not len(above):
        return _nothing("no image was measured")
    if min(above.min(), below.min()) <= 0:
        return _nothing("a value is 0, and the geometric mean needs ratios above 0")
    logs = np.log(above / below)
    value = float(np.exp(logs.mean()))
    n = len(logs)
    numbers, n_blocks = _numbered(blocks, n)
    if n_blocks < 2:
        return Estimate(value, None, None, _few(n_blocks, blocks))
    return _around(value, _half_of_ratio((logs - logs.mean()) / n, np.full(n, 1 / n), numbers, n_blocks, lag))


def over_processes(values: Sequence[float] | Floats) -> Estimate:
    """What a fresh process measures on these images: the geometric mean of one value a process, with its t interval.

    Resampling so few values instead would cover far too little: a percentile bootstrap of three has their range for its
    interval, and that holds the truth in 75 % of cases, not 95 %.

    Raises:
        StatisticsError: a value is not finite.
    """
    found = np.asarray(values, dtype=np.float64)
    _check(found)
    if not len(found):
        return _nothing("no process measured it")
    if found.min() <= 0:
        return _nothing("a process measured 0, and the geometric mean needs values above 0")
    logs, n = np.log(found), len(found)
    value = float(np.exp(logs.mean()))
    if n < PROCESSES_FOR_INTERVAL:
        reason = f"an interval over processes needs at least {PROCESSES_FOR_INTERVAL}, {_there(n)}"
        return Estimate(value, None, None, reason)
    return _around(value, _half((logs - logs.mean()) / n, np.arange(n), n))


def percentile(values: Floats, q: float) -> Estimate:
    """The value below which a share `q` of images lies, 0 < q < 1; each end by itself holds with 95 %.

    The number of N independent values below the true percentile is binomial, so the ends are values of a certain rank,
    whatever the distribution. Where even the dearest image may lie below it (``1 - q**N < 0.95``), there is no value: 5
    images are enough for the median, 29 for p90, 59 for p95, 299 for p99.

    Raises:
        StatisticsError: `q` is outside 0..1, or a value is not finite.
    """
    from scipy import special

    _check(values)
    if not 0 < q < 1:
        raise StatisticsError(f"q: expected a share above 0 and below 1, got {q}")
    n, needed = len(values), int(np.ceil(np.log(1 - CONFIDENCE) / np.log(max(q, 1 - q))))
    if n < needed:
        return _nothing(f"p{100 * q:g} needs {needed} images, {_there(n)}")
    at_most = special.bdtr(np.arange(n), n, q)
    high = int(np.argmax(at_most >= CONFIDENCE))
    low = int(np.searchsorted(at_most, 1 - CONFIDENCE, side="right")) - 1
    ranked = np.sort(values)
    return Estimate(float(np.quantile(ranked, q)), float(ranked[max(low, 0)]), float(ranked[high]))


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
    _check(x, y, blocks)
    n = len(x)
    if n < 2 or np.ptp(x) == 0:
        none = _nothing("a line needs points at two places, there is none or one")
        return Line(none, none, n)
    numbers, n_blocks = _numbered(blocks, n)
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
    half = _t_quantile(n - 1) * float(np.sqrt((n - 1) / n * np.sum((without - value) ** 2)))
    return Estimate(value, value - half, value + half)
