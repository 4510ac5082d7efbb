"""What the time of one image grows with: a dot an image, against proposals and against pixels, and the fitted lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.rendering.canvas import blank, legend, narrow, time_axis
from harness.rendering.palette import Look, looks
from harness.tables import Summary, methods

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["cost"]

_FEWEST_IMAGES, _FEWEST_POINTS = 3, 2
"""Different values without which a panel shows nothing: of images as they are, and of what was changed on purpose."""
_PANELS = {"proposals": ("boxes", "proposals"), "megapixels": ("megapixels", "megapixels of the image")}
"""By what the lines are over: its name in the series, and on the axis."""


def cost(summary: Summary) -> Figure | None:
    """None for a summary without the times of single images, and where these are all of one size.

    Where inputs were changed on purpose, the means at those points stand in the panel of what was changed in place of
    the images as they are, as the line is fitted to them.
    """
    panels = {quantity: found for quantity in _PANELS if (found := _points(summary, quantity))}
    if not panels:
        return None
    count = len(panels)
    figure = blank(1.2 + 3.2 * count if narrow() else 6.4, "What the time of one image grows with", summary)
    parts = list(figure.subplots(*((count, 1) if narrow() else (1, count)), sharey=not narrow(), squeeze=False).flat)
    every = looks(methods(summary))
    for axes, (quantity, by_method) in zip(parts, panels.items(), strict=True):
        swept = _swept(summary) == quantity
        for method, points in by_method.items():
            _dots(axes, points, every[method], swept=swept)
            _line(axes, points, ((summary.get("lines") or {}).get(method) or {}).get(quantity) or {}, every[method])
        axes.set(xlabel=f"{_PANELS[quantity][1]}{', changed on purpose' if swept else ''}")
        axes.set_ylabel("time per image" if narrow() or axes is parts[0] else "")
        axes.locator_params(axis="x", nbins=6)
        axes.margins(x=0.05, y=0.1)
        axes.grid()
    for axes in parts if narrow() else parts[:1]:
        time_axis(axes, "y")
    flat = "a thin line: its slope cannot be told from 0" if _any_flat(summary) else None
    legend(figure, {method: every[method] for method in next(iter(panels.values()))}, note=flat)
    return figure


def _swept(summary: Summary) -> str | None:
    """What was changed on purpose."""
    field = (summary.get("sweep") or {}).get("field")
    return None if field is None else str(field)


def _points(summary: Summary, quantity: str) -> dict[str, list[tuple[float, float]]]:
    """By method, seconds at each proposal count or size; none where it is not known, or too nearly the same for all."""
    known = summary.get("series") or {}
    swept, found = _swept(summary) == quantity, {}
    for method, seconds in (known.get("total_seconds") or {}).items():
        if swept:
            found[method] = _sweep(summary, method, quantity)
        else:
            found[method] = _pairs(known["images"][_PANELS[quantity][0]], seconds)
    different = {at for points in found.values() for at, _ in points}
    return found if len(different) >= (_FEWEST_POINTS if swept else _FEWEST_IMAGES) else {}


def _pairs(at: Sequence[float | None], seconds: Sequence[float]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in zip(at, seconds, strict=True) if x is not None]


def _sweep(summary: Summary, method: str, quantity: str) -> list[tuple[float, float]]:
    found: Mapping[str, Any] = summary["sweep"]["seconds"].get(method) or {}
    points = []
    for point, node in found.items():
        at = float(point.partition("=")[2])
        if quantity == "proposals" and node.get("boxes") is not None:
            at = node["boxes"]  # fewer than were asked for, where an image has no more
        if node.get("mean") is not None:
            points.append((at, float(node["mean"])))
    return sorted(points)


def _dots(axes: Axes, points: Sequence[tuple[float, float]], look: Look, *, swept: bool) -> None:
    x, y = [at for at, _ in points], [seconds for _, seconds in points]
    size, alpha = (9, 1.0) if swept else (4, 0.7)
    # A patch of thousands of dots is smaller as pixels.
    axes.plot(x, y, look.mark, color=look.colour, markersize=size, alpha=alpha, mew=0, rasterized=len(points) > 1000)


def _line(axes: Axes, points: Sequence[tuple[float, float]], node: Mapping[str, Any], look: Look) -> None:
    """The fitted line as far as there are points, thin where its slope may be 0."""
    intercept, slope = ((node.get(key) or {}).get("value") for key in ("intercept", "slope"))
    if intercept is None or slope is None or not points:
        return
    x = np.linspace(min(at for at, _ in points), max(at for at, _ in points), 100)
    y = intercept + slope * x
    above = y > 0  # a logarithm has no place for the rest
    width = 0.9 if _flat(node) else 2.2
    axes.plot(x[above], y[above], color=look.colour, linestyle=look.stroke, linewidth=width, zorder=3)


def _flat(node: Mapping[str, Any]) -> bool:
    slope = node.get("slope") or {}
    low, high = slope.get("low"), slope.get("high")
    return low is not None and high is not None and low <= 0 <= high


def _any_flat(summary: Summary) -> bool:
    return any(_flat(node) for of in (summary.get("lines") or {}).values() for node in of.values())
