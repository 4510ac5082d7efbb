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
    """R = G + P boxes of one image, ground truth first.

    Only what matching costs is kept, 28 bytes a box: 280 MB for the 5,011 images of VOC 2007 trainval with 2,000 boxes
    each. The rest follows from it when asked for.
    """

    boxes: torch.Tensor
    """float32 (R, 4) px."""
    best_iou: torch.Tensor
    """float32 (R,): IoU with the object that the box overlaps most; 0 where the image has none."""
    best: torch.Tensor
    """int64 (R,): that object's place among the G; -1 where the image has none."""
    labels: torch.Tensor
    """int64 (G,): classes of the objects, 1..K."""
    n_classes: int
    """K."""

    @classmethod
    def of(cls, example: Example, n_classes: int) -> Regions:
        """Match the boxes of an image with its objects; the first object wins a tie, an object matches itself."""
        boxes = torch.cat([example.boxes, example.proposals])
        if len(example.boxes) == 0:
            nothing = torch.full((len(boxes),), -1)
            return cls(boxes, torch.zeros(len(boxes)), nothing, example.labels, n_classes)
        best_iou, best = iou(boxes, example.boxes).max(dim=1)
        # An object is its own match, even where another has the same box.
        best[: len(example.boxes)] = torch.arange(len(example.boxes))
        return cls(boxes, best_iou, best, example.labels, n_classes)

    @property
    def n_truth(self) -> int:
        """G."""
        return len(self.labels)

    @property
    def best_label(self) -> torch.Tensor:
        """int64 (R,): class of the object that the box overlaps most, 1..K; 0 where the image has none."""
        return self.labels[self.best] if self.n_truth else torch.zeros_like(self.best)

    @property
    def best_box(self) -> torch.Tensor:
        """float32 (R, 4) px: box of the object that the box overlaps most; the box itself where the image has none."""
        return self.boxes[self.best] if self.n_truth else self.boxes

    @property
    def class_iou(self) -> torch.Tensor:
        """float32 (R, K): largest IoU with an object of each class; 0 where there is none."""
        found = torch.zeros(len(self.boxes), self.n_classes)
        if self.n_truth:
            overlap = iou(self.boxes, self.boxes[: self.n_truth])
            found.scatter_reduce_(1, (self.labels - 1).expand(len(self.boxes), -1), overlap, "amax")
        return found
