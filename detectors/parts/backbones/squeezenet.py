"""torchvision's SqueezeNets [Iandola et al. 2016, arXiv 1602.07360] as backbones: AlexNet-level accuracy, 5 MB.

All layers up to the last fire module serve as "conv5": 512 channels at stride 16. Neither network pads its first
convolution or its poolings, so cell 0 looks at pixel 15 (1.1) or 17 (1.0), a whole cell beside where the published
mappings take it to be: conv1 centres at 1 or 3 px, and the poolings of stride 2, 4 and 8 add 2 + 4 + 8.
"""

from __future__ import annotations

import torch
from torch import nn

from detectors.parts.backbones.convention import InputConvention
from detectors.parts.backbones.network import Geometry

__all__ = ["CONVENTION", "GEOMETRIES", "layers"]

GEOMETRIES = {
    "squeezenet1_0": Geometry(channels=512, stride_px=16, cell0_px=17.0, crop_px=227),
    "squeezenet1_1": Geometry(channels=512, stride_px=16, cell0_px=15.0, crop_px=224),
}

CONVENTION = InputConvention("RGB", 1, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Of torchvision's own weights, and of random ones."""


def layers(name: str, generator: torch.Generator) -> nn.Sequential:
    """The feature layers with weights drawn from `generator`: He initialisation, fan in, biases 0."""
    from torchvision import models

    with torch.random.fork_rng(devices=[]):  # torchvision draws weights from the global stream; they are replaced below
        network: nn.Sequential = getattr(models, name)(weights=None).features
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network
