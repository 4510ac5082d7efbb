"""The state of a fine-tuning on disk, so that a stop costs minutes and not days."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detectors.contract import fit_settings
from detectors.parts.backbones import Backbone
from detectors.parts.regions import Regions
from detectors.parts.tensorfiles import TensorFiles

__all__ = ["Checkpoint", "fit_key"]

_NETWORK, _OPTIMISER = "network.", "optimiser."
_VELOCITY = "momentum_buffer"
"""What torch's SGD keeps of the steps that it took, one tensor a parameter."""


def fit_key(
    config: Any, n_classes: int, backbone: Backbone, regions: Sequence[Regions], generator: torch.Generator
) -> str:
    """All that decides a fit, so that a checkpoint of another is not taken up.

    `generator` must not have been drawn from yet.
    """
    digest = hashlib.sha256(generator.get_state().numpy().tobytes())
    for item in regions:
        digest.update(item.boxes.numpy().tobytes() + item.labels.numpy().tobytes())
    return f"{fit_settings(config)} {n_classes} {backbone.name} {backbone.weights} {digest.hexdigest()}"


class Checkpoint:
    """One file that holds network, optimiser and step, replaced as the fit goes on."""

    def __init__(self, path: Path, network: nn.Module, key: str) -> None:
        """`key` names all that decides the fit; what was written under another key is not read."""
        self._files, self._name, self._network = TensorFiles(path.parent, key), path.name, network

    def load(self, optimiser: torch.optim.SGD) -> int:
        """Fill network and optimiser; returns the steps taken, 0 where there is nothing to go on with."""
        tensors = self._files.load(self._name)
        if tensors is None:
            return 0
        step = int(tensors.pop("step"))
        self._network.load_state_dict(_below(_NETWORK, tensors))
        velocities = {int(place): {_VELOCITY: value} for place, value in _below(_OPTIMISER, tensors).items()}
        optimiser.load_state_dict(optimiser.state_dict() | {"state": velocities})
        return step

    def save(self, step: int, optimiser: torch.optim.SGD) -> None:
        """Replace the file; a kill at any moment leaves the old one or the new one."""
        tensors = {"step": torch.tensor(step)}
        tensors |= {_NETWORK + name: value for name, value in self._network.state_dict().items()}
        for place, state in optimiser.state_dict()["state"].items():
            if state.get(_VELOCITY) is not None:  # without momentum there is none
                tensors[f"{_OPTIMISER}{place}"] = state[_VELOCITY]
        self._files.save(self._name, tensors)


def _below(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
