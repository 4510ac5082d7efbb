"""How well boxes cover other boxes: intersection over union (IoU), and the best that the first so many boxes reach.

Letters: A and B boxes, N numbers of boxes to begin with. Boxes are half-open, so that the devkit's IoU with its +1 is
plain IoU here. NumPy only, since the reporting path reads this, too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["best_iou", "iou"]

Boxes = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

_PAIRS_AT_ONCE = 2**20
"""Keeps the arrays of a comparison of thousands of boxes with thousands within tens of megabytes."""


def iou(a: Boxes, b: Boxes) -> Floats:
    """IoU of each of (A, 4) boxes with each of (B, 4) px: (A, B), 0 where both are empty."""
    first, second = a[:, None].astype(np.float64), b[None].astype(np.float64)
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    intersection = np.maximum(sides, 0).prod(axis=2)
    areas = (first[..., 2:] - first[..., :2]).prod(axis=2) + (second[..., 2:] - second[..., :2]).prod(axis=2)
    union = areas - intersection
    return np.asarray(np.divide(intersection, union, out=np.zeros_like(union), where=union > 0))


def best_iou(boxes: Boxes, among: Boxes, firsts: Sequence[int | None] = (None,)) -> Floats:
    """For each of (A, 4) boxes the best IoU with the first so many of (B, 4): (N, A), 0 where there are none.

    `firsts` are the numbers N; None is all of them, and so is a number beyond B.
    """
    best = np.zeros((len(firsts), len(boxes)))
    if not len(among):
        return best
    step = max(1, _PAIRS_AT_ONCE // len(among))
    for begin in range(0, len(boxes), step):
        overlaps = iou(boxes[begin : begin + step], among)
        for row, first in enumerate(firsts):
            best[row, begin : begin + step] = overlaps[:, :first].max(axis=1, initial=0)
    return best
