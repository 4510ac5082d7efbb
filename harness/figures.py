"""A run in pictures: SVG and PNG files, byte for byte reproducible, and the same figures for the inside of a web page.

A file names the version of matplotlib that drew it, and never when. What a figure shows is told by the module of
`harness.rendering` that draws it; one that a run has no numbers for is not drawn.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness.rendering.alternatives import described
from harness.rendering.canvas import STYLE, WEB_STYLE
from harness.rendering.class_ap import class_ap
from harness.rendering.compact import png_with_palette, share_pictures
from harness.rendering.cost import cost
from harness.rendering.ecdf import latency
from harness.rendering.pictures import pictures
from harness.rendering.progression import progression
from harness.rendering.published_plot import published_plot
from harness.rendering.scatter import speed_accuracy
from harness.rendering.stacked import stage_bars
from harness.rendering.vector import as_svg
from harness.rendering.waterfall import waterfall_figure
from harness.runs import RunFolder
from harness.tables import Summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw", "svgs"]

_DPI = 150


def draw(summary: Summary, folder: Path, run: RunFolder | None = None) -> list[Path]:
    """Write every figure that there are numbers for as .svg and .png into `folder`, which is made where it is missing.

    One that stands there from before and has no numbers now is removed. `run` is where the detections are, without
    which there are no pictures of them.
    """
    from matplotlib import style

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with style.context(STYLE, after_reset=True):  # whatever the user's own matplotlibrc says
        for name, figure in _figures(summary, run):
            for path, file in ((folder / f"{name}.svg", _svg), (folder / f"{name}.png", _png)):
                if figure is None:
                    path.unlink(missing_ok=True)
                    continue
                path.write_bytes(file(figure))
                paths.append(path)
    return paths


def _svg(figure: Figure) -> bytes:
    file = io.StringIO()
    figure.savefig(file, format="svg", dpi=_DPI, metadata={"Date": None})
    return share_pictures(file.getvalue()).encode()


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=_DPI)
    return png_with_palette(file.getvalue()) if any(axes.images for axes in figure.axes) else file.getvalue()


def svgs(summary: Summary, run: RunFolder | None = None) -> dict[str, str]:
    """Every figure that there are numbers for as an ``<svg>`` element for the inside of one web page, by its name.

    Drawn for the width of a phone. Ink is ``#1a1a1a``, ``#595959`` and ``#e0e0e0`` in style attributes and nothing else
    is, so that a page can put its own in their place; the background is transparent.
    """
    from matplotlib import style

    with style.context(WEB_STYLE, after_reset=True):
        return {
            name: as_svg(figure, f"figure-{name.replace('_', '-')}", *described(name, summary))
            for name, figure in _figures(summary, run)
            if figure is not None
        }


def _figures(summary: Summary, run: RunFolder | None) -> Iterator[tuple[str, Figure | None]]:
    yield "stages", stage_bars(summary)
    yield "speed_accuracy", speed_accuracy(summary)
    yield "latency", latency(summary)
    yield "cost", cost(summary)
    yield "progression", progression(summary)
    yield "published", published_plot(summary)
    yield "waterfall", waterfall_figure(summary)
    yield "class_ap", class_ap(summary)
    yield "pictures", pictures(summary, run)
