"""How good boxes are, as a figure: what the first so many of them find, by split, by size, and beside other boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.proposals.study import Beside, Point, Study
from harness.rendering.canvas import shortened
from harness.rendering.palette import Look, looks
from harness.rendering.recall import called
from harness.wording import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["recall_figure"]

_MEASURES = {
    "recall_50": "recall at IoU 0.5",
    "best_overlap": "MABO",
    "recall_70": "recall at IoU 0.7",
    "average_recall": "average recall",
}
_PANEL_INCHES = (5.4, 5.6)
_TICKS = (50, 100, 200, 500, 1000, 2000, 5000, 10000)


def recall_figure(study: Study) -> Figure:
    """A panel for the splits, one for the sizes of the objects of the first, one for the first other boxes.

    Bands are 95 % intervals over images. To be drawn and saved within `harness.rendering.canvas.STYLE`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = max(1, (2 if study.parts else 0) + bool(study.beside))
    figure = Figure(figsize=(_PANEL_INCHES[0] * count, _PANEL_INCHES[1]), layout="constrained")
    FigureCanvasAgg(figure)
    where = ", ".join(dict.fromkeys(called(part.dataset) for part in study.parts))
    name = str(study.proposals.get("name", "?"))
    figure.suptitle(shortened(f"What boxes of {name} find{f' on {where}' if where else ''}", 110), fontsize=15)
    panels: list[Axes] = list(figure.subplots(1, count, squeeze=False, sharey=True).flat)
    if study.parts:
        _splits(panels[0], study)
        _sizes(panels[1], study)
    if study.beside:
        _others(panels[-1], study.beside[0])
    for axes in panels:
        _finish(axes)
    panels[0].set_ylabel("%")
    return figure


def _splits(axes: Axes, study: Study) -> None:
    """Every measure of each split; a split has a stroke, a measure a colour and a mark."""
    strokes = list(looks(str(index) for index in range(len(study.parts))).values())
    for index, (measure, label) in enumerate(_MEASURES.items()):
        look = list(looks(_MEASURES).values())[index]
        for part, stroke in zip(study.parts, strokes, strict=True):
            name = label if len(study.parts) == 1 else f"{label}, {part.split}"
            own = Look(look.colour, look.mark, stroke.stroke)
            _line(axes, part.every.points, measure, own, name, banded=stroke is strokes[0])
    axes.set_title("of all objects")


def _sizes(axes: Axes, study: Study) -> None:
    part = study.parts[0]
    known = {name: group for name, group in part.sizes.items() if group.objects}
    dashed = list(looks("ab").values())[1].stroke
    for (name, group), look in zip(known.items(), looks(known).values(), strict=True):
        label = f"{name}, {group.objects:,}"
        _line(axes, group.points, "recall_50", Look(look.colour, look.mark, "solid"), f"{label}: IoU 0.5", banded=True)
        _line(axes, group.points, "recall_70", Look(look.colour, look.mark, dashed), "IoU 0.7", banded=True)
    axes.set_title(f"recall by size of the object, {part.split}")


def _line(axes: Axes, points: Sequence[Point], measure: str, look: Look, label: str, *, banded: bool) -> None:
    """One measure against boxes an image, with its interval where it has one."""
    found = [(point.boxes, getattr(point, measure)) for point in points]
    known = [(at, value) for at, value in found if value.value is not None]
    x, y = [at for at, _ in known], [100 * value.value for _, value in known]
    axes.plot(x, y, look.mark, color=look.colour, linestyle=look.stroke, label=label, markersize=5, linewidth=1.8)
    whole = [(at, value) for at, value in known if value.low is not None and value.high is not None]
    if banded and whole:
        low, high = ([100 * getattr(value, end) for _, value in whole] for end in ("low", "high"))
        axes.fill_between([at for at, _ in whole], low, high, color=look.colour, alpha=0.18, linewidth=0)


def _others(axes: Axes, beside: Beside) -> None:
    """Which share of the other boxes has one of our first ones near, at which IoU."""
    x = [point.boxes for point in beside.points]
    dashed = list(looks("ab").values())[1].stroke
    levels = {"at_50": "IoU 0.5", "at_70": "IoU 0.7"}
    for (level, label), look in zip(levels.items(), looks(levels).values(), strict=True):
        near = {
            f"{label}, sides from {beside.shortest_side_px:g} px": [point.theirs_as_long for point in beside.points],
            f"{label}, all of them": [point.theirs for point in beside.points],
        }
        for (name, found), stroke in zip(near.items(), ("solid", dashed), strict=True):
            y = [100 * getattr(each, level) for each in found]
            axes.plot(x, y, look.mark, color=look.colour, linestyle=stroke, label=name, markersize=5, linewidth=1.8)
    axes.set_title(f"other boxes near to ours, {counted(beside.images, 'image')}")


def _finish(axes: Axes) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(FixedLocator([tick for tick in _TICKS if low <= tick <= high]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda boxes, _position: f"{boxes:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(ylim=(0, 101), xlabel="first boxes an image, on average (log scale)")
    axes.grid()
    axes.legend(fontsize="x-small", frameon=False, loc="best")
