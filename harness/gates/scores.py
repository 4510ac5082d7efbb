"""Does each method still detect as well? Decided on mAP alone, whatever is wrong with the times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from harness.accuracy import ClassMatches, average_precision
from harness.baseline import Entry
from harness.coco import truth_table
from harness.gates.measured import METRIC
from harness.gates.outcome import Change, Gate, held_against
from harness.intervals import Estimate, Ints
from harness.resampling import map_intervals

__all__ = ["map_gates"]

_NAME = "mAP"
_COVERS = "over images, of one training"
_TO_THE_BIT = "the detections are the same to the bit"
_ENOUGH_IMAGES = 2
"""With objects, for draws to differ."""


def map_gates(
    base: Entry,
    head: Entry,
    truth: Mapping[str, Any],
    *,
    seed: int,
    tolerance: float,
    doubt: str | None,
    other_work: bool,
) -> Iterator[Gate]:
    """A gate for each method of the baseline.

    Args:
        truth: of the judged run, which is the baseline's too where nothing is in `doubt`.
        seed: of the draws.
        tolerance: what may be lost, as the difference of two fractions.
        doubt: why the two cannot be compared, for the end of a sentence; None where they can.
        other_work: whether the judged run was asked for something else, so that a method need not be there.
    """
    for method in base.methods:
        if other_work and method not in head.methods and base.methods[method].ranked is not None:
            told = f"{method} had detections in the baseline, has none now; not decided as the runs are not comparable"
            yield Gate(_NAME, "inconclusive", told, method, METRIC, tolerance=tolerance)
        else:
            yield _gate(base, head, method, truth, seed, tolerance, doubt)


def _gate(
    base: Entry, head: Entry, method: str, truth: Mapping[str, Any], seed: int, tolerance: float, doubt: str | None
) -> Gate:
    def answer(outcome: Any, reason: str, *numbers: Any) -> Gate:
        before, after, change = numbers or (None, None, None)
        return Gate(_NAME, outcome, reason, method, METRIC, before, after, change, tolerance)

    then, now = base.methods[method], head.methods.get(method)
    if then.ranked is None:
        return answer("skipped", then.ranked_reason or "")
    if now is None:
        return answer("fail", f"{method} had detections in the baseline, has none now")
    if doubt is not None or base.images != head.images or now.ranked is None:
        why = doubt or now.ranked_reason or "the images are not those of the baseline"
        return answer("inconclusive", f"not decided: {why}")
    positives = _positives(truth)
    if set(then.ranked) != set(positives):
        return answer("inconclusive", "not decided: the classes are not those of the baseline")
    if then.detections_sha256 == now.detections_sha256:
        value = _mean_ap(_matches(now.ranked, positives))
        same = Change(0.0, 0.0, 0.0, _TO_THE_BIT)
        return answer("pass", f"{100 * value:.2f} %: {_TO_THE_BIT}", value, value, same)
    matches = {name: _matches(of, positives) for name, of in (("base", then.ranked), ("head", now.ranked))}
    drawn = map_intervals(matches, len(base.images), baseline="base", seed=seed)
    before, after = (_mean_ap(of) for of in matches.values())
    change = Change.of(_whole(drawn.difference["head"][METRIC], positives), _COVERS)
    if change is None:
        return answer("inconclusive", "not decided: there is no mAP")
    outcome = held_against(change, tolerance)
    return answer(outcome, _told(before, after, change, tolerance, outcome), before, after, change)


def _told(before: float, after: float, change: Change, tolerance: float, outcome: str) -> str:
    points = f"{100 * tolerance:g}"
    allowed = f"-{points} {'point' if points == '1' else 'points'} allowed" if tolerance else "nothing may be lost"
    told = f"{100 * after:.2f} %, was {100 * before:.2f} %: {change.told('points', 2)}; {allowed}"
    if outcome != "inconclusive":
        return told
    return f"{told}; {'measure on more --images' if tolerance else 'allow some with --map-tolerance'}"


def _positives(truth: Mapping[str, Any]) -> dict[str, Ints]:
    """By class, the image of each object that is not difficult."""
    objects = truth_table(truth)
    return {
        category["name"]: objects.image[(objects.labels == category["id"]) & ~objects.difficult]
        for category in truth["categories"]
    }


def _matches(ranked: Mapping[str, list[int]], positives: Mapping[str, Ints]) -> list[ClassMatches]:
    """As they were before `Entry` kept them, but for the scores, of which the order alone is left."""
    found = []
    for name, images in positives.items():
        signed = np.array(ranked[name], dtype=np.int64)
        outcomes = np.sign(signed).astype(np.int8)
        found.append(ClassMatches(np.zeros(len(signed)), outcomes, np.abs(signed) - 1, images))
    return found


def _mean_ap(matches: list[ClassMatches]) -> float:
    found = [average_precision(one, METRIC) for one in matches]
    return float(np.mean([ap for ap in found if ap is not None]))


def _whole(found: Estimate, positives: Mapping[str, Ints]) -> Estimate:
    """A difference that all draws agree on is its own interval."""
    images = np.unique(np.concatenate([*positives.values(), np.arange(0)]))
    if found.value is None or found.low is not None or len(images) < _ENOUGH_IMAGES:
        return found
    return Estimate(found.value, found.value, found.value)
