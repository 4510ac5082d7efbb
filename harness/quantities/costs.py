"""What a method's total grows with: a line over its proposals, one over the size of its images, and the sweep.

Each line is fitted alone. Where the images were not changed on purpose, larger ones also have more proposals, and
either line takes up what belongs to the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness import statistics
from harness.quantities.estimates import as_dict, missing
from harness.record import Sample

__all__ = ["lines", "sweep"]

_NO_SWEEP = "inputs were not changed on purpose: the run was made without --sweep"
_UNKNOWN = {
    "proposals": "the run kept no number of boxes with its samples",
    "megapixels": "the sizes of the images are not known",
}

Point = tuple[str, float, float, int]
"""Image, abscissa, seconds, block."""


def lines(
    measured: Sequence[Sample], swept: Sequence[Sample], megapixels: Mapping[str, float], *, in_blocks: bool
) -> dict[str, Any]:
    """Of one method: seconds against ``proposals`` and against ``megapixels``, ``intercept`` and ``slope`` of each.

    Where one of them was swept, its line is over the sweep's samples, else over the images as they are.
    `megapixels` are by image. `in_blocks` says whether the blocks of samples were recorded.
    """
    found = {}
    for quantity in ("proposals", "megapixels"):
        chosen = [one for one in swept if (one.point or "").startswith(f"{quantity}=")]
        points = [_point(one, quantity, megapixels) for one in (chosen or measured) if one.status == "ok"]
        known = [point for point in points if point is not None]
        line = _line(_means(known), in_blocks=in_blocks) if known else None
        over = "sweep" if chosen else "images"
        found[quantity] = {**(line or _no_line(_UNKNOWN[quantity])), "over": over}
    return found


def _point(sample: Sample, quantity: str, megapixels: Mapping[str, float]) -> Point | None:
    if sample.seconds is None:
        return None
    if quantity == "proposals":
        at = None if sample.boxes is None else float(sample.boxes)
    elif sample.role == "sweep":
        at = _value(sample.point)
    else:
        at = megapixels.get(sample.image)
    return None if at is None else (sample.image, at, sample.seconds["total"], sample.block)


def _value(point: str | None) -> float:
    return float((point or "").partition("=")[2])


def _means(points: Sequence[Point]) -> list[Point]:
    """One point for each image and abscissa: the mean over repeats and processes."""
    gathered: dict[tuple[str, float], list[Point]] = {}
    for point in points:
        gathered.setdefault(point[:2], []).append(point)
    return [(*key, float(np.mean([each[2] for each in of])), of[0][3]) for key, of in gathered.items()]


def _line(points: Sequence[Point], *, in_blocks: bool) -> dict[str, Any]:
    images = {image: number for number, image in enumerate(dict.fromkeys(point[0] for point in points))}
    x, y = (np.array([point[column] for point in points]) for column in (1, 2))
    blocks = np.array([point[3] if in_blocks else images[point[0]] for point in points], dtype=np.int64)
    found = statistics.line(x, y, blocks)
    return {
        "intercept": as_dict(found.intercept),
        "slope": as_dict(found.slope),
        "points": len(points),
        "images": len(images),
        "reason": found.slope.reason,
    }


def _no_line(reason: str) -> dict[str, Any]:
    return {"intercept": missing(reason), "slope": missing(reason), "points": 0, "images": 0, "reason": reason}


def sweep(samples: Mapping[str, Sequence[Sample]], *, in_blocks: bool) -> dict[str, Any]:
    """Mean total of each method at each point of the sweep. `samples` are the swept ones by method.

    Returns:
        ``field``, ``points`` in rising order, ``seconds`` by method and point; or nulls and the reason.
    """
    names = {one.point for of in samples.values() for one in of if one.point is not None}
    points = sorted(names, key=_value)
    if not points:
        return {"field": None, "points": [], "seconds": {}, "reason": _NO_SWEEP}
    seconds = {
        method: {point: _mean([one for one in of if one.point == point], in_blocks=in_blocks) for point in points}
        for method, of in samples.items()
    }
    return {"field": points[0].partition("=")[0], "points": points, "seconds": seconds, "reason": None}


def _mean(samples: Sequence[Sample], *, in_blocks: bool) -> dict[str, Any]:
    failed = [one for one in samples if one.status != "ok" or one.seconds is None]
    if failed or not samples:
        reason = f"{failed[0].status}: {failed[0].reason}" if failed else "it was not measured there"
        return {"mean": None, "low": None, "high": None, "reason": reason, "boxes": None}
    points = _means([(one.image, 0.0, (one.seconds or {})["total"], one.block) for one in samples])
    blocks = np.array([point[3] for point in points], dtype=np.int64) if in_blocks else None
    found = statistics.mean(np.array([point[2] for point in points]), blocks)
    boxes = [one.boxes for one in samples if one.boxes is not None]
    return {**as_dict(found, "mean"), "boxes": float(np.mean(boxes)) if boxes else None}
