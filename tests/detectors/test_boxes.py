"""Overlap, clipping, mirroring and the deltas of box regression."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detectors.parts.boxes import LOG_RATIO_CAP, clip, decode, encode, flip, iou

_SIDE = 24


@st.composite
def _integer_boxes(draw: st.DrawFn, smallest: int = 0) -> torch.Tensor:
    rows = draw(st.lists(st.tuples(*[st.integers(0, _SIDE - 1)] * 4), min_size=1, max_size=4))
    boxes = torch.tensor(rows, dtype=torch.float32)
    low, high = boxes[:, :2].minimum(boxes[:, 2:]), boxes[:, :2].maximum(boxes[:, 2:])
    return torch.cat([low, high + smallest], dim=1)


def _pixels(box: list[float]) -> np.ndarray:
    x1, y1, x2, y2 = map(int, box)
    mask = np.zeros((_SIDE + 1, _SIDE + 1), bool)
    mask[y1:y2, x1:x2] = True
    return mask


@given(_integer_boxes(), _integer_boxes())
def test_iou_equals_pixel_counts(a: torch.Tensor, b: torch.Tensor) -> None:
    """The IoU of integer boxes is shared pixels over covered pixels, and 0 where neither covers any."""
    expected = np.zeros((len(a), len(b)), np.float32)
    for i, p in enumerate(a.tolist()):
        for j, q in enumerate(b.tolist()):
            union = (_pixels(p) | _pixels(q)).sum()
            expected[i, j] = (_pixels(p) & _pixels(q)).sum() / union if union else 0
    np.testing.assert_array_equal(iou(a, b).numpy(), expected)


@given(st.lists(st.tuples(*[st.floats(-1e4, 1e4, width=32)] * 4), min_size=1, max_size=5))
def test_iou_is_symmetric_and_at_most_one(rows: list[tuple[float, ...]]) -> None:
    """For any corners, swapped ones too, IoU does not depend on the order and stays in [0, 1]."""
    boxes = torch.tensor(rows)
    overlap = iou(boxes, boxes)
    assert torch.equal(overlap, overlap.T)
    assert ((overlap >= 0) & (overlap <= 1)).all()


def test_iou_of_none() -> None:
    """No boxes have an empty table."""
    assert iou(torch.zeros(0, 4), torch.zeros(3, 4)).shape == (0, 3)


@given(_integer_boxes(smallest=1), _integer_boxes(smallest=1))
def test_decode_undoes_encode(boxes: torch.Tensor, targets: torch.Tensor) -> None:
    """A box moved by its own targets is the target."""
    count = min(len(boxes), len(targets))
    boxes, targets = boxes[:count], targets[:count]
    torch.testing.assert_close(decode(boxes, encode(boxes, targets)), targets, rtol=0, atol=2e-5)


def test_deltas_by_hand() -> None:
    """[RCNN App. C, eqs 6-9]: P = centre (30, 40), 20 x 40; G = centre (35, 30), 40 x 20."""
    box, target = torch.tensor([[20.0, 20.0, 40.0, 60.0]]), torch.tensor([[15.0, 20.0, 55.0, 40.0]])
    expected = torch.tensor([[5 / 20, -10 / 40, math.log(2), -math.log(2)]])
    torch.testing.assert_close(encode(box, target), expected)
    torch.testing.assert_close(decode(box, expected), target)


def test_decode_per_class_equals_one_class_at_a_time() -> None:
    """Deltas (N, K, 4) move a box once per class."""
    generator = torch.Generator().manual_seed(0)
    boxes = torch.tensor([[0.0, 0.0, 10.0, 20.0], [5.0, 5.0, 6.0, 6.0]])
    deltas = torch.randn(2, 3, 4, generator=generator)
    assert torch.equal(decode(boxes, deltas), torch.stack([decode(boxes, deltas[:, k]) for k in range(3)], dim=1))


def test_decode_never_overflows_and_degenerate_boxes_stay_finite() -> None:
    """A wild delta grows a side 62.5-fold at most; a box without area counts as one pixel."""
    wild = decode(torch.tensor([[0.0, 0.0, 16.0, 16.0]]), torch.tensor([[0.0, 0.0, 1e30, 1e30]]))
    torch.testing.assert_close(wild, torch.tensor([[-492.0, -492.0, 508.0, 508.0]]))
    assert math.exp(LOG_RATIO_CAP) == pytest.approx(62.5)
    point = torch.tensor([[7.0, 7.0, 7.0, 7.0]])
    assert torch.equal(encode(point, point), torch.zeros(1, 4))
    assert encode(point, torch.tensor([[0.0, 0.0, 50.0, 7.0]])).isfinite().all()


def test_clip_and_flip() -> None:
    """Clipped boxes lie in the image; a mirrored box lies as far from the right edge as it did from the left."""
    boxes = torch.tensor([[[-5.0, -5.0, 200.0, 50.0], [3.0, 4.0, 10.0, 12.0]]])
    assert clip(boxes, 40, 100).tolist() == [[[0, 0, 100, 40], [3, 4, 10, 12]]]
    assert flip(boxes, 100)[0, 1].tolist() == [90, 4, 97, 12]


@given(_integer_boxes())
def test_flip_follows_the_pixels(boxes: torch.Tensor) -> None:
    """The pixels of a mirrored box are the box's pixels mirrored."""
    for box, mirrored in zip(boxes.tolist(), flip(boxes, _SIDE + 1).tolist(), strict=True):
        np.testing.assert_array_equal(_pixels(mirrored), _pixels(box)[:, ::-1])
