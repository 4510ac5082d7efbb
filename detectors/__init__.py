"""R-CNN, SPP-net and Fast R-CNN as in their papers, and what they share. One paper is one file.

`names` lists the methods without importing torch; `load` imports one. A method is a module of this folder that ends in
``METHOD = TheClass``; a variant is written ``method:variant``.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from detectors.contract import Detector
    from detectors.parts.backbones import Backbone, WeightsError

__all__ = [
    "Backbone",
    "Method",
    "MethodError",
    "WeightsError",
    "check_backbone",
    "load",
    "load_backbone",
    "names",
]

_NOT_METHODS = frozenset({"contract", "parts"})


def __getattr__(name: str) -> Any:
    # Torch comes with them, and listing the methods must not load it.
    if name in ("Backbone", "WeightsError"):
        from detectors.parts import backbones

        return getattr(backbones, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class MethodError(ValueError):
    """No such method or variant; the message names those there are."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method found by its name: the class and the settings that the name stands for."""

    name: str
    """As asked for, such as ``spp:5``."""
    detector: type[Detector]
    config: Any
    """An instance of ``detector.Config``."""


def names() -> tuple[str, ...]:
    """The methods of this folder, in alphabetical order."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name not in _NOT_METHODS))


def load(name: str) -> Method:
    """Import a method by its name.

    Raises:
        MethodError: there is no such method or variant.
    """
    base, _, variant = name.partition(":")
    if base not in names():
        raise MethodError(f"no method {base!r}; there are {', '.join(names())}")
    detector: type[Detector] = importlib.import_module(f"detectors.{base}").METHOD
    if not variant:
        return Method(name, detector, detector.Config())
    if variant not in detector.variants:
        known = ", ".join(f"{base}:{key}" for key in detector.variants) or "none"
        raise MethodError(f"no variant {name!r}; variants of {base}: {known}")
    return Method(name, detector, detector.variants[variant])


def check_backbone(name: str, weights: str) -> None:
    """See that a backbone and its weights can be had, without loading them; raises as `load_backbone` does."""
    from detectors.parts import backbones

    backbones.check(name, weights)


def load_backbone(name: str, weights: str, *, generator: torch.Generator) -> Backbone:
    """Build a backbone on the CPU; see `detectors.parts.backbones.load`.

    Raises:
        WeightsError: no such backbone, or its weights cannot be had.
    """
    from detectors.parts import backbones

    return backbones.load(name, weights, generator=generator)
