"""What became of each box in each image: true, false or missed, as a reader would see it drawn.

An mAP goes through all scores; a picture shows one choice. Shown is what scores at least as high as its class needs for
the best F1 over the run, and matching is that of `harness.accuracy`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness import accuracy
from harness.accuracy import ClassMatches, DetectionTable, Floats, Ints, TruthTable
from harness.coco import detection_table, truth_table

__all__ = ["IOU_THRESHOLD", "ImageOutcome", "best_and_worst", "outcomes"]

IOU_THRESHOLD = 0.5
"""[VOC07 VOCevaldet.m]: as the mAP has it."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageOutcome:
    """One method on one image; boxes (N, 4) px, half-open, and labels (N,), 1..K, of each kind.

    A detection of a difficult object is of no kind, nor is a difficult object that was missed.
    """

    true: Floats
    true_labels: Ints
    false: Floats
    false_labels: Ints
    missed: Floats
    missed_labels: Ints

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0..1; 1 where there was nothing to find and nothing was found."""
        errors = len(self.false) + len(self.missed)
        return 2 * len(self.true) / (2 * len(self.true) + errors) if len(self.true) + errors else 1.0

    @property
    def objects(self) -> int:
        """Those that were to be found."""
        return len(self.true) + len(self.missed)


def outcomes(rows: Sequence[dict[str, Any]], truth: Mapping[str, Any]) -> list[ImageOutcome]:
    """Of one method, an outcome for each image of `truth`, from its detections in COCO results format."""
    detections = detection_table(rows, [image["id"] for image in truth["images"]])
    objects = truth_table(truth)
    n_classes = len(truth["categories"])
    matches = accuracy.match(detections, objects, n_classes=n_classes, iou_threshold=IOU_THRESHOLD)
    kept: list[Ints] = []
    kinds: list[Ints] = []
    for label, of_class in enumerate(matches, start=1):
        own = np.flatnonzero(detections.labels == label)
        # As `match` has them: by falling score, equal ones as they came.
        chosen = own[np.argsort(-detections.scores[own], kind="stable")][: _shown(of_class)]
        kept.append(chosen)
        kinds.append(of_class.outcomes[: len(chosen)].astype(np.int64))
    shown, kind = np.concatenate(kept), np.concatenate(kinds)
    of_class_in_image = _grouped(objects)
    found = [_object_of(row, detections, objects, of_class_in_image) for row in shown[kind == 1]]
    missed = np.setdiff1d(np.flatnonzero(~objects.difficult), np.array(found, dtype=np.int64))
    images = len(truth["images"])
    true, false = (_by_image(shown[kind == each], detections.image, images) for each in (1, -1))
    by_image = zip(true, false, _by_image(missed, objects.image, images), strict=True)
    return [_outcome(detections, objects, *each) for each in by_image]


def _grouped(objects: TruthTable) -> dict[tuple[int, int], list[int]]:
    """The objects of each image and class, in their order."""
    groups: dict[tuple[int, int], list[int]] = {}
    for at, (image, label) in enumerate(zip(objects.image.tolist(), objects.labels.tolist(), strict=True)):
        groups.setdefault((image, label), []).append(at)
    return groups


def _by_image(rows: Ints, image: Ints, images: int) -> list[Ints]:
    """`rows` split by their image, in their order, once for all images."""
    ends = np.cumsum(np.bincount(image[rows], minlength=images))
    return np.split(rows[np.argsort(image[rows], kind="stable")], ends[:-1])


def _shown(matches: ClassMatches) -> int:
    """How many of the best scores of a class give its best F1, the fewest of those that do; all of an equal score."""
    true = np.cumsum(matches.outcomes == 1)
    counted = true + np.cumsum(matches.outcomes == -1)
    if not len(true) or not true[-1]:
        return 0
    # A cut between equal scores would depend on their order.
    last = np.flatnonzero(np.append(matches.scores[1:] != matches.scores[:-1], True))
    f1 = 2 * true[last] / (counted[last] + matches.n_positives)
    return int(last[np.argmax(f1)]) + 1


def _object_of(
    row: int, detections: DetectionTable, objects: TruthTable, groups: Mapping[tuple[int, int], Sequence[int]]
) -> int:
    """The object that a true detection found: of its image and class the one with the highest IoU, the first of equals.

    No other is looked at by the rule, so a true detection is that of this one.
    """
    own = np.array(groups[int(detections.image[row]), int(detections.labels[row])])
    box, boxes = detections.boxes[row], objects.boxes[own]
    sides = np.maximum(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0)
    shared = sides.prod(axis=1)
    union = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) - shared
    return int(own[np.argmax(shared / union)])


def _outcome(detections: DetectionTable, objects: TruthTable, true: Ints, false: Ints, missed: Ints) -> ImageOutcome:
    return ImageOutcome(
        detections.boxes[true],
        detections.labels[true],
        detections.boxes[false],
        detections.labels[false],
        objects.boxes[missed],
        objects.labels[missed],
    )


def best_and_worst(by_method: Mapping[str, Sequence[ImageOutcome]], count: int) -> tuple[list[int], list[int]]:
    """Indices of the images that the methods do best and worst on, `count` of each, fewer where there are few.

    By mean F1 over the methods; of equals the one with more objects. An image without objects is passed over, and none
    is among both.
    """
    columns = list(zip(*by_method.values(), strict=True))
    marks = {
        at: sum(each.f1 for each in column) / len(column)
        for at, column in enumerate(columns)
        if any(each.objects for each in column)
    }
    objects = {at: max(each.objects for each in columns[at]) for at in marks}
    best = sorted(marks, key=lambda at: (-marks[at], -objects[at], at))[: min(count, -(-len(marks) // 2))]
    rest = [at for at in marks if at not in best]
    return best, sorted(rest, key=lambda at: (marks[at], -objects[at], at))[:count]
