"""Selective search, as OpenCV contrib has it: merge the segments of an image step by step, propose each one's box.

R-CNN, SPP-net and Fast R-CNN took their boxes from the MATLAB code of Uijlings et al. in its fast mode, about 2,000 an
image. This is another implementation of the same idea, with other boxes:

Differs from [RCNN selective_search_boxes.m]: k is 150, 300 and 450 with segments of at least 100 px, in place of
k = minimum size = 50 and 100, so 12 groupings in place of 8, because these are the settings of OpenCV's fast mode.
Differs from [RCNN selective_search_boxes.m]: the order of boxes is drawn from the C library's generator, in place of
MATLAB's, because OpenCV does so; `seed` fixes it on one platform, another C library draws another order.

As in the papers, photographs of VOC are searched at their own size.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from harness.proposals import ProposalError

__all__ = ["Mode", "SelectiveSearch"]

Mode = Literal["fast", "quality"]

_BASE_K, _STEP_K, _SIGMA = 150, 150, 0.8
"""OpenCV's presets of both modes, passed on so that another OpenCV cannot change them unseen."""


def _seed_c_library(seed: int) -> None:
    """Seed ``rand()``, from which OpenCV draws the rank of a box; ``cv2.setRNGSeed`` has no say in that."""
    library = ctypes.CDLL(None if os.name == "posix" else "ucrtbase")
    # glibc takes the seeds 0 and 1 for the same.
    library.srand(ctypes.c_uint(seed + 1))


def _first_of_each(boxes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    _, first = np.unique(boxes, axis=0, return_index=True)
    return boxes[np.sort(first)]


@dataclass(frozen=True, slots=True)
class SelectiveSearch:
    """Selective search with fixed settings.

    Raises:
        ProposalError: a mode, seed or side that does not exist.
    """

    mode: Mode = "fast"
    seed: int = 0
    min_side_px: int = 20
    """Boxes with a shorter side are dropped [RCNN selective_search_boxes.m]."""

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise ProposalError(f"selective search has no mode {self.mode!r}; there are {', '.join(get_args(Mode))}")
        if not 0 <= self.seed < 2**32 - 1:
            raise ProposalError(f"selective search: expected a seed from 0 to {2**32 - 2}, got {self.seed}")
        if self.min_side_px < 1:
            raise ProposalError(f"selective search: expected min_side_px of at least 1, got {self.min_side_px}")

    @property
    def settings(self) -> dict[str, str | int | float]:
        """All that decides the boxes of an image. Versions of OpenCV differ by a few boxes."""
        import cv2

        return {
            "name": "selective-search",
            "opencv": str(cv2.__version__),
            "mode": self.mode,
            "base_k": _BASE_K,
            "step_k": _STEP_K,
            "sigma": _SIGMA,
            "min_side_px": self.min_side_px,
            "seed": self.seed,
        }

    def propose(self, image_id: str, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Boxes of one RGB (H, W, 3) image: (P, 4) px, half-open, inside the image, without duplicates."""
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ProposalError(f"image {image_id}: expected uint8 (H, W, 3), got {image.dtype} {image.shape}")
        height, width = image.shape[:2]
        if min(height, width) < self.min_side_px:
            return np.zeros((0, 4), np.float32)
        corner, size = np.hsplit(self._search(image), 2)
        boxes = np.hstack([corner, corner + size]).clip(0, [width, height, width, height])
        long_enough = (boxes[:, 2:] - boxes[:, :2] >= self.min_side_px).all(axis=1)
        return _first_of_each(boxes[long_enough]).astype(np.float32)

    def _search(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """OpenCV's own answer: (P, 4) of x y width height."""
        import cv2

        search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
        search.setBaseImage(np.ascontiguousarray(image[..., ::-1]))
        if self.mode == "fast":
            search.switchToSelectiveSearchFast(_BASE_K, _STEP_K, _SIGMA)
        else:
            search.switchToSelectiveSearchQuality(_BASE_K, _STEP_K, _SIGMA)
        _seed_c_library(self.seed)
        return np.asarray(search.process(), dtype=np.int64).reshape(-1, 4)
