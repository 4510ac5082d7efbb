"""Each speed-up taken apart, stage by stage: fewer operations, and operations carried out at another rate.

A stage's time is its operations over the rate at which they are carried out, so the baseline's time over a method's is
the ratio of their operations times the ratio of their rates, the utilisation ratio. Operations are counted and exact,
so the utilisation ratio is known as well as the speed-up is. Where no operation is counted, as in pooling by maximum
and in suppression, there is time alone.

The utilisation ratio of a sum is a product of three. With C the mean time of the stages in which both methods count
operations, T that of all, and M what the method's operations would take at the baseline's rate in each of these stages:

- mix, C of the baseline over M and over the ratio of operations: above 1 where the method leaves most of its operations
  in stages that the baseline carries out fast;
- rate, M over C of the method: how much faster the same stages were carried out;
- uncounted, T over C of the baseline over the same of the method: below 1 where stages without operations, and what
  lies between the stages, are a larger part of the method's time than of the baseline's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness import statistics
from harness.claims import DETECTING, FEATURES
from harness.quantities.estimates import as_dict, interval_over, missing, ratio_over
from harness.quantities.observations import Floats, Ints, Observations
from harness.statistics import PROCESSES_FOR_INTERVAL, Estimate

__all__ = ["TAKEN_APART", "TIME_ALONE", "anatomy"]

TIME_ALONE = ("pool", "suppress", "unattributed")
"""Stages without operations; `unattributed`, which may come out below zero, has no ratio of times either."""
TAKEN_APART = (*DETECTING, "unattributed", "features", "total")
"""All that an anatomy is made of, in the order in which it happens."""

_SUMS = {"features": FEATURES, "total": DETECTING}
"""Each with the stages that it may count operations in."""
_OF_SUMS = ("mix_ratio", "rate_ratio", "uncounted_ratio")

_SHOWN_AS_TIME = "no operation is counted in this stage, so it is shown as time"
_BETWEEN = "what lies between the stages is no work of its own, so it is shown as time"
_NO_STAGE = "the method has no such stage"
_NO_BASE = "the baseline has no such stage"
_OWN_UNCOUNTED = "no operation of the method is counted in this stage"
_BASE_UNCOUNTED = "no operation of the baseline is counted in this stage"


def anatomy(methods: Mapping[str, Any], observed: Mapping[str, Observations], baseline: str) -> dict[str, Any]:
    """By method and stage: ``seconds`` of baseline and method, ``speedup``, ``flop_ratio``, ``utilisation_ratio``.

    The sums ``features`` and ``total`` also have ``mix_ratio``, ``rate_ratio`` and ``uncounted_ratio``, the factors of
    their `utilisation_ratio`. All but `flop_ratio`, which is a number, have ``value``, ``low``, ``high`` and
    ``reason``, `speedup` also what its ``interval`` covers. What cannot be had is None, with the ``reason`` beside it.
    A stage that neither method has is left out; so are methods that failed, and all of them where the baseline did.

    Args:
        methods: of the result model, with their operations.
        observed: what was measured, by method.
        baseline: the name of the first method.
    """
    if methods[baseline]["status"] != "ok":
        return {}
    return {
        method: _of_method(methods[baseline], about, observed[baseline], observed[method])
        for method, about in methods.items()
        if method != baseline and about["status"] == "ok"
    }


def _of_method(
    base_about: Mapping[str, Any], own_about: Mapping[str, Any], base: Observations, own: Observations
) -> dict[str, Any]:
    found = {}
    for stage in TAKEN_APART:
        if stage in base.stages and stage in own.stages:
            above, below = base.values(stage), own.values(stage)
            if above.any() or below.any():
                ratio = _ratio(stage, base, own)
                found[stage] = {
                    "seconds": [float(above.mean()), float(below.mean())],
                    "speedup": {**as_dict(ratio), "interval": _label(ratio, len(above))},
                    **_split(stage, ratio, base_about, own_about),
                    **(_of_sum(stage, (base_about, own_about), (base, own)) if stage in _SUMS else {}),
                }
    return found


def _ratio(stage: str, base: Observations, own: Observations) -> Estimate:
    """The baseline's time over the method's."""
    if stage == "unattributed":
        return Estimate(None, None, None, _BETWEEN)
    above, below = base.values(stage), own.values(stage)
    for values, reason in ((above, _NO_BASE), (below, _NO_STAGE)):
        if not values.any():
            return Estimate(None, None, None, reason)
    return ratio_over(above, below, base.blocks, base.lag(own))


def _label(ratio: Estimate, n_processes: int) -> str | None:
    return None if ratio.low is None else interval_over(n_processes)


def _split(stage: str, ratio: Estimate, base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The two factors of a ratio of times, and why there are none."""
    operations, reason = _operations(stage, base, own)
    if operations is None or ratio.value is None:
        reason = reason or ratio.reason or _NO_STAGE
        return {"flop_ratio": operations, "utilisation_ratio": missing(reason), "reason": reason}
    ends = [None if end is None else end / operations for end in (ratio.low, ratio.high)]
    utilisation = Estimate(ratio.value / operations, ends[0], ends[1], ratio.reason)
    return {"flop_ratio": operations, "utilisation_ratio": as_dict(utilisation), "reason": None}


