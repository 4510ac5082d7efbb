"""Colours, marks and strokes of all figures: eight colours that people with any common colour vision can tell apart.

They are those of Okabe and Ito ("Color Universal Design", 2008), without the black, which is ink. No two things are
told apart by colour alone: lines differ in their strokes, points in their marks, bars in their hatches.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "GRID",
    "INK",
    "LIGHT_TEXT",
    "MARKS",
    "MUTED",
    "ON_DARK",
    "OUTCOMES",
    "STAGES",
    "VERDICTS",
    "Look",
    "Stroke",
    "looks",
]

INK = "#1a1a1a"
"""Of axes and letters on the page. A web page may replace it, as the two that follow, to suit a dark background."""
MUTED = "#595959"
"""Of what is said aside."""
GRID = "#e0e0e0"

_ORANGE, _SKY, _GREEN, _YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
_BLUE, _VERMILION, _PURPLE = "#0072B2", "#D55E00", "#CC79A7"

ON_DARK = {
    _ORANGE: ("orange", "#FFCB5C"),
    _SKY: ("sky", "#A5DBFA"),
    _GREEN: ("green", "#3CDA94"),
    _BLUE: ("blue", "#4F9BFA"),
    _VERMILION: ("vermilion", "#FA7F2F"),
    _PURPLE: ("purple", "#E8A5C9"),
}
"""Of dots and lines, which are thin: the name that a web page knows the colour by, and what it is on a dark page."""

STAGES = {
    "prepare": _ORANGE,
    "propose": _VERMILION,
    "conv": _BLUE,
    "pool": _SKY,
    "fc": _GREEN,
    "decode": _YELLOW,
    "suppress": _PURPLE,
    "unattributed": "#CCCCCC",
}
"""In the order in which they are stacked: neighbours differ most."""

LIGHT_TEXT = frozenset({"propose", "conv", "fc"})
"""Stages whose colour is dark enough for white letters."""

OUTCOMES = {"true": _GREEN, "false": _VERMILION, "missed": _BLUE}
"""Of a box in a picture."""

VERDICTS = {
    "met": (_GREEN, "o"),
    "not met": (_VERMILION, "s"),
    "inconclusive": (_PURPLE, "^"),
    "not comparable": (MUTED, "o"),
}
"""Colour and mark of a measured number; what is not comparable is hollow besides."""

_METHODS = (_BLUE, _VERMILION, _GREEN, _PURPLE, _ORANGE, _SKY, INK)
MARKS = "osD^vP*"
Stroke = Literal["solid"] | tuple[float, tuple[float, ...]]
_STROKES: tuple[Stroke, ...] = ("solid", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)), (0, (10, 3)))
"""As matplotlib writes them: lengths of lines and gaps in widths of the line."""


@dataclass(frozen=True, slots=True)
class Look:
    """How one method appears in every figure of a run."""

    colour: str
    mark: str
    stroke: Stroke


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """A look for each method, by its place in the plan; no two are the same for the first 49."""
    found = {}
    for index, method in enumerate(methods):
        # Beyond as many methods as there are colours, each colour comes with another mark than before.
        mark = MARKS[(index + index // len(_METHODS)) % len(MARKS)]
        found[method] = Look(_METHODS[index % len(_METHODS)], mark, _STROKES[index % len(_STROKES)])
    return found
