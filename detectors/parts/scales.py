"""One image at several sizes, and at which of them each box is looked at [SPP 4.1, FRCN 2.4].

Each size goes through the convolutions by itself; the maps are then padded to one size and stand in one batch, so that
the boxes of all sizes are pooled in one call. Letters: S sizes, N boxes, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from detectors.parts.boxes import MIN_SIDE_PX
from detectors.parts.resize import resize_to, resized_size

__all__ = ["MOST_ASPECT", "SCALES_CODE", "SCALES_PAPER", "ImagePyramid", "Rule", "map_sizes", "stack_maps"]

SCALES_PAPER = (480, 576, 688, 864, 1200)
"""Shorter sides, px [SPP 4.1, FRCN 5.2]."""
SCALES_CODE = (480, 576, 688, 874, 1200)
"""874 for 864 (Script_spp_voc.m, spp_exp_cache_features_voc.m, spp_demo.m of SPP-net)."""

MOST_ASPECT = 8
"""An image longer than so many times its shorter side is made smaller.

Differs from [SPP 4.1]: the long side has no bound there, because an image of 1 x 4000 px would become one of 688 x
2,752,000; here it has no more pixels than one of 688 x 5,504. Fast R-CNN's cap is stricter.
"""

Rule = Literal["paper", "code"]
"""How a box finds its size. ``paper``: its area comes closest to 224 x 224 px [SPP 4.1], which is the rule of Fast
R-CNN, too (lib/fast_rcnn/test.py). ``code``: the shorter side of the image comes closest to the one that would bring
the root of the area to 13 cells of 16 px, 208 px (spm_expected_scale.m)."""

_PAPER_SIDE_PX = 224
_CODE_SIDE_PX = 13 * 16


@dataclass(frozen=True, slots=True)
class ImagePyramid:
    """The image at S sizes."""

    images: tuple[torch.Tensor, ...]
    """S of (1, C, H', W')."""
    factors: tuple[tuple[float, float], ...]
    """By which x and y of a box grow at each size. Plain numbers, as all here that is no image: a tensor of them would
    have to be brought to the device."""
    scales: tuple[float, ...]
    """The published factor of each size, before its sides were rounded."""
    short_sides_px: tuple[int, ...]
    """Shorter side of each size."""
    image_side_px: int
    """Shorter side of the image itself."""
    relative_size: float
    """Of the backbone's crops to the papers'; scales the side that a box should have."""

    @classmethod
    def of(
        cls,
        pixels: torch.Tensor,
        scales_px: Sequence[int],
        *,
        long_side_cap_px: int | None = None,
        smallest_px: int = 1,
        relative_size: float = 1.0,
    ) -> ImagePyramid:
        """Resize (C, H, W), in the network's convention, to the shorter sides `scales_px`.

        `long_side_cap_px` bounds the longer side of each size; it and `scales_px` are those of the papers' networks and
        shrink with `relative_size`. No side becomes shorter than `smallest_px`.
        """
        height, width = pixels.shape[1:]
        cap_px = None if long_side_cap_px is None else round(long_side_cap_px * relative_size)
        images, factors, scales, short_sides_px = [], [], [], []
        for scale_px in scales_px:
            side_px = round(scale_px * relative_size)
            size, scale = resized_size(
                height,
                width,
                short_side_px=side_px,
                long_side_cap_px=cap_px,
                smallest_px=smallest_px,
                most_px=MOST_ASPECT * side_px**2,
            )
            image, of_sides = resize_to(pixels, size)
            images.append(image)
            factors.append(of_sides)
            scales.append(scale)
            short_sides_px.append(min(size))
        return cls(
            tuple(images), tuple(factors), tuple(scales), tuple(short_sides_px), min(height, width), relative_size
        )

    def place(self, boxes: torch.Tensor, rule: Rule) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Each box (N, 4) of the image as it lies at its best size, and which size that is.

        The latter is int64 (N,), or None where there is one size only.
        """
        if len(self.factors) == 1:
            placed = torch.empty_like(boxes)
            for axis, factor in enumerate(self.factors[0]):
                torch.mul(boxes[:, axis::2], factor, out=placed[:, axis::2])
            return placed, None
        index = self.choose(boxes, rule)
        factors = torch.empty(len(self.factors), 4, device=boxes.device)
        for which, of_axes in enumerate(self.factors):
            for axis, factor in enumerate(of_axes):
                factors[which, axis::2].fill_(factor)
        return boxes * factors[index], index

    def choose(self, boxes: torch.Tensor, rule: Rule) -> torch.Tensor:
        """The best size for each box (N, 4) of the image, int64 (N,); of two equally good ones the first.

        A half-open box has the area of the published inclusive one with its +1; one thinner than a pixel counts as a
        pixel wide or high.
        """
        corners = boxes.double()
        sides = (corners[:, 2:] - corners[:, :2]).clamp_(min=MIN_SIDE_PX)
        area = sides[:, 0] * sides[:, 1]
        distance = self._distance_of_area if rule == "paper" else self._distance_of_side
        # A loop over sizes, with plain numbers: a tensor of them made on the host would wait for the device.
        return torch.stack([distance(area, which) for which in range(len(self.factors))], dim=1).argmin(dim=1)

    def _distance_of_area(self, area: torch.Tensor, which: int) -> torch.Tensor:
        return (area * self.scales[which] ** 2 - (_PAPER_SIDE_PX * self.relative_size) ** 2).abs()

    def _distance_of_side(self, area: torch.Tensor, which: int) -> torch.Tensor:
        expected = _CODE_SIDE_PX * self.relative_size * self.image_side_px / area.sqrt()
        return (torch.floor(expected + 0.5) - self.short_sides_px[which]).abs()  # MATLAB rounds halves up


def map_sizes(
    maps: Sequence[torch.Tensor], index: torch.Tensor | None
) -> tuple[torch.Tensor | int, torch.Tensor | int]:
    """Height and width in cells of the map that each box reads, int64 (N,) or, for one map, plain numbers.

    Args:
        maps: S of (1, C, h, w).
        index: int64 (N,), the map of each box; None for one map.
    """
    if index is None:
        return maps[0].shape[2], maps[0].shape[3]
    return _picked(maps, lambda one: one.shape[2], index), _picked(maps, lambda one: one.shape[3], index)


def _picked(maps: Sequence[torch.Tensor], side_of: Callable[[torch.Tensor], int], index: torch.Tensor) -> torch.Tensor:
    sides = torch.empty(len(maps), dtype=torch.int64, device=index.device)
    for which, one in enumerate(maps):
        # Not by assignment: torch 2.11 copies a number that is assigned to one element from the host, which then waits.
        sides[which].fill_(side_of(one))
    return sides[index]


def stack_maps(maps: Sequence[torch.Tensor]) -> torch.Tensor:
    """S maps of (1, C, h, w) as one batch (S, C, H, W), with zeros to the right and below.

    Differs from [FRCN lib/utils/blob.py]: the images of a pyramid or a mini-batch are padded there, and convolved with
    their padding, because Caffe takes one blob; here each goes through by itself, because padding costs time. Values
    differ only near its edges, where biases make something of the padding there. Maps end in a ReLU, so a bin that
    reaches into the zeros keeps its maximum.
    """
    if len(maps) == 1:
        return maps[0]
    height, width = max(one.shape[2] for one in maps), max(one.shape[3] for one in maps)
    stacked = maps[0].new_zeros(len(maps), maps[0].shape[1], height, width)
    for which, one in enumerate(maps):
        stacked[which, :, : one.shape[2], : one.shape[3]] = one[0]
    return stacked
