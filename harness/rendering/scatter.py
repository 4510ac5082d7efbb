"""Accuracy against speed: a point a method, with both intervals, and its name beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.rendering.canvas import aside, blank, in_words, narrow, time_axis
from harness.rendering.palette import Look, looks
from harness.tables import Estimate, MethodRow, Summary, headline, methods, rated
from harness.wording import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

__all__ = ["speed_accuracy"]

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


def speed_accuracy(summary: Summary) -> Figure | None:
    """None where no method has both a time and an mAP."""
    shown = rated(summary)
    if not shown:
        return None
    figure = blank(4.4 if narrow() else 6.4, "Accuracy against speed", summary)
    axes = figure.subplots()
    axes.set(xlabel="time per image without proposals (log scale)", ylabel="mAP VOC07 (%)")
    axes.grid()
    times = [end for row in shown for end in _ends(row.total) if end > 0]
    margin_factor = max(2.5, (max(times) / min(times)) ** 0.22)  # room for a label at either end
    axes.set_xlim(min(times) / margin_factor, max(times) * margin_factor)
    ends = [end for row in shown for end in _ends(row.map)]
    margin = max(3.0, 25 * (max(ends) - min(ends)))
    axes.set_ylim(max(-3.0, 100 * min(ends) - margin), min(103.0, 100 * max(ends) + margin))
    time_axis(axes, "x")
    least = axes.get_xlim()[0]
    _points(axes, [replace(row, total=_on_a_log_axis(row.total, least)) for row in shown], looks(methods(summary)))
    methods_shown = {row.method for row in shown}
    absent = [
        f"{row.method}: {row.map.reason or row.total.reason}"
        for row in headline(summary)
        if row.method not in methods_shown
    ]
    if absent:
        aside(figure, f"not shown: {'; '.join(absent)}")
    return figure


def _ends(estimate: Estimate) -> list[float]:
    """The value and the ends of its interval, as far as they are known."""
    return [end for end in (estimate.value, estimate.low, estimate.high) if end is not None]


def _on_a_log_axis(estimate: Estimate, least: float) -> Estimate:
    """An interval that reaches 0, as one of schema 1 may, has an arm to the edge of the axis and not beyond."""
    return estimate if estimate.low is None or estimate.low > 0 else replace(estimate, low=least)


def _points(axes: Axes, rows: Sequence[MethodRow], seen: Mapping[str, Look]) -> None:
    for row in rows:
        look = seen[row.method]
        time, accuracy = row.total, row.map.shifted(2)
        axes.errorbar(
            [time.value or 0],
            [accuracy.value or 0],
            xerr=_arms(time),
            yerr=_arms(accuracy),
            fmt=look.mark,
            color=look.colour,
            markersize=8 if narrow() else 11,
            capsize=4,
            zorder=3,
        )
    figure = axes.figure
    figure.canvas.draw()  # places of labels are known only once the layout is
    taken = [box for row in rows for box in _point_boxes(axes, row)]
    for row in rows:
        taken.append(_label(axes, row, taken))


def _arms(estimate: Estimate) -> list[list[float]] | None:
    """Lengths of an interval's two arms, as matplotlib wants them."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    return [[max(estimate.value - estimate.low, 0)], [max(estimate.high - estimate.value, 0)]]


def _label(axes: Axes, row: MethodRow, taken: Sequence[Bbox]) -> Bbox:
    """Write the name of a method beside its point, in the first place that is free."""
    text: Annotation | None = None
    for x, y, side, vertical in _PLACES:
        if text is not None:
            text.remove()
        text = axes.annotate(
            f"{one_line(row.method)}  {in_words(row.total)}",
            (_end(row.total, x if y == 0 else 0), 100 * _end(row.map, y if x == 0 else 0)),
            xytext=(x, y),
            textcoords="offset points",
            ha=side,
            va=vertical,
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
