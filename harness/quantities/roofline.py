"""How near each stage comes to what the device gives at most: the rate of a matrix product, and that of a copy.

A stage cannot do its operations faster than the one nor move its bytes faster than the other, so the larger of the two
shares says what binds it, and where both are small something else does: launches, the host, work too little to fill the
device. Two things lift a share above 1. Bytes are those that operators read and write; where a cache serves them, the
memory behind it need not. And a convolution may be done with fewer multiplications than its definition has (Winograd).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from harness.claims import DETECTING
from harness.quantities.operations import mean_bytes, mean_launches, mean_operations, why_uncounted

__all__ = ["OLD_PEAK", "SHARED", "peak_over", "shares", "work"]

SHARED = (*DETECTING, "features", "total")
"""What has a share. What ``total`` has counts from the start to where ``suppress`` begins, its time to the end."""

OLD_PEAK = "the run did not keep what its device gives at most"
_RATES = ("matmul_flops_per_second", "copy_bytes_per_second")
_NOT_SUPPRESS = "counts end where suppress begins"
_NO_TIME = "no time was measured for this stage"
_EMPTY = "the method has no such stage"


def peak_over(processes: Iterable[Mapping[str, Any]], passes: Iterable[tuple[int, int]]) -> dict[str, Any]:
    """``peak``, the mean of the rates over the processes that make the figures, or None, and then ``peak_reason``.

    Args:
        processes: of the manifest; each says of its last attempt.
        passes: complete ones, process and repeat. Where there is none, every process counts.
    """
    every = list(processes)
    complete = {process for process, _repeat in passes}
    counted = [each for each in every if not complete or each.get("process") in complete]
    found = [{"process": each["process"], **each["peak"]} for each in counted if each.get("peak")]
    if not found:
        reasons = [str(each["peak_reason"]) for each in counted if each.get("peak_reason")]
        return {"peak": None, "peak_reason": reasons[0] if reasons else OLD_PEAK}
    means: dict[str, Any] = {name: fmean(each[name] for each in found) for name in _RATES}
    return {"peak": {**means, "precision": found[0]["precision"], "processes": found}, "peak_reason": None}


def work(counted: Mapping[str, Any] | None) -> dict[str, Any]:
    """``flops``, ``bytes`` and ``launches``, mean per image by stage; each None with its reason where not counted."""
    return {
        "flops": mean_operations(counted),
        "flops_reason": why_uncounted(counted),
        "bytes": mean_bytes(counted),
        "bytes_reason": why_uncounted(counted, "bytes"),
        "launches": mean_launches(counted),
        "launches_reason": why_uncounted(counted, "launches"),
    }


def shares(
    counted: Mapping[str, Any] | None, seconds: Mapping[str, Any], peak: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """By stage: ``compute`` and ``memory``, fractions of the peak, and the ``reason`` of one that is None.

    Args:
        counted: what `harness.flops` counted of the method.
        seconds: of the method, as in the result model.
        peak: as of `peak_over`.
    """
    operations, moved = mean_operations(counted), mean_bytes(counted)
    found: dict[str, dict[str, Any]] = {}
    for stage in SHARED:
        spent = (seconds.get(stage) or {}).get("mean")
        compute, no_compute = _share(stage, operations, why_uncounted(counted), spent, peak, _RATES[0])
        memory, no_memory = _share(stage, moved, why_uncounted(counted, "bytes"), spent, peak, _RATES[1])
        found[stage] = {"compute": compute, "memory": memory, "reason": _both((no_compute, no_memory))}
    return found


def _share(
    stage: str,
    counts: Mapping[str, float | None] | None,
    why: str | None,
    seconds: float | None,
    peak: Mapping[str, Any],
    rate: str,
) -> tuple[float | None, str | None]:
    """What is done in a second as a share of the peak, or None and why."""
    known = peak["peak"]
    if known is None:
        return None, peak["peak_reason"]
    if counts is None:
        return None, why
    count = counts.get(stage)
    if count is None:
        return None, _NOT_SUPPRESS
    if not seconds:
        return None, _NO_TIME if seconds is None or count else _EMPTY
    return count / seconds / known[rate], None


def _both(reasons: Sequence[str | None]) -> str | None:
    """Each different one."""
    return "; ".join(dict.fromkeys(reason for reason in reasons if reason)) or None
