"""The run as time went on: each time where it was measured, so that a drift or a disturbance is seen at a glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.rendering.canvas import blank, legend, narrow, time_axis
from harness.rendering.palette import GRID, MUTED, Look, looks
from harness.tables import Summary, methods

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["progression"]

_BLOCKS_SHOWN = 200
"""In a process; the ticks of more would touch."""
_EDGE = 0.02
"""Beside the first and the last dot, as a share of what lies between."""
_FEW, _MANY = 100, 1000
"""Measurements of a method: few are drawn larger, many as pixels, which are then smaller than so many marks."""


def progression(summary: Summary) -> Figure | None:
    """None for a summary without the times of single measurements. Processes stand one after the other."""
    known = (summary.get("series") or {}).get("progression") or {}
    if not any(of["total_seconds"] for of in known.get("processes") or ()):
        return None
    figure = blank(4.6 if narrow() else 6.0, "Each time as it was measured", summary)
    axes = figure.subplots()
    every = looks(methods(summary))
    begin, several = 0.0, len(known["processes"]) > 1
    for place, of in enumerate(known["processes"]):
        end = begin + (of["elapsed_seconds"][-1] if of["elapsed_seconds"] else 0.0)
        if several:
            _process(axes, begin, end, f"process {of['process']}", shaded=place % 2 == 1)
        _blocks(axes, begin, of)
        for number, method in enumerate(known["methods"]):
            _method(axes, begin, of, number, every[method])
        begin = end
    axes.set(xlabel="seconds spent in measured calls", ylabel="time of the call (log scale)")
    axes.set_xlim(-_EDGE * begin, (1 + _EDGE) * begin)  # a dot at either end is whole
    axes.grid(axis="y")
    axes.margins(y=0.1)
    time_axis(axes, "y")
    note = f"dots: calls, one of {known['every']}" if known["every"] > 1 else "dots: calls"
    if any(_in_blocks(of) for of in known["processes"]):
        note += "; lines: means of blocks of images; ticks below: a block begins"
    legend(figure, {method: every[method] for method in known["methods"]}, note=note)
    return figure


def _process(axes: Axes, begin: float, end: float, name: str, *, shaded: bool) -> None:
    if shaded:
        axes.axvspan(begin, end, color=GRID, alpha=0.5, linewidth=0, zorder=0)
    axes.annotate(
        name, ((begin + end) / 2, 1), xycoords=("data", "axes fraction"), ha="center", va="bottom", color=MUTED
    )


def _in_blocks(of: Mapping[str, Any]) -> bool:
    """Whether the methods took turns block by block; not in runs of schema 1."""
    return bool(of["block"]) and None not in of["block"]


def _blocks(axes: Axes, begin: float, of: Mapping[str, Any]) -> None:
    """A tick where the methods go on to other images."""
    pairs = zip(of["block"], of["elapsed_seconds"], strict=True)
    starts = [begin + next(at for _, at in group) for _, group in groupby(pairs, lambda pair: pair[0])]
    if _in_blocks(of) and len(starts) <= _BLOCKS_SHOWN:
        axes.vlines(starts, 0, 0.025, transform=axes.get_xaxis_transform(), colors=MUTED, linewidth=0.8)


def _method(axes: Axes, begin: float, of: Mapping[str, Sequence[Any]], number: int, look: Look) -> None:
    """Dots of one method in one process, and the mean of each of its blocks, whenever it came to them."""
    chosen = np.array(of["method"]) == number
    x, y = begin + np.array(of["elapsed_seconds"])[chosen], np.array(of["total_seconds"])[chosen]
    many = len(x) > _MANY
    size = 3.5 if len(x) > _FEW else 4.5
    axes.plot(x, y, look.mark, color=look.colour, markersize=size, alpha=0.7, mew=0, rasterized=many)
    if not _in_blocks(of):
        return
    blocks = np.array(of["block"])[chosen]
    begins = np.flatnonzero(blocks[1:] != blocks[:-1]) + 1
    turns = [turn for turn in zip(np.split(x, begins), np.split(y, begins), strict=True) if len(turn[0])]
    means = [(at.mean(), seconds.mean()) for at, seconds in turns]
    if means:
        axes.plot(*zip(*means, strict=True), color=look.colour, linestyle=look.stroke, linewidth=2, zorder=3)
