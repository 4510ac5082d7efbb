"""What time and place do to the seconds of a run: estimates on the logarithm, so that they read as shares.

Shape shorthand: N values in the order of time; a *unit* is one block of images gone through once, a *group* the same
block in all repeats and processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["Effect", "PlacedTime", "position_effect", "trend"]

_FEWEST_FOR_TREND = 5
_FEWEST_GROUPS = 4
_ENOUGH_WITHIN = 0.25
"""Share of the information on positions that must be left within repeats of a block to look there alone."""

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Effect:
    """A relative change with its interval: 0.03 is 3 % longer."""

    value: float
    low: float
    high: float

    @property
    def certain(self) -> bool:
        """Whether the interval excludes no change."""
        return not self.low <= 0 <= self.high


@dataclass(frozen=True, slots=True)
class PlacedTime:
    """The time of one method on one image, and where in the order it was taken."""

    unit: tuple[int, ...]
    group: int
    image: str
    method: str
    position: int
    seconds: float


def _half_width(error: float, freedom: float, confidence: float) -> float:
    from scipy import stats

    return float(stats.t.ppf(0.5 + confidence / 2, freedom)) * error


def _effect(slope: float, half: float) -> Effect:
    low, value, high = (float(np.expm1(each)) for each in (slope - half, slope, slope + half))
    return Effect(value, low, high)


def trend(seconds: Sequence[float], confidence: float, *, correlated: bool = True) -> Effect | None:
    """The change from the first to the last of N times of the same work, by a least-squares line through their logs.

    A machine that is slow now is likely to be slow a moment later, so N times say less than N independent ones would.
    N is therefore reduced to the N (1 - r) / (1 + r) of a series whose neighbours correlate by r, as climatology does
    (B. D. Santer and others, "Statistical significance of trends and trend differences in layer-average atmospheric
    temperature time series", 2000); r as seen in the residuals of a line is too small by (2 + 4 r) / N, which is added
    back. A step correlates neighbours as well and may hide in such an interval; without `correlated`, r is taken as 0.

    Returns:
        None for fewer than five times.
    """
    n = len(seconds)
    if n < _FEWEST_FOR_TREND:
        return None
    place = np.linspace(-0.5, 0.5, n)
    logs = np.log(np.asarray(seconds, dtype=np.float64))
    slope = float(place @ logs / (place @ place))
    left = logs - logs.mean() - slope * place
    spent = float(left @ left)
    if spent < n * 1e-24:
        # Equal to rounding, and so is the slope.
        return _effect(slope if abs(slope) > 1e-12 else 0.0, 0.0)
    seen = float(left[1:] @ left[:-1]) / spent
    correlation = min(max((n * seen + 2) / (n - 4) if n > 8 else seen, 0.0), 0.9) if correlated else 0.0
    effective = max(n * (1 - correlation) / (1 + correlation), 3.0)
    error = (spent / (effective - 2) / float(place @ place)) ** 0.5
    return _effect(slope, _half_width(error, effective - 2, confidence))


def _codes(keys: Sequence[_Key]) -> Codes:
    number = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    return np.array([number[key] for key in keys], dtype=np.int64)


def _without(values: Floats, *factors: Codes) -> Floats:
    """What is left of values when the mean of each level of each factor is taken out."""
    left = values.astype(np.float64)
    for _ in range(200):
        before = left
        for codes in factors:
            left = left - (np.bincount(codes, left) / np.bincount(codes))[codes]
        if np.abs(left - before).max() < 1e-13:
            break
    return left


def _complete(times: Sequence[PlacedTime]) -> list[PlacedTime]:
    """Only the images of a unit on which every method was timed."""
    methods = len({one.method for one in times})
    there: dict[tuple[tuple[int, ...], str], set[str]] = {}
    for one in times:
        there.setdefault((one.unit, one.image), set()).add(one.method)
    return [one for one in times if len(there[one.unit, one.image]) == methods]


def position_effect(times: Sequence[PlacedTime], confidence: float) -> Effect | None:
    """What one place later in the order of methods costs.

    The log of a method's mean time in a unit, less what is common to the unit, is made of what the method costs on
    these images and of its place. Where a group was measured in several orders, both are told apart within the group;
    else the method's cost relative to the others is taken to be the same in all groups, give or take what then shows in
    the interval. Residuals are summed by group, since images are dear in every repeat.

    Returns:
        None where methods changed places too seldom, or in fewer than four groups.
    """
    kept = _complete(times)
    if not kept:
        return None
    cell = _codes([(one.unit, one.method) for one in kept])
    _, first = np.unique(cell, return_index=True)
    logs = np.bincount(cell, np.log([one.seconds for one in kept])) / np.bincount(cell)
    places = np.bincount(cell, [float(one.position) for one in kept]) / np.bincount(cell)
    rows = [kept[each] for each in first]
    unit, group = _codes([one.unit for one in rows]), _codes([one.group for one in rows])
    method = _codes([one.method for one in rows])
    within = _codes([(one.group, one.method) for one in rows])
    x_all, x_within = _without(places, unit, method), _without(places, unit, within)
    if x_within @ x_within >= _ENOUGH_WITHIN * (x_all @ x_all) > 0:
        return _slope(x_within, _without(logs, unit, within), group, confidence)
    return _slope(x_all, _without(logs, unit, method), group, confidence)


def _slope(x: Floats, y: Floats, group: Codes, confidence: float) -> Effect | None:
    """Of the line through the origin, with an interval that is robust to what rows of a group share."""
    informing = int(np.count_nonzero(np.bincount(group, x * x) > 1e-9))
    if informing < _FEWEST_GROUPS:
        return None
    power = float(x @ x)
    slope = float(x @ y) / power
    scores = np.bincount(group, x * (y - slope * x))
    error = (informing / (informing - 2) * float(scores @ scores)) ** 0.5 / power
    return _effect(slope, _half_width(error, informing - 2, confidence))
