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

from harness.intervals import t_quantile

__all__ = ["FEWEST_FOR_TREND", "Effect", "PlacedTime", "position_effect", "trend", "trends"]

FEWEST_FOR_TREND = 5
_FEWEST_GROUPS = 4
_ENOUGH_WITHIN = 0.25
"""Share of the information on positions that must be left within repeats of a block to look there alone."""

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

_ROUNDING = 1e-12
"""Of a logarithm."""
_CORRELATIONS: Floats = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.94, 0.97])
"""Of neighbours, all as likely beforehand. One that lasts longer than a run is a drift to whoever reads the run."""

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


def _effect(slope: float, half: float) -> Effect:
    low, value, high = (float(np.expm1(each)) for each in (slope - half, slope, slope + half))
    return Effect(value, low, high)


def trend(seconds: Sequence[float], confidence: float) -> Effect | None:
    """The change from the first to the last of N times of the same work; see `trends`."""
    return trends([seconds], confidence)[0]


def trends(series: Sequence[Sequence[float]], confidence: float) -> list[Effect | None]:
    """The change from the first to the last time of the same work in each series, by a line through their logs.

    A machine that is slow now is likely to be slow a moment later, and wanders off without any drift. So what is left
    beside the line is taken for a first-order autoregression, by generalised least squares. From few times nobody can
    tell how far neighbours correlate, and to guess a single value is to be too sure; so each correlation counts by how
    likely it makes what was seen, and the interval is that of the mixture of t distributions. The series share the
    machine and hence the correlation, each keeps its own spread. This is, on a grid, the regression of
    S. Chib, "Bayes regression with autoregressive errors: A Gibbs sampling approach", 1993.

    Args:
        series: those of one machine, N may differ.
        confidence: of each interval by itself.

    Returns:
        None for a series of fewer than five times.
    """
    fits = [_fit(np.log(np.asarray(seconds, dtype=np.float64))) for seconds in series]
    known = [fit for fit in fits if fit is not None]
    if not known:
        return [None] * len(fits)
    likely = np.sum([fit.likelihood for fit in known], axis=0)
    weights = np.exp(likely - likely.max())
    weights /= weights.sum()
    return [None if fit is None else fit.effect(weights, confidence) for fit in fits]


@dataclass(frozen=True, slots=True)
class _Fit:
    """A line by each correlation of the grid, all (G,)."""

    slope: Floats
    error: Floats
    likelihood: Floats
    """The logarithm, with level, slope and spread integrated out."""
    freedom: int

    def effect(self, weights: Floats, confidence: float) -> Effect:
        """By the mixture that has these weights."""
        tail = (1 - confidence) / 2
        value = float(weights @ self.slope)
        return Effect(*(float(np.expm1(one)) for one in (value, self._at(tail, weights), self._at(1 - tail, weights))))

    def _at(self, probability: float, weights: Floats) -> float:
        """The mixture's quantile, which lies between those of its parts."""
        from scipy import special

        ends = self.slope + float(special.stdtrit(self.freedom, probability)) * self.error
        low, high = float(ends.min()), float(ends.max())
        for _ in range(60):
            middle = (low + high) / 2
            below = float(weights @ special.stdtr(self.freedom, (middle - self.slope) / self.error))
            low, high = (middle, high) if below < probability else (low, middle)
        return (low + high) / 2


def _fit(logs: Floats) -> _Fit | None:
    n = len(logs)
    if n < FEWEST_FOR_TREND:
        return None
    columns = np.stack([np.ones(n), np.linspace(-0.5, 0.5, n), logs], axis=1)
    found = []
    for correlation in _CORRELATIONS:
        white = columns - correlation * np.concatenate([np.zeros((1, 3)), columns[:-1]])
        white[0] *= (1 - correlation**2) ** 0.5
        design, values = white[:, :2], white[:, 2]
        power = design.T @ design
        beta = np.linalg.solve(power, design.T @ values)
        left = values - design @ beta
        # Times that lie on the line but for rounding have no spread, and no logarithm of one.
        spent = max(float(left @ left), n * _ROUNDING**2)
        likelihood = np.log1p(-(correlation**2)) - np.linalg.slogdet(power)[1] - (n - 2) * np.log(spent)
        slope = float(beta[1]) if abs(beta[1]) > _ROUNDING else 0.0
        found.append((slope, (spent / (n - 2) * np.linalg.inv(power)[1, 1]) ** 0.5, likelihood / 2))
    slopes, errors, likelihoods = np.array(found).T
    return _Fit(slopes, errors, likelihoods, n - 2)


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
    return _effect(slope, t_quantile(informing - 2, confidence) * error)
