"""Against a slow reading of the devkit's rules: one loop a rule, inclusive pixels with +1, exact fractions."""

from dataclasses import dataclass
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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

N_IMAGES, N_CLASSES = 3, 3
METRICS: tuple[Metric, ...] = ("voc07", "voc10")


@dataclass(frozen=True)
class Row:
    """One object or one detection, with inclusive integer pixels as VOC writes them."""

    image: int
    xmin: int
    ymin: int
    xmax: int
    ymax: int
    label: int
    score: int
    difficult: bool


@st.composite
def row(draw: st.DrawFn) -> Row:
    # Few places, sizes and scores: equal scores, duplicates and IoU of exactly 1/2 all turn up within a few rows.
    xmin, ymin = draw(st.integers(0, 3)), draw(st.integers(0, 2))
    width, height = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    return Row(
        image=draw(st.integers(0, N_IMAGES - 1)),
        xmin=xmin,
        ymin=ymin,
        xmax=xmin + width - 1,
        ymax=ymin + height - 1,
        label=draw(st.integers(1, N_CLASSES)),
        score=draw(st.integers(-2, 2)),
        difficult=draw(st.integers(0, 3)) == 0,
    )


objects = st.lists(row(), max_size=12)
detected = st.lists(row(), max_size=25)
thresholds = st.sampled_from(["0.1", "0.3", "0.5", "0.7", "1"])


def overlap(a: Row, b: Row) -> Fraction:
    width = min(a.xmax, b.xmax) - max(a.xmin, b.xmin) + 1
    height = min(a.ymax, b.ymax) - max(a.ymin, b.ymin) + 1
    if width <= 0 or height <= 0:
        return Fraction(0)
    area_a = (a.xmax - a.xmin + 1) * (a.ymax - a.ymin + 1)
    area_b = (b.xmax - b.xmin + 1) * (b.ymax - b.ymin + 1)
    return Fraction(width * height, area_a + area_b - width * height)


def slow_outcomes(detections: list[Row], truth: list[Row], label: int, threshold: Fraction) -> list[int]:
    taken: set[int] = set()
    outcomes = []
    for detection in sorted((d for d in detections if d.label == label), key=lambda d: -d.score):
        best, best_overlap = -1, Fraction(0)
        for index, candidate in enumerate(truth):
            if candidate.label == label and candidate.image == detection.image:
                value = overlap(detection, candidate)
                if value > best_overlap:
                    best, best_overlap = index, value
        if best < 0 or best_overlap < threshold:
            outcomes.append(-1)
        elif truth[best].difficult:
            outcomes.append(0)
        elif best in taken:
            outcomes.append(-1)
        else:
            taken.add(best)
            outcomes.append(1)
    return outcomes


def slow_average(outcomes: list[int], n_positives: int, metric: Metric) -> float | None:
    if n_positives == 0:
        return None
    points, true, false = [], 0, 0
    for outcome in outcomes:
        true += outcome == 1
        false += outcome == -1
        if true + false:
            points.append((Fraction(true, n_positives), Fraction(true, true + false)))
    if metric == "voc07":
        best = [max((p for r, p in points if r >= Fraction(k, 10)), default=Fraction(0)) for k in range(11)]
        return float(sum(best) / 11)
    area, before = Fraction(0), Fraction(0)
    for place, (recall, _) in enumerate(points):
        area += (recall - before) * max(p for _, p in points[place:])
        before = recall
    return float(area)


