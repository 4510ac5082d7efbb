"""The model of `harness.side_by_side`, a column a run, as Markdown and on a terminal of 80 columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.rendering.cells import Notes, Style, escaped, in_brackets, plus_minus, rounded, table
from harness.tables import Estimate, estimate, why_not

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

__all__ = ["RATIOS", "Model", "markdown", "terminal"]

Model = Mapping[str, Any]
"""As `harness.side_by_side.compare_runs` gives it."""

RATIOS = ("conv", "features", "total")

_WIDE_COLUMNS, _MOST_COLUMNS = 2, 4
"""Of 80 columns of text: so many runs fit with both ends of their intervals, and so many with half the width."""

_DIGEST_HEX, _DIGEST_SHOWN, _TEXT_SHOWN = 32, 12, 200
_ALIKE = "These runs are alike"
_UNLIKE = "These runs are not alike: no number is made from more than one of them"
_VERDICTS = {True: "overlap", False: "apart", None: "–"}


@dataclass(frozen=True, slots=True)
class _Row:
    """One quantity of one method."""

    method: str
    quantity: str
    cells: tuple[Estimate, ...]
    """One a run."""
    unit: str = ""
    speedup: Mapping[str, Any] | None = None
    """What is known of the runs together; None where that is nothing."""


def _rows(model: Model, ratios: Sequence[str]) -> list[_Row]:
    """In the order of the runs and of their methods."""
    rows = []
    for method in dict.fromkeys(name for run in model["runs"] for name in run["methods"]):
        absent = {"status": "skipped", "reason": "not planned in this run"}
        results = [run["methods"].get(method) or absent for run in model["runs"]]
        rows.append(_Row(method, "mAP07, %", tuple(_map(result) for result in results)))
        totals = [estimate(result, "total", why_not(result, "no time was measured")) for result in results]
        rows.append(_Row(method, "total, s/image", tuple(totals)))
        known = model["speedups"].get(method, {})
        for ratio in ratios if known else ():
            found = [estimate({ratio: one}, ratio, "no ratio was computed") for one in known[ratio]["runs"]]
            rows.append(_Row(method, f"speed-up {ratio}", tuple(found), "×", known[ratio]))
    return rows


def _map(result: Mapping[str, Any]) -> Estimate:
    found = estimate(result, "map", why_not(result, "no mAP was computed")).shifted(2)
    return replace(found, missing="untrained") if result.get("trained") is False else found


def _shown(value: object) -> str:
    """A value of a manifest in a few words: digests by their first digits."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(str, value))[:_TEXT_SHOWN]
    text = value if isinstance(value, str) else json.dumps(value)
    is_digest = len(text) >= _DIGEST_HEX and not set(text) - set("0123456789abcdef")
    return text[: _DIGEST_SHOWN if is_digest else _TEXT_SHOWN]


def _told(model: Model, values: Sequence[object]) -> str:
    """What each run says, runs that say the same together: ``A, C fp32 · B bf16``."""
    by_text: dict[str, list[str]] = {}
    for run, value in zip(model["runs"], values, strict=True):
        by_text.setdefault(_shown(value), []).append(run["run"])
    return " · ".join(f"{', '.join(labels)}: {text}" for text, labels in by_text.items())


def _likeness(model: Model) -> str:
    if not model["comparable"]:
        return _UNLIKE
    unknown = model["not_recorded"]
    return _ALIKE + (f", as far as is known: none of them recorded its {', '.join(unknown)}" if unknown else "")


def _intervals(model: Model, where: str) -> str:
    return f"{where} the 95 % interval ({_told(model, [run['interval'] or 'not stated' for run in model['runs']])})."


def _origin(run: Mapping[str, Any]) -> str:
    """Such as ``2026-11-21, CPU (Some CPU, 2 threads), trust: ok``."""
    status = [] if run["status"] == "complete" else [str(run["status"])]
    # The names of what was found; how much of each is told by the run's own report.
    trust, doubts = run["trust"], ", ".join(run["trust"]["names"]) or "; ".join(run["trust"]["reasons"])
    words = ", ".join([str(run["created"])[:10], run["device"], *status, f"trust: {trust['verdict']}"])
    return f"{words} ({doubts})" if doubts else words


def markdown(model: Model) -> str:
    """A page with a table of the runs, one of what differs, and one with a column for each run."""
    notes = Notes()
    runs = [(run["run"], escaped(run["path"]), escaped(_origin(run))) for run in model["runs"]]
    parts = [
        "# Runs side by side",
        table(("run", "folder", "measured"), runs, words=(0, 1, 2)),
        *(_doubts(run) for run in model["runs"] if run["trust"]["names"]),
        f"**{escaped(_likeness(model))}.**",
        *_differing(model, "What hinders a comparison", hinders=True),
        *_differing(model, "What differs besides", hinders=False),
        *_numbers(model, notes),
        *notes.lines(),
    ]
    return _printable("\n\n".join(parts)) + "\n"


