"""A run in pictures: where the time goes, and accuracy against speed. SVG and PNG, byte for byte reproducible.

Colours are those of Okabe and Ito, which people with any common colour vision can tell apart. Text is drawn as
outlines, so that a figure looks the same everywhere; a file names the version of matplotlib that drew it, and never
when.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import caption
from harness.tables import Estimate, MethodRow, Row, Summary, headline, methods, stages

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

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
_POINTS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "osD^vP*"
_LIGHT_TEXT = frozenset({"propose", "conv", "fc"})
"""Stages whose colour is dark enough for white letters."""

_STYLE: Any = {
    "text.parse_math": False,
    "svg.hashsalt": "rcnn-harness",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 13,
    "axes.titlesize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "hatch.linewidth": 0.8,
}
_WIDTH_INCHES = 12.0
_LABELLED_SHARE = 0.07
"""A segment that is narrower than this share of its bar is too small to hold its label."""


def draw(summary: Summary, folder: Path) -> list[Path]:
    """Write `stages` and `speed_accuracy` as .svg and .png into `folder`, which is made where it is missing."""
    from matplotlib import style

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with style.context(_STYLE, after_reset=True):  # whatever the user's own matplotlibrc says
        for name, figure in (("stages", _stages(summary)), ("speed_accuracy", _speed_accuracy(summary))):
            for path, metadata in (
                (folder / f"{name}.svg", {"Date": None}),
                (folder / f"{name}.png", {}),
            ):
                figure.savefig(path, dpi=150, metadata=metadata)
                paths.append(path)
    return paths


def _figure(height_inches: float, title: str, summary: Summary) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_INCHES, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{title}\n{_one_line(_subtitle(summary))}", fontsize=15)
    return figure


def _subtitle(summary: Summary) -> str:
    plan, machine = caption.plan(summary), summary.get("machine") or {}
    gpu = caption.on_gpu(summary)
    device = str(machine.get("gpu" if gpu else "cpu") or ("GPU" if gpu else "CPU"))
    images = (summary.get("dataset") or {}).get("images", plan.get("images"))
    count = "" if images is None else f"{images} images, "
    where = f"{'GPU' if gpu else 'CPU'}: {device}{caption.precision(summary)}"
    return f"{plan.get('dataset', '?')}, {count}backbone {plan.get('backbone', '?')}, {where}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _shortened(text: str, characters: int) -> str:
    text = _one_line(text)
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def _time(seconds: float) -> str:
    """Three digits in the unit that a reader would say."""
    return f"{seconds:#.3g} s".replace(". ", " ") if seconds >= 1 else f"{1000 * seconds:#.3g} ms".replace(". ", " ")


def _stages(summary: Summary) -> Figure:
    rows = [row for row in stages(summary) if row.name in _COLOURS and any(cell.value for cell in row.cells)]
    totals = [row.total for row in headline(summary)]
    figure = _figure(2.4 + 0.75 * max(len(totals), 1), "Where the time of one image goes", summary)
    absolute, share = figure.subplots(1, 2, sharey=True)
    _bars(absolute, rows, lambda row: row.cells)
    _bars(share, rows, lambda row: row.shares, labelled=True)
    longest = max((total.value or 0 for total in totals), default=0) or 1
    for index, row in enumerate(headline(summary)):
        if row.total.value is not None:
            absolute.text(row.total.value + 0.015 * longest, index, _time(row.total.value), va="center", weight="bold")
        else:
            absolute.text(0.015 * longest, index, _failure(row), va="center", style="italic", color="0.35")
    absolute.set(xlim=(0, 1.22 * longest), xlabel="seconds per image, without proposals")
    absolute.set_yticks(range(len(totals)), [_one_line(name) for name in methods(summary)])
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
    return _shortened(row.total.reason or row.status, 40)


def _speed_accuracy(summary: Summary) -> Figure:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure = _figure(6.4, "Accuracy against speed", summary)
    axes = figure.subplots()
    rows = headline(summary)
    shown = [row for row in rows if row.map.value is not None and row.total.value]
    axes.set(xlabel="time per image without proposals (log scale)", ylabel="mAP VOC07 (%)")
    axes.grid(color="0.88")
    if shown:
        axes.set_xscale("log")
        times = [row.total.value for row in shown if row.total.value]
        margin_factor = max(2.5, (max(times) / min(times)) ** 0.22)  # room for a label at either end
        axes.set_xlim(min(times) / margin_factor, max(times) * margin_factor)
        ends = [end for row in shown for end in (row.map.value, row.map.low, row.map.high) if end is not None]
        margin = max(3.0, 25 * (max(ends) - min(ends)))
        axes.set_ylim(max(-3.0, 100 * min(ends) - margin), min(103.0, 100 * max(ends) + margin))
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _position: _tick(seconds)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        _points(axes, shown)
    else:
        words = "untrained: there is no mAP" if caption.untrained(summary) else "no method has both a time and an mAP"
        axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center")
        axes.set(xticks=[], yticks=[])
    absent = [f"{row.method}: {row.map.reason or row.total.reason}" for row in rows if row not in shown]
    if absent:
        figure.supxlabel(f"not shown: {_shortened('; '.join(absent), 120)}", fontsize=11, color="0.35")
    return figure


def _tick(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{1000 * seconds:g} ms"


def _points(axes: Axes, rows: Sequence[MethodRow]) -> None:
    for index, row in enumerate(rows):
        # Beyond as many methods as there are colours, each colour comes with another marker than before.
        marker = _MARKERS[(index + index // len(_POINTS)) % len(_MARKERS)]
        colour = _POINTS[index % len(_POINTS)]
        time, accuracy = row.total, row.map.shifted(2)
        axes.errorbar(
            [time.value or 0],
            [accuracy.value or 0],
            xerr=_arms(time),
            yerr=_arms(accuracy),
            fmt=marker,
            color=colour,
            markersize=11,
            capsize=4,
            zorder=3,
        )
    figure = axes.figure
    figure.canvas.draw()  # places of labels are known only once the layout is
    taken = [box for row in rows for box in _point_boxes(axes, row)]
    for index, row in enumerate(rows):
        taken.append(_label(axes, row, _POINTS[index % len(_POINTS)], taken))


def _arms(estimate: Estimate) -> list[list[float]] | None:
    """Lengths of an interval's two arms, as matplotlib wants them."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    return [[max(estimate.value - estimate.low, 0)], [max(estimate.high - estimate.value, 0)]]


