"""`alexnet`: torchvision's, which is that of one GPU [Krizhevsky 2014, arXiv 1404.5997], not of R-CNN.

It has neither groups nor normalisation, fewer channels in conv1 and conv2, and poolings that round down; weights of
`caffenet` do not fit.
"""

from __future__ import annotations

from torch import nn

from detectors.parts.backbones.architecture import IMAGENET_RGB, Architecture
from detectors.parts.backbones.network import FcStack, Geometry

__all__ = ["ARCHITECTURE"]


def _layers() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(inplace=True),
    )


ARCHITECTURE = Architecture(
    build=_layers,
    geometry=Geometry(
        channels=256,
        stride_px=16,
        cell0_px=15.0,  # conv1 centres at 5 - 2 px; the poolings of stride 4 and 8 add 4 + 8
        crop_px=224,
        smallest_px=31,
        fc=FcStack((6,), (4096, 4096)),
        tuned_from="conv2",  # as model S, which it takes after [FRCN 4.5]
    ),
    convention=IMAGENET_RGB,
    layers=("conv1", "conv2", "conv3", "conv4", "conv5"),
    torchvision={"fc6": "classifier.1", "fc7": "classifier.4"},
)
