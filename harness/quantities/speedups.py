"""How many times faster a method is than the baseline: ratio of mean times, with what its interval covers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.claims import RATIOS
from harness.quantities.estimates import as_dict, geometric_over, interval_over, ratio_over
from harness.quantities.observations import Observations
from harness.quantities.operations import taken_apart

__all__ = ["speedups"]


def speedups(methods: Mapping[str, Any], observed: Mapping[str, Observations], baseline: str) -> dict[str, Any]:
    """By method and by what is compared. Methods that failed have none, and none has one over a baseline that failed.

    `methods` are those of the result model, with their operations.
    """
    if methods[baseline]["status"] != "ok":
        return {}
    result: dict[str, dict[str, Any]] = {}
    for method, about in methods.items():
        if method == baseline or about["status"] != "ok":
            continue
        result[method] = {}
        for name in RATIOS:
            found = _speedup(observed[baseline], observed[method], name)
            result[method][name] = {**found, **taken_apart(found["value"], name, methods[baseline], about)}
    return result


def _speedup(baseline: Observations, own: Observations, name: str) -> dict[str, Any]:
    above, below = baseline.values(name), own.values(name)
    blocks, lag = baseline.blocks, baseline.lag(own)
    found = ratio_over(above, below, blocks, lag)
    each = zip(baseline.processes, above.mean(axis=1), below.mean(axis=1), strict=True)
    return {
        **as_dict(found),
        "interval": None if found.low is None else interval_over(len(above)),
        "geometric_mean": as_dict(geometric_over(above, below, blocks, lag)),
        "processes": {str(process): float(one / other) if other else None for process, one, other in each},
    }
