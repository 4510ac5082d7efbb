"""The rules of VOC average precision, one by one, on numbers worked out by hand.

A row of truth is (image, box, difficult), a row of detections (image, box, score); boxes are half-open.
"""

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import pytest

from harness.accuracy import (
    ClassMatches,
    DetectionTable,
    Metric,
    TruthTable,
    average_precision,
    evaluate,
    match,
    tie_range,
)

Box = tuple[float, float, float, float]

A: Box = (0, 0, 10, 10)
B: Box = (20, 0, 30, 10)
C: Box = (40, 0, 50, 10)
NOWHERE: Box = (90, 90, 99, 99)
METRICS: tuple[Metric, ...] = ("voc07", "voc10")


def truth_of(rows: Sequence[tuple[int, Box, bool]], labels: Sequence[int] | None = None) -> TruthTable:
    return TruthTable(
        image=np.array([image for image, _, _ in rows], dtype=np.int64),
        boxes=np.array([box for _, box, _ in rows], dtype=np.float64).reshape(-1, 4),
        labels=np.array(labels if labels is not None else [1] * len(rows), dtype=np.int64),
        difficult=np.array([difficult for _, _, difficult in rows], dtype=bool),
    )


def detections_of(rows: Sequence[tuple[int, Box, float]], labels: Sequence[int] | None = None) -> DetectionTable:
    return DetectionTable(
        image=np.array([image for image, _, _ in rows], dtype=np.int64),
        boxes=np.array([box for _, box, _ in rows], dtype=np.float64).reshape(-1, 4),
        scores=np.array([score for _, _, score in rows], dtype=np.float64),
        labels=np.array(labels if labels is not None else [1] * len(rows), dtype=np.int64),
    )


def matches_of(outcomes: str, n_positives: int, scores: Sequence[float] | None = None) -> ClassMatches:
    """One class in one image from letters: t true, f false, i ignored."""
    count = len(outcomes)
    return ClassMatches(
        scores=np.array(scores if scores is not None else range(count, 0, -1), dtype=np.float64),
        outcomes=np.array([{"t": 1, "f": -1, "i": 0}[letter] for letter in outcomes], dtype=np.int8),
        image=np.zeros(count, dtype=np.int64),
        positives=np.zeros(n_positives, dtype=np.int64),
    )


def outcomes_of(detections: DetectionTable, truth: TruthTable, iou_threshold: float = 0.5) -> list[int]:
    (matches,) = match(detections, truth, n_classes=1, iou_threshold=iou_threshold)
    return [int(outcome) for outcome in matches.outcomes]


def test_difficult_best_match_is_ignored() -> None:
    """A detection on a difficult object is neither true nor false, however often, and the object is no positive."""
    truth = truth_of([(0, A, True), (0, B, False)])
    (matches,) = match(detections_of([(0, A, 0.9), (0, A, 0.8), (0, B, 0.7)]), truth, n_classes=1)
    assert matches.outcomes.tolist() == [0, 0, 1]
    assert matches.n_positives == 1
    assert average_precision(matches, "voc07") == 1.0


def test_difficult_object_taken_out_of_the_truth_makes_its_detection_false() -> None:
    """Dropping difficult objects is not leaving them out: what found them would turn false and cost half the AP."""
    detections = detections_of([(0, A, 0.9), (0, B, 0.8)])
    kept = evaluate(detections, truth_of([(0, A, True), (0, B, False)]), n_classes=1)
    dropped = evaluate(detections, truth_of([(0, B, False)]), n_classes=1)
    assert (kept.map, dropped.map) == (1.0, 0.5)


def test_difficult_object_draws_a_detection_away_from_a_plain_one() -> None:
    """The best object is chosen before its flag is looked at, so a worse plain object does not make it true."""
    truth = truth_of([(0, (0, 0, 10, 8), False), (0, A, True)])
    assert outcomes_of(detections_of([(0, A, 0.9)]), truth) == [0]


