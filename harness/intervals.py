"""What an estimate is and what all of them are made with: 95 %, Student's t, checked values and numbered blocks.

Letters: N images, B blocks of images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "CONFIDENCE",
    "Estimate",
    "Floats",
    "Ints",
    "StatisticsError",
    "check_values",
    "no_value",
    "number_blocks",
    "t_quantile",
    "there_are",
]

CONFIDENCE = 0.95

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
    """Why there is no value, no interval, or but one end of it."""


def no_value(reason: str) -> Estimate:
    """In place of what could not be estimated."""
    return Estimate(None, None, None, reason)


def t_quantile(freedom: float, confidence: float = CONFIDENCE) -> float:
    """How many standard errors an interval of this confidence reaches to either side, by Student's t."""
    from scipy import special

    return float(special.stdtrit(freedom, 0.5 + confidence / 2))


def check_values(values: Floats, *others: npt.NDArray[np.generic] | None) -> None:
    """Whether values are one an image, (N,), and finite, and the others belong to them.

    Raises:
        StatisticsError: they are not.
    """
    if values.ndim != 1:
        raise StatisticsError(f"values: expected one an image, (N,), got {values.shape}")
    for other in others:
        if other is not None and other.shape != values.shape:
            raise StatisticsError(f"expected arrays of one length, got {values.shape} and {other.shape}")
    for each in (values, *others):
        if each is not None and not np.isfinite(each).all():
            raise StatisticsError("expected finite values only; leave out images that were not measured")


def number_blocks(blocks: Ints | None, n: int) -> tuple[Ints, int]:
    """Each image's block as 0..B - 1, and B; without blocks, each image is its own."""
    if blocks is None:
        return np.arange(n), n
    found, numbers = np.unique(blocks, return_inverse=True)
    return numbers.astype(np.int64), len(found)


def there_are(count: int) -> str:
    """How many there are, for the end of a sentence."""
    return f"there is {count}" if count == 1 else f"there are {count or 'none'}"
