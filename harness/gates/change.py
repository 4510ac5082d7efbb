"""By how much a ratio of two methods differs between two runs, with the interval that pairing allows. All are of 95 %.

Letters: N images, B blocks of images, P processes.

A run's ratio is the mean of `above` over the mean of `below`; the change is the ratio of the head run over that of the
base run, less 1: -0.1 is a tenth lost. Both runs saw the same images, and what makes an image dear for one method more
than for the other does so in both. So all four means are linearised together, image by image, and it drops out. What
is left is the noise of the two stopwatches, which is far less.

- `over_images`: what these processes would give on other images. How another process would fare is not in it.
- `with_luck`: the same, and how another process would fare, as far as one can say who did not measure it.
- `over_processes`: from three processes of each run, what fresh ones would give.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.intervals import (
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

__all__ = ["PROCESS_LUCK", "Ratio", "joint_blocks", "over_images", "over_processes", "with_luck"]

PROCESS_LUCK = 0.02
"""How a method's time differs between processes of one program: a standard deviation, as a share of the time.

Where its memory came to lie, and the like. Assumed, not measured: one or two processes cannot tell it, and it hangs on
program and machine. Two processes of one program differ by a few per cent here and there; from three processes of each
run on it is measured, and nothing is assumed.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Ratio:
    """One run's times of two methods, in any unit, paired by image."""

    above: Floats
    """(N,), of the baseline method."""
    below: Floats
    """(N,), of the method itself."""
    lag: Floats | None = None
    """(N,): how many places later in its block `above` ran than `below`; None where that is not known."""

    def __post_init__(self) -> None:
        check_values(self.above, self.below, self.lag)

    @property
    def value(self) -> float:
        """How many times faster the method is."""
        return float(self.above.sum() / self.below.sum())

    @property
    def shares(self) -> tuple[Floats, Floats]:
        """What each image is of either total, both (N,)."""
        return self.above / self.above.sum(), self.below / self.below.sum()


def joint_blocks(head: Ints | None, base: Ints | None, n: int) -> Ints:
    """Groups (N,) of images that no block of either run ties to another group: the finest that both runs' blocks fit.

    Images of a block share what the machine did meanwhile, in each of the two runs. Where both were cut into blocks
    alike, the groups are these blocks.
    """
    from scipy import sparse
    from scipy.sparse import csgraph

    (first, n_first), (second, n_second) = number_blocks(head, n), number_blocks(base, n)
    ties = sparse.coo_array((np.ones(n), (first, n_first + second)), shape=(n_first + n_second,) * 2)
    groups: Ints = csgraph.connected_components(ties, directed=False)[1].astype(np.int64)
    return groups[first]


def over_images(head: Ratio, base: Ratio, blocks: Ints) -> Estimate:
    """The change with a t interval over blocks (N,), as of `joint_blocks`.

    The logarithm of a ratio moves with image i by ``above_i / sum(above) - below_i / sum(below)``; that of the change
    by the difference of the two runs' moves. Where methods stood in other places of their blocks in one run than in
    the other, the interval is that of the change in equal places, stretched to hold the value, as in
    `harness.statistics`.

    Raises:
        StatisticsError: the runs have different numbers of images.
    """
    if len(head.above) != len(base.above) or len(blocks) != len(base.above):
        raise StatisticsError(f"expected runs of the same images, got {len(head.above)} and {len(base.above)}")
    if not all(each.sum() > 0 for each in (head.above, head.below, base.above, base.below)):
        return no_value("a time is 0 on every image")
    value = head.value / base.value
    numbers, _ = number_blocks(blocks, len(blocks))
    four = (*head.shares, *base.shares)
    informed = min(len(np.unique(numbers[shares != 0])) for shares in four)
    if informed < 2:
        reason = f"an interval needs at least two separate blocks of images, {there_are(informed)}"
        return Estimate(value - 1, None, None, reason)
    (above, below), (above_before, below_before) = head.shares, base.shares
    moves, weights = (above - below) - (above_before - below_before), np.mean(four, axis=0)
    lags = _lags(head, base)
    placed = np.zeros_like(weights) if lags is None else weights * lags
    moves, shares, lags_by_block = (_by_block(each, numbers) for each in (moves, weights, placed))
    low, high = _interval(moves, shares, lags_by_block, informed)
    return Estimate(value - 1, value * float(np.exp(low)) - 1, value * float(np.exp(high)) - 1)


