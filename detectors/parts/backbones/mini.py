"""`mini`: a backbone small enough for a laptop, pretrained on drawn shapes, its weights in the package.

Five convolutional layers in the manner of AlexNet and ZF-5 for 64-px crops: no normalisation layers, ReLU after each,
two overlapping 3x3 poolings of stride 2 [SPP Table 1]. Every layer is padded by floor(p/2), so the published box
mappings hold as printed: cell 0 looks at pixel 0.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from detectors.parts.backbones.architecture import Architecture
from detectors.parts.backbones.convention import InputConvention
from detectors.parts.backbones.network import Geometry

__all__ = ["ARCHITECTURE"]


def _layers() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 24, 5, stride=2, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Conv2d(24, 48, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Conv2d(48, 96, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(96, 96, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(96, 64, 3, padding=1),
        nn.ReLU(inplace=True),
    )


ARCHITECTURE = Architecture(
    build=_layers,
    geometry=Geometry(channels=64, stride_px=8, cell0_px=0.0, crop_px=64, relative_size=64 / 224),
    # A constant mean of 128 on all channels, as SPP-net has it for VOC [SPP App. A].
    convention=InputConvention("RGB", 255, (128.0, 128.0, 128.0), (64.0, 64.0, 64.0)),
    layers=("conv1", "conv2", "conv3", "conv4", "conv5"),
    packaged=Path(__file__).with_name("mini.safetensors"),
)
