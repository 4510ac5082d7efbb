"""Resizing a whole image before the convolutions, as SPP-net and Fast R-CNN do."""

from __future__ import annotations

import torch
from torch.nn import functional

__all__ = ["resize"]


def resize(
    pixels: torch.Tensor, *, short_side_px: int, long_side_cap_px: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Bring the shorter side of (C, H, W) to `short_side_px`, the longer one to at most `long_side_cap_px`.

    Bilinear without antialiasing, pixel centres aligned as in OpenCV (SPP spm_im_resize, FRCN lib/utils/blob.py).

    Returns:
        (1, C, H', W') and float32 (4,): the factors by which x1 y1 x2 y2 grow.
    """
    height, width = pixels.shape[1:]
    factor = short_side_px / min(height, width)
    if long_side_cap_px is not None:
        factor = min(factor, long_side_cap_px / max(height, width))
    size = max(1, round(height * factor)), max(1, round(width * factor))
    resized = functional.interpolate(pixels[None], size=size, mode="bilinear", align_corners=False)
    # Differs from [SPP spp_features_convX_to_poolX.m]: 1-based corners grow by (s - 1) / (side - 1) there, half-open
    # ones by the ratio of the sides here, because that is what maps the whole image onto the whole image.
    factors = torch.empty(4, device=pixels.device)
    factors[0::2] = size[1] / width
    factors[1::2] = size[0] / height
    return resized, factors
