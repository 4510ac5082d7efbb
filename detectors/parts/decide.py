"""From scored boxes to detections: threshold, best of each class, non-maximum suppression, best of the image.

One order for all methods (`detectors.contract.Policy`), so that none is paid for a looser one. Letters: P boxes, K
classes, D candidates.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torchvision import ops

from detectors.contract import Detections, Policy

__all__ = ["decide"]


def decide(boxes: torch.Tensor, scores: torch.Tensor, policy: Policy) -> Detections:
    """Turn scores (P, K) of boxes (P, 4), or of one box per class (P, K, 4), into detections on the CPU.

    Scores that are not finite are never detected. Of equal scores the box that comes first wins, then the lower class.
    """
    scores = scores.float()
    box, label = _candidates(scores, policy).nonzero(as_tuple=True)
    score = scores[box, label]
    # Candidates lie box by box and class by class, and a stable sort leaves ties so.
    score, order = score.sort(descending=True, stable=True)
    box, label = box[order], label[order]
    corners = (boxes[box] if boxes.ndim == 2 else boxes[box, label]).float()
    kept = _suppress(corners, score, label, policy.iou)
    if policy.per_class_after is not None:
        kept = kept[_rank_in_class(label[kept], scores.shape[1]) < policy.per_class_after]
    kept = kept[: policy.per_image]
    return Detections(corners[kept].cpu(), score[kept].cpu(), label[kept].cpu() + 1)


def _candidates(scores: torch.Tensor, policy: Policy) -> torch.Tensor:
    """Which scores go into the suppression, bool (P, K)."""
    passed = scores.isfinite()
    if policy.min_score is not None:
        passed &= scores > policy.min_score
    if policy.per_class_before is None or policy.per_class_before >= len(scores):
        return passed
    order = scores.masked_fill(~passed, -math.inf).argsort(dim=0, descending=True, stable=True)
    best = torch.zeros_like(passed).scatter_(0, order[: policy.per_class_before], True)
    return passed & best


def _suppress(corners: torch.Tensor, score: torch.Tensor, label: torch.Tensor, iou: float) -> torch.Tensor:
    """Indices of the boxes that overlap no better kept box of their class by more than `iou`, in falling order.

    All classes in one call: each is moved to a place of its own, where it cannot meet another. In float64, because a
    float32 box loses bits by such a move and its IoU changes; there the move is exact for coordinates of a pixel's
    2^-20 part or coarser. The threshold is the next float32, because that is what torchvision keeps of it on CUDA.
    """
    if len(corners) == 0:
        return label
    corners = corners.double()
    extent = corners.max().ceil() - corners.min().floor() + 1
    threshold = np.float32(iou)
    if float(threshold) < iou:
        threshold = np.nextafter(threshold, np.float32(np.inf))
    kept: torch.Tensor = ops.nms(corners + (label * extent)[:, None], score.double(), float(threshold))
    return kept


def _rank_in_class(label: torch.Tensor, n_classes: int) -> torch.Tensor:
    """How many of the same class stand before each element, int64 (D,)."""
    return torch.nn.functional.one_hot(label, n_classes).cumsum(0).gather(1, label[:, None])[:, 0] - 1
