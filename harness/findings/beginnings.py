"""What first calls cost, and whether such a cost stands in the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.findings.again import Again, first_calls
from harness.findings.evidence import Evidence, Start
from harness.findings.finding import Finding, not_recorded, note, ok
from harness.record import Sample
from harness.warmup import steady_seconds
from harness.wording import counted, percent, seconds_text

__all__ = ["first_touch", "warm_up"]

FIRST_TOUCH = 1.5
"""Times the steady call. On a machine with other work to do, calls of a kind differ by less."""
FIRST_TOUCH_SHARE = 0.01
"""Of a method's mean: a cost of first calls beyond that is seen in its figures."""
WARMED_FIRST_TOUCH_SHARE = 0.05
"""The same, where it is seen in all images alike and hence known. Below it a reader can take it into account."""
_SPREADS = 5
"""Robust standard deviations that an image must lie above what images with so many boxes take."""
_FEWEST_REFERENCES = 5
_MOST_REFERENCES = 200


def _warm_ups(evidence: Evidence) -> list[tuple[str, Mapping[str, Any]]]:
    """Method and warm-up of each bucket in each process."""
    return [
        (method, bucket)
        for process in evidence.processes
        for method, buckets in (process.get("warm_up") or {}).items()
        for bucket in buckets
        if bucket.get("seconds")
    ]


def first_touch(evidence: Evidence) -> Finding:
    """The first call on a shape of input allocates and chooses; that cost is told apart and kept out of the figures."""
    name = "first-touch"
    inside = [found for method in evidence.methods if (found := _in_figures(evidence, method)) is not None]
    if inside:
        share, text = max(inside)
        advice = "; give more --repeats, or images of fewer sizes"
        return Finding(name, "inconclusive" if share >= FIRST_TOUCH_SHARE else "note", text + advice)
    known = {method: again for method in evidence.methods if (again := first_calls(evidence, method)) is not None}
    dear = {method: one for method, one in known.items() if one.certain and one.in_mean > FIRST_TOUCH_SHARE}
    if dear:
        return _dear_first_calls(name, dear)
    before, largest = _before_measuring(evidence)
    if before is None:
        return not_recorded(name, evidence.reason() if evidence.old else "no shape of input was called twice")
    more = "" if known else "; whether an image's own first call takes longer is told by --repeats 2"
    if largest >= FIRST_TOUCH:
        return note(name, f"{before}; they are in no figure: add them where a process serves few images{more}")
    return ok(name, f"{before}, all before measuring{more}")


def _dear_first_calls(name: str, dear: Mapping[str, Again]) -> Finding:
    """First calls on images, warmed up by their bucket or not, that take longer than later ones on the same."""
    worst = max(dear, key=lambda method: dear[method].in_mean)
    one = dear[worst]
    text = f"first calls of {worst} on an image took {percent(one.value)} longer than later ones"
    text += f" ({100 * one.low:+.1f} to {100 * one.high:+.1f} % on {counted(one.images, 'image')})"
    text += f" and add {percent(one.in_mean)} to its mean; give more --repeats, or images of fewer sizes"
    return Finding(name, "note" if one.in_mean < WARMED_FIRST_TOUCH_SHARE else "inconclusive", text)


def _before_measuring(evidence: Evidence) -> tuple[str | None, float]:
    """What first calls cost while warming up, and how many times a steady call the dearest took."""
    ratios = [
        (bucket["seconds"][0] / steady, steady, method, bucket)
        for method, bucket in _warm_ups(evidence)
        if (steady := steady_seconds(bucket["seconds"])) is not None
    ]
    if not ratios:
        return None, 0.0
    ratio, steady, method, bucket = max(ratios, key=lambda each: each[0])
    text = f"first calls took up to {ratio:.1f} times a steady one ({method}, {bucket['bucket']}:"
    return f"{text} {seconds_text(bucket['seconds'][0])} for {seconds_text(steady)})", ratio


