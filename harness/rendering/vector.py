"""A figure as SVG for the inside of a web page: scalable, named for those who do not see it, and alone with its names.

matplotlib writes SVG files. Within a page several stand in one document, so that each one's ids bear a name of its own;
there is no width or height, so that the page decides; text stays text; and what a reader of the page would need a
stylesheet or another name space for is written out.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from harness.rendering.compact import share_pictures
from harness.wording import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["as_svg"]

_FONTS = "'DejaVu Sans', Verdana, 'Helvetica Neue', Arial, sans-serif"
"""The first two are as wide as what the figure was laid out with, the others narrower: all of them fit."""

_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_FAMILY = re.compile(r"font-family: [^;]*; ")
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_COORDINATES = frozenset({"d", "x", "y", "transform", "points", "width", "height"})
_RASTER_DPI = 200
"""Of marks that are too many to be drawn one by one."""
_DECIMALS = 2
"""Of a typographic point, of which a phone shows one or two in a pixel."""


def as_svg(figure: Figure, name: str, title: str, words: str) -> str:
    """One ``<svg>`` element; `title` is its name and `words` say what it shows, both for those who do not see it.

    `name`, of letters, digits and hyphens, stands before every id and is to be unique within the page. Made within a
    style whose ``svg.fonttype`` is ``none``.
    """
    file = io.StringIO()
    figure.savefig(
        file, format="svg", dpi=_RASTER_DPI, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    root = ElementTree.fromstring(share_pictures(file.getvalue()))
    _strip(root)
    _gather(root)
    _rename(root, name)
    described = [ElementTree.Element(tag, {"id": f"{name}-{tag}"}) for tag in ("title", "desc")]
    for element, text in zip(described, (title, words), strict=True):
        element.text = printable(text)
    root[:0] = described
    root.attrib = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-labelledby": " ".join(element.attrib["id"] for element in described),
        # matplotlib says this for every element of the document, which would be the whole page.
        "style": f"stroke-linejoin: round; stroke-linecap: butt; font-family: {_FONTS}",
    }
    return ElementTree.tostring(root, encoding="unicode")


def _strip(root: ElementTree.Element) -> None:
    """Drop name spaces, metadata and stylesheets, and the digits of a coordinate that nobody sees."""
    for parent in root.iter():
        parent.tag = parent.tag.rpartition("}")[2]
        for child in list(parent):
            if child.tag.rpartition("}")[2] in ("metadata", "style"):
                parent.remove(child)
        for key in list(parent.attrib):
            value = parent.attrib.pop(key)
            plain = key.rpartition("}")[2]
            # The factors of a matrix are no coordinates.
            short = plain in _COORDINATES and not value.startswith("matrix")
            parent.attrib[plain] = _NUMBER.sub(_shorter, value).replace("-0 ", "0 ") if short else value
        if "style" in parent.attrib:
            parent.attrib["style"] = _FAMILY.sub("", parent.attrib["style"])
        if parent.attrib.get("transform", "").startswith("rotate(0 "):
            del parent.attrib["transform"]
        for inside in ("text", "tail"):
            if not (getattr(parent, inside) or "").strip():
                setattr(parent, inside, None)


def _gather(root: ElementTree.Element) -> None:
    """Say what the many marks of a line have in common once, in their group."""
    for group in root.iter("g"):
        marks = list(group)
        for key in ("style", "clip-path"):
            common = {mark.attrib.get(key) for mark in marks}
            if len(marks) > 1 and len(common) == 1 and {mark.tag for mark in marks} == {"use"} and None not in common:
                for mark in marks:
                    group.attrib[key] = mark.attrib.pop(key)


def _shorter(number: re.Match[str]) -> str:
    return f"{round(float(number[0]), _DECIMALS) + 0.0:g}"


def _rename(root: ElementTree.Element, name: str) -> None:
    """Put `name` before the ids that something refers to, numbered as they come; drop the others."""
    used = set[str]()
    for element in root.iter():
        for key, value in element.attrib.items():
            used.update(_REFERENCE.findall(value))
            if key == "href" and value.startswith("#"):
                used.add(value[1:])
    numbers = {old: f"{name}-{at}" for at, old in enumerate(_in_order(root, used))}
    for element in root.iter():
        own = element.attrib.pop("id", None)
        for key, value in element.attrib.items():
            element.attrib[key] = _REFERENCE.sub(lambda found: f"url(#{numbers[found[1]]})", value)
        if element.attrib.get("href", "").startswith("#"):
            element.attrib["href"] = f"#{numbers[element.attrib['href'][1:]]}"
        if own in numbers:
            element.attrib["id"] = numbers[own]


def _in_order(root: ElementTree.Element, used: set[str]) -> list[str]:
    return [element.attrib["id"] for element in root.iter() if element.attrib.get("id") in used]
