"""From a window of the feature map to a vector of one length: spatial pyramid pooling and RoI pooling.

Both cut a window of w x h cells into n x n bins, ``[floor(i w / n), ceil((i + 1) w / n))``, and take the maximum of
each [SPP App. A, FRCN 2.1]. They differ in how a box becomes a window: SPP-net trims it inwards, Fast R-CNN rounds.

Which edges are inclusive, stated once: a box in px is half-open everywhere; both published mappings take inclusive
pixel corners, so its last pixel ``x2 - 1`` is mapped; a window in cells, ``l t r b``, is inclusive on all sides.
Letters: N boxes, C channels, H W cells of the map, B images.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, reduce
from typing import Literal

import numpy as np
import torch
from torch.nn import functional
from torchvision import ops

__all__ = ["MapRule", "map_windows", "roi_pool", "spatial_pyramid_pool"]


MapRule = Literal["v4", "v2", "code"]
"""How SPP-net maps a box to cells: by the appendix of its last version, of its second one, or by the released code."""

_TAKEN_OFF_PX: dict[str, tuple[float, float]] = {"v4": (0.0, 0.0), "v2": (1.5, 0.5)}
"""What is taken off left and top corners, and off right and bottom ones, before they are divided.

v2 prints floor((x - 139/2 + 63) / 16) + 1 and ceil((x + 139/2 - 75) / 16) - 1 for pixels and cells counted from 1, 139
px being the receptive field of a ZF-5 whose first cell is centred on pixel 21. Counted in cells from 0 these are
floor((x - 21 - 1.5) / 16) + 1 and ceil((x - 21 - 0.5) / 16) - 1 [SPP v2 App. A.1].
"""

_CODE_OFFSET_PX = 6.5
"""`offset` of the released configuration, for the stride of 16 px and for Overfeat's of 12 alike (subsample_images.m).
It moves both corners outwards by half a stride less 6.5 px: 1.5 px at 16, and inwards by 2.5 px at 8."""


def map_windows(
    boxes: torch.Tensor,
    *,
    stride: int,
    offset_px: float,
    height: int | torch.Tensor,
    width: int | torch.Tensor,
    rule: MapRule = "v4",
) -> torch.Tensor:
    """The cells whose centres lie well inside each box [SPP App. A]: int64 (N, 4), inclusive l t r b, on the map.

    Left and top are ``floor(x / S) + 1``, right and bottom ``ceil(x / S) - 1``, x being the inclusive pixel corner less
    the centre of cell 0. Where that leaves nothing (l > r), both become the cell half-way, rounded down
    (spm_response_boxes.m). Windows beyond the map are then moved to its edge.

    Of ZF-5 padded as in training the rules ``v2`` and ``code`` are the printed ones; elsewhere cell 0 and stride take
    the place of its 20 px (pixel 21, counted from 1) and 16 px. They share their left and top edges; right and bottom
    ones differ at 2 of 16 pixels.

    Args:
        boxes: float (N, 4) px in the image that the network saw, half-open.
        stride: S, px from one cell to the next.
        offset_px: where cell 0 is centred, px. 0 if every layer is padded by half its kernel, as the paper asks.
        height: cells of the map; int64 (N,) where boxes lie on maps of different sizes.
        width: cells of the map, likewise.
        rule: which of the three.
    """
    corners = boxes.double()
    # The last pixel of a box is `x2 - 1`.
    first, last = corners[:, :2], corners[:, 2:]
    if rule == "code":
        low = ((first - (offset_px - _CODE_OFFSET_PX)) / stride).add_(0.5).floor_()
        high = ((last - (offset_px + 1 + _CODE_OFFSET_PX)) / stride).sub_(0.5).ceil_()
    else:
        left_px, right_px = _TAKEN_OFF_PX[rule]
        low = ((first - (offset_px + left_px)) / stride).floor_().add_(1)
        high = ((last - (offset_px + 1 + right_px)) / stride).ceil_().sub_(1)
    # Between the two, but for those that are the wrong way round: there below `low` and above `high`.
    half_way = (low + high).div_(2).floor_()
    cells = torch.cat([torch.minimum(low, half_way), torch.maximum(high, half_way)], dim=1).long()
    # Bounds as numbers, not as a tensor made on the host: that would wait for the device in the middle of its work.
    for axis, size in ((0, width), (1, height)):
        if isinstance(size, int):
            cells[:, axis::2].clamp_(0, size - 1)
        else:
            cells[:, axis::2] = torch.minimum(cells[:, axis::2].clamp_(min=0), size[:, None] - 1)
    return cells


@lru_cache(maxsize=256)
def _bins_exact_in_float32(level: int, cells: int) -> bool:
    """Whether float32 finds the right bins for every window of up to `cells` cells: not so for 57 cells in 7 bins.

    torchvision multiplies the rounded quotient w / n, which can put an edge that should be a whole number beyond it;
    float64 does so too, at 29 cells.
    """
    sizes = np.arange(1, cells + 1)[:, None]
    edges = np.arange(level + 1)[None]
    found = edges.astype(np.float32) * (sizes.astype(np.float32) / np.float32(level))
    starts = np.array_equal(np.floor(found[:, :-1]), edges[:, :-1] * sizes // level)
    return starts and np.array_equal(np.ceil(found[:, 1:]), -(-edges[:, 1:] * sizes // level))


def _bins(low: torch.Tensor, high: torch.Tensor, level: int) -> tuple[torch.Tensor, torch.Tensor]:
    """First and last cell of each bin of inclusive ranges (N,), both (N, level), in integers."""
    cells = (high - low + 1)[:, None]
    edges = torch.arange(level + 1, device=low.device)
    first = torch.div(edges[:-1] * cells, level, rounding_mode="floor")
    last = -torch.div(-edges[1:] * cells, level, rounding_mode="floor") - 1
    return low[:, None] + first, low[:, None] + last


def _pool_level(features: torch.Tensor, windows: torch.Tensor, index: torch.Tensor | None, level: int) -> torch.Tensor:
    """One pyramid level of its own, (N, C, level, level), with exact bins."""
    if _bins_exact_in_float32(level, max(features.shape[2:])):
        return _pool_rectangles(features, windows, index, level)
    # A rectangle pooled to one bin involves no division, so each bin is given as a rectangle of its own.
    left, right = _bins(windows[:, 0], windows[:, 2], level)
    top, bottom = _bins(windows[:, 1], windows[:, 3], level)
    grid = (len(windows), level, level)
    corners = [left[:, None, :], top[:, :, None], right[:, None, :], bottom[:, :, None]]
    rectangles = torch.stack([corner.expand(grid) for corner in corners], dim=3).flatten(0, 2)
    each = None if index is None else index[:, None, None].expand(grid).flatten()
    return _pool_rectangles(features, rectangles, each, 1).view(*grid, features.shape[1]).permute(0, 3, 1, 2)


def _pool_rectangles(
    features: torch.Tensor, windows: torch.Tensor, index: torch.Tensor | None, level: int
) -> torch.Tensor:
    rois = features.new_zeros(len(windows), 5)
    rois[:, 1:] = windows
    if index is not None:
        rois[:, 0] = index
    pooled: torch.Tensor = ops.roi_pool(features, rois, (level, level), 1.0)
    return pooled


def _coarser(grids: torch.Tensor, by: int) -> torch.Tensor:
    """Grids (N, C, n, n) of maxima brought to n / by a side.

    On a CPU by slices and not by max_pool2d, which takes ten times as long there for windows this small; elsewhere the
    other way round, which reads the grids once and not twice.
    """
    if grids.device.type != "cpu":
        return functional.max_pool2d(grids, by)
    for dim in (3, 2):
        parts = [grids[(slice(None),) * dim + (slice(start, None, by),)] for start in range(by)]
        grids = reduce(torch.maximum, parts)
    return grids


_FEW_CELLS = 24
"""With fewer cells a window the coarse levels are read from the map: on a CPU that is then as fast or faster."""


def _reads_the_map_once(windows: torch.Tensor) -> bool:
    """Whether coarse levels are worth taking from fine ones. Elsewhere than on a CPU asking would wait for the device,
    and a pass over the map costs more there than one over the result."""
    if windows.device.type != "cpu" or len(windows) == 0:
        return True
    sides = windows[:, 2:] - windows[:, :2] + 1
    return float((sides[:, 0] * sides[:, 1]).double().mean()) >= _FEW_CELLS


def spatial_pyramid_pool(
    features: torch.Tensor,
    windows: torch.Tensor,
    levels: Sequence[int] = (6, 3, 2, 1),
    batch_index: torch.Tensor | None = None,
) -> torch.Tensor:
    """Max-pool each window to grids of several sizes and join them [SPP 2.2, 4.1]: (N, C * sum of n^2).

    A coarse bin is the union of the fine bins where its level divides a finer one, so it is the maximum over them, to
    the bit; only the other levels read the map again. The release starts its maximum at 0: the same after ReLU.

    Args:
        features: float (B, C, H, W). What is not float32 or float64 is pooled in float32 and comes back as it was.
        windows: int64 (N, 4), cells, inclusive l t r b, inside the map, l <= r, t <= b.
        levels: n of each n x n grid. The result holds the levels in this order, each channel by channel, each channel
            row by row: the grid (C, n, n) flattened.
        batch_index: int64 (N,), the map of each window; may be left out for one map.

    Raises:
        ValueError: several maps and no `batch_index`.
    """
    index = _index_of(features, batch_index)
    dtype = features.dtype
    features = features if dtype in (torch.float32, torch.float64) else features.float()
    features = features.contiguous()  # once, not once a level
    once = _reads_the_map_once(windows)
    grids: dict[int, torch.Tensor] = {}
    for level in sorted(set(levels), reverse=True):
        finer = min((done for done in grids if once and done % level == 0), default=None)
        if finer is None:
            grids[level] = _pool_level(features, windows, index, level)
        else:
            grids[level] = _coarser(grids[finer], finer // level)
    return torch.cat([grids[level].flatten(1) for level in levels], dim=1).to(dtype)


def _index_of(features: torch.Tensor, batch_index: torch.Tensor | None) -> torch.Tensor | None:
    """None for one map, where there is nothing to look up."""
    if len(features) == 1:
        return None
    if batch_index is None:
        raise ValueError(f"boxes of {len(features)} maps: expected batch_index, got None")
    return batch_index


def roi_pool(
    features: torch.Tensor,
    rois: torch.Tensor,
    *,
    size: int,
    stride: int = 16,
    offset_px: float = 0.0,
    batch_index: torch.Tensor | None = None,
) -> torch.Tensor:
    """Max-pool each box to one `size` x `size` grid, as Caffe's RoI pooling layer does [FRCN 2.1]: (N, C, size, size).

    Inclusive corners are divided by the stride and rounded, half away from zero; a window has at least one cell; a bin
    outside the map is 0. Bin edges are the float32 ones of the release: with 7 bins the last can reach one cell
    further (windows of 57, 114 or 121 cells).

    Args:
        features: float (B, C, H, W).
        rois: float (N, 4) px in the image that the network saw, half-open.
        size: 6 for CaffeNet and VGG_CNN_M, 7 for VGG16.
        stride: px from one cell to the next.
        offset_px: centre of cell 0, px, taken off first; 0 is the release.
        batch_index: int64 (N,), the image of each box; may be left out for one image.

    Raises:
        ValueError: several images and no `batch_index`.
    """
    index = _index_of(features, batch_index)
    dtype = features.dtype
    features = features if dtype in (torch.float32, torch.float64) else features.float()
    cells = rois.to(torch.float64, copy=True)
    cells[:, :2].sub_(offset_px)
    cells[:, 2:].sub_(offset_px + 1)  # the last pixel is `x2 - 1`
    cells.div_(stride)
    cells.add_(cells.sign(), alpha=0.5).trunc_()
    return _pool_rectangles(features, cells, index, size).to(dtype)
