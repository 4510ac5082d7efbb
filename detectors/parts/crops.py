"""R-CNN's crop: a box with some context around it, warped to a square whatever its shape.

The arithmetic is that of the released code (rcnn_im_crop.m), [RCNN App. A], where a box has 1-based inclusive corners
and every size is rounded to whole pixels; it is computed in float64 for all boxes at once.
Letters: N boxes, C channels, S side of the crop in px.
"""

from __future__ import annotations

import torch
from torch.nn import functional

__all__ = ["warp"]


def _round(values: torch.Tensor) -> torch.Tensor:
    """Round half away from zero, as MATLAB and C do; `torch.round` goes to the even number."""
    return torch.trunc(values + torch.sign(values) / 2)


def _axis(
    low: torch.Tensor, high: torch.Tensor, length_px: int, size_px: int, context_px: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the S crop pixels of each box look along one axis of the image.

    Args:
        low: float64 (N,), half-open start of the boxes.
        high: float64 (N,), half-open end.
        length_px: extent of the image.
        size_px: S.
        context_px: context on either side, in pixels of the crop.

    Returns:
        0-based source coordinates (N, S), inside the image, and whether there is any image there, bool (N, S).
    """
    half = (high - low) / 2
    centre = low + 1 + half
    scale = size_px / (size_px - 2 * context_px)
    # The released growth puts the last inclusive pixel at centre + half, one further than the box ends, and is skipped
    # where there is no context.
    first = _round(centre - half * scale)
    last = _round(centre + half * scale) - int(context_px == 0)
    unclipped = (last - first + 1).clamp(min=1)
    missing = (1 - first).clamp(min=0)
    first, last = first.clamp(min=1), last.clamp(max=length_px)
    clipped = last - first + 1
    per_px = size_px / unclipped
    pad = _round(missing * per_px)
    filled = torch.minimum(_round(clipped * per_px), size_px - pad)

    place = torch.arange(size_px, dtype=low.dtype, device=low.device) - pad[:, None]
    inside = (place >= 0) & (place < filled[:, None])
    # Bilinear without antialiasing, pixel centres aligned. Pixels beyond the crop are never mixed in: its edge repeats.
    ratio = clipped / filled.clamp(min=1)
    source = (place + 0.5) * ratio[:, None] - 0.5
    source = torch.minimum(source.clamp(min=0), (clipped[:, None] - 1).clamp(min=0)) + first[:, None] - 1
    return source.clamp(0, length_px - 1), inside


def _normalised(source: torch.Tensor, length_px: int) -> torch.Tensor:
    """Pixel coordinates as `grid_sample` with ``align_corners=True`` wants them: -1 and 1 are the outermost centres."""
    return source * (2 / max(length_px - 1, 1)) - 1


def warp(image: torch.Tensor, boxes: torch.Tensor, *, size_px: int, context_px: int) -> torch.Tensor:
    """Cut `boxes` out of an image with context and stretch each to `size_px` x `size_px` [RCNN App. A].

    The box fills the crop but for `context_px` on each side, which show what lies around it. Context beyond the image
    is 0, which is the image mean, so the mean must have been subtracted. A box that lies outside is all 0.

    Args:
        image: float (C, H, W), mean subtracted.
        boxes: float (N, 4) px, half-open. All are sampled in one call: N x C x S x S values; split a long list.
        size_px: S, 227 in the paper.
        context_px: p, 16 in the paper, less than S / 2.

    Returns:
        (N, C, S, S) like `image`. Within 1e-4 of the image's range of a crop resized by itself.

    Raises:
        ValueError: the context leaves no room for the box.
    """
    if not 0 <= 2 * context_px < size_px:
        raise ValueError(f"context of a crop: expected 0 <= 2 * context_px < size_px = {size_px}, got {context_px}")
    channels, height, width = image.shape
    corners = boxes.double()
    x, inside_x = _axis(corners[:, 0], corners[:, 2], width, size_px, context_px)
    y, inside_y = _axis(corners[:, 1], corners[:, 3], height, size_px, context_px)
    columns = _normalised(x, width).to(image.dtype)[:, None, :].expand(-1, size_px, -1)
    rows = _normalised(y, height).to(image.dtype)[:, :, None].expand(-1, -1, size_px)
    grid = torch.stack([columns, rows], dim=3)
    # One image seen N times without a copy: the CPU kernel shares its work out over the first axis.
    seen = image.expand(len(boxes), channels, height, width)
    crops = functional.grid_sample(seen, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return crops.mul_((inside_y[:, :, None] & inside_x[:, None, :])[:, None])
