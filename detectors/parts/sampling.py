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
from detectors.parts.streams import Streams

__all__ = ["Draw", "ImageOrder", "RegionDraws", "Sampling", "draw_images"]

_EPOCHS = 1
"""Tells the orders of images from other draws of the same number."""


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


class RegionDraws:
    """Mini-batches of regions of all images at once, with replacement (window_data_layer.cpp of R-CNN's Caffe).

    Differs from [SPP spp_finetune_voc.m]: each 500 mini-batches are drawn there without replacement from the regions of
    some random images, ten times as many as are wanted; here as in R-CNN, because a mini-batch then depends on its
    number alone.

    Mini-batch i is drawn when it is asked for and is the same whenever that is. The pools hold 12 bytes a region.
    """

    def __init__(self, regions: Sequence[Regions], sampling: Sampling, streams: Streams) -> None:
        """Sort all regions into foreground and background.

        Raises:
            FitError: no region overlaps an object enough, or none little enough.
        """
        self._sampling, self._streams = sampling, streams
        split = [_split(item, sampling) for item in regions]
        labels = [item.best_label[foreground] for item, (foreground, _) in zip(regions, split, strict=True)]
        self._label = torch.cat(labels)
        self._pools = [_joined([parts[side] for parts in split]) for side in (0, 1)]
        foreground, background = self._pools
        if len(foreground) == 0:
            raise FitError("the training images hold no object to learn from")
        if len(background) == 0:
            raise FitError("the training images hold no background box; give proposals that do not all lie on objects")

    def __getitem__(self, step: int) -> Draw:
        """Mini-batch number `step`, from 0."""
        generator = self._streams.cpu(step)
        foreground, background = self._pools
        picked = torch.randint(len(foreground), (self._sampling.foreground,), generator=generator)
        others = torch.randint(
            len(background), (self._sampling.regions - self._sampling.foreground,), generator=generator
        )
        image, region = torch.cat([foreground[picked], background[others]]).long().unbind(1)
        label = torch.cat([self._label[picked], torch.zeros_like(others)])
        return Draw(image, region, label, torch.rand(len(image), generator=generator) < 0.5)


def _joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """int32 (N, 2): index of the image and of the region in it."""
    images = [torch.full((len(part),), index, dtype=torch.int32) for index, part in enumerate(parts)]
    return torch.stack([torch.cat(images), torch.cat(list(parts)).int()], dim=1)


class ImageOrder:
    """Images of each mini-batch: every usable image once before any comes again, in a new random order each time."""

    def __init__(self, usable: torch.Tensor, per_batch: int, streams: Streams) -> None:
        """`usable` int64 (N,), indices of images, at least one."""
        self._usable, self._per_batch, self._streams = usable, per_batch, streams
        self._epoch: tuple[int, torch.Tensor] = (-1, usable)

    def __getitem__(self, step: int) -> torch.Tensor:
        """The images (per_batch,) of mini-batch number `step`, from 0."""
        places = range(step * self._per_batch, (step + 1) * self._per_batch)
        return torch.stack([self._at(*divmod(place, len(self._usable))) for place in places])

    def _at(self, epoch: int, place: int) -> torch.Tensor:
        if epoch != self._epoch[0]:
            mixed = torch.randperm(len(self._usable), generator=self._streams.cpu(epoch, _EPOCHS))
            self._epoch = epoch, self._usable[mixed]
        return self._epoch[1][place]


def draw_images(
    regions: Sequence[Regions], sampling: Sampling, images: torch.Tensor, generator: torch.Generator
) -> Draw:
    """Draw one mini-batch from the given images (N,), ``regions / N`` of each, without replacement.

    Where an image has too little of one kind the mini-batch is smaller, as in the released code. The mirrored images
    are drawn per image, not per region: regions of one image share its feature map.

    Differs from [FRCN lib/fast_rcnn/train.py]: images and mirror images are one list there, of which each comes once an
    epoch; here a coin is tossed whenever an image comes, because that needs no second copy of all boxes.
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
