"""Does a measured number agree with a published one? Decided between two intervals, never between two points.

A published number stands for an interval: what its digits allow (`harness.claims.Claim.low` and ``high``). A measured
one has its 95 % interval. Speed-ups and accuracies are achievements, so what is nearly as good or better meets them; a
share of the time and a ratio of pixels describe, so what is about as large meets them. Each rule allows a margin, gives
exactly one of met, not met and inconclusive, and decides every number that is measured narrowly enough.

Seconds, hours and days say more of the hardware than of the method, and are never judged.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from harness.claims import Claim

__all__ = ["MARGIN", "MARGIN_POINTS", "VERDICTS", "Range", "Verdict", "as_large", "at_least", "delta", "verdict"]

Verdict = Literal["met", "not met", "inconclusive", "not comparable"]

VERDICTS: tuple[Verdict, ...] = ("met", "not met", "inconclusive", "not comparable")
"""In the order in which they are counted."""

MARGIN = 0.10
"""Of a published ratio or share. Narrower than any difference that the papers make something of."""

MARGIN_POINTS = 1.0
"""Of a published average precision, in points: runs of one paper's code with other seeds are some tenths apart."""

_AT_LEAST = frozenset({"map", "ap", "speedup_conv", "speedup_total", "speedup_train"})
_AS_LARGE = frozenset({"share", "pixel_ratio_conv"})


class Range(NamedTuple):
    """From `low` to `high`, both within; of an exact number both are that."""

    low: float
    high: float


def at_least(printed: Range, measured: Range, margin: float) -> Verdict:
    """For achievements, where more is better. One threshold: the least that was printed, less `margin`.

    - met: all of `measured` is at the threshold or above;
    - not met: all of it is below;
    - inconclusive: it has a part on either side.

    So what is met has, with the confidence of the interval, all of what was printed but the margin. What a process adds
    to all of its times is in no interval over its images: without a margin in not met, too, a faithful number would be
    missed the sooner the more quietly it was measured.
    """
    threshold = printed.low - margin
    if measured.high < threshold:
        return "not met"
    return "met" if measured.low >= threshold else "inconclusive"


def as_large(printed: Range, measured: Range, margin: float) -> Verdict:
    """For descriptions, where more is as wrong as less. With what was printed widened by `margin` to both sides:

    - met: all of `measured` is inside;
    - not met: all of it is outside, on one side;
    - inconclusive: it has a part inside and a part outside.

    It need not reach what was printed: otherwise a count, which has no width, would be inconclusive for ever.
    """
    low, high = printed.low - margin, printed.high + margin
    if measured.high < low or measured.low > high:
        return "not met"
    return "met" if low <= measured.low and measured.high <= high else "inconclusive"


def verdict(claim: Claim, low: float | None, high: float | None) -> Verdict:
    """Of a number that is comparable but for its unit; `low` and `high` are those of its interval, in the claim's unit.

    Where an end is not known nothing is decided.
    """
    if claim.quantity not in _AT_LEAST | _AS_LARGE:
        return "not comparable"
    if low is None or high is None:
        return "inconclusive"
    printed, measured = Range(claim.low, claim.high), Range(low, high)
    if claim.quantity in _AS_LARGE:
        return as_large(printed, measured, MARGIN * claim.value)
    return at_least(printed, measured, MARGIN_POINTS if claim.unit == "%" else MARGIN * claim.low)


def delta(claim: Claim, value: float | None) -> float | None:
    """How far a measured number is from the printed one: points of what is in percent, else a share of it.

    None where nothing was measured, or where it would be a share of 0.
    """
    if value is None:
        return None
    if claim.unit == "%":
        return value - claim.value
    return value / claim.value - 1 if claim.value else None
