"""Where the time of one image goes: a bar a method, stacked by stage, as a time and as shares of the total."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from harness.rendering.canvas import blank, in_words, narrow, shortened
from harness.rendering.palette import LIGHT_TEXT, MUTED, STAGES
from harness.tables import Estimate, MethodRow, Row, Summary, headline, methods, stages
from harness.wording import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["stage_bars"]

_LABELLED_SHARE = 0.07
"""A segment that is narrower than this share of its bar is too small to hold its label."""


def stage_bars(summary: Summary) -> Figure:
    """Both panels, the failure of a method in place of its bar."""
    rows = [row for row in stages(summary) if row.name in STAGES and any(cell.value for cell in row.cells)]
    totals = [row.total for row in headline(summary)]
    count = max(len(totals), 1)
    if narrow():
        figure = blank(2.2 + 0.9 * count, "Where the time of one image goes", summary)
        absolute, share = figure.subplots(2, 1)
    else:
        figure = blank(2.4 + 0.75 * count, "Where the time of one image goes", summary)
        absolute, share = figure.subplots(1, 2, sharey=True)
    longest = max((total.value or 0 for total in totals), default=0) or 1
    scale, unit = (1, "s") if longest >= 1 else (1e3, "ms")
    _bars(absolute, rows, lambda row: row.cells, scale=scale)
    _bars(share, rows, lambda row: row.shares, scale=100, labelled=True)
    longest *= scale
    for index, row in enumerate(headline(summary)):
        if row.total.value is not None:
            place = (scale * row.total.value + 0.015 * longest, index)
            absolute.text(*place, in_words(row.total, unit), va="center", weight="bold")
        else:
            absolute.text(0.015 * longest, index, _failure(row), va="center", style="italic", color=MUTED)
    absolute.set(xlim=(0, 1.22 * longest), xlabel=f"time per image, without proposals ({unit})")
    share.set(xlim=(0, 100), xlabel="share of the total (%)")
    for axes in (absolute, share):
        axes.set_yticks(range(len(totals)), [one_line(name) for name in methods(summary)])
        axes.set_ylim(count - 0.5, -0.5)
    if not narrow():
        share.tick_params(axis="y", length=0, labelleft=False)
    handles, labels = share.get_legend_handles_labels()
    if handles:
        columns = min(len(labels), 4) if narrow() else len(labels)
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, handlelength=1.1)
    return figure


def _bars(
    axes: Axes,
    rows: Sequence[Row],
    pick: Callable[[Row], Sequence[Estimate]],
    *,
    scale: float,
    labelled: bool = False,
) -> None:
    """Stack the stages, one bar a method, times `scale`; `labelled` bars carry their number where it fits."""
    starts = [0.0] * max((len(row.cells) for row in rows), default=0)
    for row in rows:
        widths = [scale * max(cell.value or 0, 0) for cell in pick(row)]
        axes.barh(
            range(len(widths)),
            widths,
            left=starts,
            height=0.62,
            label=row.name,
            color=STAGES[row.name],
            edgecolor="white",
            linewidth=0.6 if labelled else 0,  # a line round it would hide the bar of a fast method
            hatch="///" if row.name == "unattributed" else None,
        )
        for index, width in enumerate(widths):
            if labelled and width >= scale * _LABELLED_SHARE:
                # Letters on a colour stay as they are whatever a page does to its ink.
                colour = "#ffffff" if row.name in LIGHT_TEXT else "#000000"
                place = (starts[index] + width / 2, index)
                axes.text(*place, f"{width:.0f}", ha="center", va="center", color=colour, fontsize="medium")
        starts = [start + width for start, width in zip(starts, widths, strict=True)]


def _failure(row: MethodRow) -> str:
    return shortened(row.total.reason or row.status, 40)
