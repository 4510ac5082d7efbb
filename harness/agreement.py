"""Whether two outputs on one image are the same, and where not, how far apart they are.

Outputs are rows in COCO results form, as run folders keep them: a list of ``image_id``, ``category_id``, ``bbox``
(``x y w h``) and ``score``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.coco import detection_table

__all__ = ["MATCH_IOU", "digest_of_arrays", "digest_of_rows", "disagreement"]

MATCH_IOU = 0.9
"""Boxes that overlap less are not the same box, moved by rounding."""

Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Output:
    boxes: npt.NDArray[np.float32]
    """(D, 4), corners."""
    scores: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rows: Rows) -> _Output:
        table = detection_table(rows, list(dict.fromkeys(row["image_id"] for row in rows)))
        return cls(table.boxes.astype(np.float32), table.scores.astype(np.float32), table.labels)

    def labelled(self, label: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Boxes and scores of one label, by falling score."""
        own = np.flatnonzero(self.labels == label)
        own = own[np.argsort(-self.scores[own], kind="stable")]
        return self.boxes[own].astype(np.float64), self.scores[own].astype(np.float64)


def digest_of_arrays(*arrays: npt.NDArray[Any]) -> str:
    """sha256 over the bytes of boxes, scores and labels, 16 hex digits."""
    digest = hashlib.sha256()
    for values in arrays:
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:16]


def _digest(output: _Output) -> str:
    return digest_of_arrays(output.boxes, output.scores, output.labels)


def digest_of_rows(rows: Rows) -> str:
    """The digest that `harness.output.digest_of` gives for the detections that became these rows of one image.

    Rows keep float32 exactly, corners included, so the file alone proves which output it holds.
    """
    return _digest(_Output.of(rows))


def disagreement(first_rows: Rows, rows: Rows) -> dict[str, float] | None:
    """How far an output is from the first one on the same image; None where both are equal to the bit, order included.

    Within a label, detections of the first output choose by falling score: each takes the box of the other output that
    overlaps it most, by an IoU of 0.9 at least, and that nobody took.

    Returns:
        ``unmatched``, detections of either without a partner; ``largest_box_px`` and ``largest_score``, how far a
        corner and a score of partners differ at most.
    """
    first, other = _Output.of(first_rows), _Output.of(rows)
    if _digest(first) == _digest(other):
        return None
    matched, box_px, score = 0, 0.0, 0.0
    for label in np.intersect1d(first.labels, other.labels):
        (boxes, scores), (others, other_scores) = first.labelled(label), other.labelled(label)
        pairs = _pairs(boxes, others)
        matched += len(pairs)
        if len(pairs):
            box_px = max(box_px, float(np.abs(boxes[pairs[:, 0]] - others[pairs[:, 1]]).max()))
            score = max(score, float(np.abs(scores[pairs[:, 0]] - other_scores[pairs[:, 1]]).max()))
    unmatched = len(first.labels) + len(other.labels) - 2 * matched
    return {"unmatched": float(unmatched), "largest_box_px": box_px, "largest_score": score}


def _pairs(boxes: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Rows (first, other) of the partners of one label, both sorted by falling score."""
    free = np.ones(len(others), dtype=np.bool_)
    # An IoU of 0.9 leaves a left edge little room, so only few boxes need be looked at.
    by_left = np.argsort(others[:, 0], kind="stable")
    lefts = others[by_left, 0]
    room = (boxes[:, 2] - boxes[:, 0]) * (1 / MATCH_IOU - 1) + 1e-6
    low, high = np.searchsorted(lefts, boxes[:, 0] - room), np.searchsorted(lefts, boxes[:, 0] + room, "right")
    pairs = []
    for place, box in enumerate(boxes):
        near = by_left[low[place] : high[place]]
        near = np.sort(near[free[near]])
        if not len(near):
            continue
        overlaps = _iou(box, others[near])
        best = int(np.argmax(overlaps))
        if overlaps[best] >= MATCH_IOU:
            pairs.append((place, near[best]))
            free[near[best]] = False
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _iou(box: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(D,); 1 for equal boxes, those without an area included."""
    width = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
    height = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    shared = width.clip(0) * height.clip(0)
    areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    union = (box[2] - box[0]) * (box[3] - box[1]) + areas - shared
    overlap: npt.NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    overlap[(others == box).all(axis=1)] = 1.0
    return overlap
