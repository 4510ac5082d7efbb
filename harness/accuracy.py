"""Average precision as PASCAL VOC defines it: pure functions on NumPy arrays, no torch, no files.

Letters: I images, G ground-truth boxes, D detections, K classes; N detections of one class. Boxes are float64
``x1 y1 x2 y2`` in pixels, half-open: the devkit counts inclusive pixels with a +1, so on boxes turned once at the edge
``(xmin - 1, ymin - 1, xmax, ymax)`` its overlap is plain intersection over union. Labels are 1..K. AP is a fraction.

The definition is that of ``VOCevaldet.m`` in the development kits of 2007 [VOC07] and 2010 [VOC10]. Programs that bear
its name differ in six places; this is where each stands here:

- detections of a class are taken over all images by falling score, equal scores in the order in which they came;
- a detection looks at one object, the one of its class and image with the highest IoU, whether or not that is taken;
- it matches when IoU >= threshold, not only above it;
- a match with a `difficult` object is neither true nor false, and such objects are not counted as positives;
- every later match with an object that is taken is false;
- `voc07` averages the best precision at 11 recalls; `voc10` is the area under the falling envelope.

Matching and averaging are parted: `match` looks at boxes once, `average_precision` re-weights images as often as a
bootstrap wants.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

__all__ = [
    "METRICS",
    "Accuracy",
    "AccuracyError",
    "ClassMatches",
    "DetectionTable",
    "Metric",
    "TruthTable",
    "average_precision",
    "evaluate",
    "match",
    "tie_range",
]

Metric = Literal["voc07", "voc10"]
METRICS: tuple[Metric, ...] = get_args(Metric)
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_MOST_IMAGES = 2**31
"""Keeps the (image, class) key inside int64."""


class AccuracyError(ValueError):
    """Detections or ground truth cannot be evaluated as asked; the message is one line."""


def _expect(condition: bool, what: str, expected: str, got: object) -> None:
    if not condition:
        raise AccuracyError(f"{what}: expected {expected}, got {got}")


def _check_column(what: str, column: npt.NDArray[Any], dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    _expect(column.dtype == dtype, what, np.dtype(dtype).name, column.dtype)
    _expect(column.shape == shape, what, f"shape {shape}", column.shape)


def _check_each(what: str, column: npt.NDArray[Any], valid: npt.NDArray[np.bool_], expected: str) -> None:
    if not valid.all():
        row = int(np.argmin(valid))
        raise AccuracyError(f"{what}, row {row}: expected {expected}, got {column[row].tolist()}")


def _check_rows(what: str, image: Ints, boxes: Floats, labels: Ints) -> None:
    _check_column(f"{what} image", image, np.int64, (image.size,))
    _check_column(f"{what} boxes", boxes, np.float64, (image.size, 4))
    _check_column(f"{what} labels", labels, np.int64, (image.size,))
    _check_each(f"{what} image", image, (image >= 0) & (image < _MOST_IMAGES), "an index from 0 below 2**31")
    _check_each(f"{what} boxes", boxes, np.all(np.isfinite(boxes), axis=1), "finite x1 y1 x2 y2")
    _check_each(f"{what} boxes", boxes, np.all(boxes[:, :2] <= boxes[:, 2:], axis=1), "x1 <= x2 and y1 <= y2")
    _check_each(f"{what} labels", labels, labels >= 1, "1..K")


@dataclass(frozen=True, slots=True, eq=False)
class TruthTable:
    """The objects of all images, one a row. Among objects of equal IoU the earlier row is matched."""

    image: Ints
    """(G,), index of the image, from 0."""
    boxes: Floats
    """(G, 4) px, half-open."""
    labels: Ints
    """(G,), 1..K."""
    difficult: npt.NDArray[np.bool_]
    """(G,): objects that cost nothing when missed and earn nothing when found."""

    def __post_init__(self) -> None:
        _check_rows("truth", self.image, self.boxes, self.labels)
        _check_column("truth difficult", self.difficult, np.bool_, self.image.shape)


@dataclass(frozen=True, slots=True, eq=False)
class DetectionTable:
    """The detections of all images, one a row. The order of rows decides between equal scores and nothing else."""

    image: Ints
    """(D,), index of the image, from 0. Images without ground truth are allowed: all there is false."""
    boxes: Floats
    """(D, 4) px, half-open."""
    scores: Floats
    """(D,), comparable within one class. Not NaN."""
    labels: Ints
    """(D,), 1..K."""

    def __post_init__(self) -> None:
        _check_rows("detections", self.image, self.boxes, self.labels)
        _check_column("detections scores", self.scores, np.float64, self.image.shape)
        _check_each("detections scores", self.scores, ~np.isnan(self.scores), "a number")


@dataclass(frozen=True, slots=True, eq=False)
class ClassMatches:
    """What became of the detections of one class, and where its objects are.

    Detections of one image are matched with objects of that image alone, so drawing an image n times multiplies its
    rows here by n and changes no outcome: a bootstrap over images needs no boxes.
    """

    scores: Floats
    """(N,), falling."""
    outcomes: npt.NDArray[np.int8]
    """(N,): +1 true, -1 false, 0 left out, as the matched object is difficult."""
    image: Ints
    """(N,), index of the image of each detection."""
    positives: Ints
    """(n_positives,), index of the image of each object that is not difficult."""

    def __post_init__(self) -> None:
        rows = (self.scores.size,)
        _check_column("matches scores", self.scores, np.float64, rows)
        _check_column("matches outcomes", self.outcomes, np.int8, rows)
        _check_column("matches image", self.image, np.int64, rows)
        _check_column("matches positives", self.positives, np.int64, (self.positives.size,))
        _expect(bool((self.scores[1:] <= self.scores[:-1]).all()), "matches scores", "falling order", "another")

    @property
    def n_positives(self) -> int:
        """Objects that recall counts."""
        return len(self.positives)


def _best_objects(detections: DetectionTable, truth: TruthTable, n_classes: int) -> tuple[Ints, Floats]:
    """For each detection the row of the object of its class and image with the highest IoU, or -1, and that IoU."""
    keys = truth.image * n_classes + truth.labels
    rows = np.argsort(keys, kind="stable")
    wanted = detections.image * n_classes + detections.labels
    first = np.searchsorted(keys[rows], wanted, side="left")
    count = np.searchsorted(keys[rows], wanted, side="right") - first

    best = np.full(len(wanted), -1, dtype=np.int64)
    best_iou = np.zeros(len(wanted))
    # One pass a rank of object within its image and class: memory stays that of the detections however crowded an
    # image is, and a strict > lets the first of equal objects win.
    active = np.flatnonzero(count > 0)
    rank = 0
    while len(active):
        objects = rows[first[active] + rank]
        iou = _iou(detections.boxes[active], truth.boxes[objects])
        better = iou > best_iou[active]
        best[active[better]] = objects[better]
        best_iou[active[better]] = iou[better]
        rank += 1
        active = active[count[active] > rank]
    return best, best_iou


def _areas(boxes: Floats) -> Floats:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _iou(a: Floats, b: Floats) -> Floats:
    """Row by row IoU of two (N, 4) arrays; 0 where nothing overlaps, also between empty boxes.

    The quotient is compared with the threshold, as in the devkit, and not ``intersection >= threshold * union``: areas
    of integer boxes are exact, so a quotient equal to a decimal threshold rounds to the very float of that threshold,
    while the product may round past the intersection (0.1 * 3 > 0.3).
    """
    sides = np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0)
    intersection = sides[:, 0] * sides[:, 1]
    union = _areas(a) + _areas(b) - intersection
    quotient: Floats = np.divide(intersection, union, out=np.zeros(len(a)), where=intersection > 0)
    return quotient


def match(
    detections: DetectionTable, truth: TruthTable, *, n_classes: int, iou_threshold: float = 0.5
) -> tuple[ClassMatches, ...]:
    """Decide for each detection whether it is true, false or left out; one entry a class, 1..K. [VOC07 VOCevaldet.m].

    Raises:
        AccuracyError: a label above `n_classes`, or `iou_threshold` outside (0, 1].
    """
    _expect(n_classes >= 1, "n_classes", "at least 1", n_classes)
    _expect(0 < iou_threshold <= 1, "iou_threshold", "above 0 and at most 1", iou_threshold)
    for what, labels in (("detections", detections.labels), ("truth", truth.labels)):
        highest = int(labels.max(initial=1))
        _expect(highest <= n_classes, f"{what} labels", f"1..{n_classes}", highest)

    order = np.lexsort((-detections.scores, detections.labels))
    best, best_iou = _best_objects(detections, truth, n_classes)
    best = np.where(best_iou >= iou_threshold, best, -1)[order]
    outcomes = np.full(len(order), -1, dtype=np.int8)
    found, first = np.unique(best, return_index=True)
    outcomes[first[found >= 0]] = 1
    hit = np.flatnonzero(best >= 0)
    outcomes[hit[truth.difficult[best[hit]]]] = 0

    cuts = np.searchsorted(detections.labels[order], np.arange(1, n_classes + 2))
    matches = []
    for label, begin, end in zip(range(1, n_classes + 1), cuts[:-1], cuts[1:], strict=True):
        rows = order[begin:end]
        positives = truth.image[(truth.labels == label) & ~truth.difficult]
        matches.append(ClassMatches(detections.scores[rows], outcomes[begin:end], detections.image[rows], positives))
    return tuple(matches)


def _eleven_points(true: Ints, envelope: Floats, n_positives: int) -> float:
    # Differs from [VOC07 VOCevaldet.m]: recall is compared as 10 * true >= k * n_positives because the floats 0:0.1:1
    # depend on who builds them; NumPy's 0.6000000000000001 refuses a recall of exactly 6/10, which MATLAB's 0.6 takes.
    needed = (np.arange(11) * n_positives + 9) // 10
    reached = np.searchsorted(true, needed, side="left")
    return float(np.append(envelope, 0.0)[reached].sum() / 11)


def _area(true: Ints, envelope: Floats, n_positives: int) -> float:
    # One summand a true detection, however steps are cut: sums of equal length round alike, so that the ends of a tie
    # range never cross the AP between them.
    return float(np.repeat(envelope, np.diff(true, prepend=0)).sum() / n_positives)


_AVERAGES: dict[str, Callable[[Ints, Floats, int], float]] = {"voc07": _eleven_points, "voc10": _area}


def _average(true: Ints, false: Ints, n_positives: int, metric: Metric) -> float:
    """AP from the cumulative counts of true and false detections after each step.

    A step may hold several detections. That changes nothing as long as its false ones come first, since precision rises
    with each true one and the envelope takes the best of the step, its last.
    """
    precision = true / np.maximum(true + false, 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return _AVERAGES[metric](true, envelope, n_positives)


def _counts(matches: ClassMatches, metric: str, image_counts: Ints | None) -> tuple[Ints, Ints, int]:
    """How many true and how many false detections each row stands for (N,), and the number of positives."""
    _expect(metric in METRICS, "metric", " or ".join(METRICS), repr(metric))
    true, false = (matches.outcomes == 1).astype(np.int64), (matches.outcomes == -1).astype(np.int64)
    if image_counts is None:
        return true, false, matches.n_positives
    _expect(image_counts.dtype == np.int64 and image_counts.ndim == 1, "image_counts", "int64 (I,)", image_counts.dtype)
    _expect(int(image_counts.min(initial=0)) >= 0, "image_counts", "no negative count", image_counts.min(initial=0))
    highest = max(int(matches.image.max(initial=-1)), int(matches.positives.max(initial=-1)))
    _expect(highest < len(image_counts), "image_counts", f"one for each image up to {highest}", len(image_counts))
    drawn = image_counts[matches.image]
    return true * drawn, false * drawn, int(image_counts[matches.positives].sum())


def average_precision(matches: ClassMatches, metric: Metric, *, image_counts: Ints | None = None) -> float | None:
    """AP of one class, 0..1, or None where it has no positives: then recall, and with it AP, is undefined.

    `image_counts`, int64 (I,), says how often each image was drawn; None is once each. A drawn image counts as so many
    separate images, whose detections stand next to each other where scores are equal.

    Raises:
        AccuracyError: an unknown `metric`, or `image_counts` that does not cover the images.
    """
    true, false, n_positives = _counts(matches, metric, image_counts)
    if n_positives == 0:
        return None
    return _average(np.cumsum(true), np.cumsum(false), n_positives, metric)


def tie_range(matches: ClassMatches, metric: Metric, *, image_counts: Ints | None = None) -> tuple[float, float] | None:
    """The lowest and the highest AP that another order of equal scores could give; None where AP is None.

    Lowest when false ones come first among equals, highest when true ones do. `image_counts` and errors as in
    `average_precision`.
    """
    true, false, n_positives = _counts(matches, metric, image_counts)
    if n_positives == 0:
        return None
    # Which of several tied detections of one object is the true one depends on their order; how many are does not.
    # Each detection has its one best object whatever the others do, so of those tied on an object exactly one is true
    # if no higher score took it, else none; and difficult objects are never taken. So the counts of a group of equal
    # scores hold for every order of it.
    last = np.append(matches.scores[1:] != matches.scores[:-1], True)[: len(true)]
    true_after, false_after = np.cumsum(true)[last], np.cumsum(false)[last]
    false_before = np.append(0, false_after)[: len(false_after)]
    low = _average(true_after, false_after, n_positives, metric)
    high = _average(true_after, false_before, n_positives, metric)
    return low, high


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How well one set of detections agrees with the ground truth."""

    metric: Metric
    iou_threshold: float
    ap: tuple[float | None, ...]
    """(K,), 0..1; None for a class without positives."""
    tie_ranges: tuple[tuple[float, float] | None, ...]
    """(K,), lowest and highest AP over all orders of equal scores; None where `ap` is None."""

    def __post_init__(self) -> None:
        _expect(self.metric in METRICS, "metric", " or ".join(METRICS), repr(self.metric))
        _expect(len(self.tie_ranges) == len(self.ap), "tie_ranges", f"{len(self.ap)} classes", len(self.tie_ranges))
        for label, (ap, ties) in enumerate(zip(self.ap, self.tie_ranges, strict=True), start=1):
            low, high = ties or (None, None)
            within = ap is None if low is None or high is None else ap is not None and 0 <= low <= ap <= high <= 1
            _expect(within, f"tie range of class {label}", f"one around AP {ap} in 0..1", ties)

    @property
    def map(self) -> float | None:
        """Mean AP over the classes that have positives; None when none has."""
        return _mean([ap for ap in self.ap if ap is not None])

    @property
    def map_tie_range(self) -> tuple[float, float] | None:
        """Lowest and highest mean AP over all orders of equal scores; ties of one class do not touch another."""
        ranges = [ties for ties in self.tie_ranges if ties is not None]
        low, high = _mean([low for low, _ in ranges]), _mean([high for _, high in ranges])
        return None if low is None or high is None else (low, high)


def evaluate(
    detections: DetectionTable,
    truth: TruthTable,
    *,
    n_classes: int,
    metric: Metric = "voc07",
    iou_threshold: float = 0.5,
) -> Accuracy:
    """Match and average: AP of each class with the range that ties leave open.

    Raises:
        AccuracyError: as `match` and `average_precision`.
    """
    matches = match(detections, truth, n_classes=n_classes, iou_threshold=iou_threshold)
    return Accuracy(
        metric=metric,
        iou_threshold=iou_threshold,
        ap=tuple(average_precision(of_class, metric) for of_class in matches),
        tie_ranges=tuple(tie_range(of_class, metric) for of_class in matches),
    )
