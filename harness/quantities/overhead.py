"""What measuring costs: a bound from the number of marks and the cost of one, and times with and without marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness import statistics
from harness.quantities.estimates import as_dict, missing, over_images
from harness.quantities.observations import clusters, pass_of
from harness.record import Sample

__all__ = ["overhead"]

_NO_MARKS = "the run kept neither the number of marks nor the cost of one"
_NO_PAIRS = "no image was timed without marks"
_COLD_PAIRS = "every image that was timed without marks too was of a shape that was not warmed up"


def overhead(
    measured: Sequence[Sample], unmarked: Sequence[Sample], processes: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Of one method. `processes` are those of the manifest, each with the calibrated cost of a mark.

    What a first touch costs is not what marks cost: samples that were taken cold do not count where others are warm,
    and a pair of which one was cold never does.

    Returns:
        ``marks`` an image, ``mark_seconds`` of the process where one costs most, ``bound``: the share of the mean total
        that they are at most, and ``unmarked``: the ratio of times with marks to times without, on the same images,
        with the ``interval`` that it has.
    """
    succeeded = [sample for sample in measured if sample.seconds is not None]
    timed = [sample for sample in succeeded if sample.warm] or succeeded
    marks = [sample.marks for sample in timed if sample.marks is not None]
    costs = [each["mark_seconds"] for each in processes if each.get("mark_seconds") is not None]
    if marks and costs:
        total_seconds = float(np.mean([(sample.seconds or {})["total"] for sample in timed]))
        bound = float(np.mean(marks)) * max(costs) / total_seconds
        known: dict[str, Any] = {"marks": float(np.mean(marks)), "mark_seconds": max(costs)}
        known |= {"bound": bound, "bound_reason": None}
    else:
        known = {"marks": None, "mark_seconds": None, "bound": None, "bound_reason": _NO_MARKS}
    return {**known, "unmarked": _against_unmarked(succeeded, unmarked)}


def _against_unmarked(measured: Sequence[Sample], unmarked: Sequence[Sample]) -> dict[str, Any]:
    """Ratio of mean times, each image with marks against the same image without, one just after the other."""
    marked = {_moment(sample): sample for sample in measured}
    pairs = [(marked[_moment(without)], without) for without in unmarked if _moment(without) in marked]
    pairs = [(one, other) for one, other in pairs if other.seconds is not None]
    warm = [(one, other) for one, other in pairs if one.warm and other.warm]
    if not warm:
        return {**missing(_COLD_PAIRS if pairs else _NO_PAIRS), "interval": None, "images": 0}
    totals: dict[str, list[tuple[float, float]]] = {}
    for one, other in warm:
        totals.setdefault(one.image, []).append(((one.seconds or {})["total"], (other.seconds or {})["total"]))
    blocks = clusters(totals, {one.image: one.block for one, _ in warm if one.block is not None})
    means = np.array([np.mean(of, axis=0) for of in totals.values()])
    found = statistics.ratio_of_means(means[:, 0], means[:, 1], blocks)
    covers = None if found.low is None else over_images(len({one.process for one, _ in warm}))
    return {**as_dict(found), "interval": covers, "images": len(means)}


def _moment(sample: Sample) -> tuple[Any, ...]:
    """When it was taken, as far as both of a pair have it in common."""
    return *pass_of(sample), sample.attempt, sample.image
