"""The detectors there are, with their variants and where each comes from."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import detectors

__all__ = ["found", "lines"]

_COLUMNS, _INDENT = 80, " " * 4
_MORE = (
    "Several variants: spp:5:pool5. Both of two methods: spp+rcnn. On another network than --backbone's: rcnn@caffenet."
)


def found(on_broken: Callable[[str], None]) -> list[dict[str, Any]]:
    """``name``, ``paper``, ``variants``, ``title`` and ``origin`` of every method that can be loaded.

    A plug-in that cannot be is left out; `on_broken` gets the reason, one line.
    """
    known = []
    for name in detectors.names():
        try:
            detector = detectors.load(name).detector
        except detectors.MethodError as error:
            on_broken(str(error))
            continue
        variants = [f"{name}:{variant}" for variant in detector.variants]
        title = " ".join((sys.modules[detector.__module__].__doc__ or "").strip().split("\n\n")[0].split())
        about = {"name": name, "paper": detector.paper, "variants": variants, "title": title}
        known.append({**about, "origin": detectors.origin(name)})
    return known


def lines(known: Sequence[dict[str, Any]]) -> list[str]:
    """What `found` gave, for a terminal of 80 columns."""
    shown = []
    for about in known:
        shown.append(f"{about['name']}  ({about['origin']})")
        for text in (about["title"], " ".join(about["variants"])):
            # Words alone are broken: a name such as fast:no-bb must be copied whole.
            folded = textwrap.wrap(text, _COLUMNS - len(_INDENT), break_on_hyphens=False)
            shown += [_INDENT + line for line in folded]
    return [*shown, *textwrap.wrap(_MORE, _COLUMNS, break_on_hyphens=False)]
