"""How many times faster a method is than the baseline: ratio of mean times, with what its interval covers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.quantities.estimates import as_dict, geometric_over, interval_over, missing, ratio_over
from harness.quantities.observations import Observations
from harness.quantities.operations import taken_apart

__all__ = ["RATIOS", "speedups"]

RATIOS = ("conv", "features", "total")
_NOT_TOGETHER = "no process measured both methods on every image"


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
    processes = [process for process in baseline.processes if process in own.processes]
    if not processes or set(baseline.images) != set(own.images):
        return {**missing(_NOT_TOGETHER), "interval": None, "geometric_mean": missing(_NOT_TOGETHER), "processes": {}}
    images = baseline.images
    above, below = (each.values(name, images, processes) for each in (baseline, own))
    blocks, lag = baseline.blocks(images), baseline.lag(own, images, processes)
    found = ratio_over(above, below, blocks, lag)
    return {
        **as_dict(found),
        "interval": None if found.low is None else interval_over(len(above)),
        "geometric_mean": as_dict(geometric_over(above, below, blocks, lag)),
        "processes": _by_process(baseline, own, name, processes),
    }


def _by_process(baseline: Observations, own: Observations, name: str, processes: Sequence[int]) -> dict[str, Any]:
    """The ratio that each process alone found; of those that measured every image."""
    ratios = {}
    images = baseline.images
    for process in processes:
        if not set(baseline.seconds[process]) == set(own.seconds[process]) == set(images):
            continue
        above, below = (each.values(name, images, [process]).mean() for each in (baseline, own))
        ratios[str(process)] = float(above / below) if below else None
    return ratios
