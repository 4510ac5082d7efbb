"""torchvision's SqueezeNets [Iandola et al. 2016, arXiv 1602.07360] as backbones: AlexNet-level accuracy, 5 MB.

All layers up to the last fire module serve as "conv5": 512 channels at stride 16. Neither network pads its first
convolution or its poolings, so cell 0 looks at pixel 15 (1.1) or 17 (1.0), a whole cell beside where the published
mappings take it to be: conv1 centres at 1 or 3 px, and the poolings of stride 2, 4 and 8 add 2 + 4 + 8.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from detectors.parts.backbones.architecture import IMAGENET_RGB, Architecture
from detectors.parts.backbones.network import Geometry

__all__ = ["ARCHITECTURES"]


def _layers(name: str) -> nn.Sequential:
    from torchvision import models

    network: nn.Sequential = getattr(models, name)(weights=None).features
    return network


def _architecture(name: str, geometry: Geometry) -> Architecture:
    return Architecture(
        build=partial(_layers, name),
        geometry=geometry,
        convention=IMAGENET_RGB,
        layers=("conv1", *(f"fire{index}" for index in range(2, 10))),
        torchvision={},
    )


_TUNED_FROM = "fire4"
"""Differs from [FRCN 4.5]: of a network that the paper does not have, conv1, fire2 and fire3 stay as they are, 7 of 25
convolutions as 4 of 13 do in VGG16, because their large maps make up most of what a mini-batch costs."""

ARCHITECTURES = {
    name: _architecture(name, geometry)
    for name, geometry in (
        (
            "squeezenet1_0",
            Geometry(channels=512, stride_px=16, cell0_px=17.0, crop_px=227, smallest_px=21, tuned_from=_TUNED_FROM),
        ),
        (
            "squeezenet1_1",
            Geometry(channels=512, stride_px=16, cell0_px=15.0, crop_px=224, smallest_px=17, tuned_from=_TUNED_FROM),
        ),
    )
}
