"""COCO's formats: nothing is lost on the way through a file, and nonsense is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.accuracy import evaluate
from harness.coco import (
    DetectionsError,
    detection_rows,
    detection_table,
    read_results,
    truth_file,
    truth_table,
)
from harness.datasets.shapes import Shapes

SCORES = st.floats(width=32, allow_nan=False, allow_infinity=False)


def through_a_file(rows: Any) -> Any:
    return json.loads(json.dumps(rows))


@given(st.lists(st.tuples(SCORES, st.integers(1, 20)), max_size=8))
def test_scores_and_labels_survive_a_file_to_the_bit(found: list[tuple[float, int]]) -> None:
    """The shortest decimals that give the same float32 are written."""
    scores = np.array([score for score, _ in found], dtype=np.float32)
    labels = np.array([label for _, label in found], dtype=np.int64)
    boxes = np.tile(np.array([0, 0, 1, 1], dtype=np.float32), (len(found), 1))
    table = detection_table(through_a_file(detection_rows("a", boxes, scores, labels)), ["a"])
    assert table.scores.astype(np.float32).tobytes() == scores.tobytes()
    assert table.labels.tolist() == labels.tolist()


CORNERS = st.tuples(*[st.floats(0, 5000, width=32) for _ in range(4)]).map(
    lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3]))
)


@given(st.lists(CORNERS, min_size=1, max_size=8))
def test_corners_survive_a_file_to_the_bit(found: list[tuple[float, float, float, float]]) -> None:
    """Although a file holds widths, which float32 cannot always hold."""
    boxes = np.array(found, dtype=np.float32)
    rows = detection_rows("a", boxes, np.ones(len(boxes), np.float32), np.ones(len(boxes), np.int64))
    back = detection_table(through_a_file(rows), ["a"]).boxes
    assert np.array_equal(back, boxes.astype(np.float64))


def test_numbers_are_written_short() -> None:
    """A committed run must stay small: 0.1 is not 0.10000000149011612."""
    boxes = np.array([[0.1, 10, 7.6, 20.25]], dtype=np.float32)
    (row,) = detection_rows("a", boxes, np.array([0.3], np.float32), np.array([2]))
    assert row == {"image_id": "a", "category_id": 2, "bbox": [0.1, 10.0, 7.5, 10.25], "score": 0.3}


def test_ground_truth_detected_with_certainty_has_ap_one() -> None:
    """Truth and detections go through their files by the same arithmetic, so that their boxes meet."""
    drawn = Shapes("test", 6)
    truth = through_a_file(truth_file(drawn))
    rows = []
    for index, image_id in enumerate(drawn.ids):
        objects = drawn.truth(index)
        kept = ~objects.difficult
        rows += detection_rows(image_id, objects.boxes[kept], np.ones(kept.sum(), np.float32), objects.labels[kept])
    table = detection_table(through_a_file(rows), [image["id"] for image in truth["images"]])
    found = evaluate(table, truth_table(truth), n_classes=len(drawn.classes), iou_threshold=1.0)
    assert found.map == 1.0


def test_the_truth_file_is_what_coco_readers_take() -> None:
    """Ids are unique, sizes are those of the images, and every annotation points to an image and a category."""
    drawn = Shapes("test", 4)
    truth = through_a_file(truth_file(drawn))
    assert [image["id"] for image in truth["images"]] == list(drawn.ids)
    assert [(image["height"], image["width"]) for image in truth["images"]] == [
        drawn.image(index).shape[:2] for index in range(4)
    ]
    assert [category["name"] for category in truth["categories"]] == list(drawn.classes)
    ids = [annotation["id"] for annotation in truth["annotations"]]
    assert sorted(set(ids)) == ids
    assert len(ids) == sum(len(drawn.truth(index).labels) for index in range(4))
    for annotation in truth["annotations"]:
        x, y, w, h = annotation["bbox"]
        assert annotation["area"] == w * h > 0
        assert annotation["iscrowd"] == 0
        assert annotation["ignore"] in (0, 1)
        assert x >= 0 <= y


GOOD: dict[str, Any] = {"image_id": "a", "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}


def read(path: Path, value: Any) -> list[dict[str, Any]]:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return read_results(path, image_ids=["a", "b"], n_classes=2)


def test_a_results_file_is_read_as_it_is(tmp_path: Path) -> None:
    """In its order, which decides ties; an empty list is a result."""
    rows = [GOOD, {**GOOD, "image_id": "b", "category_id": 2, "score": -3}, GOOD]
    assert read(tmp_path / "d.json", rows) == rows
    assert read(tmp_path / "d.json", []) == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("[", "is not JSON"),
        ("[" * 200_000, "is not JSON: it is nested too deeply"),
        ({"annotations": []}, "expected a list of .*, got dict"),
        ([GOOD, 3], "detection 1: expected an object"),
        ([{**GOOD, "image_id": "c"}], "detection 0: image_id 'c' is not in this split"),
        ([{**GOOD, "image_id": 1}], "image_id 1 is not in this split"),
        ([{**GOOD, "category_id": 0}], r"category_id 0 is not one of 1\.\.2"),
        ([{**GOOD, "category_id": 3}], "category_id 3"),
        ([{**GOOD, "category_id": True}], "category_id True"),
        ([{**GOOD, "bbox": [0, 0, 1]}], "not four numbers"),
        ('[{"image_id": "a", "category_id": 1, "bbox": [0, 0, 1, NaN], "score": 1}]', "not four numbers"),
        ([{**GOOD, "bbox": [0, 0, 10**400, 1]}], "not four numbers"),
        ([{**GOOD, "bbox": [0, 0, -1, 1]}], "negative width or height"),
        ([{**GOOD, "score": None}], "score None is not a finite number"),
        ('[{"image_id": "a", "category_id": 1, "bbox": [0, 0, 1, 1], "score": Infinity}]', "score inf"),
    ],
)
def test_what_is_no_detection_is_refused_with_its_number(tmp_path: Path, value: Any, words: str) -> None:
    """One line: which file, which row, what is wrong."""
    with pytest.raises(DetectionsError, match=words) as caught:
        read(tmp_path / "d.json", value)
    assert str(tmp_path / "d.json") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """As the user wrote it."""
    with pytest.raises(DetectionsError, match="no detections file"):
        read_results(tmp_path / "none.json", image_ids=[], n_classes=1)
