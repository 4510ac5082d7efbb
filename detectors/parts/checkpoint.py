"""The state of a fine-tuning on disk, so that a stop costs minutes and not days, and no network is tuned twice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detectors.contract import fit_settings, network_settings
from detectors.parts.backbones import Backbone
from detectors.parts.regions import Regions
from detectors.parts.tensorfiles import TensorFiles

__all__ = ["Checkpoint", "fit_key", "network_key"]

_NETWORK, _OPTIMISER = "network.", "optimiser."
_VELOCITY = "momentum_buffer"
"""What torch's SGD keeps of the steps that it took, one tensor a parameter."""


def fit_key(
    config: Any, n_classes: int, backbone: Backbone, regions: Sequence[Regions], generator: torch.Generator
) -> str:
    """All that decides a fit, so that a checkpoint of another is not taken up.

    `generator` must not have been drawn from yet.
    """
    return _key(fit_settings(config), n_classes, backbone, regions, generator)


def network_key(
    config: Any, n_classes: int, backbone: Backbone, regions: Sequence[Regions], generator: torch.Generator
) -> str:
    """All that decides the fine-tuned network of a fit; the same where fits differ in what is learnt after it alone."""
    return _key(network_settings(config), n_classes, backbone, regions, generator)


def _key(
    settings: Mapping[str, Any],
    n_classes: int,
    backbone: Backbone,
    regions: Sequence[Regions],
    generator: torch.Generator,
) -> str:
    digest = hashlib.sha256(generator.get_state().numpy().tobytes())
    for item in regions:
        digest.update(item.boxes.numpy().tobytes() + item.labels.numpy().tobytes())
    return f"{settings} {n_classes} {backbone.name} {backbone.weights} {digest.hexdigest()}"


class Checkpoint:
    """Network, optimiser and step in one file, replaced as the fit goes on; in the end the network alone in another.

    The last file is named by a digest of the key, so that other fits of the folder can take it up.
    """

    def __init__(self, path: Path, network: nn.Module, key: str) -> None:
        """`key` names all that decides the fit; what was written under another key is not read."""
        self._files, self._name, self._network = TensorFiles(path.parent, key), path.name, network
        digest = hashlib.sha256(key.encode()).hexdigest()[:16]
        self._last, self._path = f"shared-{path.stem}-{digest}{path.suffix}", path
        self.finished = False
        """Whether the file of the last step is there."""

    def load(self, optimiser: torch.optim.SGD) -> int:
        """Fill network and optimiser; returns the steps taken, 0 where there is nothing to go on with.

        After the last step the optimiser has nothing to go on with, and is left alone.
        """
        tensors = self._files.load(self._last)
        self.finished = tensors is not None
        if tensors is None:
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
        tensors = self._of_network(step)
        for place, state in optimiser.state_dict()["state"].items():
            if state.get(_VELOCITY) is not None:  # without momentum there is none
                tensors[f"{_OPTIMISER}{place}"] = state[_VELOCITY]
        self._files.save(self._name, tensors)

    def finish(self, steps: int) -> None:
        """Write the network after its last step, and drop the other file."""
        self._files.save(self._last, self._of_network(steps))
        self._path.unlink(missing_ok=True)
        self.finished = True

    def _of_network(self, step: int) -> dict[str, torch.Tensor]:
        return {"step": torch.tensor(step)} | {
            _NETWORK + name: value for name, value in self._network.state_dict().items()
        }


def _below(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