def _doubts(run: Mapping[str, Any]) -> str:
    return f"Why {run['run']} is not to be trusted: {escaped('; '.join(run['trust']['reasons']))}."


def _differing(model: Model, heading: str, *, hinders: bool) -> list[str]:
    header = ("", "field", *(run["run"] for run in model["runs"]))
    rows = [
        [escaped(cell) for cell in (one["group"], one["field"], *map(_shown, one["values"]))]
        for one in model["differences"]
        if one["hinders"] is hinders
    ]
    return [f"## {heading}", table(header, rows, words=range(len(header)))] if rows else []


def _numbers(model: Model, notes: Notes) -> list[str]:
    header = ["method", "", *(run["run"] for run in model["runs"])]
    header += ["intervals"] if model["comparable"] else []
    pooled = [one["pooled"] for by_ratio in model["speedups"].values() for one in by_ratio.values() if one["pooled"]]
    header += ["over runs"] if pooled else []
    rows = []
    for row in _rows(model, RATIOS):
        cells = [in_brackets(cell, notes, row.unit, interval=True) for cell in row.cells]
        cells += [_VERDICTS[row.speedup["overlap"]] if row.speedup else ""] if model["comparable"] else []
        cells += [_over_runs(row)] if pooled else []
        rows.append([escaped(row.method), row.quantity, *cells])
    labels = dict.fromkeys(one["interval"] for one in pooled)
    return [
        "## Numbers of each run",
        table(header, rows, words=(0, 1)),
        escaped(_intervals(model, "In brackets:")),
        *(f"Last column: geometric mean and 95 % interval {escaped(label)}." for label in labels),
    ]


def _over_runs(row: _Row) -> str:
    """The number over runs, nothing where there is none."""
    if not row.speedup or not row.speedup["pooled"]:
        return ""
    return in_brackets(estimate(row.speedup, "pooled", ""), lambda _: "", row.unit, interval=True)


def terminal(model: Model) -> RenderableType:
    """The same on a screen; what differs without hindering is named alone."""
    from rich.console import Group

    alike, rows, few = model["comparable"], _rows(model, RATIOS[::2]), len(model["runs"]) <= _WIDE_COLUMNS
    hindering = [one for one in model["differences"] if one["hinders"]]
    besides = [f"{one['group']} {one['field']}" for one in model["differences"] if not one["hinders"]]
    return Group(
        _grid((run["run"], f"{' '.join(run['path'].split())}\n{_origin(run)}") for run in model["runs"]),
        _text(_likeness(model) + ("" if alike else ". They differ in:"), "bold green" if alike else "bold yellow"),
        *([_grid((one["group"], one["field"], _told(model, one["values"])) for one in hindering)] if hindering else []),
        *([_text(f"Besides, which hinders nothing: {', '.join(besides)}", "dim")] if besides else []),
        *_tables(model, rows, in_brackets if few else plus_minus, _WIDE_COLUMNS if few else _MOST_COLUMNS),
        _text(_intervals(model, "In brackets:" if few else "±: half of"), "dim"),
        *(_text(line, "red") for line in _failures(model)),
        *(_text(line) for line in _together(rows) if alike),
    )


def _tables(model: Model, rows: Sequence[_Row], style: Style, most: int) -> Iterator[Table]:
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


def _together(rows: Iterable[_Row]) -> list[str]:
    """Of like runs: whether their intervals have a value in common, and the number over runs."""
    words = {True: "the intervals overlap", False: "the intervals lie apart", None: "a run has no interval"}
    lines = []
    for row in rows:
        if row.speedup:
            line = f"{row.method} {row.quantity}: {words[row.speedup['overlap']]}{_widest(row)}"
            over_runs = f"; {row.speedup['pooled']['interval']}: {_over_runs(row)}" if _over_runs(row) else ""
            lines.append(line + over_runs)
    return lines


def _widest(row: _Row) -> str:
    widths = [(cell.high - cell.low) / cell.value for cell in row.cells if cell.value and cell.low and cell.high]
    return f", the widest is {rounded(100 * max(widths), 1)} % of its ratio" if widths else ""


def _printable(text: str) -> str:
    """Names come from files of others: no character of theirs may move a cursor or turn a line round."""
    return "".join(char if char.isprintable() or char == "\n" else "�" for char in text)


def _text(words: str, style: str = "") -> RenderableType:
    from rich.text import Text

    return Text(_printable("\n".join(" ".join(line.split()) for line in words.split("\n"))), style)


def _grid(rows: Iterable[Sequence[str]]) -> Table:
    from rich.table import Table

    grid = Table.grid(padding=(0, 2, 0, 0))
    for row in rows:
        grid.add_row(*map(_text, row))
    return grid


def _columns(labels: Sequence[str], rows: Sequence[_Row], cells: Sequence[Sequence[str]]) -> Table:
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
