"""Boxes drawn at random, as many as are asked for, whatever the image shows. For timing alone.

What a detector takes depends on how many boxes it is given and how large they are, and hardly on what they show. The
papers time about 2,000 boxes an image [SPP Sec. 4.3]; selective search finds fewer in drawn scenes, and a plain image
gives it nearly none. These are exactly as many. They hit no object but by chance: what a detector finds in them, or
learns from them, says nothing about the detector.

A box has an area between that of a square of 20 px, the least that R-CNN keeps [RCNN selective_search_boxes.m], and all
of the image, uniform on a logarithmic scale, so that each octave of sizes has its share; an aspect from 1:3 to 3:1,
logarithmic, too, as far as it fits; and any place inside the image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.proposals import ProposalError

__all__ = ["Uniform"]

_MIN_SIDE_PX = 20
_MAX_ASPECT = 3.0


@dataclass(frozen=True, slots=True)
class Uniform:
    """`count` boxes an image, which depend on its name, its size and the seed; fewer are the first of more.

    Raises:
        ProposalError: no box is asked for, or the seed is below 0.
    """

    count: int
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1 or self.seed < 0:
            raise ProposalError(f"uniform boxes: expected count >= 1 and seed >= 0, got {self.count} and {self.seed}")

    @property
    def settings(self) -> Mapping[str, str | int | float]:
        """All that decides the boxes besides name and size of the image."""
        return {"name": "uniform", "count": self.count, "seed": self.seed}

    def propose(self, image_id: str, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Exactly `count` boxes of one RGB (H, W, 3) image: (P, 4) px, half-open, inside the image."""
        height, width = image.shape[:2]
        digest = hashlib.sha256(f"{self.seed} {image_id}".encode()).digest()
        drawn = np.random.default_rng(int.from_bytes(digest[:8], "big")).random((self.count, 4))
        # An image more elongated than any box may be cannot be filled by one.
        largest = min(height * width, _MAX_ASPECT * height**2, _MAX_ASPECT * width**2)
        area = _log_between(drawn[:, 0], np.float64(min(_MIN_SIDE_PX**2, largest)), np.float64(largest))
        narrowest = np.maximum(1 / _MAX_ASPECT, area / height**2)
        widest = np.minimum(_MAX_ASPECT, width**2 / area)
        aspect = _log_between(drawn[:, 1], narrowest, widest)
        sides = np.minimum(np.stack([np.sqrt(area * aspect), np.sqrt(area / aspect)], axis=1), [width, height])
        corner = drawn[:, 2:] * ([width, height] - sides)
        return np.asarray(np.concatenate([corner, corner + sides], axis=1), dtype=np.float32)


def _log_between(
    share: npt.NDArray[np.float64],
    low: npt.NDArray[np.float64] | np.float64,
    high: npt.NDArray[np.float64] | np.float64,
) -> npt.NDArray[np.float64]:
    """Uniform between two numbers on a logarithmic scale, for a share in [0, 1)."""
    return np.asarray(np.exp(np.log(low) + share * (np.log(high) - np.log(low))))
