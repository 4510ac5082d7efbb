"""A backbone: convolutional layers with all that a detector must know to place boxes on their output."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from detectors.parts.backbones.convention import InputConvention

__all__ = ["Backbone", "Geometry"]


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where the cells of the last feature map look, and how large a network's input is meant to be."""

    channels: int
    stride_px: int
    cell0_px: float
    """Centre of the receptive field of cell 0 in pixels of the input, 0 being the centre of pixel 0.

    The published box mappings assume 0, which holds if every layer is padded by floor(p/2) [SPP App. A]. An
    impulse-response test proves stride and centre of every backbone.
    """
    crop_px: int
    """Side of the crop that the network was trained on: the R-CNN input."""
    pooled: int = 6
    """Side of the grid that its fc layers take, as in AlexNet's pool5 [RCNN 2.1]."""
    relative_size: float = 1.0
    """Input size over that of the papers' networks.

    SPP-net's 688 px and Fast R-CNN's 600 px suit networks trained on 224-px crops, which then see an object of a usual
    size as large as in training. A network trained on smaller crops gets images smaller in proportion.
    """


class Backbone(nn.Module):
    """Convolutional layers, input convention and geometry under one name."""

    def __init__(
        self, name: str, features: nn.Module, geometry: Geometry, convention: InputConvention, weights: str
    ) -> None:
        """Store; `weights` says where the numbers came from: ``random`` or a sha256."""
        super().__init__()
        self.name = name
        self.features = features
        self.geometry = geometry
        self.convention = convention
        self.weights = weights

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Map (N, 3, H, W) pixels in the input convention to (N, C, h, w) features, all >= 0 (they end in a ReLU)."""
        features: torch.Tensor = self.features(pixels)
        return features
