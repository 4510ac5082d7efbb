"""Each speed-up taken apart, stage by stage: fewer operations, and operations carried out at another rate.

A stage's time is its operations over the rate at which they are carried out, so the baseline's time over a method's is
the ratio of their operations times the ratio of their rates, the utilisation ratio. Operations are counted and exact,
so the utilisation ratio is known as well as the speed-up is. Where no operation is counted, as in pooling by maximum
and in suppression, there is time alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.claims import DETECTING
from harness.quantities.estimates import as_dict, interval_over, missing, ratio_over
from harness.quantities.observations import Observations
from harness.statistics import Estimate

__all__ = ["TAKEN_APART", "TIME_ALONE", "anatomy"]

TIME_ALONE = ("pool", "suppress", "unattributed")
"""Stages without operations; `unattributed`, which may come out below zero, has no ratio of times either."""
TAKEN_APART = (*DETECTING, "unattributed", "features", "total")
"""All that an anatomy is made of, in the order in which it happens."""

_SHOWN_AS_TIME = "no operation is counted in this stage, so it is shown as time"
_BETWEEN = "what lies between the stages is no work of its own, so it is shown as time"
_NO_STAGE = "the method has no such stage"
_NO_BASE = "the baseline has no such stage"
_OWN_UNCOUNTED = "no operation of the method is counted in this stage"
_BASE_UNCOUNTED = "no operation of the baseline is counted in this stage"


def anatomy(methods: Mapping[str, Any], observed: Mapping[str, Observations], baseline: str) -> dict[str, Any]:
    """By method and stage: ``seconds`` of baseline and method, ``speedup``, ``flop_ratio``, ``utilisation_ratio``.

    `speedup` and `utilisation_ratio` have ``value``, ``low``, ``high`` and ``reason``, `speedup` also what its
    ``interval`` covers; `flop_ratio` is a number. What cannot be had is None, with the ``reason`` beside it. A stage
    that neither method has is left out; so are methods that failed, and all of them where the baseline did.

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
