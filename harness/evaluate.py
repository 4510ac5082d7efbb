"""Average precision of a detections file against a data set: any detector's, ours or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast, get_args

from harness import accuracy
from harness.coco import detection_table, read_results, truth_file, truth_table
from harness.datasets import open_dataset

__all__ = ["evaluate_file", "lines"]


def evaluate_file(path: Path, *, dataset: str, split: str, images: int | None, metric: str) -> dict[str, Any]:
    """``{"metric", "map", "ap": {class: ap}}``, fractions; None for a class without objects.

    Raises:
        AccuracyError: no such metric.
        DatasetError, DetectionsError: data set or file cannot be read.
    """
    metrics = get_args(accuracy.Metric)
    if metric not in metrics:
        raise accuracy.AccuracyError(f"no metric {metric!r}; there are {', '.join(metrics)}")
    opened = open_dataset(dataset, split, length=images, training=False)
    rows = read_results(path, image_ids=opened.ids, n_classes=len(opened.classes))
    found = accuracy.evaluate(
        detection_table(rows, opened.ids),
        truth_table(truth_file(opened)),
        n_classes=len(opened.classes),
        metric=cast(accuracy.Metric, metric),
    )
    return {"metric": metric, "map": found.map, "ap": dict(zip(opened.classes, found.ap, strict=True))}


def lines(result: dict[str, Any]) -> list[str]:
    """What `evaluate_file` gave, in percent: a line for each class, and the mean."""
    rows = [*result["ap"].items(), (f"mAP {result['metric']}", result["map"])]
    return [f"{name:<14} {'-' if ap is None else format(100 * ap, '6.2f')}" for name, ap in rows]
