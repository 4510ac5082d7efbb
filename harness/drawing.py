"""Boxes with labels, drawn on a photograph: readable at any size, and on any ground.

Own code and not `torchvision.utils.draw_bounding_boxes`, which cuts off the label of a box at the right edge and lets
the labels of neighbours cover each other.

Letters: D boxes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, ImageDraw, ImageFont

from harness.rendering.palette import INK, looks

__all__ = ["colours_of", "draw"]

_TEXT_SHARE, _LEAST_TEXT_PX = 0.03, 10
"""Height of letters over the side of a square as large as the photograph."""
_DARK, _LIGHT = "#000000", "#FFFFFF"
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Of the linear red, green and blue of sRGB [WCAG 2.2, relative luminance]."""
_EVEN_LUMINANCE = 0.179
"""Where black and white letters have the same contrast [WCAG 2.2, contrast ratio]."""

Area = tuple[float, float, float, float]
"""x1 y1 x2 y2, px, half-open."""


def colours_of(classes: Iterable[str]) -> dict[str, str]:
    """A colour for each class, ``#RRGGBB``, by its place, whatever comes after it; labels tell apart those that share
    one."""
    names = list(classes)
    # Without the ink, which is lost in shadows.
    colours = list(dict.fromkeys(look.colour for look in looks(names).values() if look.colour != INK))
    return {name: colours[place % len(colours)] for place, name in enumerate(names)}


def draw(
    image: npt.NDArray[np.uint8], boxes: npt.NDArray[np.float32], labels: Sequence[str], colours: Sequence[str]
) -> Image.Image:
    """Draw boxes (D, 4) px, half-open, on a copy of RGB (H, W, 3); the first, which is the best, lies on top.

    A label stands above its box, else inside or below, where no better one is covered and nothing is cut off.
    `colours` are written ``#RRGGBB``.
    """
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)
    height, width = image.shape[:2]
    text_px = max(_LEAST_TEXT_PX, round(_TEXT_SHARE * (height * width) ** 0.5))
    font = _font(text_px)
    line_px = max(2, text_px // 6)
    areas: list[Area] = []
    for box, label in zip(boxes.tolist(), labels, strict=True):
        areas.append(_label_area(box, _size(font, label), (width, height), areas))
    # All frames before any label, since a label may stand within another's box.
    for box, colour in reversed(list(zip(boxes.tolist(), colours, strict=True))):
        _outline(pen, box, colour, line_px)
    for label, colour, area in reversed(list(zip(labels, colours, areas, strict=True))):
        pen.rectangle(_inclusive(area), fill=colour)
        middle = ((area[0] + area[2]) / 2, (area[1] + area[3]) / 2)
        pen.text(middle, label, fill=_letters_on(colour), font=font, anchor="mm")
    return picture


@cache
def _font(text_px: int) -> ImageFont.FreeTypeFont:
    # matplotlib's own copy of DejaVu: Pillow's built-in font has few letters beyond ASCII.
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans-Bold.ttf")), text_px)


def _size(font: ImageFont.FreeTypeFont, label: str) -> tuple[float, float]:
    """Width and height of a label with its margins; the height is the same for all."""
    ascent, descent = font.getmetrics()
    return font.getlength(label) + (ascent + descent) // 3, ascent + descent


def _label_area(box: Sequence[float], size: tuple[float, float], image: tuple[int, int], taken: Iterable[Area]) -> Area:
    x1, y1, _, y2 = box
    left = max(0.0, min(x1, image[0] - size[0]))
    tops = [max(0.0, min(top, image[1] - size[1])) for top in (y1 - size[1], y1, y2 - size[1], y2)]
    areas = [(left, top, left + size[0], top + size[1]) for top in tops]
    return next((area for area in areas if not any(_overlap(area, other) for other in taken)), areas[0])


def _overlap(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _outline(pen: ImageDraw.ImageDraw, box: Sequence[float], colour: str, line_px: int) -> None:
    """A coloured frame between two dark lines, so that it is seen on its own colour, too."""
    x1, y1, x2, y2 = _inclusive(box)
    pen.rectangle((x1, y1, x2, y2), outline=INK, width=line_px + 2)
    if min(x2 - x1, y2 - y1) > 2:
        pen.rectangle((x1 + 1, y1 + 1, x2 - 1, y2 - 1), outline=colour, width=line_px)


def _inclusive(area: Sequence[float]) -> tuple[int, int, int, int]:
    """The first and last pixels of a half-open area; at least one pixel each way."""
    x1, y1, x2, y2 = (round(value) for value in area)
    return x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)


def _letters_on(colour: str) -> str:
    """Black or white, whichever has more contrast."""
    share = np.array(ImageColor.getrgb(colour)[:3]) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return _DARK if float(_LUMINANCE @ linear) > _EVEN_LUMINANCE else _LIGHT
