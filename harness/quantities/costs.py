"""What a method's total grows with: a line over its proposals, one over the size of its images, and the sweep.

Each line is fitted alone. Where the images were not changed on purpose, larger ones also have more proposals, and
either line takes up what belongs to the other. A point of the sweep counts where every image was measured there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness import regression, statistics
from harness.quantities.estimates import as_dict, missing, over_images
from harness.quantities.observations import Ints, clusters
from harness.record import Sample

__all__ = ["lines", "sweep"]

_NO_SWEEP = "inputs were not changed on purpose: the run was made without --sweep"
_UNKNOWN = {
    "proposals": "the run kept no number of boxes with its samples",
    "megapixels": "the sizes of the images are not known",
}

Point = tuple[str, float, float, int | None]
"""Image, abscissa, seconds, block."""


def lines(
    measured: Sequence[Sample],
    swept: Sequence[Sample],
    megapixels: Mapping[str, float | None],
    points: Sequence[str],
) -> dict[str, Any]:
    """Of one method: seconds against ``proposals`` and against ``megapixels``, ``intercept`` and ``slope`` of each.

    Where one of them was swept, its line is over the sweep's samples, else over the images as they are.
    `megapixels` are by image, in the order of the split; `points` are those of the sweep, of whatever method.
    """
    found = {}
    for quantity in ("proposals", "megapixels"):
        own = _by_point(swept)
        at_point = {point: own.get(point, []) for point in points if point.startswith(f"{quantity}=")}
        left_out = {point: reason for point, of in at_point.items() if (reason := _lack(of, megapixels))}
        chosen = [one for point, of in at_point.items() if point not in left_out for one in of]
        placed = [_point(one, quantity, megapixels) for one in (chosen if at_point else measured)]
        known = [point for point in placed if point is not None]
        reasons = "; ".join(dict.fromkeys(left_out.values()))
        fitted = _line(_means(known)) if known else _no_line(reasons or _UNKNOWN[quantity])
        over = "sweep" if at_point else "images"
        covers = _sweep_covers(chosen) if at_point else over_images(len({one.process for one in measured}))
        interval = None if fitted["slope"]["low"] is None else covers
        found[quantity] = {**fitted, "over": over, "interval": interval, "left_out": left_out}
    return found


def _by_point(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    """In the rising order of what was changed."""
    gathered: dict[str, list[Sample]] = {}
    for sample in samples:
        gathered.setdefault(sample.point or "", []).append(sample)
    return {point: gathered[point] for point in sorted(gathered, key=_value)}


def _lack(samples: Sequence[Sample], images: Mapping[str, Any]) -> str | None:
    """Why a point of the sweep does not count; None where it does."""
    if not samples:
        return "it was not measured there"
    failed = [one for one in samples if one.status != "ok" or one.seconds is None]
    if failed:
        return f"{failed[0].status}: {failed[0].reason}"
    there = {one.image for one in samples}
    return None if there.issuperset(images) else f"{len(there)} of {len(images)} images were measured there"


def _sweep_covers(samples: Sequence[Sample]) -> str:
    """What an interval of the sweep covers."""
    processes = sorted({one.process for one in samples})
    return f"over images within process {processes[0]}" if len(processes) == 1 else over_images(len(processes))


def _point(sample: Sample, quantity: str, megapixels: Mapping[str, float | None]) -> Point | None:
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


def _blocks(points: Sequence[Point]) -> Ints:
    """The block of each point; where the run kept none, the points of an image belong together."""
    number = {image: at for at, image in enumerate(dict.fromkeys(point[0] for point in points))}
    known = clusters(number, {point[0]: point[3] for point in points if point[3] is not None})
    return np.array([number[point[0]] if known is None else known[number[point[0]]] for point in points])


def _line(points: Sequence[Point]) -> dict[str, Any]:
    x, y = (np.array([point[column] for point in points]) for column in (1, 2))
    found = regression.line(x, y, _blocks(points))
    return {
        "intercept": as_dict(found.intercept),
        "slope": as_dict(found.slope),
        "points": len(points),
        "images": len({point[0] for point in points}),
        "reason": found.slope.reason,
    }


def _no_line(reason: str) -> dict[str, Any]:
    return {"intercept": missing(reason), "slope": missing(reason), "points": 0, "images": 0, "reason": reason}


def sweep(samples: Mapping[str, Sequence[Sample]], images: Sequence[str]) -> dict[str, Any]:
    """Mean total of each method at each point of the sweep. `samples` are the swept ones by method.

    Returns:
        ``field``, ``points`` in rising order, ``seconds`` by method and point, and the ``interval`` that these have; or
        nulls and the reason.
    """
    points = list(_by_point([one for of in samples.values() for one in of]))
    if not points:
        return {"field": None, "points": [], "seconds": {}, "interval": None, "reason": _NO_SWEEP}
    seconds = {}
    for method, of in samples.items():
        at_point = _by_point(of)
        seconds[method] = {point: _mean(at_point.get(point, []), images) for point in points}
    covers = _sweep_covers([one for of in samples.values() for one in of])
    field = points[0].partition("=")[0]
    return {"field": field, "points": points, "seconds": seconds, "interval": covers, "reason": None}


def _mean(samples: Sequence[Sample], images: Sequence[str]) -> dict[str, Any]:
    lack = _lack(samples, dict.fromkeys(images))
    if lack is not None:
        return {"mean": None, "low": None, "high": None, "reason": lack, "boxes": None}
    points = _means([(one.image, 0.0, (one.seconds or {})["total"], one.block) for one in samples])
    known = any(one.block is not None for one in samples)
    found = statistics.mean(np.array([point[2] for point in points]), _blocks(points) if known else None)
    boxes = [one.boxes for one in samples if one.boxes is not None]
    return {**as_dict(found, "mean"), "boxes": float(np.mean(boxes)) if boxes else None}
