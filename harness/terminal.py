"""A run on one screen of 80 columns: the headline table, the papers' own numbers, how far to trust it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from harness.claims import Claim
from harness.rendering import caption, verdicts
from harness.rendering.cells import headline_cells, plus_minus, status
from harness.rendering.published import published_beside
from harness.rendering.roofline import in_a_line
from harness.tables import MethodRow, Summary, headline
from harness.wording import one_line

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

__all__ = ["terminal"]

_COLUMNS = ("method", "mAP07\n%", "conv\ns/image", "fc\ns/image", "total\ns/image", "speed-up\nconv", "speed-up\ntotal")

_NOTES_NAMED = 4


def terminal(summary: Summary, claims: Iterable[Claim] = ()) -> RenderableType:
    """What `compare` and `report` print."""
    from rich.console import Group
    from rich.text import Text

    plan, own = caption.plan(summary), headline(summary)
    parts: list[RenderableType] = [
        Text(f"{plan.get('dataset', '?')}, {caption.backbone(summary)}, {_device(summary)}", "bold"),
        _table(_COLUMNS, [[row.method, *_numbers(row)] for row in own]),
    ]
    if any(row.speedup_total.low is not None for row in own):
        parts.append(Text(f"±: the longer arm of the 95 % interval {caption.intervals(summary)}.", "dim"))
        parts.append(Text("Total excludes proposals.", "dim"))
    share = in_a_line(summary)
    parts += [Text(one_line(share), "dim")] if share else []
    reasons = [row.map.reason for row in own if row.status == "ok" and row.map.value is None and row.map.reason]
    parts += [Text(f"mAP: {one_line(reason)}.", "dim") for reason in dict.fromkeys(reasons)]
    parts += [Text(f"{row.method}: {one_line(status(row))}", "red") for row in own if row.status != "ok"]
    papers = [[row.method, *_numbers(row), _source(row)] for row in published_beside(claims, summary)]
    if papers:
        parts += [Text("\nWhat the papers print, on their data and GPUs", "bold")]
        parts += [_table((*(name.replace("\ns/image", "\ns") for name in _COLUMNS), "source"), papers, style="dim")]
    parts += [Text(line, "dim") for line in _claims(summary)]
    return Group(*parts, *_trust(summary))


def _claims(summary: Summary) -> list[str]:
    """How many published numbers have each verdict, where any can be compared."""
    judged = summary.get("claims") or ()
    comparable = any(one["verdict"] != "not comparable" for one in judged)
    return [f"published numbers: {verdicts.counts(judged)}; see the report"] if comparable else []


def _trust(summary: Summary) -> list[Text]:
    """The verdict, a line for each reason against it, and how much else was noted."""
    from rich.text import Text

    verdict, doubts = caption.verdict(summary)
    notes = [str(each["name"]) for each in caption.findings(summary) if each["verdict"] == "note"]
    lines = [f"trust: {verdict}", *(f"- {doubt}" for doubt in doubts)]
    more = f" and {len(notes) - _NOTES_NAMED} more" if len(notes) > _NOTES_NAMED else ""
    lines += [f"noted, see the report: {', '.join(notes[:_NOTES_NAMED])}{more}"] if notes else []
    return [Text(one_line(line), "green" if verdict == "ok" else "yellow") for line in lines]


def _device(summary: Summary) -> str:
    return caption.device(summary) + caption.precision(summary)


def _numbers(row: MethodRow) -> list[str]:
    return headline_cells(row, lambda _reason: "", plus_minus)


def _source(row: MethodRow) -> str:
    return f"{(row.source or '').partition(' (')[0]}, {row.backbone}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], style: str = "") -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), style=style, row_styles=[style]
    )
    for column in header:
        table.add_column(column, justify="left" if column in ("method", "source") else "right", vertical="bottom")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
