"""How the time of one image is spread over the images: for each time, the share of images that take no longer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.quantities.observations import Floats
from harness.rendering.canvas import blank, in_words, legend, narrow, time_axis
from harness.rendering.growth import percentiles
from harness.rendering.palette import looks
from harness.tables import Summary, methods

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["latency"]

_MOST_STEPS = 500


def latency(summary: Summary) -> Figure | None:
    """None for a summary without the times of single images. The median that a label says is the summary's own."""
    seconds = (summary.get("series") or {}).get("total_seconds") or {}
    if not seconds:
        return None
    figure = blank(4.6 if narrow() else 6.0, "How the time of one image is spread over the images", summary)
    axes = figure.subplots()
    every = looks(methods(summary))
    medians = next((row.cells for row in percentiles(summary) if row.name == "p50"), ())
    known = dict(zip(every, medians, strict=False))
    labels = []
    for method, values in seconds.items():
        look = every[method]
        axes.step(*_steps(values), where="post", color=look.colour, linestyle=look.stroke, linewidth=2.2)
        middle = float(np.median(values))
        axes.plot([middle], [0.5], look.mark, color=look.colour, markersize=8, zorder=3)
        median = known.get(method)
        labels.append(method if median is None or median.value is None else f"{method}, median {in_words(median)}")
    axes.set(ylim=(0, 1.02), xlabel="time per image without proposals (log scale)", ylabel="share of images (%)")
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
    axes.margins(x=0.05)
    axes.grid()
    time_axis(axes, "x")
    legend(figure, {method: every[method] for method in seconds}, labels)
    return figure


def _steps(seconds: Sequence[float]) -> tuple[Floats, Floats]:
    """Times in rising order, and the share of images that take no longer; of very many as many as can be seen."""
    ordered, n = np.sort(np.asarray(seconds, dtype=np.float64)), len(seconds)
    chosen = np.unique(np.linspace(0, n - 1, min(n, _MOST_STEPS)).round().astype(np.int64))
    return np.append(ordered[0], ordered[chosen]), np.append(0.0, (chosen + 1) / n)
