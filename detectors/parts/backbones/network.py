"""A backbone: convolutional layers with all that a detector must know to place boxes on their output."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from detectors.contract import SettingsError
from detectors.parts.backbones.convention import InputConvention

__all__ = ["Backbone", "FcStack", "Geometry", "ImageForm"]


@dataclass(frozen=True, slots=True)
class FcStack:
    """The fc layers that a network was pretrained with: what fc6 takes, and how wide fc6 and fc7 are."""

    levels: tuple[int, ...]
    """n of each n x n grid that fc6 takes, in the order in which they are joined, each channel by channel."""
    widths: tuple[int, int]
    """Outputs of fc6 and fc7."""

    def shapes(self, channels: int) -> dict[str, tuple[int, ...]]:
        """Shapes of the four tensors behind a feature map of `channels`; a weight is (outputs, inputs)."""
        fc6, fc7 = self.widths
        inputs = channels * sum(level**2 for level in self.levels)
        return {"fc6.weight": (fc6, inputs), "fc6.bias": (fc6,), "fc7.weight": (fc7, fc6), "fc7.bias": (fc7,)}


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

    Differs from [SPP 4.1, FRCN 5.2]: their 688 px and 600 px hold for every network there. They suit networks trained
    on 224-px crops, which then see an object of a usual size as large as in training; one trained on smaller crops gets
    images smaller in proportion, because it would otherwise see nothing as large as in training.
    """
    smallest_px: int = 1
    """Least side of an input that still gives one cell; anything smaller is an error of torch."""
    fc: FcStack | None = None
    """The fc layers that the network was published with; None where it has none."""
    tuned_from: str | None = None
    """First convolutional layer that Fast R-CNN fine-tunes [FRCN 4.5]; None: all are."""


@dataclass(frozen=True, slots=True)
class ImageForm:
    """How a network published for crops is padded when it runs over whole images."""

    geometry: Geometry
    padding: Mapping[str, int] = field(default_factory=dict)
    """Padding in px of the layers, by name, that differ; the weights are the same."""


class Backbone(nn.Module):
    """Convolutional layers, input convention and geometry under one name.

    Pretrained fc6 and fc7 are kept beside the layers and not among them: hundreds of MB, perhaps mapped from a file,
    which neither copies nor ``.to(device)`` touch. Whoever builds a head takes what it needs.
    """

    def __init__(
        self,
        name: str,
        features: nn.Module,
        geometry: Geometry,
        convention: InputConvention,
        weights: str,
        *,
        layers: Sequence[str] | None = None,
        images: ImageForm | None = None,
        fc_weights: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        """Store; `weights` says where the numbers came from: ``random`` or a sha256.

        `layers` names the children of `features` that have weights, in their order; without it they keep their own
        names. `fc_weights` has the keys and shapes of `FcStack.shapes`. `images` is what `for_images` gives.
        """
        super().__init__()
        self.name = name
        self.features = features
        self.geometry = geometry
        self.convention = convention
        self.weights = weights
        self.fc_weights = fc_weights
        self._images = images
        blocks = [(key, child) for key, child in features.named_children() if any(True for _ in child.parameters())]
        self.layers = tuple(key for key, _ in blocks) if layers is None else tuple(layers)
        if len(self.layers) != len(blocks):
            raise ValueError(f"layers of {name}: expected {len(blocks)} names, got {', '.join(self.layers)}")

    @property
    def pretrained(self) -> bool:
        """Whether the layers have learnt anything."""
        return self.weights != "random"

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Map (N, 3, H, W) pixels in the input convention to (N, C, h, w) features, all >= 0 (they end in a ReLU)."""
        features: torch.Tensor = self.features(pixels)
        return features

    def __deepcopy__(self, memo: dict[int, Any]) -> Backbone:
        return self._with(copy.deepcopy(self.features, memo), self.geometry, self._images)

    def copy(self) -> Backbone:
        """The same backbone with layers of its own; `fc_weights` are shared."""
        return copy.deepcopy(self)

    def for_images(self) -> Backbone:
        """A copy padded for whole images, its geometry to match; a plain copy where the network has one form only."""
        if self._images is None:
            return self.copy()
        made = self._with(copy.deepcopy(self.features), self._images.geometry, None)
        for name, padding_px in self._images.padding.items():
            layer = made.features.get_submodule(name)
            if isinstance(layer, nn.Conv2d):
                layer.padding = (padding_px, padding_px)
            elif isinstance(layer, nn.MaxPool2d):
                layer.padding = padding_px
            else:
                raise ValueError(f"padding of {self.name}: expected a convolution or pooling, got {name}")
        return made

    def tunable(self, from_layer: str | None) -> list[nn.Parameter]:
        """The weights of a convolutional layer and of all later ones.

        Args:
            from_layer: a name of `layers`, or of a group of them (``conv3`` begins at ``conv3_1``); None: all; ``fc6``:
                none, since the fc layers are not here.

        Raises:
            SettingsError: there is no such layer; the message names those there are.
        """
        if from_layer == "fc6":
            return []
        first = self.layers[0] if from_layer is None else from_layer
        if first not in self.layers:
            first = f"{from_layer}_1"
        if first not in self.layers:
            known = ", ".join((*self.layers, "fc6"))
            raise SettingsError(f"no layer {from_layer!r} to fine-tune {self.name} from; there are {known}")
        blocks = [child for child in self.features.children() if any(True for _ in child.parameters())]
        return [weight for block in blocks[self.layers.index(first) :] for weight in block.parameters()]

    def _with(self, features: nn.Module, geometry: Geometry, images: ImageForm | None) -> Backbone:
        made = Backbone(
            self.name,
            features,
            geometry,
            self.convention,
            self.weights,
            layers=self.layers,
            images=images,
            fc_weights=self.fc_weights,
        )
        return made.train(self.training)
