"""What a training image offers: its boxes, each with the object that it overlaps most.

Ground-truth boxes stand among the proposals, as in the window files of R-CNN and the roidb of Fast R-CNN [RCNN App. B,
FRCN 2.3]. Objects marked `difficult` are kept: none of the released training codes leaves them out (RCNN
roidb_from_voc.m, FRCN pascal_voc.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from detectors.contract import Example
from detectors.parts.boxes import iou

__all__ = ["Regions"]


@dataclass(frozen=True, slots=True)
class Regions:
    """R = G + P boxes of one image, ground truth first."""

    boxes: torch.Tensor
    """float32 (R, 4) px."""
    n_truth: int
    """G."""
    best_iou: torch.Tensor
    """float32 (R,): IoU with the object that the box overlaps most; 0 where the image has none."""
    best_label: torch.Tensor
    """int64 (R,): that object's class, 1..K; 0 where the image has none."""
    best_box: torch.Tensor
    """float32 (R, 4) px: that object's box; the box itself where the image has none."""
    class_iou: torch.Tensor
    """float32 (R, K): largest IoU with an object of each class; 0 where there is none."""

    @classmethod
    def of(cls, example: Example, n_classes: int) -> Regions:
        """Match the boxes of an image with its objects; the first object wins a tie, an object matches itself."""
        boxes = torch.cat([example.boxes, example.proposals])
        class_iou = torch.zeros(len(boxes), n_classes)
        if len(example.boxes) == 0:
            zeros = torch.zeros(len(boxes))
            return cls(boxes, 0, zeros, zeros.long(), boxes.clone(), class_iou)
        overlap = iou(boxes, example.boxes)
        best_iou, best = overlap.max(dim=1)
        # An object is its own match, even where another has the same box.
        best[: len(example.boxes)] = torch.arange(len(example.boxes))
        class_iou.scatter_reduce_(1, (example.labels - 1).expand(len(boxes), -1), overlap, "amax")
        return cls(boxes, len(example.boxes), best_iou, example.labels[best], example.boxes[best], class_iou)
