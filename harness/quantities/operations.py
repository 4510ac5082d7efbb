"""What a method computes, moves and launches on shapes alone, and what its operations explain of its speed-up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from harness.claims import DETECTING, FEATURES

__all__ = [
    "NOT_COUNTED",
    "Counted",
    "mean_bytes",
    "mean_launches",
    "mean_operations",
    "taken_apart",
    "why_uncounted",
]

Counted = Literal["images", "bytes", "launches"]
"""Keys of a method's counts in `flops.json`; `images` holds its floating-point operations."""

NOT_COUNTED = "floating-point operations were not counted"
_NOT_COUNTED: dict[Counted, str] = {
    "images": NOT_COUNTED,
    "bytes": "bytes read and written were not counted",
    "launches": "launches were not counted",
}
_COUNTED = DETECTING[:-1]
"""All but ``suppress``, which compares and sorts."""


def why_uncounted(counted: Mapping[str, Any] | None, what: Counted = "images") -> str | None:
    """The reason of a method without such counts; None where there are some."""
    if counted is not None and counted["reason"] is not None:
        return str(counted["reason"])
    return _NOT_COUNTED[what] if counted is None or what not in counted else None


def mean_operations(counted: Mapping[str, Any] | None) -> dict[str, float | None] | None:
    """Floating-point operations by stage, of ``features`` and in ``total``, mean per image."""
    return _mean(counted, "images")


def mean_bytes(counted: Mapping[str, Any] | None) -> dict[str, float | None] | None:
    """Bytes that operators read and write, likewise; None where none were counted, as before there was such a count."""
    return _mean(counted, "bytes")


def mean_launches(counted: Mapping[str, Any] | None) -> dict[str, float | None] | None:
    """Operators that compute, likewise: about the kernels that a GPU is given for one image."""
    return _mean(counted, "launches")


def _mean(counted: Mapping[str, Any] | None, what: Counted) -> dict[str, float | None] | None:
    if counted is None or why_uncounted(counted, what) is not None:
        return None
    images = list(counted[what].values())
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
