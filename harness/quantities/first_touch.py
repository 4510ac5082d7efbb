"""What the first calls cost: memory is allocated, algorithms are chosen, caches are filled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.record import Sample
from harness.warmup import steady_seconds

__all__ = ["first_touch"]

_NOT_KEPT = "the run kept no calls of its warm-up by shape of input"
_NOT_STEADY = "no shape of input was called twice in warming up"


def first_touch(method: str, measured: Sequence[Sample], processes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of one method, means over processes. `processes` are those of the manifest, each with its latest warm-up.

    Returns:
        ``first_seconds``: the very first call. ``steady_seconds``: what an input of that shape takes after warming up,
        as of `harness.warmup.steady_seconds`. ``first_touch_seconds``: what the first calls of all shapes that were
        called twice cost beyond steady ones. ``buckets`` of shapes that were warmed up, and how many of them were given
        up as ``unsteady``. ``cold_samples``: measured samples of a shape that was not warmed up, of so many
        ``samples``.
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
    steady = [known for buckets in called if (known := steady_seconds(buckets[0]["seconds"])) is not None]
    beyond = [[known for bucket in buckets if (known := _beyond_steady(bucket)) is not None] for buckets in called]
    sums = [sum(of) for of in beyond if of]
    return {
        "first_seconds": float(np.mean([buckets[0]["seconds"][0] for buckets in called])),
        "steady_seconds": float(np.mean(steady)) if steady else None,
        "first_touch_seconds": float(np.mean(sums)) if sums else None,
        "buckets": max(map(len, called)),
        "unsteady": sum(not bucket["steady"] for buckets in called for bucket in buckets),
        **counted,
        "reason": None if steady and sums else _NOT_STEADY,
    }


def _beyond_steady(bucket: Mapping[str, Any]) -> float | None:
    """What the first call cost beyond a steady one; None where there was no other."""
    steady = steady_seconds(bucket["seconds"])
    return None if steady is None else float(bucket["seconds"][0] - steady)
