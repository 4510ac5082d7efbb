"""R-CNN, SPP-net and Fast R-CNN as in their papers, and what they share. One paper is one file.

`names` lists the methods without importing torch; `load` imports one. A method is a module of this folder that ends in
``METHOD = TheClass``, or an entry point of the group ``harness.detectors`` whose value is ``module:TheClass``, or a
module that ends likewise; a name of this folder wins. A variant is written ``method:variant``, several as
``method:variant:variant``; ``one+other`` is the combination of two methods.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from detectors.plugins import Plugin, PluginError, complaint, find

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
    "origin",
]

_NOT_METHODS = frozenset({"combination", "contract", "parts", "plugins"})
_GROUP = "harness.detectors"


def __getattr__(name: str) -> Any:
    # Torch comes with them, and listing the methods must not load it.
    if name in ("Backbone", "WeightsError"):
        from detectors.parts import backbones

        return getattr(backbones, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class MethodError(ValueError):
    """No such method or variant, and the message names those there are; or a plug-in that cannot be used."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method found by its name: the class and the settings that the name stands for."""

    name: str
    """As asked for, such as ``spp:5``."""
    detector: type[Detector]
    config: Any
    """An instance of ``detector.Config``."""
    members: tuple[Method, ...] = ()
    """Of a combination, ``spp+rcnn``: what it is made of."""


@cache
def _built_in() -> frozenset[str]:
    return frozenset(module.name for module in pkgutil.iter_modules(__path__)) - _NOT_METHODS


def names() -> tuple[str, ...]:
    """The methods of this folder, then those of plug-ins, each in alphabetical order. None is imported."""
    return (*sorted(_built_in()), *find(_GROUP, _built_in()))


def origin(name: str) -> str:
    """``built in``, or the distribution and version that a method comes from, without importing it.

    Raises:
        MethodError: there is no such method.
    """
    base = name.partition(":")[0]
    return "built in" if base in _built_in() else _plugin(base).origin


def _plugin(base: str) -> Plugin:
    plugin = find(_GROUP, _built_in()).get(base)
    if plugin is None:
        raise MethodError(f"no method {base!r}; there are {', '.join(names())}")
    return plugin


def _detector(base: str) -> type[Detector]:
    detector: type[Detector]
    if base in _built_in():
        detector = importlib.import_module(f"detectors.{base}").METHOD
        return detector
    try:
        detector = _plugin(base).load(complaint)
    except PluginError as error:
        raise MethodError(str(error)) from error
    return detector


def load(name: str) -> Method:
    """Import a method by its name.

    Raises:
        MethodError: there is no such method or variant, two variants set the same, or a plug-in cannot be used.
    """
    if "+" in name:
        return _combined(name)
    base, *variants = name.split(":")
    detector = _detector(base)
    changes: dict[str, Any] = {}
    for variant in variants:
        if variant not in detector.variants:
            known = ", ".join(f"{base}:{key}" for key in detector.variants) or "none"
            raise MethodError(f"no variant {base}:{variant}; variants of {base}: {known}")
        twice = sorted(set(changes) & set(detector.variants[variant]))
        if twice:
            raise MethodError(f"{name}: {variant} sets {', '.join(twice)} once more; leave out one of the variants")
        changes |= detector.variants[variant]
    return Method(name, detector, detector.Config(**changes))


def _combined(name: str) -> Method:
    from detectors.combination import Combination, CombinationConfig

    parts = name.split("+")
    if not all(parts):
        raise MethodError(f"combination {name!r} lacks a method beside its '+'; write such as spp+rcnn")
    members = tuple(load(part) for part in parts)
    config = CombinationConfig(tuple(one.detector for one in members), tuple(one.config for one in members))
    return Method(name, Combination, config, members)


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
