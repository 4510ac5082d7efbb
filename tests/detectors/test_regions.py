"""Boxes of a training image and their objects, against loops."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.contract import Example
from detectors.parts.regions import Regions

_CORNERS = st.tuples(*[st.integers(0, 12)] * 4).map(
    lambda c: [min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]) + 1, max(c[1], c[3]) + 1]
)
_N_CLASSES = 3


def _iou(a: list[float], b: list[float]) -> float:
    """By counting pixels."""
    cells = [
        {(x, y) for x in range(int(box[0]), int(box[2])) for y in range(int(box[1]), int(box[3]))} for box in (a, b)
    ]
    return len(cells[0] & cells[1]) / len(cells[0] | cells[1])


def _example(boxes: list[list[int]], labels: list[int], proposals: list[list[int]]) -> Example:
    return Example(
        "drawn",
        torch.zeros(3, 14, 14, dtype=torch.uint8),
        torch.tensor(boxes).float().view(-1, 4),
        torch.tensor(labels, dtype=torch.int64),
        torch.arange(len(labels)) % 2 == 1,
        torch.tensor(proposals).float().view(-1, 4),
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(_CORNERS, st.integers(1, _N_CLASSES)), max_size=4), st.lists(_CORNERS, max_size=5))
def test_equals_a_loop(objects: list[tuple[list[int], int]], proposals: list[list[int]]) -> None:
    """A box gets the object that it overlaps most, the first of equals, an object itself; and its IoU by class."""
    example = _example([box for box, _ in objects], [label for _, label in objects], proposals)
    found = Regions.of(example, _N_CLASSES)
    assert found.n_truth == len(objects)
    assert found.boxes.tolist() == example.boxes.tolist() + example.proposals.tolist()
    for row, box in enumerate(found.boxes.tolist()):
        overlaps = [_iou(box, list(truth)) for truth in example.boxes.tolist()]
        best = overlaps.index(max(overlaps)) if overlaps else None
        if row < found.n_truth:
            best = row
        assert abs(float(found.best_iou[row]) - (0 if best is None else overlaps[best])) < 1e-6
        assert int(found.best_label[row]) == (0 if best is None else objects[best][1])
        assert found.best_box[row].tolist() == (box if best is None else objects[best][0])
        for k in range(_N_CLASSES):
            of_class = [value for value, (_, label) in zip(overlaps, objects, strict=True) if label == k + 1]
            assert abs(float(found.class_iou[row, k]) - max(of_class, default=0)) < 1e-6


def test_ground_truth_stands_first_and_difficult_objects_stay() -> None:
    """The objects themselves are boxes to learn from, difficult ones too, each with IoU 1 to itself."""
    found = Regions.of(_example([[0, 0, 4, 4], [5, 5, 9, 9]], [2, 1], [[0, 0, 14, 14]]), _N_CLASSES)
    assert found.n_truth == 2
    assert found.best_iou[:2].tolist() == [1, 1]
    assert found.best_label[:2].tolist() == [2, 1]


def test_an_image_without_boxes() -> None:
    """Neither objects nor proposals are needed."""
    found = Regions.of(_example([], [], []), _N_CLASSES)
    assert found.boxes.shape == (0, 4)
    assert found.class_iou.shape == (0, _N_CLASSES)


def test_an_object_is_its_own_match_where_two_share_a_box() -> None:
    """Two objects of different classes with one box keep their own labels; so does one without area."""
    boxes = torch.tensor([[5.0, 5, 25, 25], [5, 5, 25, 25], [30, 30, 30, 40]])
    labels = torch.tensor([1, 2, 3])
    image = torch.zeros(3, 50, 50, dtype=torch.uint8)
    example = Example("twins", image, boxes, labels, torch.zeros(3, dtype=torch.bool), torch.zeros(0, 4))
    found = Regions.of(example, 3)
    assert found.best_label.tolist() == [1, 2, 3]
    assert torch.equal(found.best_box, boxes)
