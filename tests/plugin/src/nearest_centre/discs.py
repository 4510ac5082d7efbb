"""`discs:SIDE`: discs and squares of random colours on noise, in square images of SIDE px (96 without it)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from harness.datasets import DatasetError, Truth

_IMAGES = {True: 40, False: 10}
"""How many there are for training and for testing where nobody asks for a number."""


@dataclass(frozen=True)
class Discs:
    side_px: int
    split: str
    length: int
    classes: tuple[str, ...] = ("disc", "square")

    @property
    def name(self) -> str:
        return f"discs:{self.side_px}"

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(f"{self.split}-{index:04}" for index in range(self.length))

    def image(self, index: int) -> np.ndarray:
        return self._drawn(index)[0]

    def truth(self, index: int) -> Truth:
        return self._drawn(index)[1]

    def _drawn(self, index: int) -> tuple[np.ndarray, Truth]:
        rng = np.random.default_rng([zlib.crc32(self.split.encode()), index])
        image = rng.integers(100, 156, (self.side_px, self.side_px, 3)).astype(np.uint8)
        rows, columns = np.mgrid[: self.side_px, : self.side_px] + 0.5
        boxes, labels = [], []
        for half in (0, 1):  # one object in the left half, one in the right: they never overlap
            radius = int(rng.integers(self.side_px // 8, self.side_px // 4))
            x = half * self.side_px // 2 + radius + int(rng.integers(0, self.side_px // 2 - 2 * radius + 1))
            y = int(rng.integers(radius, self.side_px - radius + 1))
            labels.append(int(rng.integers(1, 3)))
            dx, dy = abs(columns - x), abs(rows - y)
            inside = dx**2 + dy**2 < radius**2 if labels[-1] == 1 else np.maximum(dx, dy) < radius
            image[inside] = rng.choice([0, 255], 3)
            boxes.append([x - radius, y - radius, x + radius, y + radius])
        return image, Truth(np.array(boxes, np.float32), np.array(labels, np.int64), np.zeros(2, bool))


def open_discs(arg: str, split: str, *, length: int | None, training: bool) -> Discs:
    """What the entry point names."""
    if arg and (not arg.isdecimal() or int(arg) < 16):
        raise DatasetError(f"discs:{arg}: expected the side of an image in pixels, 16 or more")
    return Discs(int(arg or 96), split, length or _IMAGES[training])
