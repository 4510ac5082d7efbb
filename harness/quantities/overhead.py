"""What measuring costs: a bound from the number of marks and the cost of one, and times with and without marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness import statistics
from harness.quantities.estimates import as_dict, missing
from harness.record import Sample

__all__ = ["overhead"]

_NO_MARKS = "the run kept neither the number of marks nor the cost of one"
_NO_PAIRS = "no image was timed without marks"


def overhead(
    measured: Sequence[Sample], unmarked: Sequence[Sample], processes: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Of one method. `processes` are those of the manifest, each with the calibrated cost of a mark.

    Returns:
        ``marks`` an image, ``mark_seconds`` of the process where one costs most, ``bound``: the share of the mean total
        that they are at most, and ``unmarked``: the ratio of times with marks to times without, on the same images.
    """
    succeeded = [sample for sample in measured if sample.seconds is not None]
    marks = [sample.marks for sample in succeeded if sample.marks is not None]
    costs = [each["mark_seconds"] for each in processes if each.get("mark_seconds") is not None]
    if marks and costs:
        total_seconds = float(np.mean([(sample.seconds or {})["total"] for sample in succeeded]))
        bound = float(np.mean(marks)) * max(costs) / total_seconds
        known: dict[str, Any] = {"marks": float(np.mean(marks)), "mark_seconds": max(costs)}
        known |= {"bound": bound, "bound_reason": None}
    else:
        known = {"marks": None, "mark_seconds": None, "bound": None, "bound_reason": _NO_MARKS}
    return {**known, "unmarked": _against_unmarked(succeeded, unmarked)}


def _against_unmarked(measured: Sequence[Sample], unmarked: Sequence[Sample]) -> dict[str, Any]:
    """Ratio of mean times, each image with marks against the same image without, in the same process and repeat."""
    marked = {(each.process, each.repeat, each.image): each for each in measured}
    pairs: dict[str, list[tuple[float, float]]] = {}
    blocks: dict[str, int] = {}
    for without in unmarked:
        with_marks = marked.get((without.process, without.repeat, without.image))
        if with_marks is None or with_marks.seconds is None or without.seconds is None:
            continue
        pairs.setdefault(without.image, []).append((with_marks.seconds["total"], without.seconds["total"]))
        blocks.setdefault(without.image, with_marks.block)
    if not pairs:
        return {**missing(_NO_PAIRS), "images": 0}
    means = np.array([np.mean(of, axis=0) for of in pairs.values()])
    found = statistics.ratio_of_means(means[:, 0], means[:, 1], np.array(list(blocks.values()), dtype=np.int64))
    return {**as_dict(found), "images": len(means)}
