"""Fitted models on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from detectors.parts.modelfile import ModelFileError, read_model, write_model


def _module(width: int = 3) -> nn.Module:
    module = nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width))
    with torch.no_grad():
        for index, value in enumerate([*module.parameters(), *module.buffers()]):
            value.fill_(index + 1)
    return module


def test_every_parameter_and_buffer_comes_back(tmp_path: Path) -> None:
    """What is written is read to the bit, infinities too, and folders are made."""
    written, read = _module(), _module()
    with torch.no_grad():
        written[0].weight.copy_(torch.randn(3, 2, generator=torch.Generator().manual_seed(0)))  # type: ignore[index]
        written[0].bias.fill_(float("-inf"))  # type: ignore[index]
    write_model(written, tmp_path / "a" / "b" / "model")
    read_model(read, tmp_path / "a" / "b" / "model")
    state = read.state_dict()
    assert all(torch.equal(state[key], value) for key, value in written.state_dict().items())


def test_the_layout_in_memory_does_not_matter(tmp_path: Path) -> None:
    """A module in channels-last layout writes the same bytes as the same module in the usual one."""
    module = nn.Conv2d(3, 4, 3)
    write_model(module, tmp_path / "usual")
    write_model(module.to(memory_format=torch.channels_last), tmp_path / "last")
    assert (tmp_path / "usual").read_bytes() == (tmp_path / "last").read_bytes()


def _assert_refused(path: Path, message: str) -> None:
    with pytest.raises(ModelFileError, match=message) as caught:
        read_model(_module(), path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_value_that_is_not_a_number_is_refused(tmp_path: Path) -> None:
    """A network with one detects nothing, or anything, without an error."""
    module = _module()
    with torch.no_grad():
        module[0].bias[1] = float("nan")  # type: ignore[index]
    write_model(module, tmp_path / "model")
    _assert_refused(tmp_path / "model", "'0.bias' has a value that is not a number")


def test_what_is_no_model_of_this_make_is_refused(tmp_path: Path) -> None:
    """A missing file, another kind of file, other shapes and other names are each an error that names the file."""
    path = tmp_path / "model"
    _assert_refused(path, "no fitted model at")
    _assert_refused(tmp_path, "no fitted model at")
    for content in (b"", b"text"):
        path.write_bytes(content)
        _assert_refused(path, "does not hold this model")
    write_model(_module(width=4), path)
    _assert_refused(path, "does not hold this model")
    write_model(nn.Linear(2, 3), path)
    _assert_refused(path, "does not hold this model")
