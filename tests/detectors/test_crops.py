"""R-CNN's crops, against the same thing done one box at a time with OpenCV."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from detectors.parts.crops import cut_out, sample, sources, warp

cv2 = pytest.importorskip("cv2")

_TOLERANCE = 0.02
"""Of a range of 256: float32 sampling coordinates here, OpenCV's own coefficients there."""


def _round(value: float) -> int:
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def _one_axis(low: float, high: float, length: int, size: int, context: int) -> tuple[int, int, int, int]:
    """First and last image pixel (1-based, inclusive), pad and extent in the crop, as in rcnn_im_crop.m."""
    first, last = low + 1, high
    if context:
        scale = size / (size - 2 * context)
        half = (last - first + 1) / 2
        centre = first + half
        first, last = centre - half * scale, centre + half * scale
    first, last = _round(first), _round(last)
    unclipped = max(last - first + 1, 1)
    missing = max(0, 1 - first)
    first, last = max(1, first), min(length, last)
    per_px = size / unclipped
    pad, filled = _round(missing * per_px), _round((last - first + 1) * per_px)
    return first, last, pad, min(filled, size - pad)


def _reference(image: np.ndarray, box: list[float], size: int, context: int) -> np.ndarray:
    """One crop, (S, S, C), of an image (H, W, C)."""
    height, width, channels = image.shape
    x1, x2, pad_x, across = _one_axis(box[0], box[2], width, size, context)
    y1, y2, pad_y, down = _one_axis(box[1], box[3], height, size, context)
    crop = np.zeros((size, size, channels), np.float32)
    if across > 0 and down > 0 and x2 >= x1 and y2 >= y1:
        cut = np.ascontiguousarray(image[y1 - 1 : y2, x1 - 1 : x2])
        crop[pad_y : pad_y + down, pad_x : pad_x + across] = cv2.resize(cut, (across, down)).reshape(down, across, -1)
    return crop


def _check(image: np.ndarray, boxes: list[list[float]], size: int, context: int) -> None:
    crops = warp(
        torch.from_numpy(image).permute(2, 0, 1), torch.tensor(boxes), size_px=size, context_px=context
    ).numpy()
    for box, crop in zip(boxes, crops, strict=True):
        expected = _reference(image, box, size, context)
        np.testing.assert_allclose(crop.transpose(1, 2, 0), expected, rtol=0, atol=_TOLERANCE, err_msg=str(box))


def _image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).uniform(-128, 128, (height, width, 3)).astype(np.float32)


@pytest.mark.parametrize(("size", "context"), [(227, 16), (64, 5), (33, 0), (10, 4)])
def test_random_boxes(size: int, context: int) -> None:
    """A batch of boxes gives what cutting, resizing and padding gives one by one."""
    rng = np.random.default_rng(size)
    x = np.sort(rng.uniform(0, 90, (40, 2)), axis=1)
    y = np.sort(rng.uniform(0, 60, (40, 2)), axis=1)
    boxes = np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1)
    boxes[:30] = np.stack([np.floor(boxes[:30, 0]), np.floor(boxes[:30, 1]), *np.ceil(boxes[:30, 2:].T)], axis=1)
    _check(_image(60, 90), boxes.tolist(), size, context)


@pytest.mark.parametrize(("size", "context"), [(227, 16), (31, 7), (20, 0)])
def test_adversarial_boxes(size: int, context: int) -> None:
    """One pixel, all borders, the whole image, thin strips and boxes without area are cut as the release cuts them."""
    boxes = [
        [0.0, 0.0, 50.0, 40.0],
        [0.0, 0.0, 1.0, 1.0],
        [49.0, 39.0, 50.0, 40.0],
        [20.0, 20.0, 21.0, 21.0],
        [0.0, 10.0, 50.0, 11.0],
        [25.0, 0.0, 26.0, 40.0],
        [0.0, 5.0, 9.0, 30.0],
        [41.0, 5.0, 50.0, 40.0],
        [10.0, 10.0, 10.0, 10.0],
        [50.0, 40.0, 50.0, 40.0],
    ]
    _check(_image(40, 50), boxes, size, context)


