"""How many objects the proposals find at all: a ceiling on what any detector can reach that scores them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harness.datasets import Truth

__all__ = ["recall"]

Boxes = npt.NDArray[np.float32]


def _best_iou(truths: Boxes, proposals: Boxes) -> npt.NDArray[np.float64]:
    """For each of (G, 4) objects the IoU of the best of (P, 4) proposals: (G,), 0 where there is none."""
    if not len(proposals):
        return np.zeros(len(truths))
    a, b = truths[:, None].astype(np.float64), proposals[None].astype(np.float64)
    sides = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0)
    intersection = sides.prod(axis=2)
    union = (a[..., 2:] - a[..., :2]).prod(axis=2) + (b[..., 2:] - b[..., :2]).prod(axis=2) - intersection
    quotient = np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
    return np.asarray(quotient.max(axis=1))


def recall(boxes: Sequence[Boxes], truths: Sequence[Truth], iou: float) -> float | None:
    """The fraction of objects, difficult ones left out, that some proposal of their image covers with at least `iou`.

    None where there is no object to find.
    """
    found = count = 0
    for proposals, truth in zip(boxes, truths, strict=True):
        best = _best_iou(truth.boxes[~truth.difficult], proposals)
        found += int((best >= iou).sum())
        count += len(best)
    return found / count if count else None