def _by_block(values: Floats, blocks: Ints) -> Floats:
    return np.bincount(blocks, values).astype(np.float64, copy=False)


def _lags(head: Ratio, base: Ratio) -> Floats | None:
    """By how much more `above` ran later in the head run; None where it did in neither more, or nobody knows."""
    if head.lag is None or base.lag is None:
        return None
    more = head.lag - base.lag
    return more if more.any() else None


def _interval(moves: Floats, shares: Floats, lags: Floats, n_blocks: int) -> tuple[float, float]:
    """Ends of the interval of the logarithm, about the value at 0, from one number a block (B,) each."""
    shift, fitted = 0.0, 1
    if lags.any() and (found := in_equal_places(moves, shares, lags, n_blocks)):
        moves, shares, shift, fitted = found.influence, found.shares, found.shift, 2
    # A sum of squares to which few blocks give the most varies as that of so few blocks does.
    alike = float(np.sum(shares**2)) ** 2 / float(np.sum(shares**4)) / n_blocks
    freedom = max(alike * (n_blocks - fitted), 1.0)
    half = t_quantile(freedom) * float(np.sqrt(n_blocks / (n_blocks - fitted) * np.sum(moves**2)))
    return min(shift - half, 0.0), max(shift + half, 0.0)


def with_luck(found: Estimate, n_head: int, n_base: int) -> Estimate:
    """An estimate of `over_images`, with the luck of so many processes of each run added to its interval.

    Added in quadrature, on the logarithm. Two methods have luck in each of two runs, and the mean of P processes has a
    P-th of the variance of one. The luck is taken to be normal, of the deviation `PROCESS_LUCK`, which is assumed.
    """
    if found.value is None or found.low is None or found.high is None:
        return found
    luck = t_quantile(np.inf) * PROCESS_LUCK * float(np.sqrt(2 / n_head + 2 / n_base))
    change, low, high = (float(np.log1p(each)) for each in (found.value, found.low, found.high))
    low, high = change - float(np.hypot(change - low, luck)), change + float(np.hypot(high - change, luck))
    return Estimate(found.value, float(np.expm1(low)), float(np.expm1(high)), found.reason)


def over_processes(head: Floats, base: Floats) -> Estimate:
    """The change from one ratio a process, each run's (P,), with Welch's t interval of their logarithms.

    Nothing is paired: process 0 of one run has no more to do with process 0 of the other than with the others. The
    runs need not have the same number of processes, nor the same spread between them.

    Source: B. L. Welch, "The generalization of 'Student's' problem when several different population variances are
    involved", 1947.

    Raises:
        StatisticsError: a ratio is not finite.
    """
    for ratios in (head, base):
        check_values(ratios)
    if len(head) < 2 or len(base) < 2 or min(head.min(), base.min()) <= 0:
        return no_value("an interval over processes needs two of each run, and ratios above 0")
    after, before = np.log(head), np.log(base)
    change = float(after.mean() - before.mean())
    squares = np.array([each.var(ddof=1) / len(each) for each in (after, before)])
    half = 0.0
    if squares.any():
        spread = float(squares.sum())
        freedom = spread**2 / float(np.sum(squares**2 / (np.array([len(after), len(before)]) - 1)))
        half = t_quantile(freedom) * float(np.sqrt(spread))
    value, low, high = (float(np.expm1(change + side)) for side in (0.0, -half, half))
    return Estimate(value, low, high)
