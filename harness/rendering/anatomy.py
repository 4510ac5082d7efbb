"""Floating-point operations of each method, and what they explain of its speed-up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.claims import DETECTING, RATIOS
from harness.quantities.operations import NOT_COUNTED
from harness.rendering import caption, published_anatomy
from harness.rendering.cells import Notes, by_method, escaped, in_brackets, table
from harness.tables import Estimate, Row, Summary, estimate, methods, why_not

__all__ = ["PartRow", "anatomy", "operations", "parts", "section"]

_PARTS = {"flop_ratio": "ratio of operations", "utilisation_ratio": "ratio of utilisation"}
_NO_PART = "not computed"


@dataclass(frozen=True, slots=True)
class PartRow:
    """One stage of one method beside the baseline's."""

    stage: str
    method: str
    seconds: tuple[Estimate, Estimate]
    """Of the baseline and of the method."""
    speedup: Estimate
    operations: Estimate
    """The baseline's over the method's."""
    utilisation: Estimate
    """The method's rate of operations over the baseline's."""


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


def parts(summary: Summary) -> list[PartRow]:
    """Stage by stage, every method but the baseline; none for a run whose summary has no anatomy."""
    found: Mapping[str, Any] = summary.get("anatomy") or {}
    stages = dict.fromkeys(stage for of in found.values() for stage in of)
    return [_part(stage, method, of[stage]) for stage in stages for method, of in found.items() if stage in of]


def _part(stage: str, method: str, node: Mapping[str, Any]) -> PartRow:
    reason = str(node.get("reason") or _NO_PART)
    base, own = (Estimate(seconds) for seconds in node["seconds"])
    return PartRow(
        stage,
        method,
        (base, own),
        estimate(node, "speedup", reason),
        estimate(node, "flop_ratio", reason),
        estimate(node, "utilisation_ratio", reason),
    )


def anatomy(summary: Summary) -> list[Row]:
    """The ratios of operations and of rates of conv, features and total: all that a summary without ``anatomy`` has."""
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
    """All of it as blocks of Markdown; none for a run that counted nothing and has no anatomy."""
    rows = [(row.name, [in_brackets(cell.shifted(-9), notes) for cell in row.cells]) for row in operations(summary)]
    counted = [
        "## Floating-point operations",
        by_method(summary, "10^9 operations per image", rows),
        "One multiply-add is two operations. Counted are convolutions, matrix products and bilinear sampling, as they "
        "were run; element-wise operations, pooling by maximum and suppression are not.",
    ]
    return [
        *(counted if rows else []),
        *_run_section(summary, notes, bool(rows)),
        *published_anatomy.section(summary, notes),
    ]


def _run_section(summary: Summary, notes: Notes, counted: bool) -> list[str]:
    baseline = escaped(summary.get("baseline"))
    shown = parts(summary)
    if shown:
        header = ("stage", "method", f"ms {baseline}", "ms own", "speed-up", "= operations", "× utilisation")
        lines = [
            [
                row.stage,
                escaped(row.method),
                *(in_brackets(seconds.shifted(3), notes) for seconds in row.seconds),
                *_ratios(row, notes),
            ]
            for row in shown
        ]
        covers = f"In brackets: 95 % interval {caption.interval(summary)}."
        whole = ["## Anatomy of the speed-ups", table(header, lines, words=(0, 1)), f"{_OLD_HOW_TO_READ} {covers}"]
        return [*whole, *_of_sums(summary, notes)]
    if not counted:
        return []
    old = []
    for row in anatomy(summary):
        of, _, key = row.name.partition(" ")
        old.append((f"{of}: {_PARTS[key]}", [in_brackets(cell, notes, "×") for cell in row.cells]))
    return [by_method(summary, f"speed-up over {baseline}", old), _OLD_HOW_TO_READ]


def _ratios(row: PartRow, notes: Notes) -> list[str]:
    return [
        in_brackets(row.speedup, notes, "×", interval=True),
        in_brackets(row.operations, notes, "×"),
        in_brackets(row.utilisation, notes, "×", interval=True),
    ]


def _of_sums(summary: Summary, notes: Notes) -> list[str]:
    """What the ratio of utilisation of features and total is made of; nothing where the summary does not know."""
    found: Mapping[str, Any] = summary.get("anatomy") or {}
    lines = [
        [
            name,
            escaped(method),
            in_brackets(estimate(of[name], "speedup", _NO_PART), notes, "×", interval=True),
            in_brackets(estimate(of[name], "flop_ratio", str(of[name]["reason"])), notes, "×"),
            *(in_brackets(estimate(of[name], f"{key}_ratio", _NO_PART), notes, "×", interval=True) for key in _FACTORS),
        ]
        for name in ("features", "total")
        for method, of in found.items()
        if "mix_ratio" in of.get(name, {})
    ]
    if not lines:
        return []
    header = ("sum", "method", "speed-up", "= operations", *(f"× {key}" for key in _FACTORS))
    return [table(header, lines, words=(0, 1)), _HOW_SUMS_ARE_READ]


_OLD_HOW_TO_READ = (
    "A measured speed-up is the ratio of operations times the ratio of utilisation, which is that of the rates at "
    "which operations are carried out: below 1 the method carries out fewer counted operations a second than the "
    "baseline does. Pooling by maximum and suppression take time and count none, so they are shown as time."
)
_FACTORS = ("mix", "rate", "uncounted")
_HOW_SUMS_ARE_READ = (
    "The ratio of utilisation of a sum is three factors. Mix: the baseline's time in the stages whose operations are "
    "counted, over what the method's operations would take there at the baseline's rates, and this over the ratio of "
    "operations; it is large where the method leaves its operations in stages that the baseline carries out fast. "
    "Rate: what they would take at the baseline's rates over what they took, so the gain of the same stages. "
    "Uncounted: how many times as long all takes as what is counted, the baseline's over the method's; it is less than "
    "one where pooling, suppression and what lies between the stages are a larger part of the method's time. "
    "Operations times mix is what the method would save at the baseline's rates."
)
