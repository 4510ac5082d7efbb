"""Floating-point operations of a method, and what they explain of its speed-up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.claims import DETECTING, FEATURES

__all__ = ["NOT_COUNTED", "mean_operations", "taken_apart", "why_uncounted"]

NOT_COUNTED = "floating-point operations were not counted"
_COUNTED = DETECTING[:-1]
"""All but ``suppress``, which compares and sorts."""


def why_uncounted(counted: Mapping[str, Any] | None) -> str | None:
    """The reason of a method without counts; None where there are some."""
    return NOT_COUNTED if counted is None else counted["reason"]


def mean_operations(counted: Mapping[str, Any] | None) -> dict[str, float | None] | None:
    """Floating-point operations by stage, of ``features`` and in ``total``, mean per image."""
    if counted is None or counted["reason"] is not None:
        return None
    images = list(counted["images"].values())
    means: dict[str, float | None] = {
        name: float(np.mean([image[name] for image in images])) for name in (*_COUNTED, "total")
    }
    features = float(np.mean([sum(image[name] for name in FEATURES) for image in images]))
    return {**means, "suppress": None, "features": features}


def taken_apart(
    speedup: float | None, name: str, baseline: Mapping[str, Any], own: Mapping[str, Any]
) -> dict[str, Any]:
    """A speed-up is the ratio of the operations times the ratio of the rates at which they are carried out."""
    none = {"flop_ratio": None, "utilisation_ratio": None}
    for about in (baseline, own):
        if about["flops"] is None:
            return {**none, "flop_reason": about["flops_reason"]}
    if speedup is None or not own["flops"][name]:
        return {**none, "flop_reason": "the method has no such stage, or no operation in it is counted"}
    ratio = baseline["flops"][name] / own["flops"][name]
    utilisation = speedup / ratio if ratio else None
    reason = None if ratio else "no operation of the baseline is counted in this stage"
    return {"flop_ratio": ratio or None, "utilisation_ratio": utilisation, "flop_reason": reason}
