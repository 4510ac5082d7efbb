"""A speed-up in words: how many times as fast, or, where a method is slower, how many times as long it takes."""

from __future__ import annotations

import math

from harness.rendering.cells import rounded
from harness.tables import Estimate

__all__ = ["inverse", "is_alike", "is_slower", "short", "within"]


def is_alike(ratio: Estimate) -> bool:
    """Whether the interval holds 1, so that neither is known to be the faster."""
    return ratio.low is not None and ratio.high is not None and ratio.low <= 1 <= ratio.high


def is_slower(ratio: Estimate) -> bool:
    """Whether it is below 1, and so is all of its interval."""
    return ratio.value is not None and 0 < ratio.value < 1 and not is_alike(ratio)


def inverse(ratio: Estimate) -> Estimate:
    """Of times where `ratio` is of speeds, and the other way round; with as many significant digits."""
    low, value, high = (1 / end if end else None for end in (ratio.high, ratio.value, ratio.low))
    if not value or not ratio.value:
        return Estimate(None, reason=ratio.reason)
    decimals = ratio.decimals + math.floor(math.log10(ratio.value)) - math.floor(math.log10(value))
    return Estimate(value, low, high, fixed_decimals=decimals)


def short(ratio: Estimate) -> str:
    """``2.59×``; of what is slower ``1.74× as long``."""
    shown = inverse(ratio) if is_slower(ratio) else ratio
    return f"{rounded(shown.value or 0.0, shown.decimals)}×{' as long' if is_slower(ratio) else ''}"


def within(ratio: Estimate) -> str | None:
    """``between 2.37 and 2.84``; None where an end is not known."""
    if ratio.low is None or ratio.high is None:
        return None
    low, high = (rounded(end, ratio.decimals) for end in (ratio.low, ratio.high))
    return f"between {low} and {high}"
