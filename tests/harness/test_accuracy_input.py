"""What cannot be evaluated is refused in one line that names the column, the row and what is expected."""

from collections.abc import Callable

import numpy as np
import pytest

from harness.accuracy import Accuracy, AccuracyError, ClassMatches, DetectionTable, TruthTable, evaluate, match
from harness.accuracy import average_precision as ap

BOX = (0.0, 0.0, 9.0, 9.0)


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def truth_of(label: int = 1, image: int = 0, second: tuple[float, ...] = BOX) -> TruthTable:
    return TruthTable(ints(image, 0), np.array([BOX, second]), ints(label, 1), np.zeros(2, dtype=bool))


def found_of(label: int = 1, score: float = 0.5, second: tuple[float, ...] = BOX) -> DetectionTable:
    return DetectionTable(ints(0, 0), np.array([BOX, second]), np.array([0.5, score]), ints(label, 1))


def matches_of(*scores: float) -> ClassMatches:
    count = len(scores)
    return ClassMatches(np.array(scores), np.ones(count, np.int8), np.zeros(count, np.int64), np.zeros(count, np.int64))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (lambda: truth_of(second=(5, 0, 4, 9)), "truth boxes, row 1: expected x1 <= x2"),
        (lambda: truth_of(label=0), "truth labels, row 0: expected 1..K, got 0"),
        (lambda: truth_of(image=-1), "truth image, row 0: expected an index"),
        (lambda: truth_of(image=2**31), "truth image, row 0: expected an index"),
        (lambda: found_of(second=(0, 0, np.inf, 1)), "detections boxes, row 1: expected finite"),
        (lambda: found_of(score=np.nan), "detections scores, row 1: expected a number, got nan"),
        (lambda: DetectionTable(ints(0), np.array([BOX]), np.zeros(1), ints(1, 1)), r"labels: expected shape \(1,\)"),
        (
            lambda: DetectionTable(ints(0), np.array([BOX], np.float32), np.zeros(1), ints(1)),
            "boxes: expected float64, got float32",
        ),
        (lambda: match(found_of(), truth_of(label=3), n_classes=2), "truth labels: expected 1..2, got 3"),
        (lambda: match(found_of(label=3), truth_of(), n_classes=2), "detections labels: expected 1..2, got 3"),
        (lambda: evaluate(found_of(), truth_of(), n_classes=0), "n_classes: expected at least 1"),
        (lambda: match(found_of(), truth_of(), n_classes=1, iou_threshold=0.0), "iou_threshold: expected above 0"),
        (lambda: match(found_of(), truth_of(), n_classes=1, iou_threshold=np.nan), "iou_threshold: expected above 0"),
        (lambda: matches_of(0.1, 0.2), "matches scores: expected falling order"),
        (lambda: ap(matches_of(1.0), "voc12"), "metric: expected voc07 or voc10, got 'voc12'"),  # type: ignore[arg-type]
        (lambda: ap(matches_of(1.0), "voc07", image_counts=ints(-1)), "image_counts: expected no negative count"),
        (
            lambda: ap(matches_of(1.0), "voc07", image_counts=ints()),
            "image_counts: expected one for each image up to 0",
        ),
        (lambda: Accuracy("voc07", 0.5, (0.5,), ((0.6, 0.7),)), "tie range of class 1"),
        (lambda: Accuracy("voc07", 0.5, (None,), ((0.6, 0.7),)), "tie range of class 1"),
        (lambda: Accuracy("voc07", 0.5, (0.5,), ()), "tie_ranges: expected 1 classes"),
    ],
)
def test_bad_input_is_refused_in_one_line(bad: Callable[[], object], message: str) -> None:
    """An error says what, where and what instead."""
    with pytest.raises(AccuracyError, match=message) as error:
        bad()
    assert "\n" not in str(error.value)
