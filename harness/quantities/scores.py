"""How well each method detects: mAP in both definitions of PASCAL VOC, with intervals over the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness import accuracy
from harness.accuracy import METRICS, ClassMatches, DetectionTable, TruthTable
from harness.coco import detection_table, truth_table
from harness.quantities.estimates import as_dict, missing
from harness.resampling import Resampled, map_intervals

__all__ = ["Scores", "matched", "no_score", "score", "share_found"]

_KEYS = ("ap", "ap_voc10")
_IOU_THRESHOLD = 0.5
"""[VOC07 VOCevaldet.m]: an object is found by a box that overlaps it so much."""
_NO_OBJECT = "no class has an object that is not difficult"

Scores = dict[str, dict[str, Any]]
"""By method: ``map``, ``ap``, ``ap_voc10``, ``detections``."""


def no_score(reason: str, detections: int) -> dict[str, Any]:
    """Of a method whose detections mean nothing."""
    none = {**missing(reason), "tie_low": None, "tie_high": None}
    return {
        "map": {metric: dict(none) for metric in METRICS},
        "ap": None,
        "ap_reason": reason,
        "ap_voc10": None,
        "ap_voc10_reason": reason,
        "detections": detections,
    }


def score(
    rows: Mapping[str, Sequence[dict[str, Any]]], truth: Mapping[str, Any], *, baseline: str, seed: int
) -> tuple[Scores, dict[str, Any]]:
    """Score methods by their detections in COCO results format, and compare each with the baseline.

    Returns:
        The scores by method, and by method and metric the difference of its mAP to the baseline's, over the same drawn
        images; of none where the baseline has no score.
    """
    if not rows:
        return {}, {}
    image_ids = [image["id"] for image in truth["images"]]
    classes = [category["name"] for category in truth["categories"]]
    objects = truth_table(truth)
    tables = {method: detection_table(list(of), image_ids) for method, of in rows.items()}
    matches = matched(tables, objects, len(classes))
    reference = baseline if baseline in matches else next(iter(matches))
    drawn = map_intervals(matches, len(image_ids), baseline=reference, seed=seed)
    scores = {
        method: {**_scored(of, classes, drawn, method), "detections": len(rows[method])}
        for method, of in matches.items()
    }
    return scores, _differences(drawn) if baseline in matches else {}


def matched(
    tables: Mapping[str, DetectionTable], objects: TruthTable, n_classes: int
) -> dict[str, tuple[ClassMatches, ...]]:
    """By method and class, what became of each detection."""
    return {
        method: accuracy.match(table, objects, n_classes=n_classes, iou_threshold=_IOU_THRESHOLD)
        for method, table in tables.items()
    }


def share_found(matches: Sequence[ClassMatches]) -> float | None:
    """The share of all objects, difficult ones left out, that are found at any score: the recall of the detections.

    None where there is no object to find.
    """
    positives = sum(one.n_positives for one in matches)
    return sum(int((one.outcomes == 1).sum()) for one in matches) / positives if positives else None


def _scored(matches: Sequence[ClassMatches], classes: Sequence[str], drawn: Resampled, method: str) -> dict[str, Any]:
    result: dict[str, Any] = {"map": {}}
    for metric, key in zip(METRICS, _KEYS, strict=True):
        found = _averaged(matches, metric)
        tie_low, tie_high = found.map_tie_range or (None, None)
        interval = drawn.map[method][metric]
        result["map"][metric] = {
            "value": found.map,
            "low": interval.low,
            "high": interval.high,
            "reason": _NO_OBJECT if found.map is None else interval.reason,
            "tie_low": tie_low,
            "tie_high": tie_high,
        }
        result[key] = dict(zip(classes, found.ap, strict=True))
    return result


def _averaged(matches: Sequence[ClassMatches], metric: accuracy.Metric) -> accuracy.Accuracy:
    return accuracy.Accuracy(
        metric=metric,
        iou_threshold=_IOU_THRESHOLD,
        ap=tuple(accuracy.average_precision(of_class, metric) for of_class in matches),
        tie_ranges=tuple(accuracy.tie_range(of_class, metric) for of_class in matches),
    )


def _differences(drawn: Resampled) -> dict[str, Any]:
    return {
        method: {metric: as_dict(found) for metric, found in by_metric.items()}
        for method, by_metric in drawn.difference.items()
    }
