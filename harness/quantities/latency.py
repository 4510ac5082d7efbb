"""Seconds of a method: means with their intervals, with the proposals added, and percentiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness import statistics
from harness.quantities.estimates import as_dict, interval_over, mean_over, over_images
from harness.quantities.observations import Floats, Observations

__all__ = ["percentiles", "seconds"]

_PERCENTILES = (50, 90, 95, 99)


def seconds(observed: Observations, proposal_seconds: Mapping[str, float | None]) -> dict[str, Any]:
    """By stage, and `full_system`: what making the boxes of each image took is added, where that is known."""
    named: dict[str, Any] = {name: _mean(observed, observed.values(name)) for name in observed.stages}
    spent = [proposal_seconds.get(image) for image in observed.images]
    known = [value for value in spent if value is not None]
    if len(known) < len(spent):
        return {**named, "full_system": None, "full_system_reason": "what making the boxes took is not known"}
    whole = _mean(observed, observed.values("total") + np.array(known))
    return {**named, "full_system": whole, "full_system_reason": None}


def _mean(observed: Observations, values: Floats) -> dict[str, Any]:
    found = mean_over(values, observed.blocks)
    return {**as_dict(found, "mean"), "interval": None if found.low is None else interval_over(len(values))}


def percentiles(observed: Observations) -> dict[str, Any]:
    """Of the total over images, each the mean over its repeats and processes; null where there are too few images."""
    values = observed.values("total")
    found = {f"p{q}": as_dict(statistics.percentile(values.mean(axis=0), q / 100)) for q in _PERCENTILES}
    return {"total": found, "interval": over_images(len(values))}
