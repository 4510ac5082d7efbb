"""What other distributions offer by entry point: found without importing it, and checked before it is used.

An entry point of the group ``harness.detectors`` stands for a method, of ``harness.datasets`` for a data set, of
``harness.proposals`` for a source of boxes. A name that is taken already keeps its meaning: the newcomer is left out
with one line to the log, which Python shows on standard error where nobody has set up logging.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from inspect import ismodule
from typing import Any

__all__ = ["Plugin", "PluginError", "complaint", "find", "missing", "not_callable"]

_log = logging.getLogger(__name__)
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""Names go into file names, and ``:``, ``+`` and ``,`` have a meaning on the command line."""


class PluginError(ValueError):
    """What an entry point stands for cannot be used; the message is one line: what, whose, why."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point, not yet imported."""

    entry: EntryPoint

    @property
    def origin(self) -> str:
        """The distribution that offers it and its version, such as ``faster-rcnn 1.2``."""
        dist = self.entry.dist
        return "an unnamed distribution" if dist is None else f"{dist.name} {dist.version}"

    def __str__(self) -> str:
        return f"plug-in {self.entry.name!r} of {self.origin} ({self.entry.value})"

    def load(self, checked_by: Callable[[Any], str | None]) -> Any:
        """Import it; of a module take its ``METHOD``. `checked_by` says what is wrong with it, or None.

        Raises:
            PluginError: it cannot be imported, or is not what it should be.
        """
        try:
            offered = self.entry.load()
        # A stranger's module may raise anything, and must not end a run that needs it not.
        except (Exception, SystemExit) as error:
            first_line = next(iter(str(error).splitlines()), "no message")
            raise PluginError(f"{self} cannot be loaded: {type(error).__name__}: {first_line}") from error
        if ismodule(offered):
            offered = getattr(offered, "METHOD", offered)
        wrong = checked_by(offered)
        if wrong is not None:
            raise PluginError(f"{self} cannot be used: {wrong}")
        return offered


@cache
def find(group: str, taken: frozenset[str]) -> Mapping[str, Plugin]:
    """The plug-ins of a group by name, in alphabetical order, without importing any.

    Left out, each with one line to the log: a name that is `taken`, that an earlier distribution on ``sys.path`` has,
    or that could not be written on a command line. Looked for once a process.
    """
    found: dict[str, Plugin] = {}
    for plugin in map(Plugin, entry_points(group=group)):
        name = plugin.entry.name
        if name in taken:
            _log.warning("%s is left out: the name is built in", plugin)
        elif not _NAME.fullmatch(name):
            _log.warning("%s is left out: a name has letters, digits, '_', '-' and '.' only", plugin)
        elif name in found:
            _log.warning("%s is left out: %s has that name already", plugin, found[name].origin)
        else:
            found[name] = plugin
    return dict(sorted(found.items()))


def missing(offered: object, protocol: type) -> str | None:
    """Which of the public attributes that a protocol names are not there: ``it has no fit, paper``; or None."""
    wanted = {*getattr(protocol, "__annotations__", ()), *vars(protocol)}
    absent = sorted(name for name in wanted if not name.startswith("_") and not hasattr(offered, name))
    return f"it has no {', '.join(absent)}" if absent else None


def not_callable(offered: object) -> str | None:
    """What is wrong with something that ought to be called; None for a callable."""
    return None if callable(offered) else f"expected a callable, got {type(offered).__name__}"


def complaint(offered: object) -> str | None:
    """What of `detectors.contract.Detector` a class does not have, in a few words; None for a method."""
    from detectors.contract import Detector, MethodConfig

    if not isinstance(offered, type):
        return f"expected a class, or a module with METHOD, got {type(offered).__name__}"
    absent = missing(offered, Detector)
    if absent:
        return absent
    config: Any = offered.Config  # type: ignore[attr-defined]
    if not (isinstance(config, type) and is_dataclass(config) and config.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        return "its Config is no frozen dataclass"
    known = {field.name for field in fields(config)}
    absent_fields = sorted({name for name in vars(MethodConfig) if not name.startswith("_")} - known)
    if absent_fields:
        return f"its Config has no field {', '.join(absent_fields)}"
    return _variants_complaint(offered.variants, known)  # type: ignore[attr-defined]


def _variants_complaint(variants: object, known: set[str]) -> str | None:
    if not isinstance(variants, Mapping):
        return f"expected a mapping as variants, got {type(variants).__name__}"
    for name, changes in variants.items():
        if not isinstance(changes, Mapping):
            return f"variant {name!r}: expected a mapping of fields to values, got {type(changes).__name__}"
        unknown = sorted(set(changes) - known)
        if unknown:
            return f"variant {name!r} changes {', '.join(unknown)}, which its Config does not have"
    return None
