"""The papers' tables side by side with what was measured: some lines a cell, on a terminal and in Markdown.

Published, measured with its 95 % interval, verdict; where a ratio or share of times is decided, the hardware of what is
published. A cell of which nothing was run has its published number alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.papertables import Cell, PaperTable
from harness.rendering import caption, verdicts
from harness.rendering.cells import Mark, Notes, escaped
from harness.rendering.cells import table as pipes
from harness.wording import counted, one_line

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

__all__ = ["markdown", "terminal"]

_STYLES = {"met": "green", "not met": "red", "inconclusive": "yellow", "not comparable": "dim"}

_WIDTH, _TITLE_WIDTH, _GAP = 80, 20, 2
"""Of a screen, of the first column at most, and between columns: characters."""

_AT_VERDICT = 2
"""Its line in a cell."""

_TITLE_LINES = 3
"""About so many at most, for the title of a column."""


def lines(cell: Cell, mark: Mark) -> list[str]:
    """What stands in a cell, one below the other; a dash where nothing is published."""
    if cell.claim is None:
        return ["–"]
    if cell.judged is None:
        to_itself = cell.claim.relative_to == f"{cell.claim.name}@{cell.claim.backbone}"
        return [verdicts.published(asdict(cell.claim)), *(["baseline"] if to_itself else [])]
    one = cell.judged
    told = [verdicts.published(one), verdicts.measured(one, mark), verdicts.verdict(one), verdicts.hardware(one)]
    return [line for line in told if line]


def markdown(table: PaperTable, notes: Notes) -> list[str]:
    """Heading, table, what its cells hold and how many of each verdict there are, as blocks of Markdown."""
    rows = [[escaped(row.title), *("<br>".join(lines(cell, notes)) for cell in row.cells)] for row in table.rows]
    return [
        f"## {escaped(table.source)}: {escaped(table.title)}",
        pipes(("", *map(escaped, table.columns)), rows),
        *([escaped(f"{table.note}.")] if table.note else []),
        *([escaped(_hardware(table))] if table.hardware else []),
        f"Each cell: published, measured{_covers(table)}, verdict. {_counts(table)}",
        *_reasons(table.judged),
    ]


def _hardware(table: PaperTable) -> str:
    """Not the hardware of what is measured: that is not of the table."""
    return f"Published times: {'; '.join(each or verdicts.NOT_STATED for each in table.hardware)}."


def _counts(table: PaperTable) -> str:
    alone = sum(cell.claim is not None and cell.judged is None for row in table.rows for cell in row.cells)
    if not table.judged:
        return f"{counted(alone, 'published number')}, of which nothing was measured."
    published = f"; {alone} published alone" if alone else ""
    return f"{verdicts.counts(table.judged)}{published}.".capitalize()


def _covers(table: PaperTable) -> str:
    told = caption.brackets(one["measured"]["interval"] for one in table.judged if one["measured"]["low"] is not None)
    return f" ({told.removeprefix('In brackets: ').removesuffix('.')})" if told else ""


def _reasons(judged: Iterable[Mapping[str, Any]]) -> list[str]:
    """Why what is not decided is not, each reason once with the number of its cells."""
    found = verdicts.summary_lines(judged)[1:]
    return ["\n".join(f"- {escaped(line)}" for line in found)] if found else []


def terminal(tables: Iterable[PaperTable]) -> RenderableType:
    """For 80 columns: what is wider is cut into several tables that each repeat the first column."""
    from rich.console import Group

    return Group(*(part for table in tables for part in _on_screen(table)))


def _on_screen(table: PaperTable) -> Iterator[RenderableType]:
    yield _text(f"{table.source}: {table.title}", "bold")
    if table.note:
        yield _text(table.note, "dim")
    for columns in _split(table):
        yield _grid(table, columns)
        yield _text("")
    if table.hardware:
        yield _text(_hardware(table), "dim")
    yield _text(f"Each cell: published, measured{_covers(table)}, verdict.", "dim")
    yield _text("\n".join([_counts(table), *verdicts.summary_lines(table.judged)[1:]]))
    yield _text("")


def _text(words: str, style: str = "") -> Text:
    from rich.text import Text

    return Text("\n".join(one_line(line) for line in words.split("\n")), style)


def _silent(_reason: str) -> str:
    return ""


def _widths(table: PaperTable) -> list[int]:
    """Of each column: its longest line or word, and so wide that its title takes few lines."""
    found = []
    for at, title in enumerate(table.columns):
        texts = [line for row in table.rows for line in lines(row.cells[at], _silent)]
        longest = max(len(each) for each in (*texts, *title.split()))
        found.append(max(longest, len(title) // _TITLE_LINES))
    return found


def _first_width(table: PaperTable) -> int:
    return min(_TITLE_WIDTH, max(len(row.title) for row in table.rows))


def _split(table: PaperTable) -> list[list[int]]:
    """Columns that fit on a screen together, by their place."""
    first = _first_width(table)
    parts: list[list[int]] = [[]]
    left = _WIDTH - first
    for at, width in enumerate(_widths(table)):
        if parts[-1] and width + _GAP > left:
            parts.append([])
            left = _WIDTH - first
        parts[-1].append(at)
        left -= width + _GAP
    return parts


def _grid(table: PaperTable, columns: Sequence[int]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    grid = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    grid.add_column("", width=_first_width(table))
    widths = _widths(table)
    for at in columns:
        grid.add_column(one_line(table.columns[at]), justify="right", width=widths[at], vertical="top")
    tall = any(cell.judged is not None for row in table.rows for cell in row.cells)
    for row in table.rows:
        grid.add_row(_text(row.title), *(_cell(row.cells[at]) for at in columns), end_section=tall)
    return grid


def _cell(cell: Cell) -> Text:
    from rich.text import Text

    texts = lines(cell, _silent)
    found = Text(justify="right")
    for at, line in enumerate(texts):
        style = _STYLES[cell.judged["verdict"]] if cell.judged is not None and at == _AT_VERDICT else ""
        found.append(("\n" if at else "") + one_line(line), style)
    return found
