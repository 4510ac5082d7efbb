"""How the time of one image is spread over images, and what it grows with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.rendering import caption
from harness.rendering.cells import Notes, by_method, escaped, in_brackets, rounded
from harness.tables import Estimate, Row, Summary, estimate, methods, why_not

__all__ = ["lines", "percentiles", "section", "sweep"]

_PERCENTILES = ("p50", "p90", "p95", "p99")
_LINES = (
    ("proposals", "intercept", "without proposals (ms)", 1.0),
    ("proposals", "slope", "each 100 proposals more (ms)", 100.0),
    ("megapixels", "intercept", "without pixels (ms)", 1.0),
    ("megapixels", "slope", "each megapixel more (ms)", 1.0),
)
_OVER = {
    "images": "over the images as they are: larger ones also have more proposals, and either line takes up what "
    "belongs to the other",
    "sweep": "over the inputs that the sweep changed, all else being equal",
}


def percentiles(summary: Summary) -> list[Row]:
    """Seconds of the total by percentile of the images; no row in a summary without them."""
    found: Mapping[str, Any] = summary.get("percentiles") or {}
    if not found:
        return []
    return [
        Row(
            name,
            tuple(
                estimate((found.get(method) or {}).get("total") or {}, name, why_not(result, "not computed"))
                for method, result in methods(summary).items()
            ),
        )
        for name in _PERCENTILES
    ]


def lines(summary: Summary) -> list[Row]:
    """Seconds at no proposals or pixels, and by how many they grow; no row in a summary without them."""
    found: Mapping[str, Any] = summary.get("lines") or {}
    if not found:
        return []
    rows = []
    for quantity, key, name, unit in _LINES:
        cells = []
        for method, result in methods(summary).items():
            node = (found.get(method) or {}).get(quantity) or {}
            cells.append(_times(estimate(node, key, why_not(result, node.get("reason") or "not fitted")), unit))
        rows.append(Row(name, tuple(cells)))
    return rows


def _times(cell: Estimate, unit: float) -> Estimate:
    if cell.value is None or unit == 1:
        return cell
    low, high = (None if end is None else end * unit for end in (cell.low, cell.high))
    return Estimate(cell.value * unit, low, high)


def sweep(summary: Summary) -> list[Row]:
    """Seconds of the total at each point of the sweep; no row where nothing was swept."""
    found = summary.get("sweep") or {}
    rows = []
    for point in found.get("points") or ():
        cells = []
        for method, result in methods(summary).items():
            node = (found["seconds"].get(method) or {}) if found.get("seconds") else {}
            cells.append(estimate(node, point, why_not(result, "not measured")))
        rows.append(Row(point, tuple(cells)))
    return rows


def section(summary: Summary, notes: Notes) -> list[str]:
    """All three as blocks of Markdown; none for a summary without them."""
    blocks = [*_percentiles(summary, notes), *_lines(summary, notes), *_sweep(summary, notes)]
    return ["## Over the images", *blocks] if blocks else []


def _table(summary: Summary, title: str, rows: Iterable[tuple[str, Row]], notes: Notes) -> str:
    """In ms."""
    texts = [(name, [in_brackets(cell.shifted(3), notes, interval=True) for cell in row.cells]) for name, row in rows]
    return by_method(summary, title, texts)


def _percentiles(summary: Summary, notes: Notes) -> list[str]:
    rows, found = percentiles(summary), summary.get("percentiles") or {}
    known = [(row.name, row) for row in rows if any(cell.value is not None for cell in row.cells)]
    blocks = []
    if known:
        blocks += [_table(summary, "total, percentile of images (ms)", known, notes)]
        blocks += _covers(of.get("interval") for of in found.values())
        if any((cell.low is None) != (cell.high is None) for _, row in known for cell in row.cells):
            blocks.append("A dash in brackets is an end that lies beyond what so few images tell.")
    # A row of dashes says no more than its reason does.
    reasons: dict[str | None, None] = {}
    for row in rows:
        if all(cell.value is None for cell in row.cells):
            measured = zip(methods(summary), row.cells, strict=True)
            reasons |= dict.fromkeys(cell.reason for method, cell in measured if method in found)
    return [*blocks, *_not_shown(reason for reason in reasons if reason)]


def _not_shown(reasons: Iterable[str]) -> list[str]:
    """All reasons in a sentence; how many images there are is said once."""
    apart = [reason.partition(", there ") for reason in reasons]
    if not apart:
        return []
    ends = {mark + end for _, mark, end in apart}
    told = (
        "; ".join(reason for reason, _, _ in apart) + ends.pop() if len(ends) == 1 else "; ".join(map("".join, apart))
    )
    return [f"Not shown: {escaped(told)}."]


def _lines(summary: Summary, notes: Notes) -> list[str]:
    rows = [(row.name, row) for row in lines(summary)]
    if not rows:
        return []
    nodes = [(method, node) for method, of in summary["lines"].items() for node in of.values()]
    left_out = [
        f"{method} at {point} ({reason})"
        for method, node in nodes
        for point, reason in (node.get("left_out") or {}).items()
    ]
    return [
        _table(summary, "the total grows", rows, notes),
        f"Straight lines by least squares: {escaped(_fitted(summary))}.",
        *([f"In no line: {escaped('; '.join(left_out))}."] if left_out else []),
    ]


def _sweep(summary: Summary, notes: Notes) -> list[str]:
    rows = [(_named(summary, row.name), row) for row in sweep(summary)]
    if not rows:
        return []
    return [_table(summary, "total, swept (ms)", rows, notes), *_covers([summary["sweep"].get("interval")])]


def _named(summary: Summary, point: str) -> str:
    """A point with the boxes that images had there, where some have too few."""
    field, _, value = point.partition("=")
    nodes = [of.get(point) or {} for of in summary["sweep"]["seconds"].values()]
    boxes = next((node["boxes"] for node in nodes if node.get("boxes") is not None), None)
    if field != "proposals" or boxes is None or boxes == float(value):
        return point
    return f"{point} (mean {rounded(boxes, Estimate(boxes).decimals)})"


def _covers(labels: Iterable[str | None]) -> Sequence[str]:
    told = caption.brackets(labels)
    return [escaped(told)] if told else []


def _fitted(summary: Summary) -> str:
    """What each line was fitted to, and what its interval covers."""
    quantities: dict[tuple[str, str | None], list[str]] = {}
    for quantity in ("proposals", "megapixels"):
        nodes = [of.get(quantity) or {} for of in summary["lines"].values()]
        known = [node for node in nodes if (node.get("slope") or {}).get("value") is not None]
        if known:
            covers = next((node["interval"] for node in known if node.get("interval")), None)
            quantities.setdefault((str(known[0].get("over", "images")), covers), []).append(quantity)
    told = []
    for (over, covers), names in quantities.items():
        interval = f" (in brackets: 95 % interval {covers})" if covers else ""
        told.append(f"that of {' and that of '.join(names)} {_OVER[over]}{interval}")
    return "; ".join(told) or "none could be fitted"
