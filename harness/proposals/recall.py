"""How many objects the proposals find at all: a ceiling on what any detector can reach that scores them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.datasets import Truth
from harness.proposals.overlap import Boxes, Floats, best_iou

__all__ = ["FIRSTS", "Covered", "cover", "reaching", "recall"]

FIRSTS = (50, 100, 200, 500, 1000, 1500, 2000)
"""Numbers of boxes an image, the first ones of each, for which recall is told; all of them come after these."""


@dataclass(frozen=True, slots=True)
class Covered:
    """The objects of a split, difficult ones left out, with how well the first so many boxes cover each.

    G is the number of objects, N that of the numbers of boxes.
    """

    image: npt.NDArray[np.int64]
    """(G,), place of each object's image in the split."""
    label: npt.NDArray[np.int64]
    """(G,), 1..K."""
    area_px: Floats
    """(G,), of the object's box."""
    overlap: Floats
    """(N, G), the best IoU among the first so many boxes of the object's image."""


def cover(boxes: Sequence[Boxes], truths: Sequence[Truth], firsts: Sequence[int | None]) -> Covered:
    """Set the boxes of each image against its objects; `firsts` as in `harness.proposals.overlap.best_iou`."""
    images, labels, areas, overlaps = [], [], [], [np.zeros((len(firsts), 0))]
    for index, (proposals, truth) in enumerate(zip(boxes, truths, strict=True)):
        wanted = truth.boxes[~truth.difficult]
        images.append(np.full(len(wanted), index))
        labels.append(truth.labels[~truth.difficult])
        areas.append((wanted[:, 2:] - wanted[:, :2]).astype(np.float64).prod(axis=1))
        overlaps.append(best_iou(wanted, proposals, firsts))
    empty = np.zeros(0)
    return Covered(
        np.concatenate([empty, *images]).astype(np.int64),
        np.concatenate([empty, *labels]).astype(np.int64),
        np.concatenate([empty, *areas]),
        np.concatenate(overlaps, axis=1),
    )


def reaching(boxes: Sequence[Boxes]) -> list[int | None]:
    """Those of `FIRSTS` that leave out a box of some image, and None for all boxes."""
    most = max((len(each) for each in boxes), default=0)
    return [*(first for first in FIRSTS if first < most), None]


def recall(boxes: Sequence[Boxes], truths: Sequence[Truth], iou: float) -> float | None:
    """The fraction of objects, difficult ones left out, that some proposal of their image covers with at least `iou`.

    None where there is no object to find.
    """
    best = cover(boxes, truths, (None,)).overlap[0]
    return float(np.mean(best >= iou)) if len(best) else None
