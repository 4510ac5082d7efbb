"""`zf5`: SPP-net's ZF-5, with normalisation within channels and a pyramid of 50 bins before fc6 [SPP Table 1, 4.1].

Padded for crops as released (Zeiler_conv5.prototxt): 224 px give 110, 55, 26 and 13 cells, 180 px 88, 44, 20 and 10.
Table 1 prints 27 cells behind conv2, which no padding turns into the 13 of conv3. Over whole images every layer is
padded by floor(p/2) [SPP App. A], as Faster R-CNN's ZF has it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from torch import nn

from detectors.parts.backbones.architecture import Architecture
from detectors.parts.backbones.convention import InputConvention
from detectors.parts.backbones.network import FcStack, Geometry, ImageForm
from detectors.parts.backbones.normalisation import WithinChannelNorm

__all__ = ["ARCHITECTURE"]

_GEOMETRY = Geometry(
    channels=256,
    stride_px=16,
    cell0_px=20.0,  # conv1 centres at 3 - 1 px, pool1 adds 2, conv2 (2 - 0) * 4, pool2 8
    crop_px=224,
    smallest_px=31,
    fc=FcStack((1, 2, 3, 6), (4096, 4096)),  # joined from coarse to fine (Zeiler_conv5.prototxt)
)

_CONVENTION = InputConvention("BGR", 255, (128.0, 128.0, 128.0))
"""A constant mean for VOC [SPP App. A, data_mean of the release]."""


def _norm() -> nn.Module:
    """Caffe's `local_size`, `alpha`, `beta` (Zeiler_conv5.prototxt)."""
    return WithinChannelNorm(3, alpha=5e-5, beta=0.75)


def _layers() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 96, 7, stride=2, padding=1),
            relu1=nn.ReLU(inplace=True),
            norm1=_norm(),
            pool1=nn.MaxPool2d(3, stride=2, ceil_mode=True),
            conv2=nn.Conv2d(96, 256, 5, stride=2),
            relu2=nn.ReLU(inplace=True),
            norm2=_norm(),
            pool2=nn.MaxPool2d(3, stride=2, ceil_mode=True),
            conv3=nn.Conv2d(256, 384, 3, padding=1),
            relu3=nn.ReLU(inplace=True),
            conv4=nn.Conv2d(384, 384, 3, padding=1),
            relu4=nn.ReLU(inplace=True),
            conv5=nn.Conv2d(384, 256, 3, padding=1),
            relu5=nn.ReLU(inplace=True),
        )
    )


ARCHITECTURE = Architecture(
    build=_layers,
    geometry=_GEOMETRY,
    convention=_CONVENTION,
    images=ImageForm(replace(_GEOMETRY, cell0_px=0.0, smallest_px=1), {"conv1": 3, "pool1": 1, "conv2": 2, "pool2": 1}),
    caffe=_CONVENTION,
)
