"""Which regions stand in a mini-batch.

R-CNN and SPP-net draw the regions of a mini-batch from all images at once [RCNN 2.3, SPP 4.1]; Fast R-CNN draws a few
images and many regions of each, so that regions share their feature maps [FRCN 2.3]. Both give a quarter of the places
to foreground.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from detectors.contract import FitError
from detectors.parts.regions import Regions

__all__ = ["Draw", "Sampling", "draw_images", "draw_regions"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a mini-batch is filled. IoU is with the object that a box overlaps most."""

    regions: int = 128
    foreground_share: float = 0.25
    """32 of 128 [RCNN 2.3, SPP 4.1, FRCN 2.3]."""
    foreground_iou: float = 0.5
    """Foreground from here on; below it background [RCNN 2.3]."""
    background_iou: float = 0.0
    """Background down to here: 0 in R-CNN's released code, 0.1 in SPP-net and Fast R-CNN [SPP 4.1, FRCN 2.3]."""

    @property
    def foreground(self) -> int:
        """Places for foreground."""
        return round(self.regions * self.foreground_share)


@dataclass(frozen=True, slots=True)
class Draw:
    """One mini-batch of B regions, foreground first."""

    image: torch.Tensor
    """int64 (B,): index of the image."""
    region: torch.Tensor
    """int64 (B,): index of the box in that image's `Regions`."""
    label: torch.Tensor
    """int64 (B,): target class, 0 for background."""
    flipped: torch.Tensor
    """bool (B,): whether the image is mirrored."""


def _split(regions: Regions, sampling: Sampling) -> tuple[torch.Tensor, torch.Tensor]:
    foreground = regions.best_iou >= sampling.foreground_iou
    background = ~foreground & (regions.best_iou >= sampling.background_iou)
    return foreground.nonzero().squeeze(1), background.nonzero().squeeze(1)


def draw_regions(regions: Sequence[Regions], sampling: Sampling, count: int, generator: torch.Generator) -> list[Draw]:
    """Draw `count` mini-batches from all images at once, with replacement (window_data_layer.cpp of R-CNN's Caffe).

    Raises:
        FitError: no region overlaps an object enough, or none little enough.
    """
    pools: list[torch.Tensor] = []
    for side in (0, 1):
        picked = [_split(item, sampling)[side] for item in regions]
        pools.append(
            torch.stack(
                [torch.cat([torch.full_like(part, index) for index, part in enumerate(picked)]), torch.cat(picked)]
            )
        )
    foreground, background = pools
    if foreground.shape[1] == 0:
        raise FitError("the training images hold no object to learn from")
    if background.shape[1] == 0:
        raise FitError("the training images hold no background box; give proposals that do not all lie on objects")
    draws = []
    for _ in range(count):
        places = [
            pool[:, torch.randint(pool.shape[1], (size,), generator=generator)]
            for pool, size in ((foreground, sampling.foreground), (background, sampling.regions - sampling.foreground))
        ]
        image, region = torch.cat(places, dim=1)
        label = torch.stack([regions[i].best_label[r] for i, r in zip(image.tolist(), region.tolist(), strict=True)])
        label[sampling.foreground :] = 0
        draws.append(Draw(image, region, label, torch.rand(len(image), generator=generator) < 0.5))
    return draws


def draw_images(
    regions: Sequence[Regions], sampling: Sampling, images: torch.Tensor, generator: torch.Generator
) -> Draw:
    """Draw one mini-batch from the given images (N,), ``regions / N`` of each, without replacement.

    Where an image has too little of one kind the mini-batch is smaller, as in the released code. The mirrored images
    are drawn per image, not per region: regions of one image share its feature map.
    """
    per_image = sampling.regions // len(images)
    wanted_foreground = round(per_image * sampling.foreground_share)
    image, region, label = [], [], []
    for index in images.tolist():
        foreground, background = _split(regions[index], sampling)
        foreground = foreground[torch.randperm(len(foreground), generator=generator)][:wanted_foreground]
        background = background[torch.randperm(len(background), generator=generator)][: per_image - len(foreground)]
        region += [foreground, background]
        image.append(torch.full((len(foreground) + len(background),), index))
        label += [regions[index].best_label[foreground], torch.zeros_like(background)]
    images_of = torch.cat(image)
    coins = torch.rand(len(images), generator=generator) < 0.5
    flipped = torch.cat([coin.expand(len(part)) for coin, part in zip(coins, image, strict=True)])
    return Draw(images_of, torch.cat(region), torch.cat(label), flipped)
