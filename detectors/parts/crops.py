"""R-CNN's crop: a box with some context around it, warped to a square whatever its shape.

The arithmetic is that of the released code (rcnn_im_crop.m), [RCNN App. A], where a box has 1-based inclusive corners
and every size is rounded to whole pixels; it is computed in float64 for all boxes at once. `sources` says where the
pixels of the crops look, `sample` looks there, `warp` is one after the other.
Letters: N boxes, C channels, H W of the image, S side of the crop in px.
"""

from __future__ import annotations

import torch
from torch.nn import functional

__all__ = ["cut_out", "sample", "sources", "warp"]

_NOWHERE_PX = -1e6
"""Source of a crop pixel that no pixel of the image belongs to: far outside of it."""


def _round(values: torch.Tensor) -> torch.Tensor:
    """Round half away from zero, as MATLAB and C do; `torch.round` goes to the even number."""
    return torch.trunc(values + torch.sign(values) / 2)


def _axis(
    low: torch.Tensor, high: torch.Tensor, length_px: torch.Tensor | int, size_px: int, context_px: int
) -> torch.Tensor:
    """Where the S crop pixels of each box look along one axis of the image.

    Args:
        low: float64 (N,), half-open start of the boxes.
        high: float64 (N,), half-open end.
        length_px: extent of the image, or of each box's own image: int64 (N,).
        size_px: S.
        context_px: context on either side, in pixels of the crop.

    Returns:
        0-based source coordinates (N, S), inside the image, or `_NOWHERE_PX` where there is no image.
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
    length = length_px.to(low) if isinstance(length_px, torch.Tensor) else torch.full_like(low, length_px)
    first, last = first.clamp(min=1), torch.minimum(last, length)
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
    source = torch.minimum(source.clamp(min=0), length[:, None] - 1)
    return source.masked_fill(~inside, _NOWHERE_PX)


def sources(
    boxes: torch.Tensor,
    height_px: torch.Tensor | int,
    width_px: torch.Tensor | int,
    *,
    size_px: int,
    context_px: int,
) -> torch.Tensor:
    """Where the crops of `boxes` look: float32 (N, 2, S), x of each column and y of each row, 0-based px.

    The box fills the crop but for `context_px` on each side, which show what lies around it [RCNN App. A].

    Args:
        boxes: float (N, 4) px, half-open.
        height_px: of the image that all boxes lie in, or of the image of each, int64 (N,).
        width_px: likewise.
        size_px: S, 227 in the paper.
        context_px: p, 16 in the paper, less than S / 2.

    Raises:
        ValueError: the context leaves no room for the box.
    """
    if not 0 <= 2 * context_px < size_px:
        raise ValueError(f"context of a crop: expected 0 <= 2 * context_px < size_px = {size_px}, got {context_px}")
    x1, y1, x2, y2 = boxes.double().unbind(1)
    columns = _axis(x1, x2, width_px, size_px, context_px)
    rows = _axis(y1, y2, height_px, size_px, context_px)
    return torch.stack([columns, rows], dim=1).float()


def sample(image: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Look into an image at the `places` (N, 2, S) that `sources` gives: (N, C, S, S).

    Context beyond the image is 0, which is the image mean, so the mean must have been subtracted. A box that lies
    outside is all 0. All crops are sampled in one call: N x C x S x S values; split a long list.
    """
    channels, height, width = image.shape
    count, _, size_px = places.shape
    # As `grid_sample` wants them: -1 and 1 are the outer edges of the outermost pixels.
    grid = torch.empty(count, size_px, size_px, 2, dtype=image.dtype, device=image.device)
    grid[..., 0] = places[:, 0, None, :].mul(2 / width).add_(1 / width - 1)
    grid[..., 1] = places[:, 1, :, None].mul(2 / height).add_(1 / height - 1)
    # One image seen N times without a copy: the CPU kernel shares its work out over the first axis.
    seen = image.expand(count, channels, height, width)
    return functional.grid_sample(seen, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def cut_out(image: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The part of an image (C, H, W) that `places` (N, 2, S) look at, and the places in it.

    A few crops of a large image need little of it; the rest does not have to be converted or sent to a device. Reads
    the places on the host: for tensors of the CPU.
    """
    somewhere = places > _NOWHERE_PX
    first = places.masked_fill(~somewhere, torch.inf).amin(dim=(0, 2))
    last = places.masked_fill(~somewhere, -torch.inf).amax(dim=(0, 2))
    if bool((last < first).any()):
        return image[:, :1, :1], torch.full_like(places, _NOWHERE_PX)
    left, top = first.long().tolist()  # rounds down, since no place is negative
    right, bottom = last.ceil().long().tolist()
    moved = places - torch.tensor([left, top], dtype=places.dtype)[:, None]
    return image[:, top : bottom + 1, left : right + 1], torch.where(somewhere, moved, _NOWHERE_PX)


def warp(image: torch.Tensor, boxes: torch.Tensor, *, size_px: int, context_px: int) -> torch.Tensor:
    """Cut `boxes` (N, 4) px out of an image (C, H, W) with context and stretch each to S x S [RCNN App. A].

    See `sources` and `sample`. Within 1e-4 of the image's range of a crop resized by itself.

    Raises:
        ValueError: the context leaves no room for the box.
    """
    return sample(image, sources(boxes, *image.shape[1:], size_px=size_px, context_px=context_px))
