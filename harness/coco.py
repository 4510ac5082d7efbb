"""COCO's file formats, in which runs keep ground truth and detections so that other tools can read them.

Boxes are ``[x, y, w, h]`` with the half-open corners of this code base: ``x2 = x + w``. Numbers are written with as few
digits as give the same float32 back, corners included, and a run's accuracy is computed from what its files say, so
that `evaluate` on a file gives the very number of the report.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.accuracy import DetectionTable, TruthTable
from harness.datasets import Dataset
from harness.storage import StorageError, packed_path, parse_json, read_bytes

__all__ = ["DetectionsError", "detection_rows", "detection_table", "read_results", "truth_file", "truth_table"]

_LARGEST_PX = 1e9
_LARGEST_SCORE = sys.float_info.max


class DetectionsError(ValueError):
    """A detections file does not hold what it should; the message is one line."""


def _short(value: np.float32) -> float:
    return float(str(value))


def _length(start: float, end: np.float32) -> float:
    """A length that gives `end` back when it is added to `start` as written."""
    short = _short(np.float32(float(end) - start))
    return short if np.float32(start + short) == end else float(end) - start


def _xywh(box: npt.NDArray[np.float32]) -> list[float]:
    x, y = _short(box[0]), _short(box[1])
    return [x, y, _length(x, box[2]), _length(y, box[3])]


def detection_rows(
    image_id: str, boxes: npt.NDArray[np.float32], scores: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> list[dict[str, Any]]:
    """One image's detections, boxes (D, 4), in COCO results format; `category_id` is the label, 1..K."""
    return [
        {"image_id": image_id, "category_id": int(label), "bbox": _xywh(box), "score": _short(score)}
        for box, score, label in zip(boxes, scores, labels, strict=True)
    ]


def truth_file(dataset: Dataset) -> dict[str, Any]:
    """Ground truth of a whole split in COCO format. `ignore` marks difficult objects; `iscrowd` is 0 throughout."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, image_id in enumerate(dataset.ids):
        height, width = dataset.image(index).shape[:2]
        images.append({"id": image_id, "file_name": image_id, "width": width, "height": height})
        truth = dataset.truth(index)
        for box, label, difficult in zip(truth.boxes, truth.labels, truth.difficult, strict=True):
            x, y, w, h = _xywh(box)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(label),
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                    "ignore": int(difficult),
                }
            )
    categories = [{"id": index + 1, "name": name} for index, name in enumerate(dataset.classes)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _corners(bboxes: Sequence[Sequence[float]]) -> npt.NDArray[np.float64]:
    boxes = np.asarray(bboxes, dtype=np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    # Decimals are nearest to a float32; the box that was meant is that one.
    return boxes.astype(np.float32).astype(np.float64)


def truth_table(truth: Mapping[str, Any]) -> TruthTable:
    """The table that `harness.accuracy` takes, images numbered in the file's order."""
    number = {image["id"]: index for index, image in enumerate(truth["images"])}
    rows = truth["annotations"]
    return TruthTable(
        np.array([number[row["image_id"]] for row in rows], dtype=np.int64),
        _corners([row["bbox"] for row in rows]),
        np.array([row["category_id"] for row in rows], dtype=np.int64),
        np.array([row["ignore"] for row in rows], dtype=np.bool_),
    )


def detection_table(rows: Sequence[dict[str, Any]], image_ids: Sequence[str]) -> DetectionTable:
    """The table that `harness.accuracy` takes, images numbered as in `image_ids`."""
    number = {image_id: index for index, image_id in enumerate(image_ids)}
    return DetectionTable(
        np.array([number[row["image_id"]] for row in rows], dtype=np.int64),
        _corners([row["bbox"] for row in rows]),
        np.array([row["score"] for row in rows], dtype=np.float64),
        np.array([row["category_id"] for row in rows], dtype=np.int64),
    )


def read_results(path: Path, *, image_ids: Sequence[str], n_classes: int) -> list[dict[str, Any]]:
    """Read detections in COCO results format, plain or packed (``.json.gz``), and check every row.

    Raises:
        DetectionsError: no such file, not of that format, or a row for an image or class that is not there.
    """
    try:
        if not path.exists() and not packed_path(path).exists():
            raise DetectionsError(f"no detections file {path}")
        rows = parse_json(read_bytes(path))
    except DetectionsError:
        raise
    except StorageError as error:
        raise DetectionsError(str(error)) from None
    except OSError as error:
        raise DetectionsError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise DetectionsError(f"{path} is not JSON: {error}") from None
    if not isinstance(rows, list):
        expected = "a list of {image_id, category_id, bbox, score}"
        raise DetectionsError(f"{path}: expected {expected}, got {type(rows).__name__}")
    known = set(image_ids)
    for number, row in enumerate(rows):
        wrong = _wrong_with(row, known, n_classes)
        if wrong:
            raise DetectionsError(f"{path}, detection {number}: {wrong}")
    return rows


def _wrong_with(row: object, known: set[str], n_classes: int) -> str | None:
    if not isinstance(row, dict) or not {"image_id", "category_id", "bbox", "score"} <= row.keys():
        return "expected an object with image_id, category_id, bbox and score"
    if not isinstance(row["image_id"], str) or row["image_id"] not in known:
        return f"image_id {row['image_id']!r} is not in this split"
    label = row["category_id"]
    if not isinstance(label, int) or isinstance(label, bool) or not 1 <= label <= n_classes:
        return f"category_id {label!r} is not one of 1..{n_classes}"
    bbox = row["bbox"]
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(_is_number(value, _LARGEST_PX) for value in bbox):
        return f"bbox {bbox!r} is not four numbers x, y, w, h of at most {_LARGEST_PX:g}"
    if bbox[2] < 0 or bbox[3] < 0:
        return f"bbox {bbox!r} has a negative width or height"
    return None if _is_number(row["score"], _LARGEST_SCORE) else f"score {row['score']!r} is not a finite number"


def _is_number(value: object, largest: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= largest
