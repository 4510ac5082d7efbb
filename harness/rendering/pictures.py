"""Detections drawn on images: what each method found, what it claimed wrongly and what it missed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.coco import truth_table
from harness.datasets import Dataset, DatasetError, open_dataset
from harness.quantities.outcomes import ImageOutcome, best_and_worst, outcomes
from harness.rendering import caption
from harness.rendering.canvas import blank, narrow, shortened
from harness.rendering.palette import GRID, OUTCOMES, Stroke
from harness.runs import RunFolder
from harness.tables import Summary, mean_ap, methods

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["pictures"]

_STROKES: dict[str, Stroke] = {"true": "solid", "false": (0, (4, 1.5)), "missed": (0, (1, 1))}
_TOLD = {"true": "true", "false": "false, or found twice", "missed": "missed"}
_LONG_SIDE_PX, _COLOURS = 240, 48
"""Of what is drawn: a figure is small on the page, and is to be small in bytes."""
_ELSEWHERE = "the images are not at hand: boxes on a plain ground"

Pixels = npt.NDArray[np.uint8]


def pictures(summary: Summary, run: RunFolder | None) -> Figure | None:
    """A row a method, a column an image: those that the methods do best and worst on.

    None without a run folder, and where no method's detections mean anything. Images are read, or drawn again, from the
    data set that the plan names; where it is not there, or is another one, boxes stand on a plain ground.
    """
    named = [name for name, result in methods(summary).items() if mean_ap(result, "voc07").value is not None]
    if run is None or not named:
        return None
    truth = run.read_truth()
    by_method = {name: outcomes(run.read_detections(name), truth) for name in named}
    best, worst = best_and_worst(by_method, 1 if narrow() else 2)
    chosen = [*best, *worst]
    if not chosen:
        return None
    seen = _images(summary, truth, chosen)
    figure = blank(*_size(truth, chosen, len(named)), summary)
    grid = figure.subplots(len(named), len(chosen), squeeze=False)
    for row, name in enumerate(named):
        grid[row, 0].set_ylabel(shortened(name, 20), weight="bold")
        for column, index in enumerate(chosen):
            _picture(grid[row, column], truth, index, seen.get(index), by_method[name][index])
    for column, index in enumerate(chosen):
        kind = "best" if index in best else "worst"
        grid[0, column].set_title(f"{kind}: {shortened(truth['images'][index]['id'], 18)}", fontsize="medium")
    _legend(figure, None if len(seen) == len(chosen) else _ELSEWHERE)
    return figure


def _size(truth: Mapping[str, Any], chosen: Sequence[int], rows: int) -> tuple[float, str]:
    """Height in inches, so that the images fill their panels, and the title."""
    tallest = max(
        _height_width(truth["images"][index])[0] / _height_width(truth["images"][index])[1] for index in chosen
    )
    width = (5.2 if narrow() else 11.4) / len(chosen)
    return min(tallest, 1.6) * width * rows + (0.9 if narrow() else 1.6), "Best and worst detected images"


def _height_width(image: Mapping[str, Any]) -> tuple[int, int]:
    return int(image.get("height") or 1), int(image.get("width") or 1)


def _images(summary: Summary, truth: Mapping[str, Any], chosen: Sequence[int]) -> dict[int, Pixels]:
    """By index; none of a data set that is not there or has other images than the run had."""
    plan, about = caption.plan(summary), summary.get("dataset") or {}
    try:
        dataset = open_dataset(str(plan["dataset"]), str(plan["split"]), length=about.get("images"), training=False)
        return {index: dataset.image(index) for index in chosen if _same(dataset, truth, index)}
    except (DatasetError, KeyError):
        return {}


def _same(dataset: Dataset, truth: Mapping[str, Any], index: int) -> bool:
    """Whether an image is the run's: its name, its size and its objects."""
    image = truth["images"][index]
    if index >= len(dataset.ids) or dataset.ids[index] != image["id"]:
        return False
    boxes = truth_table(
        {**truth, "annotations": [a for a in truth["annotations"] if a["image_id"] == image["id"]]}
    ).boxes
    return dataset.image(index).shape[:2] == _height_width(image) and np.array_equal(dataset.truth(index).boxes, boxes)


def _picture(axes: Axes, truth: Mapping[str, Any], index: int, pixels: Pixels | None, outcome: ImageOutcome) -> None:
    height, width = _height_width(truth["images"][index])
    if pixels is None:
        axes.set_facecolor(GRID)
    else:
        axes.imshow(_small(pixels), extent=(0, width, height, 0), interpolation="none")
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal", anchor="N", xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
    names = [category["name"] for category in truth["categories"]]
    of_kind = {
        "missed": (outcome.missed, outcome.missed_labels),
        "true": (outcome.true, outcome.true_labels),
        "false": (outcome.false, outcome.false_labels),
    }
    for kind, (boxes, labels) in of_kind.items():
        for box, label in zip(boxes, labels, strict=True):
            _box(axes, box, kind, names[label - 1])


def _small(pixels: Pixels) -> Pixels:
    """The same with fewer pixels and colours."""
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((_LONG_SIDE_PX, _LONG_SIDE_PX), Image.Resampling.LANCZOS)
    return np.asarray(picture.quantize(_COLOURS, dither=Image.Dither.NONE).convert("RGB"))


def _box(axes: Axes, box: npt.NDArray[np.float64], kind: str, name: str) -> None:
    """One box in the colour and stroke of its kind, on a white one that parts it from the image, with its class."""
    from matplotlib.patches import Rectangle

    x1, y1, x2, y2 = map(float, box)
    thick = 1.6 if narrow() else 2.2
    for colour, stroke, width in (("#ffffff", "solid", thick + 1.8), (OUTCOMES[kind], _STROKES[kind], thick)):
        axes.add_patch(
            Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linestyle=stroke, linewidth=width)
        )
    axes.text(
        x1,
        y1,
        shortened(name, 16),
        fontsize=7 if narrow() else 9,
        color="#000000",
        va="bottom" if y1 > 12 else "top",
        clip_on=True,
        bbox={"boxstyle": "square,pad=0.1", "facecolor": "#ffffff", "edgecolor": OUTCOMES[kind], "linewidth": 0.8},
    )


def _legend(figure: Figure, note: str | None) -> None:
    from matplotlib.font_manager import FontProperties
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=OUTCOMES[kind], linestyle=stroke, linewidth=2.2) for kind, stroke in _STROKES.items()]
    placed = figure.legend(lines, list(_TOLD.values()), loc="outside lower center", ncols=3, frameon=False)
    if note:
        placed.set_title(note, prop=FontProperties(size="small"))
