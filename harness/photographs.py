"""Photographs from anywhere, files and folders: upright and in RGB, as a data set without ground truth.

NumPy and Pillow only: proposal workers import this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from harness.datasets import DatasetError, Truth
from harness.datasets.picture import read_picture

__all__ = ["Photographs"]

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
"""What is taken from a folder, in capitals, too. A file that is named itself may be of any kind that Pillow reads."""


@dataclass(frozen=True, slots=True)
class Photographs:
    """Image files in the order in which they were given. A `harness.datasets.Dataset` whose truth is empty."""

    files: tuple[Path, ...]
    classes: tuple[str, ...]
    """Of what is to be found in them."""
    long_side_px: int | None = None
    """Larger photographs are shrunk to this; None: none is."""

    @classmethod
    def found(cls, places: Sequence[Path], classes: tuple[str, ...]) -> tuple[Self, tuple[str, ...]]:
        """The photographs at `places`, and a line for each file of a folder that cannot be read, which is left out.

        A folder gives its JPEG and PNG files by name; its own folders are not entered. Every file is read once, so that
        a damaged one is known of before the first slow step.

        Raises:
            DatasetError: there is nothing at a place, a file that is named cannot be read, no photograph is left, or
                two have one name.
        """
        readable: list[Path] = []
        skipped: list[str] = []
        for place in places:
            try:
                if not place.exists():
                    raise DatasetError(f"no image or folder {place}")
                inside = sorted(_of_folder(place)) if place.is_dir() else [place]
            except OSError as error:
                raise DatasetError(f"folder {place} cannot be read: {error.strerror}") from None
            for file in inside:
                try:
                    read_picture(file, upright=True)
                except DatasetError as error:
                    if not place.is_dir():
                        raise
                    skipped.append(str(error))
                else:
                    readable.append(file)
        if not readable:
            where = ", ".join(str(place) for place in places)
            unread = f"; {len(skipped)} cannot be read, such as: {skipped[0]}" if skipped else ""
            raise DatasetError(f"no photograph in {where}: expected .jpg, .jpeg or .png files{unread}")
        _check_names(readable)
        return cls(tuple(readable), classes), tuple(skipped)

    @property
    def name(self) -> str:
        """Of the data set."""
        return "photographs"

    @property
    def split(self) -> str:
        """There is but one."""
        return "all"

    @property
    def ids(self) -> tuple[str, ...]:
        """Names of the files without their endings."""
        return tuple(file.stem for file in self.files)

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        """RGB, (H, W, 3), as it is meant to be seen: turned as its EXIF data say.

        Raises:
            DatasetError: the file is no image, is damaged, or has more than 8 bits a channel.
        """
        picture = read_picture(self.files[index], upright=True)
        height, width = self.size_of(picture.height, picture.width)
        if (width, height) != picture.size:
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        return np.array(picture, dtype=np.uint8)

    def truth(self, index: int) -> Truth:
        """No objects are known."""
        return Truth(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_))

    def shrunk(self, long_side_px: int) -> Self:
        """The same photographs, none larger than that."""
        return replace(self, long_side_px=long_side_px)

    def size_of(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that `image` gives to a file of this height and width."""
        factor = 1.0 if self.long_side_px is None else min(1.0, self.long_side_px / max(height, width))
        return max(1, round(height * factor)), max(1, round(width * factor))


def _of_folder(folder: Path) -> Iterator[Path]:
    return (file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES and file.is_file())


def _check_names(files: Iterable[Path]) -> None:
    seen: dict[str, Path] = {}
    for file in files:
        # Without regard to capitals, since some file systems have none.
        name = file.stem.casefold()
        if name in seen:
            raise DatasetError(
                f"{seen[name]} and {file} have one name, {file.stem}, under which detections are filed; "
                "rename one, or take them one after the other"
            )
        seen[name] = file
