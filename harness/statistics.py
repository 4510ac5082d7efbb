"""Intervals, all of 95 % and over the images of one process: they say nothing of what another process would measure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["CONFIDENCE", "Estimate", "mean", "ratio_of_means"]

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval; no interval where there are too few images for one."""

    value: float
    low: float | None
    high: float | None


def _t_quantile(n: int) -> float:
    from scipy import stats

    return float(stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1))


def mean(values: npt.NDArray[np.float64]) -> Estimate:
    """Mean of one value an image, with Student's t interval."""
    value, n = float(values.mean()), len(values)
    if n < 2:
        return Estimate(value, None, None)
    half = _t_quantile(n) * float(values.std(ddof=1)) / n**0.5
    return Estimate(value, value - half, value + half)


def ratio_of_means(above: npt.NDArray[np.float64], below: npt.NDArray[np.float64]) -> Estimate:
    """``mean(above) / mean(below)`` of values paired by image, with a t interval by the delta method.

    The linearised residual of image i is ``(above_i - ratio * below_i) / mean(below)``. Pairing takes out what makes an
    image dear for both methods, such as its number of boxes.
    """
    ratio, n = float(above.mean() / below.mean()), len(above)
    if n < 2:
        return Estimate(ratio, None, None)
    residuals = (above - ratio * below) / below.mean()
    half = _t_quantile(n) * float(residuals.std(ddof=1)) / n**0.5
    return Estimate(ratio, ratio - half, ratio + half)
