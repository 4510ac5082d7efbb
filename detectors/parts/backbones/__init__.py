"""Backbones by name, with weights that are packaged, torchvision's, random, or read from a file.

What a weights file holds is said in `detectors.parts.backbones.weights`. One network is one file here, which states
its layers, geometry and input convention, and nothing else does.
"""

from __future__ import annotations

from pathlib import Path

import torch

from detectors.parts.backbones import alexnet, caffenet, mini, squeezenet, vgg16, vgg_m, zf5
from detectors.parts.backbones.architecture import Architecture
from detectors.parts.backbones.convention import InputConvention
from detectors.parts.backbones.network import Backbone, FcStack, Geometry
from detectors.parts.backbones.weights import WeightsError, assign, fetch, open_file

__all__ = ["Backbone", "FcStack", "Geometry", "InputConvention", "WeightsError", "check", "load", "names"]

_ARCHITECTURES: dict[str, Architecture] = {
    "mini": mini.ARCHITECTURE,
    **squeezenet.ARCHITECTURES,
    "alexnet": alexnet.ARCHITECTURE,
    "caffenet": caffenet.ARCHITECTURE,
    "zf5": zf5.ARCHITECTURE,
    "vgg-m": vgg_m.ARCHITECTURE,
    "vgg16": vgg16.ARCHITECTURE,
}


def names() -> tuple[str, ...]:
    """The backbones there are."""
    return tuple(_ARCHITECTURES)


def check(name: str, weights: str) -> None:
    """Fail early: see that the backbone exists and that a weights file could be read.

    Raises:
        WeightsError: no such backbone, no weights of that kind for it, no such file, one that cannot be read, or one
            without its input convention.
    """
    if name not in _ARCHITECTURES:
        raise WeightsError(f"no backbone {name!r}; there are {', '.join(names())}")
    architecture = _ARCHITECTURES[name]
    if weights not in ("auto", "torchvision", "random"):
        open_file(Path(weights), name, architecture)
    elif weights == "torchvision" and architecture.torchvision is None and architecture.packaged is not None:
        raise WeightsError(f"torchvision has no weights for {name}; use --weights auto, random or a FILE")
    elif weights != "random" and architecture.torchvision is None and architecture.packaged is None:
        raise WeightsError(
            f"no weights of {name} can be fetched; give a .caffemodel or .safetensors file with --weights FILE, "
            "or --weights random"
        )


def load(name: str, weights: str, *, generator: torch.Generator) -> Backbone:
    """Build a backbone on the CPU in evaluation mode.

    `weights`: ``auto`` (packaged for mini, torchvision's else), ``torchvision``, ``random`` (drawn from `generator`) or
    the path of a safetensors file or a ``.caffemodel``.

    Raises:
        WeightsError: see `check`; also when keys or shapes do not fit, or torchvision's file cannot be fetched.
    """
    if name not in _ARCHITECTURES or weights in ("auto", "torchvision"):
        check(name, weights)
    architecture = _ARCHITECTURES[name]
    features, convention, origin, fc_weights = architecture.drawn(generator), architecture.convention, "random", None
    if weights in ("auto", "torchvision") and architecture.packaged is None:
        origin, fc_weights = assign(features, architecture, fetch(name), f"torchvision's {name}")
    elif weights != "random":
        path = architecture.packaged if weights == "auto" and architecture.packaged else Path(weights)
        convention, state = open_file(path, name, architecture)
        origin, fc_weights = assign(features, architecture, state, str(path))
    return Backbone(
        name,
        features,
        architecture.geometry,
        convention,
        origin,
        layers=architecture.layers,
        images=architecture.images,
        fc_weights=fc_weights,
    ).eval()