_PLACES = (
    (14, 0, "left", "center"),
    (-14, 0, "right", "center"),
    (0, 14, "center", "bottom"),
    (0, -14, "center", "top"),
    (14, 18, "left", "bottom"),
    (-14, 18, "right", "bottom"),
    (14, -18, "left", "top"),
    (-14, -18, "right", "top"),
    (0, 36, "center", "bottom"),
)
"""Where a label may stand: offset in typographic points from the end of the interval on that side, and alignment; best
first. Beside comes before above, where the interval of an mAP is."""


def _label(axes: Axes, row: MethodRow, colour: str, taken: Sequence[Bbox]) -> Bbox:
    """Write the name of a method beside its point, in the first place that is free."""
    text: Annotation | None = None
    for x, y, side, vertical in _PLACES:
        if text is not None:
            text.remove()
        text = axes.annotate(
            f"{_one_line(row.method)}  {_time(row.total.value or 0)}",
            (_end(row.total, x if y == 0 else 0), 100 * _end(row.map, y if x == 0 else 0)),
            xytext=(x, y),
            textcoords="offset points",
            ha=side,
            va=vertical,
            color=colour,
            weight="bold",
            in_layout=False,
            zorder=4,
        )
        box = text.get_window_extent()
        inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 and axes.bbox.y0 <= box.y0 and box.y1 <= axes.bbox.y1
        if inside and not any(box.overlaps(other) for other in taken):
            break
    return box


def _end(estimate: Estimate, side: int) -> float:
    """The end of an interval: upper for a positive `side`, lower for a negative one, the value itself for 0."""
    end = None if side == 0 else estimate.high if side > 0 else estimate.low
    return (estimate.value or 0.0) if end is None else end


def _point_boxes(axes: Axes, row: MethodRow) -> list[Bbox]:
    """What a point's two intervals cover, in pixels."""
    from matplotlib.transforms import Bbox

    marker_px = 6 * axes.figure.dpi / 72
    boxes = []
    for across, up in ((1, 0), (0, 1)):
        ends = [(_end(row.total, sign * across), 100 * _end(row.map, sign * up)) for sign in (-1, 1)]
        (x0, y0), (x1, y1) = axes.transData.transform(ends)
        boxes.append(Bbox.from_extents(x0, y0, x1, y1).padded(marker_px))
    return boxes