def test_duplicates_are_false() -> None:
    """One detection of an object is true, the best scored one wherever it stands in the input."""
    truth = truth_of([(0, A, False)])
    assert outcomes_of(detections_of([(0, A, 0.1), (0, A, 0.9), (0, A, 0.5)]), truth) == [1, -1, -1]


def test_taken_best_object_is_not_exchanged_for_the_next_best() -> None:
    """A detection whose best object is taken is false although it also overlaps a free object enough."""
    near: Box = (1, 0, 11, 10)
    truth = truth_of([(0, A, False), (0, near, False)])
    assert outcomes_of(detections_of([(0, A, 0.9), (0, A, 0.8)]), truth) == [1, -1]


def test_first_of_equally_overlapped_objects_is_the_best() -> None:
    """Between objects of equal IoU the earlier row is matched."""
    left, right, middle = (0, 0, 10, 10), (2, 0, 12, 10), (1, 0, 11, 10)
    detections = detections_of([(0, middle, 0.9)])
    assert outcomes_of(detections, truth_of([(0, left, True), (0, right, False)])) == [0]
    assert outcomes_of(detections, truth_of([(0, right, False), (0, left, True)])) == [1]


def test_exact_iou_of_one_half_counts() -> None:
    """50 of 100 px is a match at 0.5; 49 of 100 is not."""
    truth = truth_of([(0, A, False), (1, A, False)])
    detections = detections_of([(0, (0, 0, 10, 5), 0.9), (1, (0, 0, 7, 7), 0.8)])
    assert outcomes_of(detections, truth) == [1, -1]


@pytest.mark.parametrize("tenths", range(1, 11))
def test_exact_iou_counts_at_every_decimal_threshold(tenths: int) -> None:
    """An integer box whose IoU is k/10 matches at the float k/10 and not at the next float above it."""
    detections, truth = detections_of([(0, (3, 7, 13, 7 + 3 * tenths), 1.0)]), truth_of([(0, (3, 7, 13, 37), False)])
    assert outcomes_of(detections, truth, tenths / 10) == [1]
    if tenths < 10:
        assert outcomes_of(detections, truth, np.nextafter(tenths / 10, 1)) == [-1]


def test_objects_of_another_image_or_class_do_not_match() -> None:
    """A box is compared with the objects of its own class and image alone."""
    truth = truth_of([(0, A, False), (1, B, False)], labels=[1, 2])
    detections = detections_of([(1, A, 0.9), (0, A, 0.8), (0, B, 0.7), (5, A, 0.6)], labels=[1, 2, 2, 1])
    first, second = match(detections, truth, n_classes=2)
    assert first.outcomes.tolist() == [-1, -1]
    assert second.outcomes.tolist() == [-1, -1]


def test_empty_boxes_match_nothing() -> None:
    """Boxes without area have no IoU, not even with themselves."""
    empty: Box = (5, 5, 5, 5)
    assert outcomes_of(detections_of([(0, empty, 0.9)]), truth_of([(0, empty, False)])) == [-1]


def test_detections_are_taken_by_falling_score_and_equal_ones_in_input_order() -> None:
    """The order of the rows decides between equal scores and nothing else."""
    detections = detections_of([(3, A, 0.5), (1, A, 0.5), (2, A, 0.7), (0, A, 0.5)])
    (matches,) = match(detections, truth_of([]), n_classes=1)
    assert matches.image.tolist() == [2, 3, 1, 0]
    assert matches.scores.tolist() == [0.7, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("outcomes", "n_positives", "voc07", "voc10"),
    [
        ("t", 1, 1.0, 1.0),
        ("f", 1, 0.0, 0.0),
        ("ft", 1, 0.5, 0.5),
        ("t", 4, 3 / 11, 1 / 4),  # recall 1/4 reaches 0, 0.1 and 0.2
        ("tft", 3, (4 * 1 + 3 * 2 / 3) / 11, (1 + 2 / 3) / 3),  # recalls 1/3 and 2/3
        ("fftt", 2, 0.5, 0.5),  # precision rises to 1/2 at the end, and the envelope with it
        ("titf", 2, 1.0, 1.0),  # a left-out detection costs nothing
        ("ii", 1, 0.0, 0.0),
    ],
)
def test_average_precision_by_hand(outcomes: str, n_positives: int, voc07: float, voc10: float) -> None:
    """AP is what the definition gives on paper."""
    matches = matches_of(outcomes, n_positives)
    assert average_precision(matches, "voc07") == pytest.approx(voc07, abs=1e-15)
    assert average_precision(matches, "voc10") == pytest.approx(voc10, abs=1e-15)


