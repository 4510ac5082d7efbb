"""`vgg-m`: VGG_CNN_M_1024 [Chatfield et al. 2014, arXiv 1405.3531], model M of Fast R-CNN.

Normalisation comes before pooling, and fc7 is 1024 wide. Fast R-CNN runs it over whole images with the padding that it
has for crops (models/VGG_CNN_M_1024), so cell 0 stays at 17 px.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from detectors.parts.backbones.architecture import CAFFE_BGR, Architecture
from detectors.parts.backbones.network import FcStack, Geometry
from detectors.parts.backbones.normalisation import AcrossChannelNorm

__all__ = ["ARCHITECTURE"]


def _norm() -> nn.Module:
    """Caffe's `local_size`, `alpha`, `beta`, `k` (models/VGG_CNN_M_1024 of Fast R-CNN)."""
    return AcrossChannelNorm(5, alpha=5e-4, beta=0.75, k=2.0)


def _layers() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 96, 7, stride=2),
            relu1=nn.ReLU(inplace=True),
            norm1=_norm(),
            pool1=nn.MaxPool2d(3, stride=2, ceil_mode=True),
            conv2=nn.Conv2d(96, 256, 5, stride=2, padding=1),
            relu2=nn.ReLU(inplace=True),
            norm2=_norm(),
            pool2=nn.MaxPool2d(3, stride=2, ceil_mode=True),
            conv3=nn.Conv2d(256, 512, 3, padding=1),
            relu3=nn.ReLU(inplace=True),
            conv4=nn.Conv2d(512, 512, 3, padding=1),
            relu4=nn.ReLU(inplace=True),
            conv5=nn.Conv2d(512, 512, 3, padding=1),
            relu5=nn.ReLU(inplace=True),
        )
    )


ARCHITECTURE = Architecture(
    build=_layers,
    geometry=Geometry(
        channels=512,
        stride_px=16,
        cell0_px=17.0,  # conv1 centres at 3 px, pool1 adds 2, conv2 (2 - 1) * 4, pool2 8
        crop_px=224,
        smallest_px=25,
        fc=FcStack((6,), (4096, 1024)),
        tuned_from="conv2",  # learning conv1 changed nothing for S and M [FRCN 4.5]
    ),
    convention=CAFFE_BGR,
    caffe=CAFFE_BGR,
)
