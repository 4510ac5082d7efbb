"""R-CNN's crops warped in one call, against cutting and resizing them one by one with OpenCV and with Pillow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture

from detectors.parts.crops import warp

cv2 = pytest.importorskip("cv2")

N_CROPS, SIZE_PX, CONTEXT_PX = 200, 227, 16  # size and context of [RCNN App. A]


def _round(value: float) -> int:
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def _one_axis(low: float, high: float, length: int) -> tuple[slice, slice]:
    """Which pixels of the image go to which pixels of the crop, as in rcnn_im_crop.m."""
    half = (high - low) / 2
    centre = low + 1 + half
    scale = SIZE_PX / (SIZE_PX - 2 * CONTEXT_PX)
    first, last = _round(centre - half * scale), _round(centre + half * scale)
    per_px = SIZE_PX / max(last - first + 1, 1)
    pad = _round(max(0, 1 - first) * per_px)
    first, last = max(1, first), min(length, last)
    filled = min(_round((last - first + 1) * per_px), SIZE_PX - pad)
    return slice(first - 1, last), slice(pad, pad + filled)


def _places(image: np.ndarray, boxes: np.ndarray) -> Iterator[tuple[slice, slice, slice, slice]]:
    for x1, y1, x2, y2 in boxes.tolist():
        yield (*_one_axis(y1, y2, image.shape[0]), *_one_axis(x1, x2, image.shape[1]))


def in_one_call(image: np.ndarray, boxes: np.ndarray) -> torch.Tensor:
    pixels = torch.from_numpy(image).permute(2, 0, 1).float()
    return warp(pixels, torch.from_numpy(boxes), size_px=SIZE_PX, context_px=CONTEXT_PX)


def with_opencv(image: np.ndarray, boxes: np.ndarray) -> torch.Tensor:
    pixels = image.astype(np.float32)
    crops = np.zeros((len(boxes), SIZE_PX, SIZE_PX, 3), np.float32)
    for crop, (rows, down, columns, across) in zip(crops, _places(image, boxes), strict=True):
        size = (across.stop - across.start, down.stop - down.start)
        crop[down, across] = cv2.resize(pixels[rows, columns], size, interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(crops).permute(0, 3, 1, 2)


def with_pillow(image: np.ndarray, boxes: np.ndarray) -> torch.Tensor:
    """By `transform` and not by `resize`, which always smooths what it makes smaller."""
    crops = np.zeros((len(boxes), SIZE_PX, SIZE_PX, 3), np.float32)
    for crop, (rows, down, columns, across) in zip(crops, _places(image, boxes), strict=True):
        cut = Image.fromarray(image[rows, columns])
        size = (across.stop - across.start, down.stop - down.start)
        whole = (0, 0, *cut.size)
        crop[down, across] = cut.transform(size, Image.Transform.EXTENT, whole, Image.Resampling.BILINEAR)
    return torch.from_numpy(crops).permute(0, 3, 1, 2)


TOLERANCE_GREY_LEVELS = {"with_opencv": 0.02, "with_pillow": 1.02}
"""OpenCV has sampling coordinates of its own; Pillow rounds to whole grey levels besides."""


@pytest.mark.parametrize("way", [in_one_call, with_opencv, with_pillow])
def test_crops(
    benchmark: BenchmarkFixture,
    scene: tuple[str, torch.Tensor, torch.Tensor],
    way: Callable[[np.ndarray, np.ndarray], torch.Tensor],
) -> None:
    """All ways give the same crops, within what libraries round away."""
    name, pixels, proposals = scene
    image, boxes = pixels.permute(1, 2, 0).contiguous().numpy(), proposals[:N_CROPS].numpy()
    benchmark.group = f"{len(boxes)} crops, {name}"
    tolerance = TOLERANCE_GREY_LEVELS.get(way.__name__, 0.0)
    torch.testing.assert_close(way(image, boxes), in_one_call(image, boxes), rtol=0, atol=tolerance)
    with torch.inference_mode():
        benchmark(way, image, boxes)
