"""Tensors on disk: what comes back, and what must not."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from detectors.parts.tensorfiles import TensorFiles


def test_tensors_come_back(tmp_path: Path) -> None:
    """The last tensors saved under a name are loaded bit by bit, in a folder that need not exist before."""
    files = TensorFiles(tmp_path / "new", "a")
    files.save("one", {"x": torch.zeros(2)})
    tensors = {"x": torch.randn(3, 4), "bytes": torch.arange(5, dtype=torch.uint8), "none": torch.zeros(0, 7)}
    files.save("one", tensors)
    found = TensorFiles(tmp_path / "new", "a").load("one")
    assert found is not None
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], part) and found[name].dtype == part.dtype for name, part in tensors.items())
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["one"]


def test_another_key_or_name_or_no_folder_has_nothing(tmp_path: Path) -> None:
    """Only the key and the name that were written are found; without a folder nothing is kept."""
    TensorFiles(tmp_path, "a").save("one", {"x": torch.zeros(2)})
    assert TensorFiles(tmp_path, "b").load("one") is None
    assert TensorFiles(tmp_path, "a").load("two") is None
    nowhere = TensorFiles(None, "a")
    nowhere.save("one", {"x": torch.zeros(2)})
    assert nowhere.load("one") is None


@pytest.mark.parametrize("kept", [0, 1, 100, -100, -1])
def test_a_torn_file_is_as_good_as_none(kept: int, tmp_path: Path) -> None:
    """A file cut anywhere is not there."""
    files = TensorFiles(tmp_path, "a")
    files.save("one", {"x": torch.randn(100)})
    path = tmp_path / "one"
    path.write_bytes(path.read_bytes()[:kept])
    assert files.load("one") is None


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    """Neither one wrong byte, wherever it is, nor many break anything or give other numbers."""
    files, path = TensorFiles(tmp_path, "a"), tmp_path / "one"
    files.save("one", {"x": torch.arange(20.0), "step": torch.tensor(3)})
    whole, draw = path.read_bytes(), random.Random(0)
    for count in (1,) * 200 + (20,) * 100:
        content = bytearray(whole)
        for place in draw.sample(range(len(whole)), count):
            content[place] ^= draw.randrange(1, 256)
        path.write_bytes(content)
        assert files.load("one") is None
    path.write_bytes(whole)
    assert files.load("one") is not None


def test_a_foreign_file_is_as_good_as_none(tmp_path: Path) -> None:
    """Neither text, nor any bytes, nor archives and checkpoints of others are taken or break anything."""
    files, path = TensorFiles(tmp_path, "a"), tmp_path / "one"
    draw = random.Random(0)
    for content in (b"not a checkpoint", *(b"\x80\x02" + draw.randbytes(40) for _ in range(200))):
        path.write_bytes(content)
        assert files.load("one") is None
    with path.open("wb") as stream:
        np.savez(stream, a=np.zeros(3))
    assert files.load("one") is None
    for other in ([torch.zeros(3)], {"tensors": {"x": torch.zeros(3)}}):
        torch.save(other, path)
        assert files.load("one") is None
