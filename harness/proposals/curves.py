"""Recall of boxes against their number, with intervals over images.

Letters: I images, G objects, N numbers of boxes, S draws. The images of the split are drawn again and again, with
replacement, as `harness.resampling` does for mean AP; the objects of an image come and go together, since they are
found by the same boxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from harness.intervals import Estimate, no_value
from harness.proposals.overlap import Boxes, Floats
from harness.proposals.recall import Covered
from harness.proposals.study import Group, Point, rounded
from harness.resampling import draw, estimate

__all__ = ["SIZES_PX", "Draws", "curve", "sized"]

SIZES_PX: Mapping[str, tuple[float, float]] = {
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, float("inf")),
}
"""Area of an object's box in square pixels, from the first number to below the second: COCO's three sizes
[cocodataset.org, detection evaluation], which COCO takes of outlines and not of boxes."""

_NO_OBJECT = "there is no object that is not difficult"

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Draws:
    """Images drawn with replacement, the same draws for all that is estimated on a split."""

    def __init__(self, n_images: int, *, seed: int, draws: int = 1000) -> None:
        """The same seed gives the same draws."""
        self._n_images = n_images
        self._counts = draw(n_images, draws, np.random.default_rng(seed)).astype(np.float64)

    def mean(self, image: Ints, values: Floats | Bools) -> list[Estimate]:
        """Mean over objects of each row of (N, G) values; `image` (G,) is that of each object."""
        if not len(image):
            return [no_value(_NO_OBJECT)] * len(values)
        drawn = self._drawn_mean(image, values)
        n_informed = len(np.unique(image))
        return [estimate(float(row.mean()), each, n_informed) for row, each in zip(values, drawn, strict=True)]

    def mean_over_classes(self, image: Ints, label: Ints, values: Floats) -> list[Estimate]:
        """Mean over the classes that there are of each one's mean over its objects; `label` (G,) is the class."""
        if not len(image):
            return [no_value(_NO_OBJECT)] * len(values)
        classes = [label == one for one in np.unique(label)]
        drawn = np.stack([self._drawn_mean(image[own], values[:, own]) for own in classes])
        there = np.isfinite(drawn)
        # A class that a draw has no object of is left out of that draw's mean.
        total, count = np.where(there, drawn, 0).sum(axis=0), there.sum(axis=0)
        means = total / np.where(count > 0, count, np.nan)
        found = np.mean([values[:, own].mean(axis=1) for own in classes], axis=0)
        n_informed = len(np.unique(image))
        return [estimate(float(value), each, n_informed) for value, each in zip(found, means, strict=True)]

    def _drawn_mean(self, image: Ints, values: Floats | Bools) -> Floats:
        """Mean over objects in each draw, (N, S); not a number where a draw has none."""
        sums = np.stack([np.bincount(image, row, self._n_images) for row in values.astype(np.float64)])
        n_objects = np.bincount(image, minlength=self._n_images) @ self._counts
        return np.asarray(sums @ self._counts / np.where(n_objects > 0, n_objects, np.nan))


def sized(area_px: Floats) -> dict[str, Bools]:
    """Which objects are of each of `SIZES_PX`, (G,)."""
    return {name: (area_px >= low) & (area_px < high) for name, (low, high) in SIZES_PX.items()}


def curve(
    covered: Covered,
    boxes: Sequence[Boxes],
    firsts: Sequence[int | None],
    draws: Draws,
    *,
    chosen: Bools | None = None,
) -> Group:
    """Recall of objects for each number of boxes, of all of them or of those `chosen` (G,).

    `boxes` and `firsts` are what `covered` was made of.

    Average recall is twice the integral of recall over IoU from 0.5 to 1, in closed form: the mean over objects of
    ``2 max(IoU - 0.5, 0)`` [Hosang et al. 2015]. The best overlap of all objects is MABO, the mean over
    classes of each one's mean [Uijlings et al. 2013]; of chosen ones, of whose classes some have next to
    none, it is the mean over the objects.
    """
    own = slice(None) if chosen is None else chosen
    image, label, overlap = covered.image[own], covered.label[own], covered.overlap[:, own]
    at_50, at_70 = draws.mean(image, overlap >= 0.5), draws.mean(image, overlap >= 0.7)
    average = draws.mean(image, 2 * np.maximum(overlap - 0.5, 0))
    best = draws.mean_over_classes(image, label, overlap) if chosen is None else draws.mean(image, overlap)
    points = [
        Point(
            first="all" if first is None else first,
            boxes=round(float(np.mean([len(each[:first]) for each in boxes])), 1),
            recall_50=rounded(at_50[row]),
            recall_70=rounded(at_70[row]),
            average_recall=rounded(average[row]),
            best_overlap=rounded(best[row]),
        )
        for row, first in enumerate(firsts)
    ]
    return Group(objects=len(image), images=len(np.unique(image)), points=points)
