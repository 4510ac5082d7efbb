"""How the time of one image is spread over images, and what it grows with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.rendering.cells import Notes, by_method, in_brackets
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
    parts = [
        ("total, percentile of images (ms)", percentiles(summary)),
        ("the total grows", lines(summary)),
        ("total, swept (ms)", sweep(summary)),
    ]
    blocks = []
    for title, rows in parts:
        if rows:
            texts = [
                (row.name, [in_brackets(cell.shifted(3), notes, interval=True) for cell in row.cells]) for row in rows
            ]
            blocks.append(by_method(summary, title, texts))
        if rows and title == parts[1][0]:
            blocks.append(f"Straight lines by least squares: {_fitted(summary)}.")
    return ["## Over the images", *blocks] if blocks else []


def _fitted(summary: Summary) -> str:
    """What each line was fitted to."""
    over: dict[str, str] = {}
    for of in summary["lines"].values():
        for quantity, node in of.items():
            if node.get("slope", {}).get("value") is not None:
                over[quantity] = str(node.get("over", "images"))
    told = {words: [name for name, kind in over.items() if kind == key] for key, words in _OVER.items()}
    return "; ".join(f"that of {' and that of '.join(names)} {words}" for words, names in told.items() if names) or (
        "none could be fitted"
    )
