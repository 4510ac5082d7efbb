"""A run in pictures: where the time goes, and accuracy against speed. SVG and PNG, byte for byte reproducible.

Colours are those of Okabe and Ito, which people with any common colour vision can tell apart. Text is drawn as
outlines, so that a figure looks the same everywhere; a file names the version of matplotlib that drew it, and never
when.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.rendering.canvas import STYLE, blank, in_words, shortened
from harness.rendering.scatter import speed_accuracy
from harness.tables import Estimate, MethodRow, Row, Summary, headline, methods, stages
from harness.wording import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

_COLOURS = {
    "prepare": "#E69F00",
    "propose": "#000000",
    "conv": "#0072B2",
    "pool": "#56B4E9",
    "fc": "#009E73",
    "decode": "#F0E442",
    "suppress": "#CC79A7",
    "unattributed": "#BBBBBB",
}
_LIGHT_TEXT = frozenset({"propose", "conv", "fc"})
"""Stages whose colour is dark enough for white letters."""

_LABELLED_SHARE = 0.07
"""A segment that is narrower than this share of its bar is too small to hold its label."""


def draw(summary: Summary, folder: Path) -> list[Path]:
    """Write `stages` and `speed_accuracy` as .svg and .png into `folder`, which is made where it is missing.

    A run without an mAP has no `speed_accuracy`; one that stands there from before is removed.
    """
    from matplotlib import style

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with style.context(STYLE, after_reset=True):  # whatever the user's own matplotlibrc says
        for name, figure in (("stages", _stages(summary)), ("speed_accuracy", speed_accuracy(summary))):
            for path, metadata in (
                (folder / f"{name}.svg", {"Date": None}),
                (folder / f"{name}.png", {}),
            ):
                if figure is None:
                    path.unlink(missing_ok=True)
                    continue
                figure.savefig(path, dpi=150, metadata=metadata)
                paths.append(path)
    return paths


def _stages(summary: Summary) -> Figure:
    rows = [row for row in stages(summary) if row.name in _COLOURS and any(cell.value for cell in row.cells)]
    totals = [row.total for row in headline(summary)]
    figure = blank(2.4 + 0.75 * max(len(totals), 1), "Where the time of one image goes", summary)
    absolute, share = figure.subplots(1, 2, sharey=True)
    _bars(absolute, rows, lambda row: row.cells)
    _bars(share, rows, lambda row: row.shares, labelled=True)
    longest = max((total.value or 0 for total in totals), default=0) or 1
    for index, row in enumerate(headline(summary)):
        if row.total.value is not None:
            absolute.text(row.total.value + 0.015 * longest, index, in_words(row.total), va="center", weight="bold")
        else:
            absolute.text(0.015 * longest, index, _failure(row), va="center", style="italic", color="0.35")
    absolute.set(xlim=(0, 1.22 * longest), xlabel="seconds per image, without proposals")
    absolute.set_yticks(range(len(totals)), [one_line(name) for name in methods(summary)])
    absolute.set_ylim(max(len(totals), 1) - 0.5, -0.5)
    share.set(xlim=(0, 100), xlabel="share of the total (%)")
    share.tick_params(axis="y", length=0)
    handles, labels = share.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, handlelength=1.1)
    return figure


def _bars(
    axes: Axes, rows: Sequence[Row], pick: Callable[[Row], Sequence[Estimate]], *, labelled: bool = False
) -> None:
    """Stack the stages, one bar a method; `labelled` bars are shares and carry their percent where it fits."""
    scale = 100 if labelled else 1
    starts = [0.0] * max((len(row.cells) for row in rows), default=0)
    for row in rows:
        widths = [scale * max(cell.value or 0, 0) for cell in pick(row)]
        axes.barh(
            range(len(widths)),
            widths,
            left=starts,
            height=0.62,
            label=row.name,
            color=_COLOURS[row.name],
            edgecolor="white",
            linewidth=0.6 if labelled else 0,  # a line round it would hide the bar of a fast method
            hatch="///" if row.name == "unattributed" else None,
        )
        for index, width in enumerate(widths):
            if labelled and width >= scale * _LABELLED_SHARE:
                colour = "white" if row.name in _LIGHT_TEXT else "black"
                place = (starts[index] + width / 2, index)
                axes.text(*place, f"{width:.0f}", ha="center", va="center", color=colour, fontsize=12)
        starts = [start + width for start, width in zip(starts, widths, strict=True)]


def _failure(row: MethodRow) -> str:
    return shortened(row.total.reason or row.status, 40)
