"""The state of a fine-tuning on disk, so that a stop costs minutes and not days."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detectors.contract import fit_settings
from detectors.parts.backbones import Backbone
from detectors.parts.regions import Regions

__all__ = ["Checkpoint", "fit_key"]


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
        self._path, self._network, self._key = path, network, key

    def load(self, optimiser: torch.optim.Optimizer) -> int:
        """Fill network and optimiser; returns the steps taken, 0 where there is nothing to go on with."""
        if not self._path.is_file():
            return 0
        device = next(self._network.parameters()).device
        try:
            state = torch.load(self._path, map_location=device, weights_only=True)
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError):
            return 0  # torn: written by something else, since ours are renamed into place when they are whole
        if not isinstance(state, dict) or state.get("key") != self._key:
            return 0
        self._network.load_state_dict(state["network"])
        optimiser.load_state_dict(state["optimiser"])
        return int(state["step"])

    def save(self, step: int, optimiser: torch.optim.Optimizer) -> None:
        """Replace the file; a kill at any moment leaves the old one or the new one."""
        state = {
            "key": self._key,
            "step": step,
            "network": self._network.state_dict(),
            "optimiser": optimiser.state_dict(),
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_suffix(".unfinished")
        torch.save(state, beside)
        beside.replace(self._path)
