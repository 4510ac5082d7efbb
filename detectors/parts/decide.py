"""From scored boxes to detections: threshold, best of each class, non-maximum suppression, best of the image.

One order for all methods (`detectors.contract.Policy`), so that none is paid for a looser one. All sizes are known
beforehand, so that a device is waited for only inside NMS itself and for the one copy to the host: what does not pass
is marked, not removed. Letters: P boxes, K classes, M candidates of a class, D detections.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torchvision import ops

from detectors.contract import Detections, Policy

__all__ = ["decide"]

_RANK_BITS = 32
_NOTHING = -(2**63)
"""Key of what is no candidate, below that of every score."""


def decide(boxes: torch.Tensor, scores: torch.Tensor, policy: Policy) -> Detections:
    """Turn scores (P, K) of boxes (P, 4), or of one box per class (P, K, 4), into detections on the CPU.

    Scores that are not finite are never detected. Of equal scores the box that comes first wins, then the lower class.
    """
    scores = scores.float()
    keys = _best(_keys(scores, policy), policy.per_class_before)
    if keys.numel() == 0:
        return Detections.none()
    place = _place(keys, scores)
    kept = _suppress(_corners(boxes, place, scores).double(), keys, policy.iou)
    if policy.per_class_after is not None:
        kept &= kept.cumsum(1) <= policy.per_class_after
    keys = keys.masked_fill(~kept, _NOTHING).flatten()[None]
    keys = _best(keys, policy.per_image)[0]
    place = _place(keys, scores)
    score = scores.flatten()[place].masked_fill(keys == _NOTHING, -math.inf)
    label = place % scores.shape[1] + 1
    found = torch.cat([_corners(boxes, place, scores), score[:, None], label[:, None].float()], dim=1).cpu()
    found = found[: int((found[:, 4] > -math.inf).sum())]
    return Detections(found[:, :4].contiguous(), found[:, 4].contiguous(), found[:, 5].long())


def _keys(scores: torch.Tensor, policy: Policy) -> torch.Tensor:
    """One whole number for each score that may be detected, int64 (K, P): a larger one is taken first.

    The score stands in the upper half, its bits turned so that whole numbers order them as the floats are ordered; in
    the lower half stands the place in `scores`, counted from the end. No two are equal, so that any way of sorting
    gives the same order, and the best hundred can be had without sorting all.
    """
    by_class = (scores + 0.0).T.contiguous()  # -0 becomes 0, which it equals
    lowest = -math.inf if policy.min_score is None else policy.min_score
    passed = (by_class > lowest).logical_and_(by_class < math.inf)  # a NaN is neither
    bits = by_class.view(torch.int32)
    rising = (bits >> 31).bitwise_and_(0x7FFFFFFF).bitwise_xor_(bits)
    from_end = torch.arange(scores.numel() - 1, -1, -1, device=scores.device).view(scores.shape).T
    # In place, which is one launch; `where` with a plain number is two, since torch fills a tensor with it first.
    return rising.long().bitwise_left_shift_(_RANK_BITS).add_(from_end).masked_fill_(~passed, _NOTHING)


def _place(keys: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """Where in the flattened `scores` each key comes from; for `_NOTHING` somewhere."""
    place: torch.Tensor = scores.numel() - 1 - (keys & (2**_RANK_BITS - 1))
    return place


def _best(keys: torch.Tensor, limit: int | None) -> torch.Tensor:
    """The `limit` greatest keys of each row, falling. On a CPU, where counting waits for nothing, without the columns
    that hold no candidate at all.
    """
    count = keys.shape[1] if limit is None else min(limit, keys.shape[1])
    if keys.numel() and keys.device.type == "cpu":
        count = min(count, int((keys != _NOTHING).sum(1).max()))
    return keys.topk(count, dim=1).values


def _corners(boxes: torch.Tensor, place: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """The boxes that belong to these places, float32 (..., 4)."""
    if boxes.ndim == 2:
        return boxes[place // scores.shape[1]].float()
    return boxes.reshape(-1, 4)[place].float()


def _suppress(corners: torch.Tensor, keys: torch.Tensor, iou: float) -> torch.Tensor:
    """Which candidates (K, M) overlap no better kept one of their class by more than `iou`, bool (K, M).

    In float64, because a float32 box loses bits when `_all_at_once` moves it. The threshold is the next float32,
    because that is what torchvision keeps of it on CUDA.
    """
    threshold = np.float32(iou)
    if float(threshold) < iou:
        threshold = np.nextafter(threshold, np.float32(np.inf))
    suppress = _class_by_class if corners.device.type == "cpu" else _all_at_once
    return suppress(corners, keys, float(threshold))


def _class_by_class(corners: torch.Tensor, keys: torch.Tensor, threshold: float) -> torch.Tensor:
    """One NMS a class: a CPU compares every pair that it is given, and so not those of two classes."""
    kept = keys != _NOTHING
    falling = torch.arange(keys.shape[1], 0, -1, dtype=corners.dtype)
    for k, count in enumerate(kept.sum(1).tolist()):
        if count > 1:
            kept[k].zero_().index_fill_(0, ops.nms(corners[k, :count], falling[:count], threshold), True)
    return kept


def _all_at_once(corners: torch.Tensor, keys: torch.Tensor, threshold: float) -> torch.Tensor:
    """One NMS for all classes: each is moved to a place of its own, where it cannot meet another.

    The move is exact for coordinates of a pixel's 2^-20 part or coarser. What is no candidate goes to one place, where
    the first of it suppresses the rest, which spares comparing them.
    """
    n_classes, count = keys.shape
    nothing = keys == _NOTHING
    corners = corners.masked_fill(nothing[:, :, None], 0)
    seen = corners.nan_to_num(0, 0, 0)
    low = seen.amin().floor()
    extent = seen.amax().ceil() - low + 1
    home = torch.arange(n_classes, dtype=corners.dtype, device=corners.device)[:, None, None] * extent
    apart = torch.where(nothing[:, :, None], low + n_classes * extent, corners + home)
    apart[:, :, 2:].add_(nothing[:, :, None])  # a box of one pixel, where there was none
    falling = torch.arange(count, 0, -1, dtype=corners.dtype, device=corners.device).expand(n_classes, -1)
    falling = falling.masked_fill(nothing, 0)
    kept = torch.zeros_like(nothing).flatten()
    kept.index_fill_(0, ops.nms(apart.view(-1, 4), falling.flatten(), threshold), True)
    return kept.view_as(nothing).masked_fill_(nothing, False)
