"""The fully connected layers on top of pooled features: fc6, fc7 and what is predicted from them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

__all__ = ["Head", "generator_on"]


def generator_on(device: torch.device, generator: torch.Generator) -> torch.Generator:
    """A generator for tensors of `device`, seeded by the next number of a CPU generator."""
    seed = int(torch.randint(2**62, (1,), generator=generator))
    return torch.Generator(device).manual_seed(seed)


class Head(nn.Module):
    """fc6 and fc7, each with ReLU and dropout, and one linear output per name.

    The backbones here have no fc layers of their own, so fc6 and fc7 start random and are trained.
    Differs from [RCNN 2.3, SPP 4.1, FRCN 2.3]: the papers' fc6 and fc7 come from ImageNet, because those weights do not
    exist for these backbones. Since random layers know nothing of the size of their input, pooled features are brought
    to unit mean square by one factor, measured once before training.
    """

    input_factor: torch.Tensor

    def __init__(self, inputs: int, width: int, outputs: dict[str, int]) -> None:
        """`inputs` pooled features, two layers of `width`, and the sizes of the outputs."""
        super().__init__()
        with torch.random.fork_rng(devices=[]):  # torch draws weights from the global stream; `start` replaces them
            self.fc6 = nn.Linear(inputs, width)
            self.fc7 = nn.Linear(width, width)
            self.outputs = nn.ModuleDict({name: nn.Linear(width, size) for name, size in outputs.items()})
        self.register_buffer("input_factor", torch.ones(()))
        self.dropout = 0.5  # [RCNN 2.3] and both followers take it from AlexNet

    @torch.no_grad()
    def start(self, pooled: torch.Tensor, deviations: dict[str, float], generator: torch.Generator) -> None:
        """Draw all weights. `pooled` (N, inputs) are typical features; `deviations` those of each output's weights."""
        for layer in (self.fc6, self.fc7):
            drawn = torch.randn(layer.weight.shape, generator=generator)
            layer.weight.copy_(drawn * (2 / layer.in_features) ** 0.5)  # He et al. 2015, as suits ReLU
            layer.bias.zero_()
        for name, deviation in deviations.items():
            weight, bias = self.outputs[name].parameters()
            weight.copy_(torch.randn(weight.shape, generator=generator) * deviation)
            bias.zero_()
        self.input_factor.copy_(1 / pooled.float().square().mean().sqrt().clamp(min=1e-6))

    def features(self, pooled: torch.Tensor, dropped_by: torch.Generator | None = None) -> torch.Tensor:
        """fc7 after its ReLU, (N, width), of pooled (N, inputs); with dropout where a generator for it is given."""
        activations = pooled * self.input_factor
        for layer in (self.fc6, self.fc7):
            activations = torch.relu(layer(activations))
            if dropped_by is not None:
                kept = torch.rand(activations.shape, generator=dropped_by, device=activations.device) >= self.dropout
                activations = activations * kept / (1 - self.dropout)
        return activations

    def forward(self, pooled: torch.Tensor, dropped_by: torch.Generator | None = None) -> dict[str, torch.Tensor]:
        """All outputs by name."""
        features = self.features(pooled, dropped_by)
        return {name: output(features) for name, output in self.outputs.items()}

    def parameter_groups(
        self, conv: Sequence[nn.Parameter], lr: float, new_layer_factor: float
    ) -> list[dict[str, object]]:
        """Optimiser groups: pretrained convolutions at `lr`, this head's new layers at `new_layer_factor` times it."""
        groups: list[dict[str, object]] = [{"params": list(self.parameters()), "lr": lr * new_layer_factor}]
        if conv:
            groups.append({"params": list(conv), "lr": lr})
        return groups
