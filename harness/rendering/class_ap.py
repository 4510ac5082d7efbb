"""How well each class is found: its average precision by method, the class that is found best first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.rendering.appendix import per_class
from harness.rendering.canvas import blank, legend, narrow, shortened
from harness.rendering.palette import GRID, Look, looks
from harness.tables import Estimate, Row, Summary, methods

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["class_ap"]

_MEAN = "mean (mAP)"


def class_ap(summary: Summary) -> Figure | None:
    """None where no class has an average precision. The mean stands at the top, with its interval.

    Points and not bars, of which a hundred would stand in a run of five methods over VOC's classes.
    """
    *classes, mean, _ = per_class(summary)
    known = sorted((row for row in classes if _values(row)), key=lambda row: (-_average(row), row.name))
    if not known:
        return None
    rows = [Row(_MEAN, mean.cells), *known]
    height = (1.6 if narrow() else 2.2) + (0.32 if narrow() else 0.36) * len(rows)
    figure = blank(height, "Average precision of each class", summary)
    axes = figure.subplots()
    for at, row in enumerate(rows):
        values = _values(row)
        if values:
            axes.hlines(at, min(values), max(values), color=GRID, linewidth=3, zorder=1)
    every = looks(methods(summary))
    shown = [index for index in range(len(every)) if any(row.cells[index].value is not None for row in rows)]
    for index in shown:
        _points(axes, rows, index, list(every.values())[index])
    axes.axhline(0.5, color=GRID, linewidth=1)
    least = min(value for row in rows for value in _values(row))
    axes.set(
        xlim=(max(0, 10 * ((least - 8) // 10)), 101),
        ylim=(len(rows) - 0.4, -0.6),
        xlabel="average precision, VOC07 (%)",
    )
    axes.set_yticks(range(len(rows)), [shortened(row.name, 18 if narrow() else 30) for row in rows])
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    names = list(every)
    legend(figure, {names[index]: every[names[index]] for index in shown}, lines=False)
    return figure


def _values(row: Row) -> list[float]:
    return [100 * cell.value for cell in row.cells if cell.value is not None]


def _average(row: Row) -> float:
    values = _values(row)
    return sum(values) / len(values)


def _points(axes: Axes, rows: list[Row], index: int, look: Look) -> None:
    """The points of one method; where an interval is known, its two arms."""
    for at, row in enumerate(rows):
        cell: Estimate = row.cells[index].shifted(2)
        if cell.value is None:
            continue
        if cell.low is not None and cell.high is not None:
            axes.hlines(at, cell.low, cell.high, color=look.colour, linewidth=1.6, zorder=2)
        axes.plot([cell.value], [at], look.mark, color=look.colour, markersize=8, alpha=0.85, zorder=3)
