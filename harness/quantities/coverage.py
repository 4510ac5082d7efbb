"""The number of a run that covers what a published number covers: the same stages, of the same method, over the same.

Times of several stages are added up image by image before anything is averaged, so that the intervals are those of the
sum. A source that counts conv and fc alone has neither cropping nor pooling in its total, and then it is so here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from harness.claims import Claim
from harness.intervals import Estimate
from harness.quantities.estimates import as_dict, interval_over, mean_over, missing, ratio_over
from harness.quantities.observations import Floats, Observations

__all__ = ["Measured", "covered", "left_out", "mean_ap", "seconds", "share", "speedup", "with_pooling"]

Measured = dict[str, Any]
"""``value``, ``low``, ``high``, ``reason`` and what the ``interval`` covers."""

_PARTS_OF_TOTAL = ("prepare", "conv", "pool", "fc", "decode", "suppress")

_FORWARD = ("conv", "pool", "fc", "decode", "unattributed")
"""What a share is of: the forward pass, which begins with the prepared image and ends before suppression. The source's
parts add up to less than its time of an image, in which the image is prepared, too [FRCN Figure 2; its test.py].
"""

_STAGES = {
    "conv": ("conv",),
    "speedup_conv": ("conv",),
    "pool": ("pool",),
    "fc": ("fc",),
    "total": ("total",),
    "speedup_total": ("total",),
    "full_system": ("proposals", "total"),
}
"""By quantity, where the source does not say what is covered."""

_PARTS: Mapping[str, tuple[str, ...]] = {"fc6": (), "fc7": (), "other": ("decode", "unattributed")}
"""By layer [FRCN Figure 2], where that is not a stage. The two fully connected layers are one stage here."""


def covered(claim: Claim) -> tuple[str, ...]:
    """Names of the times whose sum is held against a claim; none for what is no time, or is not timed alone here."""
    return _PARTS.get(claim.part, claim.stages or _STAGES.get(claim.quantity, ()))


def left_out(stages: Sequence[str], quantity: str) -> str | None:
    """Which parts of a total are not among `stages`, in words; None where that says nothing new."""
    if quantity not in ("total", "speedup_total") or "total" in stages:
        return None
    absent = [name for name in _PARTS_OF_TOTAL if name not in stages]
    others = [name for name in absent if name != "suppress"]
    return f"over {' + '.join(stages)}; {', '.join(absent)} left out" if others else None


def with_pooling(claim: Claim) -> tuple[str, ...] | None:
    """What a ratio covers if pooling is inside, where its source leaves that open; else None.

    Of one network's time of fc the versions of a paper say that it starts from the feature maps, or from what was
    pooled of them [SPP v1, v2, v4 4.3].
    """
    if claim.source == "SPP" and claim.quantity == "speedup_total" and claim.stages == ("conv", "fc"):
        return ("conv", "pool", "fc")
    return None


def seconds(own: Observations, stages: Sequence[str], proposal_seconds: Mapping[str, float | None]) -> Measured:
    """Mean time an image. `proposal_seconds` are by image, asked for where `stages` have ``proposals``."""
    if lack := _lack(own, stages):
        return _nothing(lack)
    values = _sum(own, [name for name in stages if name != "proposals"])
    if "proposals" in stages:
        spent = [proposal_seconds.get(image) for image in own.images]
        if any(value is None for value in spent):
            return _nothing("what making the boxes took is not known")
        values = values + np.array(spent, dtype=np.float64)
    return _of(mean_over(values, own.blocks), len(values))


def speedup(baseline: Observations, own: Observations, stages: Sequence[str]) -> Measured:
    """Ratio of the mean times of the same stages, the baseline's over the method's own."""
    if lack := _lack(baseline, stages) or _lack(own, stages):
        return _nothing(lack)
    above, below = _sum(baseline, stages), _sum(own, stages)
    return _of(ratio_over(above, below, baseline.blocks, baseline.lag(own)), len(above))


def share(own: Observations, stages: Sequence[str]) -> Measured:
    """Of the time of the forward pass, in percent."""
    if lack := _lack(own, stages) or _lack(own, _FORWARD):
        return _nothing(lack)
    part, whole = _sum(own, stages), _sum(own, _FORWARD)
    return _of(ratio_over(part, whole, own.blocks, None), len(part), 100.0)


def mean_ap(about: Mapping[str, Any], claim: Claim) -> Measured:
    """In percent, from a method of the result model: of all classes, or of the one that the claim is about."""
    if claim.quantity == "ap":
        value = (about.get("ap") or {}).get(claim.part)
        if value is None:
            return _nothing(f"no object of {claim.part} counts in the evaluated images")
        return {**_nothing("a class's average precision has no interval here"), "value": 100.0 * value}
    found = (about.get("map") or {}).get("voc07") or missing("no mAP was computed")
    ends = {end: None if found[end] is None else 100.0 * found[end] for end in ("value", "low", "high")}
    return {**ends, "reason": found.get("reason"), "interval": None if ends["low"] is None else "over images"}


def _sum(observed: Observations, stages: Sequence[str]) -> Floats:
    """Seconds, (P, I): as `Observations.values`, of all these stages together."""
    values: Floats = np.sum([observed.values(name) for name in stages], axis=0)
    return values


def _lack(observed: Observations, stages: Sequence[str]) -> str | None:
    if not stages:
        return "fc6 and fc7 are timed together, as fc"
    absent = [name for name in stages if name != "proposals" and name not in observed.stages]
    return f"the run did not time {absent[0]}" if absent else None


def _of(found: Estimate, n_processes: int, times: float = 1.0) -> Measured:
    ends = as_dict(found)
    ends |= {end: None if ends[end] is None else times * ends[end] for end in ("value", "low", "high")}
    return {**ends, "interval": None if found.low is None else interval_over(n_processes)}


def _nothing(reason: str) -> Measured:
    return {**missing(reason), "interval": None}
