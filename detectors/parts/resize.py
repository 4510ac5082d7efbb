"""Resizing a whole image before the convolutions, as SPP-net and Fast R-CNN do."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

__all__ = ["resize", "resize_to", "resized_size"]


def resized_size(
    height: int,
    width: int,
    *,
    short_side_px: int,
    long_side_cap_px: int | None = None,
    smallest_px: int = 1,
    most_px: int | None = None,
) -> tuple[tuple[int, int], float]:
    """Height and width that `resize` gives an image, and the published factor: before rounding and stretching."""
    factor = short_side_px / min(height, width)
    if long_side_cap_px is not None:
        factor = min(factor, long_side_cap_px / max(height, width))
    if most_px is not None and (height * factor) * (width * factor) > most_px:
        factor = math.sqrt(most_px / (height * width))
    # Differs from [SPP 4.1, FRCN 2.3]: a side shorter than `smallest_px` is stretched to it, because a long thin image
    # would have no cell otherwise, and an error in its place.
    sides = [max(smallest_px, round(height * factor)), max(smallest_px, round(width * factor))]
    if most_px is not None and sides[0] * sides[1] > most_px:
        # By rounding or by stretching; the long side then gives way, since the short one may be at its least.
        long = 0 if height > width else 1
        sides[long] = max(smallest_px, most_px // sides[1 - long])
    return (sides[0], sides[1]), factor


def resize(
    pixels: torch.Tensor,
    *,
    short_side_px: int,
    long_side_cap_px: int | None = None,
    smallest_px: int = 1,
    most_px: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Bring the shorter side of (C, H, W) to `short_side_px`, the longer one to at most `long_side_cap_px`.

    Bilinear without antialiasing, pixel centres aligned as in OpenCV (SPP spm_im_resize, FRCN lib/utils/blob.py).

    Args:
        pixels: (C, H, W), float.
        short_side_px: what the shorter side becomes where nothing else forbids it.
        long_side_cap_px: what the longer side may become at most.
        smallest_px: no side becomes shorter; the image is stretched where it would.
        most_px: height times width become no more, unless `smallest_px` asks for it.

    Returns:
        (1, C, H', W') and float32 (4,): the factors by which x1 y1 x2 y2 grow.
    """
    size, _ = resized_size(
        pixels.shape[1],
        pixels.shape[2],
        short_side_px=short_side_px,
        long_side_cap_px=long_side_cap_px,
        smallest_px=smallest_px,
        most_px=most_px,
    )
    resized, factors = resize_to(pixels, size)
    return resized, torch.tensor(factors * 2, device=pixels.device)


def resize_to(pixels: torch.Tensor, size: tuple[int, int]) -> tuple[torch.Tensor, tuple[float, float]]:
    """Bring (C, H, W) to a height and width: (1, C, H', W') and the factors by which x and y grow, plain numbers."""
    height, width = pixels.shape[1:]
    resized = functional.interpolate(pixels[None], size=size, mode="bilinear", align_corners=False)
    # Differs from [SPP spp_features_convX.m]: uint8 pixels are resized there, and so rounded, before the mean is taken
    # off; here it is taken off first, as in Fast R-CNN, because nothing is lost then.
    # Differs from [SPP spp_features_convX_to_poolX.m, FRCN lib/fast_rcnn/test.py]: 1-based corners grow by (s - 1) /
    # (side - 1) in the one, inclusive ones by the factor before its sides were rounded in the other; half-open ones by
    # the ratio of the sides here, because that is what maps the whole image onto the whole image.
    return resized, (size[1] / width, size[0] / height)
