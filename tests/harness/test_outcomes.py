"""True, false and missed boxes: the rule of the mAP, at the score that each class does best with."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import accuracy
from harness.coco import detection_table, truth_table
from harness.quantities.outcomes import ImageOutcome, best_and_worst, outcomes

IMAGES = ("a", "b", "c")


def truth(*objects: tuple[str, int, list[float], bool]) -> dict[str, Any]:
    return {
        "images": [{"id": image} for image in IMAGES],
        "annotations": [
            {"image_id": image, "category_id": label, "bbox": box, "ignore": int(difficult)}
            for image, label, box, difficult in objects
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }


def row(image: str, label: int, box: list[float], score: float) -> dict[str, Any]:
    return {"image_id": image, "category_id": label, "bbox": box, "score": score}


def test_each_kind_by_hand() -> None:
    """A hit, a second hit on the same object, a wrong class, a miss, and a difficult object that costs nothing."""
    objects = truth(
        ("a", 1, [0, 0, 10, 10], False),
        ("a", 2, [50, 50, 10, 10], False),
        ("b", 1, [0, 0, 10, 10], False),
        ("b", 1, [30, 30, 10, 10], True),
    )
    rows = [
        row("a", 1, [0, 0, 10, 9], 0.9),
        row("a", 1, [0, 0, 9, 10], 0.8),
        row("b", 1, [30, 30, 10, 10], 0.7),
        row("b", 1, [1, 0, 10, 10], 0.6),
        row("b", 2, [70, 70, 10, 10], 0.6),
        row("c", 1, [0, 0, 10, 10], 0.1),
    ]
    a, b, c = outcomes(rows, objects)
    assert a.true.tolist() == [[0, 0, 10, 9]]
    assert a.false.tolist() == [[0, 0, 9, 10]]
    assert a.missed.tolist() == [[50, 50, 60, 60]]
    assert (a.true_labels.tolist(), a.false_labels.tolist(), a.missed_labels.tolist()) == ([1], [1], [2])
    assert b.true.tolist() == [[1, 0, 11, 10]]
    assert len(b.false) == len(b.missed) == 0  # dogs have no true detection at any score, so none is shown
    assert len(c.false) == 0  # below the score that cats do best with
    assert (a.f1, b.f1, c.f1) == (0.5, 1.0, 1.0)
    assert (a.objects, b.objects, c.objects) == (2, 1, 0)


numbers = st.integers(0, 3).map(lambda n: 10.0 * n)
boxes = st.tuples(numbers, numbers, st.sampled_from([10.0, 15.0]), st.sampled_from([10.0, 15.0])).map(list)
objects_drawn = st.lists(st.tuples(st.sampled_from(IMAGES), st.integers(1, 2), boxes, st.booleans()), max_size=8)
scores = st.sampled_from([0.1, 0.2, 0.5, 0.9])
rows_drawn = st.lists(st.builds(row, st.sampled_from(IMAGES), st.integers(1, 2), boxes, scores), max_size=12)


def best_f1(matches: accuracy.ClassMatches) -> float:
    """By trying each score as the least that is shown."""
    found = [0.0]
    for least in set(matches.scores):
        shown = matches.outcomes[matches.scores >= least]
        true, false = int((shown == 1).sum()), int((shown == -1).sum())
        if true:
            found.append(2 * true / (true + false + matches.n_positives))
    return max(found)


@settings(max_examples=150, deadline=None)
@given(objects_drawn, rows_drawn)
def test_kinds_add_up_and_no_score_does_better(drawn: list[Any], rows: list[Any]) -> None:
    """Each object that counts is found once or missed; by class, F1 over the run is the best of any least score."""
    of = truth(*drawn)
    found = outcomes(rows, of)
    objects = truth_table(of)
    matches = accuracy.match(detection_table(rows, IMAGES), objects, n_classes=2, iou_threshold=0.5)
    for label, of_class in enumerate(matches, start=1):
        true = sum(int((each.true_labels == label).sum()) for each in found)
        false = sum(int((each.false_labels == label).sum()) for each in found)
        missed = sum(int((each.missed_labels == label).sum()) for each in found)
        assert true + missed == of_class.n_positives
        if true:
            assert 2 * true / (2 * true + false + missed) == best_f1(of_class)
        else:
            assert best_f1(of_class) == 0
            assert false == 0


@settings(max_examples=60, deadline=None)
@given(objects_drawn, rows_drawn, st.randoms())
def test_the_order_of_detections_changes_no_count(drawn: list[Any], rows: list[Any], random: Any) -> None:
    """Equal scores are shown together or not at all."""
    of, mixed = truth(*drawn), list(rows)
    random.shuffle(mixed)
    counts = [
        [(len(each.true), len(each.false), len(each.missed)) for each in outcomes(order, of)] for order in (rows, mixed)
    ]
    assert [sum(column) for column in zip(*counts[0], strict=True)] == [
        sum(column) for column in zip(*counts[1], strict=True)
    ]


def outcome(true: int, false: int, missed: int) -> ImageOutcome:
    kinds = [(np.zeros((n, 4)), np.ones(n, dtype=np.int64)) for n in (true, false, missed)]
    return ImageOutcome(*kinds[0], *kinds[1], *kinds[2])


def test_the_best_and_the_worst_images() -> None:
    """By mean F1 over methods; of equals the fuller one; none without objects, and none twice."""
    one = [outcome(1, 0, 0), outcome(3, 0, 0), outcome(0, 0, 0), outcome(0, 2, 2), outcome(1, 1, 0), outcome(0, 5, 1)]
    other = [outcome(1, 0, 0), outcome(3, 0, 0), outcome(0, 9, 0), outcome(1, 1, 1), outcome(1, 0, 0), outcome(0, 0, 1)]
    assert best_and_worst({"one": one, "other": other}, 2) == ([1, 0], [5, 3])
    assert best_and_worst({"one": one[:1]}, 2) == ([0], [])
    assert best_and_worst({"one": [outcome(0, 1, 0)]}, 2) == ([], [])
