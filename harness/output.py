"""What a detector returned: checked, hashed and turned to rows, all outside the stopwatch."""

from __future__ import annotations

from typing import Any

import torch

from detectors.contract import Detections, Example
from harness.agreement import digest_of_arrays
from harness.coco import detection_rows

__all__ = ["OutputError", "check_output", "digest_of", "rows_of"]


class OutputError(ValueError):
    """A detector returned what its contract does not allow; the message says what."""


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise OutputError(what)


def check_output(found: Detections, example: Example, *, n_classes: int, at_most: int | None) -> None:
    """See that detections lie inside the image, have finite scores and labels of 1..K, and are not too many.

    Raises:
        OutputError: the first thing wrong.
    """
    _expect(isinstance(found, Detections), f"detect returned {type(found).__name__}, not Detections")
    for name in ("boxes", "scores", "labels"):
        device = getattr(found, name).device
        _expect(device.type == "cpu", f"{name} are on {device}, not on the CPU")
    boxes, scores, labels = found.boxes, found.scores, found.labels
    _expect(boxes.dtype == scores.dtype == torch.float32, f"scores are {scores.dtype}, not torch.float32")
    _expect(labels.dtype == torch.int64, f"labels are {labels.dtype}, not torch.int64")
    _expect(bool(scores.isfinite().all()), "a score is not finite")
    _expect(bool(boxes.isfinite().all()), "a box has a corner that is not finite")
    height, width = example.image.shape[1:]
    x1, y1, x2, y2 = boxes.unbind(1)
    inside = (x1 >= 0) & (y1 >= 0) & (x2 <= width) & (y2 <= height) & (x1 <= x2) & (y1 <= y2)
    if not inside.all():
        worst = boxes[int((~inside).nonzero()[0])].tolist()
        raise OutputError(f"box {worst} is not a box inside the image, 0 0 {width} {height}")
    _expect(bool(((labels >= 1) & (labels <= n_classes)).all()), f"a label is not one of 1..{n_classes}")
    if at_most is not None:
        _expect(len(scores) <= at_most, f"{len(scores)} detections, more than the {at_most} an image of the policy")


def digest_of(found: Detections) -> str:
    """sha256 over boxes, scores and labels, 16 hex digits."""
    return digest_of_arrays(found.boxes.numpy(), found.scores.numpy(), found.labels.numpy())


def rows_of(image_id: str, found: Detections) -> list[dict[str, Any]]:
    """COCO results, as `harness.coco.detection_rows`."""
    return detection_rows(image_id, found.boxes.numpy(), found.scores.numpy(), found.labels.numpy())
