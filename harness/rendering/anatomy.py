"""Floating-point operations of each method, and what they explain of its speed-up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.claims import DETECTING, RATIOS
from harness.quantities.operations import NOT_COUNTED
from harness.rendering.cells import Notes, by_method, escaped, in_brackets
from harness.tables import Estimate, Row, Summary, estimate, methods, why_not

__all__ = ["anatomy", "operations", "section"]

_PARTS = {"flop_ratio": "ratio of operations", "utilisation_ratio": "ratio of utilisation"}


def operations(summary: Summary) -> list[Row]:
    """Floating-point operations per image of each stage and of the sums; no row where no method has been looked at."""
    results = methods(summary)
    reasons = [result.get("flops_reason", NOT_COUNTED) for result in results.values()]
    if all(reason == NOT_COUNTED for reason in reasons):
        return []
    rows = []
    for name in (*DETECTING[:-1], "total", "features"):
        cells = []
        for result in results.values():
            fallback = result.get("flops_reason") or NOT_COUNTED
            cells.append(estimate(result.get("flops") or {}, name, why_not(result, fallback)))
        if name != "propose" or any(cell.value for cell in cells):
            rows.append(Row(name, tuple(cells)))
    return rows


def anatomy(summary: Summary) -> list[Row]:
    """Each speed-up taken apart: the ratio of operations, and the ratio of the rates at which they are carried out."""
    baseline, speedup = summary.get("baseline"), summary.get("speedup") or {}
    rows = []
    for name in RATIOS:
        for key in ("flop_ratio", "utilisation_ratio"):
            cells = []
            for method, result in methods(summary).items():
                node = (speedup.get(method) or {}).get(name) or {}
                fallback = node.get("flop_reason") or f"no ratio to {baseline} was computed"
                if method == baseline:
                    fallback = "this is the baseline"
                cell = estimate(node, key, why_not(result, fallback))
                cells.append(_with_interval(cell, node) if key == "utilisation_ratio" else cell)
            rows.append(Row(f"{name} {key}", tuple(cells)))
    return rows


def _with_interval(utilisation: Estimate, speedup: Mapping[str, Any]) -> Estimate:
    """The ratio of operations is exact, so that of utilisation is known as well as the speed-up is."""
    operations, low, high = (speedup.get(key) for key in ("flop_ratio", "low", "high"))
    if utilisation.value is None or not operations or low is None or high is None:
        return utilisation
    return replace(utilisation, low=low / operations, high=high / operations)


def section(summary: Summary, notes: Notes) -> list[str]:
    """Both as blocks of Markdown; none for a run that counted nothing."""
    rows = [(row.name, [in_brackets(cell.shifted(-9), notes) for cell in row.cells]) for row in operations(summary)]
    if not rows:
        return []
    parts = []
    for row in anatomy(summary):
        of, _, key = row.name.partition(" ")
        parts.append((f"{of}: {_PARTS[key]}", [in_brackets(cell, notes, "×") for cell in row.cells]))
    baseline = escaped(summary.get("baseline"))
    return [
        "## Floating-point operations",
        by_method(summary, "10^9 operations per image", rows),
        "One multiply-add is two operations. Counted are convolutions, matrix products and bilinear sampling, as they "
        "were run; element-wise operations, pooling by maximum and suppression are not.",
        by_method(summary, f"speed-up over {baseline}", parts),
        "A measured speed-up is the ratio of operations times the ratio of utilisation, which is that of the rates at "
        "which operations are carried out: below 1 the method keeps the device less busy than the baseline does.",
    ]
