"""Box arithmetic: overlap, clipping, mirroring, and the four offsets that a box regressor predicts.

A box is float32 ``x1 y1 x2 y2`` px, half-open: its width is ``x2 - x1``. Letters: N, M boxes, K classes.
"""

from __future__ import annotations

import math

import torch

__all__ = ["LOG_RATIO_CAP", "MIN_SIDE_PX", "clip", "decode", "encode", "flip", "iou"]

LOG_RATIO_CAP = math.log(1000 / 16)
"""Largest predicted log ratio of sides, torchvision's bound: a box of 16 px grows to 1,000 px at most."""
# Differs from [RCNN App. C]: the ratio is capped, because an untrained or bad regressor would make exp overflow.

MIN_SIDE_PX = 1.0
"""A thinner box counts as this wide or high, so that neither division by a side nor its logarithm is infinite.

Differs from [RCNN App. C, FRCN 2.3]: the released codes add 1e-14 (eps) to every side, because theirs may be 0 pixels
long; a box of one pixel has a side of 1 here, and only what is no box is changed.
"""


def iou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Intersection over union of every box of `a` (N, 4) with every box of `b` (M, 4), as (N, M) in [0, 1].

    Equals the devkit's IoU of inclusive corners with its +1. Boxes without area overlap nothing: 0, not 0 / 0.
    """
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=2)
    area_a = (a[:, 2:] - a[:, :2]).clamp(min=0).prod(dim=1)
    area_b = (b[:, 2:] - b[:, :2]).clamp(min=0).prod(dim=1)
    union = (area_a[:, None] + area_b[None, :] - shared).clamp(min=torch.finfo(shared.dtype).tiny)
    # Rounding of the union alone can lift nested boxes of almost equal area above 1.
    return (shared / union).clamp(max=1)


def clip(boxes: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Cut boxes (..., 4) to an image of `height` x `width` px; what lies outside becomes a box without area."""
    inside = torch.empty(boxes.shape, dtype=boxes.dtype, device=boxes.device)
    torch.clamp(boxes[..., 0::2], 0, width, out=inside[..., 0::2])
    torch.clamp(boxes[..., 1::2], 0, height, out=inside[..., 1::2])
    return inside


def flip(boxes: torch.Tensor, width: int) -> torch.Tensor:
    """Boxes (..., 4) as they lie in the image mirrored left to right, `width` px wide."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    return torch.stack([width - x2, y1, width - x1, y2], dim=-1)


def _centre_and_size(boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    # Differs from [RCNN App. C]: the released code subtracts inclusive corners, so its sides are one pixel smaller,
    # because its boxes have no half-open form; here a side is the number of pixels.
    low, high = boxes[..., :2], boxes[..., 2:]
    return (low + high) / 2, (high - low).clamp(min=MIN_SIDE_PX)


def encode(boxes: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The deltas (N, 4) that move each of `boxes` (N, 4) onto its row of `targets` [RCNN App. C, eqs 6-9].

    ``tx = (gx - px) / pw``, ``ty = (gy - py) / ph``, ``tw = log(gw / pw)``, ``th = log(gh / ph)`` for centres x, y and
    sides w, h. Not normalised: no mean or deviation is taken off.
    """
    centre, size = _centre_and_size(boxes)
    goal_centre, goal_size = _centre_and_size(targets)
    return torch.cat([(goal_centre - centre) / size, torch.log(goal_size / size)], dim=-1)


def decode(boxes: torch.Tensor, deltas: torch.Tensor) -> torch.Tensor:
    """Move `boxes` (N, 4) by `deltas` (N, 4) or, one per class, (N, K, 4) [RCNN App. C, eqs 1-4]; shape of `deltas`.

    Undoes `encode` while no side grows by more than exp(`LOG_RATIO_CAP`), 62.5. Not clipped to any image.
    """
    if deltas.ndim == 3:
        boxes = boxes[:, None]
    centre, size = _centre_and_size(boxes)
    centre = deltas[..., :2] * size + centre
    size = deltas[..., 2:].clamp(max=LOG_RATIO_CAP).exp() * size
    moved = torch.empty(deltas.shape, dtype=size.dtype, device=size.device)
    torch.sub(centre, size, alpha=0.5, out=moved[..., :2])
    torch.add(centre, size, alpha=0.5, out=moved[..., 2:])
    return moved
