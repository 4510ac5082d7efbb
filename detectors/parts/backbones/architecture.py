"""A network as it was published: its layers, geometry and conventions, before any weights are chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from detectors.parts.backbones.convention import InputConvention
from detectors.parts.backbones.network import Geometry, ImageForm

__all__ = ["CAFFE_BGR", "IMAGENET_RGB", "Architecture"]

IMAGENET_RGB = InputConvention("RGB", 1, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Of all of torchvision's weights."""

CAFFE_BGR = InputConvention("BGR", 255, (102.9801, 115.9465, 122.7717))
"""Of every network of Fast R-CNN (lib/fast_rcnn/config.py, PIXEL_MEANS)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What one network file states; `detectors.parts.backbones` adds the weights."""

    build: Callable[[], nn.Sequential]
    """Makes the layers with whatever weights torch gives them."""
    geometry: Geometry
    convention: InputConvention
    """Of random weights, and of torchvision's where it has some."""
    layers: tuple[str, ...] | None = None
    """Names of the layers with weights, where `build` numbers them."""
    images: ImageForm | None = None
    packaged: Path | None = None
    """Weights that come with this package."""
    torchvision: Mapping[str, str] | None = None
    """Keys of torchvision's weights by the keys here, where they differ; None: torchvision has no weights."""
    caffe: InputConvention | None = None
    """Convention of its ``.caffemodel`` files, which carry none; None: such files are refused."""

    def drawn(self, generator: torch.Generator) -> nn.Sequential:
        """The layers with weights from `generator`: He et al. 2015, fan in, as suits ReLU; biases 0."""
        with torch.random.fork_rng(devices=[]):  # torch draws weights from the global stream; they are replaced below
            network = self.build()
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        return network