@pytest.mark.parametrize("tens", [1, 2, 3, 285, 480, 10_007])
@pytest.mark.parametrize("tenths", range(1, 11))
def test_recall_of_exactly_k_tenths_counts_at_threshold_k_tenths(tenths: int, tens: int) -> None:
    """6 of 10 found objects reach recall 0.6, whatever floats say; one object fewer does not."""
    exactly = matches_of("t" * (tenths * tens), 10 * tens)
    below = matches_of("t" * (tenths * tens - 1), 10 * tens)
    assert average_precision(exactly, "voc07") == pytest.approx((tenths + 1) / 11, abs=1e-15)
    expected = tenths / 11 if tenths * tens > 1 else 0.0  # with nothing found there is no precision even at recall 0
    assert average_precision(below, "voc07") == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("metric", METRICS)
def test_class_without_positives_has_no_ap_and_is_left_out_of_the_mean(metric: Metric) -> None:
    """Undefined is None, not 0 and not NaN; difficult objects alone are no positives."""
    truth = truth_of([(0, A, False), (0, B, True)], labels=[1, 2])
    detections = detections_of([(0, A, 0.9), (0, B, 0.9), (0, C, 0.9)], labels=[1, 2, 3])
    accuracy = evaluate(detections, truth, n_classes=3, metric=metric)
    assert accuracy.ap == (1.0, None, None)
    assert accuracy.tie_ranges == ((1.0, 1.0), None, None)
    assert (accuracy.map, accuracy.map_tie_range) == (1.0, (1.0, 1.0))


@pytest.mark.parametrize("metric", METRICS)
def test_no_detections_give_zero(metric: Metric) -> None:
    """Finding nothing where something is has AP 0, which counts in the mean."""
    accuracy = evaluate(detections_of([]), truth_of([(0, A, False), (0, B, False)], [1, 2]), n_classes=2, metric=metric)
    assert accuracy.ap == (0.0, 0.0)
    assert accuracy.map == 0.0


def test_nothing_at_all_has_no_mean() -> None:
    """Without any positive there is no mAP."""
    accuracy = evaluate(detections_of([]), truth_of([]), n_classes=2)
    assert (accuracy.ap, accuracy.map, accuracy.map_tie_range) == ((None, None), None, None)


@pytest.mark.parametrize("metric", METRICS)
def test_tie_range_is_what_all_orders_of_equal_scores_span(metric: Metric) -> None:
    """Over every order of the rows the AP keeps its range, reaches both ends, and counts per tied group stay the same.

    Among the five tied: two detections of one object, one of an object that a higher score took, one of a difficult
    object, one of nothing.
    """
    truth = truth_of([(0, A, False), (1, B, False), (1, C, True), (2, A, False)])
    rows: list[tuple[int, Box, float]] = [(0, A, 0.9), (0, A, 0.5), (1, B, 0.5), (1, B, 0.5), (1, C, 0.5)]
    rows += [(2, NOWHERE, 0.5), (2, A, 0.1)]
    seen: set[float] = set()
    ranges, counts = set(), set()
    for tied in permutations(rows[1:6]):
        (matches,) = match(detections_of([rows[0], *tied, rows[6]]), truth, n_classes=1)
        ap = average_precision(matches, metric)
        assert ap is not None
        seen.add(ap)
        ranges.add(tie_range(matches, metric))
        counts.add(tuple(sorted(matches.outcomes[1:6].tolist())))
    assert counts == {(-1, -1, -1, 0, 1)}
    assert ranges == {(min(seen), max(seen))}
    assert len(seen) > 1
