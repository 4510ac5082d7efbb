"""Tensors on disk, so that a fit that was stopped goes on from what it had."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

import torch

__all__ = ["TensorFiles"]

_DIGEST_BYTES = hashlib.sha256().digest_size
_READ_BYTES = 2**20


class TensorFiles:
    """Named files of named tensors in one folder, each good only under the key that it was written under.

    A file is what `torch.save` writes, followed by a digest of the key and of those bytes: torch alone takes some
    damaged files for good ones with other numbers, and meets others with errors of any kind. Without a folder nothing
    is written and nothing found.
    """

    def __init__(self, folder: Path | None, key: str) -> None:
        """`key` names all that decides the tensors; what was written under another key is not read."""
        self._folder, self._key = folder, key

    def load(self, name: str) -> dict[str, torch.Tensor] | None:
        """The tensors of a file, on the CPU; None where there is nothing, something damaged or something foreign."""
        if self._folder is None or not (path := self._folder / name).is_file():
            return None
        with path.open("rb") as file:
            if self._digest(file, path.stat().st_size - _DIGEST_BYTES) != file.read(_DIGEST_BYTES):
                return None
        tensors: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return tensors

    def save(self, name: str, tensors: dict[str, torch.Tensor]) -> None:
        """Replace a file; a kill at any moment leaves the old one or the new one."""
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            beside = self._folder / f"{name}.unfinished"
            torch.save(tensors, beside)
            with beside.open("r+b") as file:
                digest = self._digest(file, beside.stat().st_size)
                file.write(digest)
            beside.replace(self._folder / name)

    def _digest(self, file: BinaryIO, count: int) -> bytes:
        """Of the key and the next `count` bytes; leaves the file behind them."""
        digest = hashlib.sha256(self._key.encode())
        while count > 0 and (part := file.read(min(count, _READ_BYTES))):
            digest.update(part)
            count -= len(part)
        return digest.digest()
