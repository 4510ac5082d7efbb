"""Estimates with intervals, all of 95 %.

Letters: N images, B blocks of images, P processes.

- `mean`, `ratio_of_means`, `geometric_mean_ratio`: over the images of one process. They say nothing of what another
  process would measure.
- `over_processes`: over processes that measured the same images. It says nothing of other images.
- `percentile`: over images, from ranks alone.

The methods take turns block by block, so what the machine did during a block is shared by its images, and images of a
block are not independent. Blocks are: hence each sum of squares runs over the B sums of a block's residuals, and
Student's t has B - 1 degrees of freedom, fewer where blocks count very unlike. Intervals of times and of ratios are
made for the logarithm and turned back, so no end is ever below zero, and the interval of a / b is the one of b / a
turned over.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.intervals import (
    CONFIDENCE,
    Estimate,
    Floats,
    Ints,
    StatisticsError,
    check_values,
    no_value,
    number_blocks,
    t_quantile,
    there_are,
)
from harness.regression import in_equal_places

__all__ = [
    "CONFIDENCE",
    "PROCESSES_FOR_INTERVAL",
    "Estimate",
    "StatisticsError",
    "geometric_mean_ratio",
    "mean",
    "over_processes",
    "percentile",
    "ratio_of_means",
    "t_quantile",
]

PROCESSES_FOR_INTERVAL = 3
"""Two processes leave one degree of freedom: an interval 13 standard errors to either side, which helps nobody."""


def _informed(blocks: Ints, *values: Floats) -> int:
    """In how many blocks the values are not all 0; the fewest, where there are several kinds."""
    return min(len(np.unique(blocks[each != 0])) for each in values)


def _by_block(values: Floats, blocks: Ints) -> Floats:
    return np.bincount(blocks, values).astype(np.float64, copy=False)


def _half(influence: Floats, blocks: Ints, n_blocks: int) -> float:
    """Half the interval of a sum of `influence` (N,), which is 0 in all, over blocks that are independent."""
    sums = _by_block(influence, blocks)
    return t_quantile(n_blocks - 1) * float(np.sqrt(n_blocks / (n_blocks - 1) * np.sum(sums**2)))


def _around(value: float, half: float) -> Estimate:
    """`half` is of the logarithm."""
    return Estimate(value, value * float(np.exp(-half)), value * float(np.exp(half)))


def _with_places(
    value: float, influence: Floats, weights: Floats, blocks: Ints, n_blocks: int, lag: Floats | None
) -> Estimate:
    """A ratio with the interval of what it would be, had both methods run in the same places.

    `influence` (N,) is what each image adds to the logarithm of the ratio, 0 in all; `weights` (N,), 1 in all, is how
    much the image counts.
    """
    # The value stays the ratio of the two means that are printed beside it. What the places did to it is the interval's
    # to say: it lies around the ratio in equal places and is stretched to hold the value. To widen it by the difference
    # to both sides would stretch it where the truth is not, and would take the cost of a place for known. Here the
    # error of that cost is part of the interval, so that few blocks, which tell little about it, make a wide one.
    sums, shares = _by_block(influence, blocks), _by_block(weights, blocks)
    shift, fitted = 0.0, 1
    lags = None if lag is None else _by_block(weights * lag, blocks)
    if lags is not None and (found := in_equal_places(sums, shares, lags, n_blocks)):
        sums, shares, shift, fitted = found.influence, found.shares, found.shift, 2
    # A sum of squares to which few blocks give the most varies as that of so few blocks does.
    alike = float(np.sum(shares**2)) ** 2 / float(np.sum(shares**4)) / n_blocks
    freedom = max(alike * (n_blocks - fitted), 1.0)
    half = t_quantile(freedom) * float(np.sqrt(n_blocks / (n_blocks - fitted) * np.sum(sums**2)))
    low, high = min(shift - half, 0.0), max(shift + half, 0.0)
    return Estimate(value, value * float(np.exp(low)), value * float(np.exp(high)))


def _few(found: int, blocks: Ints | None) -> str:
    return f"an interval needs at least two {'images' if blocks is None else 'blocks of images'}, {there_are(found)}"


def mean(values: Floats, blocks: Ints | None = None) -> Estimate:
    """Mean of one value an image, (N,), with a t interval over blocks.

    Where a value is negative, as the unattributed rest can be by a hair, so may be the ends of the interval: there it
    is not made for the logarithm.

    Raises:
        StatisticsError: lengths differ, or a value is not finite.
    """
    check_values(values, blocks)
    if not len(values):
        return no_value("no image was measured")
    value = float(values.mean())
    if not values.any():
        return Estimate(value, None, None, "it is 0 on every image")
    numbers, n_blocks = number_blocks(blocks, len(values))
    informed = _informed(numbers, values)
    if informed < 2:
        return Estimate(value, None, None, _few(informed, blocks))
    half = _half((values - value) / len(values), numbers, n_blocks)
    return Estimate(value, value - half, value + half) if values.min() < 0 else _around(value, half / value)


def ratio_of_means(above: Floats, below: Floats, blocks: Ints | None = None, lag: Floats | None = None) -> Estimate:
    """``mean(above) / mean(below)`` of values paired by image, with a t interval by the delta method.

    The logarithm of the ratio moves with image i by ``above_i / sum(above) - below_i / sum(below)``. Pairing takes out
    what makes an image dear for both methods, such as its number of boxes. Where few images make up most of the time,
    they leave few degrees of freedom, as many as so few images of one cost would.

    `lag` (N,) is how many places later in its block `above` ran than `below`, the mean over repeats. With it the
    interval is that of the ratio in equal places, stretched where need be to hold the value, which stays as measured.

    Raises:
        StatisticsError: lengths differ, or a value is not finite.
    """
    check_values(above, below, blocks, lag)
    if not len(above):
        return no_value("no image was measured")
    total_above, total_below = float(above.sum()), float(below.sum())
    if total_below <= 0:
        return no_value("what it would be divided by is 0")
    ratio = total_above / total_below
    if total_above <= 0:
        return Estimate(ratio, None, None, "what is divided is 0")
    numbers, _ = number_blocks(blocks, len(above))
    informed = _informed(numbers, above, below)
    if informed < 2:
        return Estimate(ratio, None, None, _few(informed, blocks))
    shares_above, shares_below = above / total_above, below / total_below
    weights = (shares_above + shares_below) / 2
    return _with_places(ratio, shares_above - shares_below, weights, numbers, informed, lag)


def geometric_mean_ratio(
    above: Floats, below: Floats, blocks: Ints | None = None, lag: Floats | None = None
) -> Estimate:
    """Geometric mean of ``above_i / below_i``: every image counts alike, however dear it is.

    `lag` and errors as in `ratio_of_means`.
    """
    check_values(above, below, blocks, lag)
    if not len(above):
        return no_value("no image was measured")
    if min(above.min(), below.min()) <= 0:
        return no_value("a value is 0, and the geometric mean needs ratios above 0")
    logs = np.log(above / below)
    value = float(np.exp(logs.mean()))
    n = len(logs)
    numbers, n_blocks = number_blocks(blocks, n)
    if n_blocks < 2:
        return Estimate(value, None, None, _few(n_blocks, blocks))
    return _with_places(value, (logs - logs.mean()) / n, np.full(n, 1 / n), numbers, n_blocks, lag)


def over_processes(values: Sequence[float] | Floats) -> Estimate:
    """What a fresh process measures on these images: the geometric mean of one value a process, with its t interval.

    Where a value is 0 or below, as the unattributed rest of a device can be, it is their plain mean with a plain one.
    Resampling so few values instead would cover far too little: a percentile bootstrap of three has their range for its
    interval, and that holds the truth in 75 % of cases, not 95 %.

    Raises:
        StatisticsError: a value is not finite.
    """
    found = np.asarray(values, dtype=np.float64)
    check_values(found)
    n = len(found)
    if not n:
        return no_value("no process measured it")
    positive = bool(found.min() > 0)
    scaled = np.log(found) if positive else found
    centre = float(scaled.mean())
    value = float(np.exp(centre)) if positive else centre
    if not found.any():
        return Estimate(value, None, None, "it is 0 in every process")
    if n < PROCESSES_FOR_INTERVAL:
        reason = f"an interval over processes needs at least {PROCESSES_FOR_INTERVAL}, {there_are(n)}"
        return Estimate(value, None, None, reason)
    half = _half((scaled - centre) / n, np.arange(n), n)
    return _around(value, half) if positive else Estimate(value, value - half, value + half)


def percentile(values: Floats, q: float) -> Estimate:
    """The value below which a share `q` of images lies, 0 < q < 1, with an interval from ranks.

    The number of N independent values below the true percentile is binomial, so the ends are values of a certain rank,
    whatever the distribution. Each misses in 2.5 % of cases at most. There is no value where the dearest image is not
    even a bound to one side (``1 - q**N < 0.95``): 5 images are enough for the median, 29 for p90, 59 for p95, 299 for
    p99. From these to 6, 36, 72 and 368 images, an end that would lie beyond the dearest or the cheapest is missing.

    Raises:
        StatisticsError: `q` is outside 0..1, or a value is not finite.
    """
    from scipy import special

    check_values(values)
    if not 0 < q < 1:
        raise StatisticsError(f"q: expected a share above 0 and below 1, got {q}")
    n, needed = len(values), _images_for(max(q, 1 - q), 1 - CONFIDENCE)
    if n < needed:
        return no_value(f"p{100 * q:g} needs {needed} images, {there_are(n)}")
    beyond = (1 - CONFIDENCE) / 2
    at_most, ranked = special.bdtr(np.arange(n), n, q), np.sort(values)
    high, low = np.flatnonzero(at_most >= 1 - beyond), np.flatnonzero(at_most <= beyond)
    lacking = {"upper": _images_for(q, beyond)} if not len(high) else {}
    if not len(low):
        lacking["lower"] = _images_for(1 - q, beyond)
    reasons = [f"the {end} end of its interval needs {images} images" for end, images in lacking.items()]
    return Estimate(
        float(np.quantile(ranked, q)),
        float(ranked[low[-1]]) if len(low) else None,
        float(ranked[high[0]]) if len(high) else None,
        f"{', '.join(reasons)}, {there_are(n)}" if reasons else None,
    )


def _images_for(share: float, beyond: float) -> int:
    """The fewest images that all lie in a share of the distribution with a probability of at most `beyond`."""
    return int(np.ceil(np.log(beyond) / np.log(share)))
