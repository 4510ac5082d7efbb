"""Where a backbone's numbers come from: safetensors, Caffe's files, torchvision, and how they are put in place.

A safetensors file has the keys of the network (``features.*``) or torchvision's, and perhaps ``fc6.weight``,
``fc6.bias``, ``fc7.weight`` and ``fc7.bias``; other keys are left alone. It carries its input convention in its
metadata under ``input``; without one it is refused, because pixels in another convention cost accuracy without an
error. A ``.caffemodel`` carries none: only networks with a convention of their own for such files take it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detectors.parts.backbones.architecture import Architecture
from detectors.parts.backbones.convention import ConventionError, InputConvention

__all__ = ["State", "WeightsError", "assign", "fetch", "open_file"]

State = dict[str, torch.Tensor]


class WeightsError(ValueError):
    """Weights cannot be had as asked; the message is one line."""


def open_file(path: Path, name: str, architecture: Architecture) -> tuple[InputConvention, State]:
    """The convention and tensors of a file for the network `name`, the tensors mapped from the file where it can be.

    Raises:
        WeightsError: no such file, one that cannot be read, or a kind that this network does not take.
    """
    if not path.is_file():
        raise WeightsError(f"no weights file {path}; --weights takes auto, random, torchvision or a FILE")
    if path.suffix == ".caffemodel":
        if architecture.caffe is None:
            raise WeightsError(f"{name} is no network of Caffe's and takes no {path.name}; give a .safetensors file")
        return architecture.caffe, _read_caffe(path, architecture)
    return _read_safetensors(path)


def fetch(name: str) -> State:
    """torchvision's own weights, from its cache or its server.

    Raises:
        WeightsError: they could not be fetched.
    """
    from torchvision import models

    weights = models.get_model_weights(name).DEFAULT
    try:
        state: State = weights.get_state_dict(progress=False, check_hash=True)
    except OSError as error:  # URLError and its kin
        raise WeightsError(
            f"torchvision's weights for {name} could not be fetched from {weights.url} ({error}); "
            "give a file with --weights FILE, or --weights random"
        ) from None
    return state


def assign(
    features: nn.Module, architecture: Architecture, state: Mapping[str, torch.Tensor], origin: str
) -> tuple[str, State | None]:
    """Put the ``features.*`` tensors into the layers; return a sha256 of all that is used, and the fc tensors.

    The fc tensors are None where `state` has none of them. They stay what they are in `state`: not copied, only
    brought to float32.

    Raises:
        WeightsError: a tensor is missing, has another shape, or holds other than finite floating-point numbers; the
            message names it and `origin`.
    """
    aliases = architecture.torchvision or {}
    wanted = features.state_dict()
    found = {
        key: _take(state, f"features.{key}", tuple(value.shape), aliases, origin).to(value.dtype)
        for key, value in wanted.items()
    }
    fc_weights = _fc_weights(architecture, state, aliases, origin)
    features.load_state_dict(found)
    digest = hashlib.sha256()
    for key, tensor in {**found, **(fc_weights or {})}.items():
        digest.update(key.encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest(), fc_weights


def _bytes(tensor: torch.Tensor) -> Any:
    return tensor.contiguous().numpy().data.cast("B") if tensor.numel() else b""


def _key(state: Mapping[str, torch.Tensor], key: str, aliases: Mapping[str, str]) -> str:
    """The name that `state` has for `key`: the key itself or torchvision's."""
    layer, _, kind = key.rpartition(".")
    alias = f"{aliases.get(layer, layer)}.{kind}"
    return alias if key not in state and alias in state else key


def _take(
    state: Mapping[str, torch.Tensor], key: str, shape: tuple[int, ...], aliases: Mapping[str, str], origin: str
) -> torch.Tensor:
    stored = _key(state, key, aliases)
    found = state.get(stored)
    if found is None:
        raise WeightsError(f"{origin} has no tensor '{key}'; is it for another network?")
    if tuple(found.shape) != shape:
        raise WeightsError(f"{origin}: '{stored}' has shape {tuple(found.shape)}, the network needs {shape}")
    if not found.is_floating_point():
        raise WeightsError(f"{origin}: '{stored}' is of {found.dtype}, not of floating-point numbers")
    if not found.isfinite().all():
        raise WeightsError(f"{origin}: '{stored}' has a value that is not finite; is the file damaged?")
    return found.detach()


def _fc_weights(
    architecture: Architecture, state: Mapping[str, torch.Tensor], aliases: Mapping[str, str], origin: str
) -> State | None:
    geometry = architecture.geometry
    if geometry.fc is None:
        return None
    shapes = geometry.fc.shapes(geometry.channels)
    if not any(_key(state, key, aliases) in state for key in shapes):
        return None
    return {key: _take(state, key, shape, aliases, origin).float() for key, shape in shapes.items()}


def _read_safetensors(path: Path) -> tuple[InputConvention, State]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            text = (file.metadata() or {}).get("input")
            if text is None:
                raise WeightsError(
                    f"weights file {path} does not say its input convention: its metadata needs a key 'input', "
                    "such as 'BGR 0-255 minus (104,117,123)'"
                )
            return InputConvention.parse(text), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise WeightsError(f"weights file {path} is no safetensors file ({error})") from None
    except ConventionError as error:
        raise WeightsError(f"weights file {path}: {error}") from None


def _read_caffe(path: Path, architecture: Architecture) -> State:
    """Layers by Caffe's names as tensors by the keys here."""
    from detectors.parts.backbones.caffemodel import CaffeModelError, read_caffemodel

    try:
        layers = read_caffemodel(path)
    except CaffeModelError as error:
        raise WeightsError(str(error)) from None
    with torch.device("meta"):
        shapes = {f"features.{key}": tuple(value.shape) for key, value in architecture.build().state_dict().items()}
    if architecture.geometry.fc is not None:
        shapes |= architecture.geometry.fc.shapes(architecture.geometry.channels)
    state = {}
    for key, shape in shapes.items():
        layer, kind = key.removeprefix("features.").split(".")
        blobs = layers.get(layer)
        if blobs is None:
            continue
        if len(blobs) != 2:
            raise WeightsError(
                f"weights file {path}, layer {layer!r}: expected two blobs, weight and bias, got {len(blobs)}"
            )
        state[key] = _without_leading_ones(blobs[kind == "bias"], len(shape))
    return state


def _without_leading_ones(blob: torch.Tensor, dimensions: int) -> torch.Tensor:
    """The blob in fewer dimensions: Caffe of 2014 wrote every blob in four, such as (1, 1, n, k) for an fc weight."""
    surplus = blob.ndim - dimensions
    if surplus > 0 and all(size == 1 for size in blob.shape[:surplus]):
        return blob.reshape(blob.shape[surplus:])
    return blob
