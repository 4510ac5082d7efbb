"""What keeps a figure with photographs small: each picture once, and a palette in place of three bytes a pixel."""

from __future__ import annotations

import base64
import io
import re

__all__ = ["png_with_palette", "share_pictures"]

_IMAGE = re.compile(r'<image xlink:href="data:image/png;base64,\s*(?P<data>[^"]+)"(?P<rest>[^>]*)/>')
_TRANSFORM = re.compile(r' transform="matrix[^"]*"')
_ID = re.compile(r' id="[^"]*"')
_COLOURS = 256


def share_pictures(svg: str) -> str:
    """An SVG file of matplotlib's in which a picture that stands in several places is kept once.

    Pixels that stand for many marks, once in their place and partly transparent, stay as they are.
    """
    kept: dict[str, str] = {}

    def shared(found: re.Match[str]) -> str:
        place = _TRANSFORM.search(found["rest"])
        if place is None:
            return found[0]
        name = f"picture-{list(kept).index(found['data']) if found['data'] in kept else len(kept)}"
        if found["data"] not in kept:
            rest = _ID.sub("", _TRANSFORM.sub("", found["rest"]))
            data = base64.b64encode(png_with_palette(base64.b64decode(found["data"]))).decode("ascii")
            kept[found["data"]] = f'<image id="{name}" xlink:href="data:image/png;base64,{data}"{rest}/>'
        return f'<use xlink:href="#{name}"{place[0]}/>'

    text = _IMAGE.sub(shared, svg)
    return text.replace("<defs>", f"<defs>{''.join(kept.values())}", 1) if kept else text


def png_with_palette(png: bytes) -> bytes:
    """The same picture with a byte a pixel; the same bytes where it is transparent. Its text stays."""
    from PIL import Image, PngImagePlugin

    picture = Image.open(io.BytesIO(png))
    if picture.mode == "RGBA" and picture.getchannel("A").getextrema() != (255, 255):
        return png
    text = PngImagePlugin.PngInfo()
    for key, value in picture.info.items():
        if isinstance(key, str) and isinstance(value, str):
            text.add_text(key, value)
    file = io.BytesIO()
    few = picture.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    few.save(file, format="png", optimize=True, pnginfo=text)
    return file.getvalue()
