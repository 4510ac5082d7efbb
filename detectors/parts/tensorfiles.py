"""Tensors on disk, so that a fit that was stopped goes on from what it had."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import torch

__all__ = ["TensorFiles"]


class TensorFiles:
    """Named files of named tensors in one folder, each with the key that it was written under.

    Without a folder nothing is written and nothing found.
    """

    def __init__(self, folder: Path | None, key: str) -> None:
        """`key` names all that decides the tensors; what was written under another key is not read."""
        self._folder, self._key = folder, key

    def load(self, name: str) -> dict[str, torch.Tensor] | None:
        """The tensors of a file, on the CPU; None where there is nothing, something torn or something foreign."""
        # What is no archive torch.load would take for a file of its older format, with errors of any kind.
        if self._folder is None or not zipfile.is_zipfile(path := self._folder / name):
            return None
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError):
            return None
        mine = isinstance(found, dict) and found.get("key") == self._key
        tensors: dict[str, torch.Tensor] | None = found["tensors"] if mine else None
        return tensors

    def save(self, name: str, tensors: dict[str, torch.Tensor]) -> None:
        """Replace a file; a kill at any moment leaves the old one or the new one."""
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            beside = self._folder / f"{name}.unfinished"
            torch.save({"key": self._key, "tensors": tensors}, beside)
            beside.replace(self._folder / name)
