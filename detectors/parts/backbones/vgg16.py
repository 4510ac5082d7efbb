"""`vgg16`: thirteen 3x3 layers [Simonyan and Zisserman 2014, arXiv 1409.1556]; model L of Fast R-CNN, O-Net of R-CNN.

Poolings round up as in Caffe, so 600 px give 300, 150, 75 and 38 cells where torchvision's rounding gives 37; for
224-px crops there is no difference. Its four poolings of two cells put cell 0 between pixels 7 and 8.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from detectors.parts.backbones.architecture import CAFFE_BGR, IMAGENET_RGB, Architecture
from detectors.parts.backbones.network import FcStack, Geometry

__all__ = ["ARCHITECTURE"]

_WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Output channels of conv1_1, conv1_2, conv2_1 and so on: configuration D of the paper."""


def _layers() -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = 3
    for block, widths in enumerate(_WIDTHS, start=1):
        for index, width in enumerate(widths, start=1):
            layers[f"conv{block}_{index}"] = nn.Conv2d(inputs, width, 3, padding=1)
            layers[f"relu{block}_{index}"] = nn.ReLU(inplace=True)
            inputs = width
        if block < len(_WIDTHS):
            layers[f"pool{block}"] = nn.MaxPool2d(2, stride=2, ceil_mode=True)
    return nn.Sequential(layers)


def _torchvision_keys() -> dict[str, str]:
    # torchvision numbers all layers in the same order; those with weights are 0, 2, 5, 7, 10 and so on.
    keys, index = {"fc6": "classifier.0", "fc7": "classifier.3"}, 0
    for block, widths in enumerate(_WIDTHS, start=1):
        for layer in range(1, len(widths) + 1):
            keys[f"features.conv{block}_{layer}"] = f"features.{index}"
            index += 2
        index += 1
    return keys


ARCHITECTURE = Architecture(
    build=_layers,
    geometry=Geometry(
        channels=512,
        stride_px=16,
        cell0_px=7.5,  # each pooling centres half a cell further: 0.5 + 1 + 2 + 4
        crop_px=224,
        pooled=7,
        fc=FcStack((7,), (4096, 4096)),
        tuned_from="conv3_1",  # [FRCN 4.5]
    ),
    convention=IMAGENET_RGB,
    torchvision=_torchvision_keys(),
    caffe=CAFFE_BGR,
)
