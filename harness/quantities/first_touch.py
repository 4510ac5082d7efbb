"""What the first calls cost: memory is allocated, algorithms are chosen, caches are filled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.record import Sample

__all__ = ["first_touch"]

_NOT_KEPT = "the run kept no calls of its warm-up by shape of input"


def first_touch(method: str, measured: Sequence[Sample], processes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of one method, means over processes. `processes` are those of the manifest, each with its warm-up.

    Returns:
        ``first_seconds``: the very first call. ``steady_seconds``: the fastest call on an input of that shape.
        ``first_touch_seconds``: what the first calls of all shapes cost beyond steady ones. ``buckets`` of shapes that
        were warmed up, and how many of them were given up as ``unsteady``. ``cold_samples``: measured samples of a
        shape that was not warmed up, of so many ``samples``.
    """
    cold = [sample for sample in measured if not sample.warm]
    counted = {"cold_samples": len(cold), "samples": len(measured)}
    warm_ups = [(each.get("warm_up") or {}).get(method) or [] for each in processes]
    called = [[bucket for bucket in warm_up if bucket["seconds"]] for warm_up in warm_ups]
    called = [buckets for buckets in called if buckets]
    if not called:
        none = dict.fromkeys(("first_seconds", "steady_seconds", "first_touch_seconds", "buckets", "unsteady"))
        # Without a warm-up on record nobody knows which samples were cold.
        return {**none, **counted, "cold_samples": len(cold) or None, "reason": _NOT_KEPT}
    return {
        "first_seconds": float(np.mean([buckets[0]["seconds"][0] for buckets in called])),
        "steady_seconds": float(np.mean([min(buckets[0]["seconds"]) for buckets in called])),
        "first_touch_seconds": float(np.mean([sum(map(_beyond_steady, buckets)) for buckets in called])),
        "buckets": max(map(len, called)),
        "unsteady": sum(not bucket["steady"] for buckets in called for bucket in buckets),
        **counted,
        "reason": None,
    }


def _beyond_steady(bucket: Mapping[str, Any]) -> float:
    return float(bucket["seconds"][0] - min(bucket["seconds"]))
