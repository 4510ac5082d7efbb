"""How far a run's times can be trusted: what was found, what measuring costs, its warm-up, and its processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from harness.rendering import caption
from harness.rendering.cells import Notes, by_method, escaped, in_brackets, rounded, table
from harness.tables import Estimate, Row, Summary, estimate, methods, why_not

__all__ = ["findings", "overhead", "processes", "section", "verdict", "warm_up"]

_ON_A_CPU = (
    "Measured on a CPU. Its absolute times are not comparable with the papers' times on a GPU; ratios are shown, and "
    "they too depend on the hardware."
)
_WORDS = (
    "The *same work* is a fixed convolution and matrix product, timed between blocks of images, where the machine is "
    "looked at, too. A *mark* is the reading of the clock where a stage begins or ends. A *shape* is the size of an "
    "image and its number of boxes, rounded up; a sample is *cold* where the method had not been called on its shape. "
    "A *place* is that of a method in the order of a block. Samples without marks, and those of a sweep, count where "
    "samples are counted, and make no figure."
)
_OVERHEAD = {
    "marks": "marks an image",
    "mark_seconds": "microseconds a mark",
    "bound": "both together, at most (% of the total)",
    "unmarked": "times with marks over times without",
}
_WARM_UP = {
    "first_seconds": "very first call (ms)",
    "steady_seconds": "steady call on such an input (ms)",
    "first_touch_seconds": "first touch of all shapes (ms)",
    "buckets": "shapes warmed up",
    "unsteady": "of these given up before they were steady",
    "cold_samples": "samples of a shape that was not warmed up",
}
_POWERS = {"(ms)": 3, "(%": 2, "microseconds": 6}
"""By the unit in a row's name."""
_COUNTS = frozenset({"marks", "buckets", "unsteady", "cold_samples"})


def verdict(summary: Summary) -> list[str]:
    """``ok`` or ``inconclusive`` with the reasons, and the warning about a CPU, as blocks of Markdown."""
    found, reasons = caption.verdict(summary)
    told = f"**Trust: {escaped(found)}.** {escaped('; '.join(reasons))}".strip()
    return [told, *([] if caption.on_gpu(summary) else [_ON_A_CPU])]


def findings(summary: Summary) -> list[str]:
    """The same with all that was looked at, where that is on record."""
    found = caption.findings(summary)
    if not found:
        return verdict(summary)
    rows = [[escaped(each["name"]), escaped(each["verdict"]), escaped(each["text"])] for each in found]
    told, *warning = verdict({**summary, "trust": {**summary["trust"], "reasons": []}})
    return [told, table(("finding", "verdict", "what was seen"), rows, words=(0, 1, 2)), _WORDS, *warning]


def overhead(summary: Summary) -> list[Row]:
    """Marks an image, seconds a mark, the share of the total that they are at most, and times with marks to without."""
    return _rows(summary, "overhead", _OVERHEAD)


def warm_up(summary: Summary) -> list[Row]:
    """Seconds of first and of steady calls, and the counts of what was warmed up; means over processes."""
    return _rows(summary, "warm_up", _WARM_UP)


def _rows(summary: Summary, key: str, names: Mapping[str, str]) -> list[Row]:
    """A row for each of `names`; none in a summary that knows nothing of them."""
    found: Mapping[str, Any] = summary.get(key) or {}
    if not found:
        return []
    rows = []
    for name in names:
        cells = []
        for method, result in methods(summary).items():
            node = found.get(method) or {}
            cell = estimate(
                node, name, why_not(result, node.get("reason") or node.get("bound_reason") or "not recorded")
            )
            cells.append(replace(cell, fixed_decimals=0) if name in _COUNTS and _whole(cell) else cell)
        rows.append(Row(name, tuple(cells)))
    return rows


def _whole(cell: Estimate) -> bool:
    return cell.value is not None and cell.value == int(cell.value)


def processes(summary: Summary) -> list[list[str]]:
    """A line a process: its number, status, speed-up by method, whether all methods were in memory, threads, block."""
    lines = []
    for each in summary.get("processes") or ():
        ratios = [
            ((of.get("total") or {}).get("processes") or {}).get(str(each["process"]))
            for of in (summary.get("speedup") or {}).values()
        ]
        status = str(each.get("status", "ok")) + (f": {each['reason']}" if each.get("reason") else "")
        resident = "yes" if each.get("resident") else f"no: {each.get('resident_reason') or 'no reason was recorded'}"
        cells = ["–" if ratio is None else f"{rounded(ratio, Estimate(ratio).decimals)}×" for ratio in ratios]
        others = (resident, *(_or_dash(each.get(key)) for key in ("threads", "block_images")))
        lines.append([str(each["process"]), escaped(status), *cells, *map(escaped, others)])
    return lines


def _or_dash(value: object) -> str:
    return "–" if value is None else str(value)


def section(summary: Summary, notes: Notes) -> list[str]:
    """Overhead, warm-up and processes as blocks of Markdown; none for a summary without them."""
    blocks = _table(summary, notes, overhead(summary), _OVERHEAD, "overhead")
    if any(row.name == "unmarked" and any(cell.value is not None for cell in row.cells) for row in overhead(summary)):
        pairs = [(of or {}).get("unmarked") or {} for of in summary["overhead"].values()]
        covers = caption.brackets(pair.get("interval") for pair in pairs)
        blocks.append(
            "Times with marks and without are of the same images, each measured both ways; a ratio of 1 says that "
            "marking costs nothing." + (f" {covers}" if covers else "")
        )
    blocks += _table(summary, notes, warm_up(summary), _WARM_UP, "warm-up")
    lines = processes(summary)
    if lines:
        ratios = [f"speed-up {escaped(name)}" for name in summary.get("speedup") or {}]
        header = ("process", "status", *ratios, "all methods in memory", "threads", "images a block")
        blocks.append(table(header, lines, words=(1, 2 + len(ratios))))
        blocks += _left_out(summary)
    return ["## The stopwatch", *blocks] if blocks else []


def _left_out(summary: Summary) -> list[str]:
    """Which processes and repeats are in no figure."""
    passes = [f"{one['process']} (repeat {one['repeat']})" for one in (summary.get("passes") or {}).get("left_out", ())]
    if not passes:
        return []
    return [f"In no figure, since not every method measured every image there: process {', '.join(passes)}."]


def _table(
    summary: Summary, notes: Callable[[str], str], rows: list[Row], names: Mapping[str, str], title: str
) -> list[str]:
    """A column a method; where nothing is known, a line that says why."""
    if not rows:
        return []
    known = [cell for row in rows for cell in row.cells]
    if all(cell.value is None for cell in known):
        reasons = dict.fromkeys(escaped(cell.reason or "not recorded") for cell in known)
        return [f"The {title} is not known: {'; '.join(reasons)}."]
    texts = []
    for row in rows:
        power = next((power for unit, power in _POWERS.items() if unit in names[row.name]), 0)
        cells = [in_brackets(cell.shifted(power) if power else cell, notes, interval=True) for cell in row.cells]
        texts.append((names[row.name], cells))
    return [by_method(summary, title, texts)]