def columns(rows: list[Row]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    image = np.array([r.image for r in rows], dtype=np.int64)
    boxes = np.array([(r.xmin - 1, r.ymin - 1, r.xmax, r.ymax) for r in rows], dtype=np.float64).reshape(-1, 4)
    return image, boxes, np.array([r.label for r in rows], dtype=np.int64)


def detection_table(rows: list[Row]) -> DetectionTable:
    image, boxes, labels = columns(rows)
    return DetectionTable(image, boxes, np.array([r.score for r in rows], dtype=np.float64), labels)


def truth_table(rows: list[Row]) -> TruthTable:
    image, boxes, labels = columns(rows)
    return TruthTable(image, boxes, labels, np.array([r.difficult for r in rows], dtype=bool))


@settings(deadline=None, max_examples=300)
@given(detected, objects, thresholds)
def test_outcomes_and_ap_are_those_of_the_slow_loop(detections: list[Row], truth: list[Row], threshold: str) -> None:
    """Vectorised matching and averaging agree with the rules taken literally, class by class."""
    found = match(detection_table(detections), truth_table(truth), n_classes=N_CLASSES, iou_threshold=float(threshold))
    for label, matches in enumerate(found, start=1):
        expected = slow_outcomes(detections, truth, label, Fraction(threshold))
        n_positives = sum(t.label == label and not t.difficult for t in truth)
        assert matches.outcomes.tolist() == expected
        assert matches.n_positives == n_positives
        for metric in METRICS:
            assert average_precision(matches, metric) == pytest.approx(
                slow_average(expected, n_positives, metric), abs=1e-12
            )


@settings(deadline=None)
@given(detected, objects, st.randoms(use_true_random=False), st.sampled_from(METRICS))
def test_reordering_rows_moves_ap_only_within_the_tie_range(
    detections: list[Row],
    truth: list[Row],
    random: Random,
    metric: Metric,
) -> None:
    """The tie range belongs to the set of detections, and holds the AP of any order of them."""
    objects_table = truth_table(truth)
    before = evaluate(detection_table(detections), objects_table, n_classes=N_CLASSES, metric=metric)
    shuffled = random.sample(detections, len(detections))
    after = evaluate(detection_table(shuffled), objects_table, n_classes=N_CLASSES, metric=metric)
    assert after.tie_ranges == before.tie_ranges
    for ap, ties in zip(after.ap, before.tie_ranges, strict=True):
        assert (ap is None) == (ties is None)
        assert ap is None or ties is None or ties[0] <= ap <= ties[1]


def reorder(matches: ClassMatches, sign: int) -> ClassMatches:
    order = np.lexsort((sign * matches.outcomes, -matches.scores))
    return ClassMatches(matches.scores[order], matches.outcomes[order], matches.image[order], matches.positives)


@settings(deadline=None)
@given(detected, objects, st.sampled_from(METRICS))
def test_ends_of_the_tie_range_are_reached(detections: list[Row], truth: list[Row], metric: Metric) -> None:
    """Low is the AP with false ones first among equal scores, high the one with true ones first."""
    for matches in match(detection_table(detections), truth_table(truth), n_classes=N_CLASSES):
        low, high = tie_range(matches, metric) or (None, None)
        assert low == pytest.approx(average_precision(reorder(matches, 1), metric), abs=1e-12)
        assert high == pytest.approx(average_precision(reorder(matches, -1), metric), abs=1e-12)


def copied(rows: list[Row], counts: list[int]) -> list[Row]:
    """Each image as often as drawn, as separate images, copies side by side."""
    first = np.concatenate([[0], np.cumsum(counts)])
    fields = ("xmin", "ymin", "xmax", "ymax", "label", "score", "difficult")
    return [
        Row(image=int(first[r.image]) + copy, **{name: getattr(r, name) for name in fields})
        for r in rows
        for copy in range(counts[r.image])
    ]


@settings(deadline=None)
@given(detected, objects, st.lists(st.integers(0, 3), min_size=N_IMAGES, max_size=N_IMAGES), st.sampled_from(METRICS))
def test_image_counts_stand_for_copies_of_images(
    detections: list[Row], truth: list[Row], counts: list[int], metric: Metric
) -> None:
    """A bootstrap draw without new matching gives the AP and tie range of really copying the drawn images."""
    image_counts = np.array(counts, dtype=np.int64)
    drawn = match(detection_table(detections), truth_table(truth), n_classes=N_CLASSES)
    really = match(detection_table(copied(detections, counts)), truth_table(copied(truth, counts)), n_classes=N_CLASSES)
    for weighted, repeated in zip(drawn, really, strict=True):
        assert average_precision(weighted, metric, image_counts=image_counts) == pytest.approx(
            average_precision(repeated, metric), abs=1e-12
        )
        assert tie_range(weighted, metric, image_counts=image_counts) == pytest.approx(
            tie_range(repeated, metric), abs=1e-12
        )
