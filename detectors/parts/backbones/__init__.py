"""Backbones by name, with weights that are packaged, torchvision's, random, or read from a file.

A weights file is safetensors with the keys of the network (``features.*``; other keys such as a classifier's are left
alone) and carries its input convention in its metadata under ``input``; without one it is refused, because pixels in
another convention cost accuracy without an error.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import nn

from detectors.parts.backbones import mini, squeezenet
from detectors.parts.backbones.convention import ConventionError, InputConvention
from detectors.parts.backbones.network import Backbone, Geometry

__all__ = ["Backbone", "Geometry", "InputConvention", "WeightsError", "check", "load", "names"]

_PACKAGED = {"mini": Path(__file__).with_name("mini.safetensors")}


class WeightsError(ValueError):
    """Weights cannot be had as asked; the message is one line."""


def names() -> tuple[str, ...]:
    """The backbones there are."""
    return ("mini", *squeezenet.GEOMETRIES)


def check(name: str, weights: str) -> None:
    """Fail early: see that the backbone exists and that a weights file could be read.

    Raises:
        WeightsError: no such backbone, no such file, or a file without its input convention.
    """
    if name not in names():
        raise WeightsError(f"no backbone {name!r}; there are {', '.join(names())}")
    if weights in ("auto", "torchvision") and name in _PACKAGED:
        if weights == "torchvision":
            raise WeightsError(f"torchvision has no weights for {name}; use --weights auto, random or a FILE")
    elif weights not in ("auto", "torchvision", "random"):
        _open(Path(weights))


def load(name: str, weights: str, *, generator: torch.Generator) -> Backbone:
    """Build a backbone on the CPU in evaluation mode.

    `weights`: ``auto`` (packaged for mini, torchvision's else), ``torchvision``, ``random`` (drawn from `generator`) or
    the path of a safetensors file.

    Raises:
        WeightsError: see `check`; also when keys or shapes do not fit, or torchvision's file cannot be fetched.
    """
    check(name, weights)
    if name == "mini":
        features, geometry, convention = mini.layers(generator), mini.GEOMETRY, mini.CONVENTION
    else:
        features, geometry = squeezenet.layers(name, generator), squeezenet.GEOMETRIES[name]
        convention = squeezenet.CONVENTION
    origin = "random"
    if weights in ("auto", "torchvision") and name not in _PACKAGED:
        state = _from_torchvision(name)
        origin = _assign(features, state, f"torchvision's {name}")
    elif weights != "random":
        path = _PACKAGED[name] if weights == "auto" else Path(weights)
        convention, state = _open(path)
        origin = _assign(features, state, str(path))
    return Backbone(name, features, geometry, convention, origin).eval()


def _open(path: Path) -> tuple[InputConvention, dict[str, torch.Tensor]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise WeightsError(f"no weights file {path}; --weights takes auto, random, torchvision or a safetensors file")
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


def _from_torchvision(name: str) -> dict[str, torch.Tensor]:
    from torchvision import models

    weights = models.get_model_weights(name).DEFAULT
    try:
        state: dict[str, torch.Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except OSError as error:  # URLError and its kin
        raise WeightsError(
            f"torchvision's weights for {name} could not be fetched from {weights.url} ({error}); "
            "give a file with --weights FILE, or --weights random"
        ) from None
    return state


def _assign(features: nn.Module, state: dict[str, torch.Tensor], origin: str) -> str:
    """Put the ``features.*`` tensors of `state` into the layers; return a sha256 of what was put."""
    wanted = features.state_dict()
    digest = hashlib.sha256()
    for key, value in wanted.items():
        found = state.get(f"features.{key}")
        if found is None:
            raise WeightsError(f"{origin} has no tensor 'features.{key}'; is it for another network?")
        if found.shape != value.shape:
            raise WeightsError(
                f"{origin}: 'features.{key}' has shape {tuple(found.shape)}, the network needs {tuple(value.shape)}"
            )
        wanted[key] = found.to(value.dtype)
        digest.update(key.encode() + wanted[key].contiguous().numpy().tobytes())
    features.load_state_dict(wanted)
    return digest.hexdigest()
