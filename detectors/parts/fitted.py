"""A detector's network in its two forms: as it was fitted, which is what a file holds, and as it detects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Generic, TypeVar

from torch import nn

from detectors.parts.modelfile import read_model, write_model

__all__ = ["Fitted"]

N = TypeVar("N", bound=nn.Module)


class Fitted(ABC, Generic[N]):
    """Base of a detector whose model is one network."""

    _network: N | None = None
    _detecting: N | None = None

    @abstractmethod
    def _build(self) -> N:
        """A network that has learnt nothing, on the device."""

    @abstractmethod
    def _deployed(self, network: N) -> N:
        """The form of a fitted network that detects; made once, not for each image."""

    def _take(self, network: N) -> None:
        """Detect with this fitted network from now on."""
        self._network, self._detecting = network, self._deployed(network)

    @property
    def detecting(self) -> N:
        """The network that detects.

        Raises:
            RuntimeError: nothing has been fitted or restored.
        """
        if self._detecting is None:
            raise RuntimeError("detect comes after fit or restore")
        return self._detecting

    def save(self, path: Path) -> None:
        """Write all that was learnt to one safetensors file: in float32, and before anything that only detecting needs.

        Raises:
            RuntimeError: nothing has been fitted or restored.
        """
        if self._network is None:
            raise RuntimeError("save comes after fit or restore")
        write_model(self._network, path)

    def restore(self, path: Path) -> None:
        """Read what `save` wrote.

        Raises:
            ModelFileError: no such file, or one of another make.
        """
        network = self._build()
        read_model(network, path)
        self._take(network)