def _operations(stage: str, base: Mapping[str, Any], own: Mapping[str, Any]) -> tuple[float | None, str | None]:
    """The baseline's operations over the method's, or why there is no such ratio."""
    if stage in TIME_ALONE:
        return None, _SHOWN_AS_TIME
    for about in (base, own):
        if about["flops"] is None:
            return None, str(about["flops_reason"])
    above, below = base["flops"].get(stage), own["flops"].get(stage)
    if not above:
        return None, _BASE_UNCOUNTED
    return (above / below, None) if below else (None, _OWN_UNCOUNTED)


def _of_sum(
    stage: str, abouts: tuple[Mapping[str, Any], Mapping[str, Any]], both: tuple[Observations, Observations]
) -> dict[str, Any]:
    """The factors of a sum's ratio of utilisation, each with its interval; in both arguments the baseline is first."""
    operations, reason = _operations(stage, *abouts)
    left, unlike = ({}, reason) if operations is None else _left(_SUMS[stage], abouts, both)
    if operations is None or unlike is not None:
        return {key: missing(str(unlike)) for key in _OF_SUMS}
    base, own = both
    counted: list[Floats] = [np.sum([of.values(each) for each in left], axis=0) for of in both]
    at_base_rates: Floats = np.sum([share * base.values(each) for each, share in left.items()], axis=0)
    blocks, lag = base.blocks, base.lag(own)
    factors = (
        _scaled(ratio_over(counted[0], at_base_rates, blocks, None), 1 / operations),
        ratio_over(at_base_rates, counted[1], blocks, lag),
        _uncounted((base.values(stage), own.values(stage)), counted, blocks, lag),
    )
    return dict(zip(_OF_SUMS, map(as_dict, factors), strict=True))


def _left(
    stages: Sequence[str], abouts: Sequence[Mapping[str, Any]], both: Sequence[Observations]
) -> tuple[dict[str, float], str | None]:
    """By stage the part of the baseline's operations that the method leaves; a reason where one alone has any."""
    found = {}
    for stage in stages:
        above, below = (about["flops"].get(stage) for about in abouts)
        if above and below and all(stage in of.stages and of.values(stage).any() for of in both):
            found[stage] = below / above
        elif above or below:
            return {}, f"operations and time of {stage} are not known of both methods"
    return found, None


def _scaled(ratio: Estimate, factor: float) -> Estimate:
    value, low, high = (None if end is None else end * factor for end in (ratio.value, ratio.low, ratio.high))
    return Estimate(value, low, high, ratio.reason)


def _uncounted(wholes: Sequence[Floats], counted: Sequence[Floats], blocks: Ints | None, lag: Floats) -> Estimate:
    """How many times as long all takes as what is counted: the baseline's over the method's."""
    if len(wholes[0]) >= PROCESSES_FOR_INTERVAL:
        above, below = (all_.mean(axis=1) / part.mean(axis=1) for all_, part in zip(wholes, counted, strict=True))
        return statistics.over_processes(above / below)
    images = [(all_.mean(axis=0), part.mean(axis=0)) for all_, part in zip(wholes, counted, strict=True)]
    above, below = (float(all_.mean() / part.mean()) for all_, part in images)
    # The logarithm of a ratio of ratios moves with an image by what it moves all four means, so that these sums, each
    # 1 in the mean, have the interval that is asked for.
    moved = [1 + all_ / all_.mean() - part / part.mean() for all_, part in images]
    return _scaled(statistics.ratio_of_means(moved[0], moved[1], blocks, lag), above / below)