def _in_figures(evidence: Evidence, method: str) -> tuple[float, str] | None:
    """What cold samples add to a method's mean, as a share, and a text; None where none is far off."""
    samples = evidence.by_method[method]
    cold = [one for one in samples if not one.warm]
    usual = _usual(samples) if cold else None
    far = [(times, seconds, one) for one in cold for times, seconds in [_excess(evidence, one, usual)] if times > 0]
    if not far:
        return None
    share = sum(seconds for _, seconds, _ in far) / sum((one.seconds or {})["total"] for one in samples)
    times, _, worst = max(far, key=lambda each: each[0])
    text = f"first calls on shapes that were not warmed up add {percent(share)} to the mean of {method}"
    return share, f"{text} ({len(far):,}, up to {times:.1f} times the usual on image {worst.image})"


def _excess(evidence: Evidence, cold: Sample, usual: _Usual | None) -> tuple[float, float]:
    """How many times as long as expected a cold sample took, and by how many seconds; zeros where it is not far off."""
    total = (cold.seconds or {})["total"]
    calls = evidence.by_call[Start.of(cold), cold.method, cold.image]
    if calls[0] is not cold:
        return 0.0, 0.0
    if len(calls) > 1:
        expected, most = float(np.median([(one.seconds or {})["total"] for one in calls[1:]])), FIRST_TOUCH
    elif usual is not None:
        expected, most = usual.seconds(cold), usual.most
    else:
        return 0.0, 0.0
    return (total / expected, total - expected) if total > most * expected else (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class _Usual:
    """What an image takes by its number of boxes, on a line through logs that outliers do not move."""

    slope: float
    level: float
    most: float
    """Times that value from which on a sample is far off."""

    def seconds(self, sample: Sample) -> float:
        return float(np.exp(self.level + self.slope * _log_boxes([sample])[0]))


def _usual(samples: Sequence[Sample]) -> _Usual | None:
    """By a method's warm samples, or by all where few are warm; None where there are too few."""
    warm = [one for one in samples if one.warm]
    references = warm if len(warm) >= _FEWEST_REFERENCES else samples
    if len(references) < _FEWEST_REFERENCES:
        return None
    from scipy import stats

    # The slope looks at all pairs of references, so their number is bounded.
    references = references[:: -(-len(references) // _MOST_REFERENCES)]
    boxes, logs = _log_boxes(references), np.log([(one.seconds or {})["total"] for one in references])
    slope = float(stats.theilslopes(logs, boxes).slope) if np.ptp(boxes) > 0 else 0.0
    left = logs - slope * boxes
    level = float(np.median(left))
    spread = 1.4826 * float(np.median(np.abs(left - level)))
    return _Usual(slope, level, max(FIRST_TOUCH, float(np.exp(_SPREADS * spread))))


def _log_boxes(samples: Sequence[Sample]) -> npt.NDArray[np.float64]:
    return np.log([max(one.boxes or 1, 1) for one in samples])


def warm_up(evidence: Evidence) -> Finding:
    """Every shape of input should be called until it is steady before it is measured."""
    name = "warm-up"
    buckets = _warm_ups(evidence)
    if not buckets:
        return not_recorded(name, evidence.reason() if evidence.old else "no process kept its warm-up")
    unsteady = [(method, bucket) for method, bucket in buckets if not bucket.get("steady", True)]
    cold = sum(not one.warm for one in evidence.measured)
    samples = len(evidence.measured)
    seen = f"{len(buckets) - len(unsteady):,} of {len(buckets):,} shapes were warmed up until steady"
    seen += f", {cold:,} of {samples:,} samples ({percent(cold / samples if samples else 0.0)}) were taken cold"
    if unsteady:
        return note(name, f"{seen} (first unsteady: {unsteady[0][0]}, {unsteady[0][1]['bucket']}); see noise and drift")
    if cold:
        return note(name, f"{seen}; more --repeats or --images allow a longer warm-up, see first-touch")
    return ok(name, seen)
