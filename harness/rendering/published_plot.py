"""What the papers print beside what this run measured: ratios and percentages, each with the verdict on it.

Seconds are left out, as they say more of the hardware than of the method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.rendering.canvas import blank, narrow, shortened
from harness.rendering.palette import INK, MUTED, VERDICTS
from harness.rendering.span import span
from harness.tables import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PublishedRow", "published_plot", "published_rows"]

_QUANTITIES = {
    "speedup_conv": "conv time",
    "speedup_total": "time",
    "pixel_ratio_conv": "pixels convolved",
    "map": "mAP",
    "share": "share of the time",
}
_UNITS = {"x": "how many times less (log scale)", "%": "per cent"}
_MOST_ROWS = 12
"""Of a unit; a reader takes in no more at once, and the report has them all."""


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One published number and its measured one, both in the claim's unit."""

    label: str
    source: str
    unit: str
    printed: float
    value: float
    low: float | None
    high: float | None
    verdict: str


def published_rows(summary: Summary) -> list[PublishedRow]:
    """What can be compared and has a measured number; and of ratios that cannot, the nearest one of each kind."""
    known = [
        claim
        for claim in summary.get("claims") or ()
        if claim["quantity"] in _QUANTITIES and (claim.get("measured") or {}).get("value") is not None
    ]
    rows = [_row(claim) for claim in known if claim["verdict"] != "not comparable"]
    nearest: dict[str, Mapping[str, Any]] = {}
    for claim in known:
        if claim["verdict"] == "not comparable" and claim["unit"] == "x":
            kind = _subject(claim)
            if kind not in nearest or _differences(claim) < _differences(nearest[kind]):
                nearest[kind] = claim
    return [*rows, *map(_row, nearest.values())]


def _differences(claim: Mapping[str, Any]) -> int:
    """How many things keep a claim from being compared."""
    return len(str(claim.get("reason")).split("; "))


def _subject(claim: Mapping[str, Any]) -> str:
    """Such as ``fast:svd over rcnn: time``."""
    name = claim["method"] + (f":{claim['variant']}" if claim.get("variant") else "")
    over = f" over {claim['relative_to'].partition('@')[0]}" if claim.get("relative_to") else ""
    part = f" of {claim['part']}" if claim.get("part") else ""
    stages = (claim.get("measured_as") or {}).get("stages") or ()
    covers = f" ({span(stages)})" if claim["quantity"] == "speedup_total" and stages else ""
    return f"{name}{over}: {_QUANTITIES[claim['quantity']]}{part}{covers}"


def _row(claim: Mapping[str, Any]) -> PublishedRow:
    measured, network = claim["measured"], f", {claim['backbone']}" if claim.get("backbone") else ""
    return PublishedRow(
        _subject(claim),
        f"{claim['source']} {claim['locator']}{network}",
        claim["unit"],
        float(claim["printed"]),
        float(measured["value"]),
        measured.get("low"),
        measured.get("high"),
        claim["verdict"],
    )


def published_plot(summary: Summary) -> Figure | None:
    """A panel a unit, a row a number; None where nothing published has a measured one beside it."""
    every = published_rows(summary)
    panels = {unit: [row for row in every if row.unit == unit] for unit in _UNITS}
    shown = {unit: rows[:_MOST_ROWS] for unit, rows in panels.items() if rows}
    if not shown:
        return None
    counts = [len(rows) + 0.8 for rows in shown.values()]
    figure = blank((1.0 if narrow() else 1.6) + 0.58 * sum(counts), "Published and measured", summary)
    parts = figure.subplots(len(shown), 1, squeeze=False, height_ratios=counts)[:, 0]
    for axes, (unit, rows) in zip(parts, shown.items(), strict=True):
        _panel(axes, rows, unit)
    _legend(figure, [row.verdict for rows in shown.values() for row in rows])
    more = len(every) - sum(map(len, shown.values()))
    if more:
        parts[-1].set_xlabel(f"{parts[-1].get_xlabel()}\n{more} more stand in the table of claims")
    return figure


def _panel(axes: Axes, rows: Sequence[PublishedRow], unit: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ends = [end for row in rows for end in (row.printed, row.value, row.low, row.high) if end is not None]
    if unit == "x":
        positive = [end for end in ends if end > 0]
        axes.set_xscale("log")
        axes.set_xlim(min([each / 1.3 for each in positive] + [1.0]), max([*positive, 1.0]) * 1.3)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(positive) < 300 * min(positive) else (1,)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _position: f"{ratio:g}×"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.axvline(1, color=MUTED, linewidth=1)
    else:
        axes.set_xlim(0, max(100.0, *ends))
    axes.set(xlabel=_UNITS[unit], ylim=(len(rows) - 0.2, -0.75))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    for at, row in enumerate(rows):
        _numbers(axes, at, row)


def _numbers(axes: Axes, at: int, row: PublishedRow) -> None:
    """A row: its name above, a line between the two numbers, and the verdict by colour and mark."""
    colour, mark = VERDICTS[row.verdict]
    least = axes.get_xlim()[0]
    axes.plot([row.printed, max(row.value, least)], [at, at], color=colour, linewidth=0.9, alpha=0.6, zorder=2)
    if row.low is not None and row.high is not None:
        axes.plot([max(row.low, least), row.high], [at, at], color=colour, linewidth=3.2, zorder=3)
    inside = "none" if row.verdict == "not comparable" else colour
    axes.plot([row.value], [at], mark, markersize=8, color=colour, markerfacecolor=inside, zorder=4)
    axes.plot([row.printed], [at], "|", markersize=15, markeredgewidth=3, color=INK, zorder=4)
    text = shortened(f"{row.label} · {row.source}", 60 if narrow() else 110)
    axes.annotate(
        text,
        (0, at - 0.24),
        xycoords=axes.get_yaxis_transform(),
        xytext=(6, 0),
        textcoords="offset points",
        va="bottom",
        fontsize=10 if narrow() else 12,
        in_layout=False,
    )


def _legend(figure: Figure, verdicts: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    marks = [Line2D([], [], color=INK, marker="|", linestyle="none", markersize=13, markeredgewidth=3)]
    names = ["published"]
    for verdict, (colour, mark) in VERDICTS.items():
        if verdict in verdicts:
            inside = "none" if verdict == "not comparable" else colour
            marks.append(Line2D([], [], color=colour, marker=mark, markerfacecolor=inside, markersize=8))
            names.append(f"measured: {verdict}")
    columns = 2 if narrow() else len(names)
    figure.legend(marks, names, loc="outside lower center", ncols=columns, frameon=False)