@pytest.mark.parametrize("shape", [(1, 1), (1, 30), (30, 1)])
def test_images_of_one_pixel_across(shape: tuple[int, int]) -> None:
    """An image one pixel wide or high can be cropped."""
    height, width = shape
    _check(_image(height, width), [[0.0, 0.0, float(width), float(height)]], 27, 4)


def test_box_fills_all_but_the_context() -> None:
    """A bright box in a dark image covers the crop but for 16 px on each side, to one source pixel [RCNN App. A]."""
    image = torch.zeros(1, 600, 600)
    image[:, 200:395, 200:395] = 1
    bright = (warp(image, torch.tensor([[200.0, 200.0, 395.0, 395.0]]), size_px=227, context_px=16)[0, 0] > 0.5).sum(0)
    columns = bright.nonzero().flatten()
    assert abs(int(columns[0]) - 16) <= 1
    assert abs(int(columns[-1]) - 210) <= 1


def test_missing_context_is_the_mean() -> None:
    """Beyond the image a crop is 0, the mean after its subtraction."""
    crop = warp(torch.ones(3, 20, 20), torch.tensor([[0.0, 0.0, 20.0, 20.0]]), size_px=227, context_px=16)[0]
    assert (crop[:, :15] == 0).all()
    assert (crop[:, :, :15] == 0).all()
    assert torch.allclose(crop[:, 40:180, 40:180], torch.ones(()))


def test_no_boxes() -> None:
    """No boxes give no crops."""
    assert warp(torch.zeros(3, 8, 9), torch.zeros(0, 4), size_px=17, context_px=2).shape == (0, 3, 17, 17)


def test_context_must_leave_room() -> None:
    """A context of half the crop is refused."""
    with pytest.raises(ValueError, match="context_px"):
        warp(torch.zeros(3, 8, 9), torch.zeros(0, 4), size_px=16, context_px=8)


def _boxes_anywhere(height: int, width: int, count: int) -> torch.Tensor:
    rng = np.random.default_rng(height + width)
    x = np.sort(rng.integers(0, width + 1, (count, 2)), axis=1)
    y = np.sort(rng.integers(0, height + 1, (count, 2)), axis=1)
    return torch.from_numpy(np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1).astype(np.float32))


def test_places_of_several_images_at_once() -> None:
    """Boxes of images of different sizes look where each looks by itself, to the bit."""
    sizes = [(40, 50), (20, 90), (300, 7)]
    apart = [_boxes_anywhere(height, width, 6) for height, width in sizes]
    each = torch.tensor([size for size in sizes for _ in range(6)])
    together = sources(torch.cat(apart), each[:, 0], each[:, 1], size_px=31, context_px=4)
    alone = [
        sources(boxes, height, width, size_px=31, context_px=4)
        for boxes, (height, width) in zip(apart, sizes, strict=True)
    ]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize(("height", "width"), [(40, 50), (1, 30), (200, 3)])
def test_a_part_of_the_image_is_enough(height: int, width: int) -> None:
    """Crops from the part that they look at are those from the whole image."""
    image = torch.from_numpy(_image(height, width)).permute(2, 0, 1)
    for box in _boxes_anywhere(height, width, 40):
        places = sources(box[None], height, width, size_px=27, context_px=3)
        part, moved = cut_out(image, places)
        assert part.numel() <= image.numel()
        torch.testing.assert_close(sample(part, moved), sample(image, places), rtol=0, atol=_TOLERANCE)


def test_a_small_box_needs_little_of_the_image() -> None:
    """Ten pixels and their context of a large image: a part of twenty or so a side."""
    image = torch.zeros(3, 1000, 1000)
    places = sources(torch.tensor([[500.0, 600.0, 510.0, 610.0]]), 1000, 1000, size_px=227, context_px=16)
    assert max(cut_out(image, places)[0].shape[1:]) <= 14


def test_nothing_to_look_at() -> None:
    """Places that all lie outside give a crop of zeros."""
    places = sources(torch.tensor([[50.0, 40.0, 50.0, 40.0]]), 40, 50, size_px=20, context_px=0)
    assert not (places >= 0).all()
    part, moved = cut_out(torch.ones(3, 40, 50), torch.full_like(places, places.min()))
    assert (sample(part, moved) == 0).all()
