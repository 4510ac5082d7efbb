"""One image file as RGB pixels, or one line that says what is wrong with it.

Files come from the internet, and the readers of Pillow meet damage with errors of any kind; nothing but `DatasetError`
leaves this module. NumPy and Pillow only: proposal workers import this.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from harness.datasets import DatasetError

__all__ = ["read_picture", "size_of"]

_DEEP_MODES = ("I", "F")
"""Modes of more than 8 bits a channel begin so. Pillow would cut them off at white."""
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What stands a picture upright, by the value of the EXIF tag Orientation."""


def read_picture(path: Path, *, upright: bool) -> Image.Image:
    """The first picture of a file, in RGB; `upright`: turned as its EXIF data say it is meant to be seen.

    Raises:
        DatasetError: there is no such file, it is no image, is damaged, is so large that reading it would take
            gigabytes, or has more than 8 bits a channel.
    """
    with _opened(path) as picture:
        if picture.mode.startswith(_DEEP_MODES):
            raise DatasetError(f"image {path} has more than 8 bits a channel (mode {picture.mode}); convert it")
        turn = _turn(picture) if upright else None
        pixels = picture.convert("RGB")
    return pixels if turn is None else pixels.transpose(turn)


def size_of(path: Path) -> tuple[int, int]:
    """Height and width (px) as the file is stored; its pixels are not read.

    Raises:
        DatasetError: as `read_picture`, but for damage behind the header.
    """
    with _opened(path) as picture:
        return picture.height, picture.width


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        if not path.is_file():  # a pipe would be waited for
            raise DatasetError(f"{path} is {'no file' if path.exists() else 'not there'}; expected an image")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of EXIF data that are damaged, which is no matter
            # Pillow only warns of what would take gigabytes, up to twice its limit.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                yield picture
    except DatasetError:
        raise
    except Exception as error:  # noqa: BLE001  (Pillow has readers of dozens of formats, and damage can break any)
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"image {path} cannot be read: {reason}") from None


def _turn(picture: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(picture.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001  (EXIF data are not the picture: with damaged ones it is taken as it is stored)
        return None
