"""The fully connected layers on top of pooled features: fc6, fc7 and what is predicted from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

from detectors.parts.affine import affine
from detectors.parts.backbones import Backbone, Geometry

__all__ = ["Head", "fc_widths", "own_fc"]

_WIDTH = 1024
"""Of fc6 and fc7 where a network has none of its own.

Differs from [RCNN 2.1, SPP 4.1, FRCN 4.1]: 4,096, because fc layers that start random need less width than data."""


def fc_widths(geometry: Geometry, fc_width: int | None) -> tuple[int, int]:
    """Widths of fc6 and fc7: as asked for, else the network's own, else 1,024."""
    if fc_width is not None:
        return fc_width, fc_width
    return (_WIDTH, _WIDTH) if geometry.fc is None else geometry.fc.widths


def own_fc(backbone: Backbone, levels: tuple[int, ...], widths: tuple[int, int]) -> Mapping[str, torch.Tensor] | None:
    """The network's pretrained fc6 and fc7 where they take grids of these `levels` and have these `widths`."""
    stack = backbone.geometry.fc
    if stack is None or stack.levels != levels or stack.widths != widths:
        return None
    return backbone.fc_weights


class Head(nn.Module):
    """fc6 and fc7, each with ReLU and dropout, and one linear output per name.

    fc6 and fc7 are the network's own, pretrained ones where it has them and they fit, and start random elsewhere.
    Differs from [RCNN 2.3, SPP 4.1, FRCN 2.3]: the papers' always come from ImageNet, because those weights do not
    exist for every backbone here. Since random layers know nothing of the size of their input, pooled features are
    then brought to unit mean square by one factor, measured once before training.
    """

    input_factor: torch.Tensor

    def __init__(self, inputs: int, widths: tuple[int, int], outputs: dict[str, int]) -> None:
        """`inputs` pooled features, the widths of fc6 and fc7, and the sizes of the outputs."""
        super().__init__()
        # On the meta device torch draws no weights: `start` does, or a file fills them.
        with torch.device("meta"):
            self.fc6 = nn.Linear(inputs, widths[0])
            self.fc7 = nn.Linear(widths[0], widths[1])
            self.outputs = nn.ModuleDict({name: nn.Linear(widths[1], size) for name, size in outputs.items()})
        self.to_empty(device="cpu")
        self.register_buffer("input_factor", torch.ones(()))
        self.dropout = 0.5  # [RCNN 2.3] and both followers take it from AlexNet
        self._pretrained = False

    @torch.no_grad()
    def start(
        self,
        pooled: torch.Tensor,
        deviations: dict[str, float],
        generator: torch.Generator,
        fc_weights: Mapping[str, torch.Tensor] | None = None,
    ) -> None:
        """Draw all weights that are not given.

        Args:
            pooled: (N, inputs), typical features.
            deviations: of the Gaussian weights of each output, by name.
            generator: on the CPU.
            fc_weights: ``fc6.weight``, ``fc6.bias``, ``fc7.weight``, ``fc7.bias`` of a pretrained network.
        """
        self._pretrained = fc_weights is not None
        for name, layer in (("fc6", self.fc6), ("fc7", self.fc7)):
            if fc_weights is not None:
                layer.weight.copy_(fc_weights[f"{name}.weight"])
                layer.bias.copy_(fc_weights[f"{name}.bias"])
            else:
                # He et al. 2015, as suits ReLU
                layer.weight.copy_(_normal(layer.weight, (2 / layer.in_features) ** 0.5, generator))
                layer.bias.zero_()
        for name, deviation in deviations.items():
            weight, bias = self.outputs[name].parameters()
            weight.copy_(_normal(weight, deviation, generator))
            bias.zero_()
        self.input_factor.fill_(1)
        if fc_weights is None:
            self.input_factor.copy_(1 / pooled.float().square().mean().sqrt().clamp(min=1e-6))

    def features(
        self,
        pooled: torch.Tensor,
        dropped_by: torch.Generator | None = None,
        layer: Literal["fc6", "fc7"] = "fc7",
    ) -> torch.Tensor:
        """A layer after its ReLU, (N, width), of pooled (N, inputs); with dropout where a generator for it is given."""
        activations = pooled.to(self.fc6.weight.dtype) * self.input_factor
        layers: tuple[nn.Module, ...] = (self.fc6,) if layer == "fc6" else (self.fc6, self.fc7)
        for linear in layers:
            if isinstance(linear, nn.Linear):  # or a factorised layer
                activations = torch.relu(affine(activations, linear.weight, linear.bias))
            else:
                activations = torch.relu(linear(activations))
            if dropped_by is not None:
                kept = torch.rand(activations.shape, generator=dropped_by, device=activations.device) >= self.dropout
                activations = activations * kept / (1 - self.dropout)
        return activations

    def forward(self, pooled: torch.Tensor, dropped_by: torch.Generator | None = None) -> dict[str, torch.Tensor]:
        """All outputs by name."""
        features = self.features(pooled, dropped_by)
        return {name: output(features) for name, output in self.outputs.items()}

    @property
    def new(self) -> list[nn.Parameter]:
        """The parameters that `start` drew: all, or those of the outputs where fc6 and fc7 came pretrained."""
        return list(self.outputs.parameters()) if self._pretrained else list(self.parameters())

    @property
    def pretrained(self) -> list[nn.Parameter]:
        """The parameters of fc6 and fc7 where they came pretrained."""
        return [*self.fc6.parameters(), *self.fc7.parameters()] if self._pretrained else []


def _normal(like: torch.Tensor, deviation: float, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(like.shape, generator=generator) * deviation
