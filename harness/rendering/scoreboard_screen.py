"""A scoreboard on a terminal of 80 columns; classes and what papers print stand in Markdown and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from harness.relating import DECIDING, Judged
from harness.rendering.cells import plus_minus, rounded
from harness.rendering.points import counts, expected, percent, signed
from harness.rendering.scoreboard import FOUND, INTERVALS, POWER, alike, difference, differences_to, which
from harness.scoreboard import Board, Entry, Scoreboard
from harness.wording import counted, one_line

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

__all__ = ["terminal"]

_STYLES = {"met": "green", "not met": "red", "inconclusive": "yellow", "not comparable": "dim"}


def terminal(board: Scoreboard) -> RenderableType:
    """For `rich`."""
    from rich.console import Group

    after = [_text(f"No score: {name}: {why}", "red") for name, why in board.left_out.items()]
    parts = [each for part in board.boards for each in _board(part, board.boards[0])]
    if len(set(board.sources.values())) > 1:
        after += [_text(f"Run {name}: measured by the source {source}") for name, source in board.sources.items()]
    return Group(*parts, *after, _text(f"{INTERVALS} ±: the longer arm of one.", "dim"), _text(POWER, "dim"))


def _board(part: Board, largest: Board) -> Iterator[RenderableType]:
    yield _text(counted(part.images, "image"), "bold")
    for told in (which(part, largest) if part is not largest else "", alike(part)):
        if told:
            yield _text(told, "dim")
    yield _scores(part)
    yield _text(f"{differences_to(part)} {FOUND}", "dim")
    for entry in part.entries:
        if entry.unlike:
            yield _text(f"* {entry.key}, not of methods alone: {'; '.join(entry.unlike)}", "dim")
    if not part.judged:
        return
    yield _text(f"The papers' relations, in points of VOC07 mAP: {counts(part.judged)}")
    yield _relations(part.judged)
    reasons = dict.fromkeys(f"{one.left} − {one.right}: {'; '.join(one.unlike)}" for one in part.judged if one.unlike)
    yield from (_text(f"Not comparable, {reason}", "dim") for reason in reasons)


def _scores(part: Board) -> Table:
    table = _grid(("method", "mAP VOC07 (%)", "difference", "found (%)"))
    for entry in part.entries:
        table.add_row(
            _text(entry.key),
            plus_minus(percent(entry.map[DECIDING]), _silent, interval=True),
            difference(entry, part, _silent) + ("*" if entry.unlike else ""),
            _share(entry),
        )
    return table


def _relations(judged: Sequence[Judged]) -> Table:
    table = _grid(("left − right", "expected", "measured", "verdict"))
    for one in judged:
        table.add_row(
            _text(f"{one.left} − {one.right}"),
            expected(one.expected),
            signed(one.difference[DECIDING], _silent),
            _text(one.verdict, _STYLES[one.verdict]),
        )
    return table


def _grid(header: Iterable[str]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for at, title in enumerate(header):
        table.add_column(_text(title), justify="right" if at else "left", overflow="fold")
    return table


def _share(entry: Entry) -> str:
    return "–" if entry.found is None else rounded(100 * entry.found, 1)


def _silent(_reason: str) -> str:
    return ""


def _text(words: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(one_line(words), style)
