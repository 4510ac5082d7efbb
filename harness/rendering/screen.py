"""The model of `harness.side_by_side`, a column a run, on a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from harness.claims import RATIOS
from harness.rendering.cells import Style, in_brackets, plus_minus, rounded
from harness.rendering.columns import (
    Model,
    Quantity,
    intervals,
    likeness,
    origin,
    over_runs,
    quantities,
    told,
)
from harness.wording import one_line, printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

__all__ = ["terminal"]

_RATIOS = tuple(name for name in RATIOS if name != "features")
"""A screen has room for few."""

_WIDE_COLUMNS, _MOST_COLUMNS = 2, 4
"""Of 80 columns of text: so many runs fit with both ends of their intervals, and so many with half the width."""


def terminal(model: Model) -> RenderableType:
    """On a screen; what differs without hindering is named alone."""
    from rich.console import Group

    alike, rows, few = model["comparable"], quantities(model, _RATIOS), len(model["runs"]) <= _WIDE_COLUMNS
    hindering = [one for one in model["differences"] if one["hinders"]]
    besides = [f"{one['group']} {one['field']}" for one in model["differences"] if not one["hinders"]]
    return Group(
        _grid((run["run"], f"{one_line(run['path'])}\n{origin(run)}") for run in model["runs"]),
        _text(likeness(model) + ("" if alike else ". They differ in:"), "bold green" if alike else "bold yellow"),
        *([_grid((one["group"], one["field"], told(model, one["values"])) for one in hindering)] if hindering else []),
        *([_text(f"Besides, which hinders nothing: {', '.join(besides)}", "dim")] if besides else []),
        *_tables(model, rows, in_brackets if few else plus_minus, _WIDE_COLUMNS if few else _MOST_COLUMNS),
        _text(intervals(model, "In brackets:" if few else "±: the longer arm of"), "dim"),
        *(_text(line, "red") for line in _failures(model)),
        *(_text(line) for line in _together(rows) if alike),
    )


def _tables(model: Model, rows: Sequence[Quantity], style: Style, most: int) -> Iterator[Table]:
    """A table for each so many runs. Times stand without their interval, as on the screen of one run."""
    labels = [run["run"] for run in model["runs"]]
    for first in range(0, len(labels), most):
        part = slice(first, first + most)
        cells = [
            [style(cell, lambda _: "", row.unit, interval=row.speedup is not None) for cell in row.cells[part]]
            for row in rows
        ]
        yield _columns(labels[part], rows, cells)


def _failures(model: Model) -> list[str]:
    return [
        f"{run['run']}, {method}: {result['status']}: {result['reason']}"
        for run in model["runs"]
        for method, result in run["methods"].items()
        if result["status"] != "ok"
    ]


def _together(rows: Iterable[Quantity]) -> list[str]:
    """Of like runs: whether their intervals have a value in common, and the number over runs."""
    words = {True: "the intervals overlap", False: "the intervals lie apart", None: "a run has no interval"}
    lines = []
    for row in rows:
        if row.speedup:
            line = f"{row.method} {row.quantity}: {words[row.speedup['overlap']]}{_widest(row)}"
            pooled = f"; {row.speedup['pooled']['interval']}: {over_runs(row)}" if over_runs(row) else ""
            lines.append(line + pooled)
    return lines


def _widest(row: Quantity) -> str:
    widths = [width for cell in row.cells if (width := cell.relative_width) is not None]
    return f", the widest is {rounded(100 * max(widths), 1)} % of its ratio" if widths else ""


def _text(words: str, style: str = "") -> RenderableType:
    from rich.text import Text

    return Text(printable("\n".join(one_line(line) for line in words.split("\n"))), style)


def _grid(rows: Iterable[Sequence[str]]) -> Table:
    from rich.table import Table

    grid = Table.grid(padding=(0, 2, 0, 0))
    for row in rows:
        grid.add_row(*map(_text, row))
    return grid


def _columns(labels: Sequence[str], rows: Sequence[Quantity], cells: Sequence[Sequence[str]]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    columns = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("method", "", *labels):
        columns.add_column(column, justify="right" if column in labels else "left", overflow="fold")
    before = None
    for row, texts in zip(rows, cells, strict=True):
        columns.add_row(*map(_text, (row.method if row.method != before else "", row.quantity, *texts)))
        before = row.method
    return columns
