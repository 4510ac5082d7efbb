"""Against figures that others published for a data set of their own.

Source: rafaelpadilla/review_object_detection_metrics, test case 1 (MIT licence, Copyright (c) 2020): 7 images, 15
objects and 24 detections of one class, and average precision at four IoU thresholds. Boxes there are ``x y w h`` whose
far corner ``x + w``, ``y + h`` is an inclusive pixel; without that +1 the figures at 0.1 and 0.3 do not come out. The
figures are cut, not rounded, after ten digits.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from harness.accuracy import ClassMatches, DetectionTable, TruthTable, average_precision, match, tie_range

XYWH = tuple[int, int, int, int]

OBJECTS: tuple[tuple[XYWH, ...], ...] = (
    ((25, 16, 38, 56), (129, 123, 41, 62)),
    ((123, 11, 43, 55), (38, 132, 59, 45)),
    ((16, 14, 35, 48), (123, 30, 49, 44), (99, 139, 47, 47)),
    ((53, 42, 40, 52), (154, 43, 31, 34)),
    ((59, 31, 44, 51), (48, 128, 34, 52)),
    ((36, 89, 52, 76), (62, 58, 44, 67)),
    ((28, 31, 55, 63), (58, 67, 50, 58)),
)
DETECTIONS: tuple[tuple[tuple[float, XYWH], ...], ...] = (
    ((0.88, (5, 67, 31, 48)), (0.70, (119, 111, 40, 67)), (0.80, (124, 9, 49, 67))),
    ((0.71, (64, 111, 64, 58)), (0.54, (26, 140, 60, 47)), (0.74, (19, 18, 43, 35))),
    (
        (0.18, (109, 15, 77, 39)),
        (0.67, (86, 63, 46, 45)),
        (0.38, (160, 62, 36, 53)),
        (0.91, (105, 131, 47, 47)),
        (0.44, (18, 148, 40, 44)),
    ),
    ((0.35, (83, 28, 28, 26)), (0.78, (28, 68, 42, 67)), (0.45, (87, 89, 25, 39)), (0.14, (10, 155, 60, 26))),
    ((0.62, (50, 38, 28, 46)), (0.44, (95, 11, 53, 28)), (0.95, (29, 131, 72, 29)), (0.23, (29, 163, 72, 29))),
    ((0.45, (43, 48, 74, 38)), (0.84, (17, 155, 29, 35)), (0.43, (95, 110, 25, 42))),
    ((0.48, (16, 20, 101, 88)), (0.95, (33, 116, 37, 49))),
)
PUBLISHED = (
    # IoU, 11 points, every point
    (0.1, 0.3333333333, 0.3371980676),
    (0.3, 0.2683982683, 0.2456866804),
    (0.5, 0.0303030303, 0.0222222222),
    (0.75, 0.0, 0.0),
)


def is_cut_to(published: float, value: float | None) -> bool:
    return value is not None and published <= value < published + 1e-10


def half_open(box: XYWH) -> XYWH:
    x, y, width, height = box
    return (x, y, x + width + 1, y + height + 1)


def matches_at(iou_threshold: float) -> ClassMatches:
    truth = [(image, half_open(box)) for image, boxes in enumerate(OBJECTS) for box in boxes]
    found = [(image, half_open(box), score) for image, rows in enumerate(DETECTIONS) for score, box in rows]
    (matches,) = match(
        DetectionTable(
            image=np.array([image for image, _, _ in found], dtype=np.int64),
            boxes=np.array([box for _, box, _ in found], dtype=np.float64),
            scores=np.array([score for _, _, score in found], dtype=np.float64),
            labels=np.ones(len(found), dtype=np.int64),
        ),
        TruthTable(
            image=np.array([image for image, _ in truth], dtype=np.int64),
            boxes=np.array([box for _, box in truth], dtype=np.float64),
            labels=np.ones(len(truth), dtype=np.int64),
            difficult=np.zeros(len(truth), dtype=bool),
        ),
        n_classes=1,
        iou_threshold=iou_threshold,
    )
    return matches


def eleven_points_with_numpy_thresholds(matches: ClassMatches) -> float:
    """The 11-point rule on the floats of np.arange, whose 0.6 lies above 9/15."""
    true, false = np.cumsum(matches.outcomes == 1), np.cumsum(matches.outcomes == -1)
    recall, precision = true / matches.n_positives, true / (true + false)
    return float(np.mean([precision[recall >= t].max(initial=0.0) for t in np.arange(0, 1.1, 0.1)]))


@pytest.mark.parametrize(("iou_threshold", "eleven_points", "every_point"), PUBLISHED)
def test_published_every_point_figures(iou_threshold: float, eleven_points: float, every_point: float) -> None:
    """The area under the envelope is the published figure to all its digits."""
    assert is_cut_to(every_point, average_precision(matches_at(iou_threshold), "voc10"))


@pytest.mark.parametrize(("iou_threshold", "eleven_points", "every_point"), PUBLISHED)
def test_published_eleven_point_figures(iou_threshold: float, eleven_points: float, every_point: float) -> None:
    """NumPy's thresholds give the published figures to all their digits; exact ones do except at IoU 0.1."""
    matches = matches_at(iou_threshold)
    assert is_cut_to(eleven_points, eleven_points_with_numpy_thresholds(matches))
    assert is_cut_to(eleven_points, average_precision(matches, "voc07")) == (iou_threshold != 0.1)


def test_exact_thresholds_add_the_point_at_recall_nine_fifteenths() -> None:
    """At IoU 0.1 nine of 15 objects are found, which is recall 0.6: the exact rule adds that point, 9/23 of 1/11."""
    matches = matches_at(0.1)
    assert (matches.outcomes.tolist().count(1), matches.n_positives) == (9, 15)
    ours = average_precision(matches, "voc07")
    assert ours == pytest.approx(eleven_points_with_numpy_thresholds(matches) + 9 / 23 / 11, abs=1e-12)
    assert ours == pytest.approx(0.3689, abs=5e-5)


@pytest.mark.parametrize(("iou_threshold", "eleven_points", "every_point"), PUBLISHED)
def test_published_figures_lie_in_their_tie_range(
    iou_threshold: float, eleven_points: float, every_point: float
) -> None:
    """Three scores occur twice; the published order is one of those that the range spans."""
    low, high = tie_range(matches_at(iou_threshold), "voc10") or (1.0, 0.0)
    assert low - 1e-10 < every_point <= high


def test_typed_numbers_are_those_of_the_files() -> None:
    """The rows above are the published files, line by line."""
    shared = os.environ.get("HARNESS_SHARED")
    if not shared:
        pytest.skip("HARNESS_SHARED is not set")
    folder = Path(shared) / "evaluation" / "padilla_test_case_1"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")

    def lines(kind: str) -> list[list[list[float]]]:
        texts = [path.read_text().splitlines() for path in sorted((folder / kind).glob("*.txt"))]
        return [[[float(word) for word in line.split()[1:]] for line in text if line.strip()] for text in texts]

    assert lines("gts") == [[list(box) for box in boxes] for boxes in OBJECTS]
    assert lines("dets") == [[[score, *box] for score, box in rows] for rows in DETECTIONS]
