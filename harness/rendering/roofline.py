"""How near each stage comes to what the device gives at most, and how many launches it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.quantities.roofline import OLD_PEAK, SHARED
from harness.rendering import caption
from harness.rendering.cells import Notes, escaped, in_brackets, rounded, table
from harness.tables import Estimate, Summary, estimate, methods

__all__ = ["StageRow", "in_a_line", "roofline", "section"]

_SHOWN = tuple(name for name in SHARED if name not in ("suppress", "features"))
_LEAST_PERCENT = 0.1
"""Shown as a number; of a smaller share no digit says anything."""


@dataclass(frozen=True, slots=True)
class StageRow:
    """One stage of one method."""

    stage: str
    method: str
    seconds: Estimate
    compute: Estimate
    """Fraction of the rate of a matrix product, as `memory` is of that of a copy."""
    memory: Estimate
    launches: Estimate


def roofline(summary: Summary) -> list[StageRow]:
    """Stage by stage, every method that succeeded; no row where no peak is known.

    A stage that no method has is left out.
    """
    if not summary.get("peak"):
        return []
    rows = []
    succeeded = {name: result for name, result in methods(summary).items() if result.get("status") == "ok"}
    for stage in _SHOWN:
        of_stage = [_row(stage, name, result) for name, result in succeeded.items()]
        if stage != "propose" or any(row.seconds.value for row in of_stage):
            rows += of_stage
    return rows


def _row(stage: str, method: str, result: Mapping[str, Any]) -> StageRow:
    share = (result.get("peak_share") or {}).get(stage) or {}
    uncounted = str(result.get("launches_reason") or "not counted")
    why = str(share.get("reason") or "not computed")
    return StageRow(
        stage,
        method,
        seconds=estimate(result.get("seconds") or {}, stage, "not measured"),
        compute=estimate(share, "compute", why),
        memory=estimate(share, "memory", why),
        launches=estimate(result.get("launches") or {}, stage, uncounted),
    )


def section(summary: Summary, notes: Notes) -> list[str]:
    """Blocks of Markdown; none for a run of a version that measured no peak, and the reason where there is none."""
    title = "## Share of the device's peak"
    rows = roofline(summary)
    if not rows:
        reason = summary.get("peak_reason") or OLD_PEAK
        return [] if reason == OLD_PEAK else [title, f"Not shown: {escaped(reason)}."]
    header = ("stage", "method", "ms per image", "of the product (%)", "of the copy (%)", "launches")
    lines = [
        [
            row.stage,
            escaped(row.method),
            in_brackets(row.seconds.shifted(3), notes),
            _percent(row.compute, notes),
            _percent(row.memory, notes),
            in_brackets(_as_count(row.launches), notes),
        ]
        for row in rows
    ]
    how_to_read = _HOW_TO_READ if caption.on_gpu(summary) else f"{_HOW_TO_READ} {_ON_A_CPU}"
    return [title, table(header, lines, words=(0, 1)), _reference(summary["peak"]), how_to_read]


_HOW_TO_READ = (
    "The larger share says what binds a stage, arithmetic or memory; where both are small it is launches, the host, or "
    "too little work to fill the device. Bytes are those that operators read and write; above 100 % of the copy, "
    "caches serve them. A convolution may need fewer multiplications than are counted; far above 100 % of the product, "
    "something held the device back while that was measured. Launches are operators that compute. What is counted of "
    "the total ends where suppress begins."
)
_ON_A_CPU = (
    "This run was on a CPU: bytes and launches are those that a GPU would be given, and the copy's share is of them."
)


def _reference(peak: Mapping[str, Any]) -> str:
    """What 100 % is."""
    flops, copied = peak["matmul_flops_per_second"], peak["copy_bytes_per_second"]
    power, prefix = (12, "T") if flops >= 1e12 else (9, "G")
    product, copy = (in_brackets(Estimate(rate).shifted(-of), str) for rate, of in ((flops, power), (copied, 9)))
    count = len(peak["processes"])
    when = f"when each of {count} processes began, mean" if count > 1 else "when the process began"
    sides = " or ".join(f"{side:,}" for side in sorted({each["matmul_size"] for each in peak["processes"]}))
    libraries = sorted({each["matmul_library"] for each in peak["processes"] if each.get("matmul_library")})
    arithmetic = ", ".join([peak["precision"], *([" or ".join(libraries)] if libraries else [])])
    sizes = " or ".join(str(size // 2**20) for size in sorted({each["copy_bytes"] for each in peak["processes"]}))
    return (
        f"100 % is what this device gave {when}: {product} {prefix}FLOP/s in a product of matrices of side {sides} "
        f"({escaped(arithmetic)}), {copy} GB/s read and written in a copy of {sizes} MiB."
    )


def _as_count(mean: Estimate) -> Estimate:
    """A count of images that all have as many is a whole number."""
    whole = mean.value is not None and mean.value.is_integer()
    return replace(mean, fixed_decimals=0 if whole else 1)


def _percent(share: Estimate, notes: Notes) -> str:
    percent = share.shifted(2)
    if percent.value is not None:
        if 0 < percent.value < _LEAST_PERCENT:
            return f"< {_LEAST_PERCENT}"
        return rounded(percent.value, 0 if percent.value == 0 else 1)
    return in_brackets(percent, notes)


def in_a_line(summary: Summary) -> str | None:
    """The convolutions' share by method, such as ``conv, % of the device's peak: rcnn 62, spp 41``; or None."""
    known = [(row.method, row.compute.value) for row in roofline(summary) if row.stage == "conv"]
    told = [f"{method} {rounded(100 * share, 0)}" for method, share in known if share is not None]
    return f"conv, % of the device's peak: {', '.join(told)}" if told else None
