"""The figures of a page: each under a heading, with a sentence that says how to read it, in the colours of the page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from harness.rendering.palette import ON_DARK

__all__ = ["ORDER", "Plate", "plates"]

_INKS = {"#1a1a1a": "var(--ink)", "#595959": "var(--quiet)", "#e0e0e0": "var(--line)"}
"""What figures draw their letters, asides and grids in, and what a page puts in the place of it to suit dark and light
backgrounds."""
_INK = re.compile("|".join(_INKS), re.IGNORECASE)

_COLOUR = re.compile("|".join(ON_DARK), re.IGNORECASE)
_AREAS = frozenset({"stages", "waterfall", "pictures"})
"""Figures of coloured areas, which are seen on any background, with letters on them or a photograph below."""

_SEPARATOR = re.compile(r"(stroke: ?)#ffffff", re.IGNORECASE)
"""Lines between coloured areas, which are gaps through which the page is seen."""

_ON_COLOUR = frozenset({"#fff", "#ffffff", "#000", "#000000", "none"})
"""Letters that stand on a coloured area and stay as they are."""
_COLOURED_TEXT = re.compile(r"(<text\b[^>]*?\bfill: ?)(#[0-9a-fA-F]{3,6})\b")

_PROLOGUE = re.compile(r"^\s*<\?xml.*?\?>|<!DOCTYPE[^>]*>|<!--.*?-->|<metadata>.*?</metadata>", re.DOTALL)
_SIZE = re.compile(r'(<svg\b[^>]*?)\s(?:width|height)="[^"]*"')


@dataclass(frozen=True, slots=True)
class Plate:
    """One figure."""

    key: str
    """Its name, as `harness.figures` has it."""
    title: str
    how_to_read: str
    numbers: str | None
    """Key of the section of the details that has the same as numbers."""
    svg: Markup


@dataclass(frozen=True, slots=True)
class _Wording:
    title: str
    how_to_read: str
    numbers: str | None = None


_WORDING = {
    "speed_accuracy": _Wording(
        "Speed against accuracy",
        "A point is a method. Further left is faster, further up finds objects more accurately; the arms are the "
        "intervals.",
        "speed-and-accuracy",
    ),
    "published": _Wording(
        "Published numbers beside those measured here",
        "A row is one number of a paper: the bar is what was printed, the mark what was measured here, with its "
        "interval. A hollow mark was measured under other conditions, and stands there for its size alone.",
        "the-papers-claims",
    ),
    "waterfall": _Wording(
        "From R-CNN to the fastest method, idea by idea",
        "From top to bottom one idea is added at a time. A bar reaches from the time before it to the time after it, "
        "and the number says how many times as fast an image gets by it. Where the interval of that number holds 1, "
        "there is no clear change. Dots are methods as they were measured. The axis is logarithmic: equal lengths are "
        "equal factors.",
        "what-each-idea-saves",
    ),
    "stages": _Wording(
        "Where the time of one image goes",
        "A bar is the time of one image, parted by the steps that each method takes: once as a time, once as shares "
        "of that method's own time.",
        "where-the-time-goes",
    ),
    "latency": _Wording(
        "How the images differ",
        "A curve climbs from none of the images to all of them. Further left is faster; the steeper it is, the more "
        "alike are the times of all images.",
        "over-the-images",
    ),
    "cost": _Wording(
        "What the time grows with",
        "A point is an image by one method. A line is a fixed time and so much for each further box or pixel, as it "
        "comes nearest to all points; the logarithmic axis bends it.",
        "over-the-images",
    ),
    "progression": _Wording(
        "Whether the machine was steady",
        "A dot is one image by one method, in the order in which they were measured; a line is the mean of a block of "
        "images. Images differ, so that dots scatter and lines go up and down together; on a steady machine they do so "
        "about the same level from beginning to end.",
        "the-stopwatch",
    ),
    "class_ap": _Wording(
        "Accuracy by class",
        "A row is a class of objects, a mark a method; further right is more accurate. Accuracy is average precision: "
        "it is 100 % where all objects are found and nothing else is.",
        "average-precision-voc07",
    ),
    "pictures": _Wording(
        "What the methods found",
        "The image that all methods together did best on, and the one that they did worst on; neither is typical. "
        "True: a box on an object of its class. False: a box on none, or on one that was found before. Missed: an "
        "object without a box.",
    ),
}

ORDER = tuple(_WORDING)
"""Of the figures whose place in the page is known."""


def plates(figures: Mapping[str, str]) -> dict[str, Plate]:
    """Those that there are, in `ORDER`, then others under their own names.

    Args:
        figures: SVG documents or elements by name.
    """
    names = [*(name for name in ORDER if name in figures), *sorted(set(figures) - set(ORDER))]
    return {name: _plate(name, figures[name]) for name in names}


def _plate(name: str, svg: str) -> Plate:
    words = _WORDING.get(name) or _Wording(name.replace("_", " ").capitalize(), "")
    return Plate(
        name, words.title, words.how_to_read, words.numbers, Markup(_for_a_page(svg, words.title, areas=name in _AREAS))
    )


def _for_a_page(svg: str, title: str, *, areas: bool) -> str:
    """Without what only a file has; with a name, and in the page's colours."""
    svg = _PROLOGUE.sub("", svg).strip()
    while _SIZE.search(svg):
        svg = _SIZE.sub(r"\1", svg, count=1)
    if 'role="img"' not in svg.partition(">")[0]:
        svg = svg.replace("<svg", f'<svg role="img" aria-label="{Markup.escape(title)}"', 1)
    if "<image" not in svg:  # on a photograph, white is what makes a line seen
        svg = _SEPARATOR.sub(r"\1var(--paper)", svg)
    svg = _COLOURED_TEXT.sub(_legible, svg)
    if not areas:
        svg = _COLOUR.sub(lambda found: f"var(--{ON_DARK[found[0].upper()][0]}, {found[0]})", svg)
    return _INK.sub(lambda found: _INKS[found[0].lower()], svg)


def _legible(found: re.Match[str]) -> str:
    """Text in the colour of a line is too pale on one background or the other; the line itself shows whose it is."""
    colour = found[2].lower()
    return found[0] if colour in _ON_COLOUR or colour in _INKS else f"{found[1]}#1a1a1a"
