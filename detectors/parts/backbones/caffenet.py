"""`caffenet`: Caffe's AlexNet, on which R-CNN was published; model S of Fast R-CNN.

Five convolutional layers, three of them in two groups. Here pooling comes before normalisation, which AlexNet has the
other way round (rcnn_batch_256_output_fc7.prototxt). Padded for crops as in R-CNN: neither conv1 nor a pooling has any,
so 227 px [RCNN 2.1] give 55, 27 and 13 cells. Fast R-CNN pads them by floor(p/2).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from torch import nn

from detectors.parts.backbones.architecture import CAFFE_BGR, Architecture
from detectors.parts.backbones.network import FcStack, Geometry, ImageForm
from detectors.parts.backbones.normalisation import AcrossChannelNorm

__all__ = ["ARCHITECTURE"]

_GEOMETRY = Geometry(
    channels=256,
    stride_px=16,
    cell0_px=17.0,  # conv1 centres at 5 px; the poolings of stride 4 and 8 add 4 + 8
    crop_px=227,
    smallest_px=23,
    fc=FcStack((6,), (4096, 4096)),
    tuned_from="conv2",  # learning conv1 changed nothing for S and M [FRCN 4.5]
)


def _norm() -> nn.Module:
    """Caffe's `local_size`, `alpha`, `beta`, `k` (rcnn_batch_256_output_fc7.prototxt)."""
    return AcrossChannelNorm(5, alpha=1e-4, beta=0.75, k=1.0)


def _layers() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 96, 11, stride=4),
            relu1=nn.ReLU(inplace=True),
            pool1=nn.MaxPool2d(3, stride=2, ceil_mode=True),
            norm1=_norm(),
            conv2=nn.Conv2d(96, 256, 5, padding=2, groups=2),
            relu2=nn.ReLU(inplace=True),
            pool2=nn.MaxPool2d(3, stride=2, ceil_mode=True),
            norm2=_norm(),
            conv3=nn.Conv2d(256, 384, 3, padding=1),
            relu3=nn.ReLU(inplace=True),
            conv4=nn.Conv2d(384, 384, 3, padding=1, groups=2),
            relu4=nn.ReLU(inplace=True),
            conv5=nn.Conv2d(384, 256, 3, padding=1, groups=2),
            relu5=nn.ReLU(inplace=True),
        )
    )


ARCHITECTURE = Architecture(
    build=_layers,
    geometry=_GEOMETRY,
    # Differs from [RCNN]: the mean colour is taken off and not the mean image (rcnn_create_model.m), because one mean
    # then serves crops and whole images alike; it is Fast R-CNN's.
    convention=CAFFE_BGR,
    images=ImageForm(replace(_GEOMETRY, cell0_px=0.0, smallest_px=1), {"conv1": 5, "pool1": 1, "pool2": 1}),
    caffe=CAFFE_BGR,
)
