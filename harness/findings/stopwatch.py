"""Whether the stopwatch measured what it says: synchronisation, closure, and what measuring itself costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.findings.evidence import OLD_RUN, Evidence
from harness.findings.finding import Finding, not_recorded, ok
from harness.quantities.overhead import overhead as cost_of_marking
from harness.record import Sample
from harness.wording import counted, listed, percent, seconds_text

__all__ = ["closure", "lost_synchronisation", "overhead", "synchronisation"]

TAIL_SHARE = 0.01
"""Of the total. Less than that is no part of a result worth waiting for."""
TAIL_SECONDS = 50e-6
"""To find an idle device idle takes some ten microseconds."""
TAIL_SAMPLES = 0.05
"""Share of a method's samples. A host that is interrupted just there makes one tail long now and then; a detector that
does not wait makes each one long."""

CLOSURE_SHARE = 1e-6
"""Of the total: what adding up some ten floating-point numbers may leave, and more."""
HOST_RESOLUTION_SECONDS = 1e-6
EVENT_RESOLUTION_SECONDS = 1e-6
"""Events of a CUDA device tell time to about half a microsecond; a stage has two."""
CLOCK_RATES = 1e-3
"""The clocks of host and device do not run at quite the same rate."""
_MARKS = 16
"""Where the number is not recorded: an enter and a leave for each of eight stages."""

OVERHEAD_SHARE = 0.01
"""What measuring may cost of the total."""
WIDEST_PAIRS = 1.2
"""Upper end over lower end of the interval of times with marks over times without. A wider one tells of the machine and
not of marks, and the bound stands alone."""


def lost_synchronisation(sample: Sample) -> bool:
    """Whether a sample failed because the clock did not wait for its device.

    A reason begins with the name of the exception, here `harness.timing.SynchronisationError`; samples keep no other
    kind of failure than that text.
    """
    return sample.status != "ok" and (sample.reason or "").startswith("SynchronisationError")


def _early(sample: Sample) -> bool:
    tail, total = sample.tail_seconds or 0.0, (sample.seconds or {}).get("total", 0.0)
    return tail > max(TAIL_SECONDS, TAIL_SHARE * total)


def synchronisation(evidence: Evidence) -> Finding:
    """Detections must be computed when they are handed over, and the clock must wait for the device."""
    name = "synchronisation"
    lost = [one for one in evidence.samples if lost_synchronisation(one)]
    if lost:
        text = f"{counted(len(lost), 'sample')} without a time, for the clock did not wait ({lost[0].reason})"
        return Finding(name, "inconclusive", f"{text}; mend the clock's settle, then measure again")
    if all(one.tail_seconds is None for one in evidence.measured):
        return not_recorded(name, evidence.reason())
    worst: tuple[float, str] | None = None
    for method, samples in evidence.by_method.items():
        early = [one for one in samples if _early(one)]
        if len(early) <= TAIL_SAMPLES * len(samples):
            continue
        shares = [(one.tail_seconds or 0.0) / (one.seconds or {})["total"] for one in early]
        longest = seconds_text(max(one.tail_seconds or 0.0 for one in early))
        text = f"{method} returned before its detections were computed on {len(early):,} of {len(samples):,} samples"
        text += f" (the device worked on for up to {longest}, {percent(float(np.median(shares)))} of the total)"
        worst = max(worst or (0.0, ""), (float(np.median(shares)), text))
    if worst:
        return Finding(name, "inconclusive", f"{worst[1]}; have detect wait for its results")
    longest = seconds_text(max(one.tail_seconds or 0.0 for one in evidence.measured))
    if evidence.device == "cpu":
        return ok(name, "does not apply: a CPU is done when a call returns")
    return ok(name, f"the device worked on for at most {longest} after detections were returned")


def closure(evidence: Evidence) -> Finding:
    """Stages and ``unattributed`` make up the total, and ``unattributed`` is not negative."""
    name = "closure"
    if not evidence.measured:
        return ok(name, "nothing was measured")
    apart = [(_gap(one), one) for one in evidence.measured]
    wrong = [(gap, one) for gap, one in apart if gap > CLOSURE_SHARE * (one.seconds or {})["total"]]
    below = [(_beneath(one, evidence.device), one) for one in evidence.measured]
    below = [(gap, one) for gap, one in below if gap > 0]
    for found, what in ((wrong, "do not add up to the total, by"), (below, "are longer than the total, by")):
        if found:
            gap, worst = max(found, key=lambda each: each[0])
            text = f"stages {what} up to {seconds_text(gap)} on {len(found):,} of {len(apart):,} samples"
            text += f" (most by {worst.method} on {worst.image}); do not use the stages, look for one marked twice"
            return Finding(name, "inconclusive", text)
    return ok(name, f"stages and unattributed make up the total on all {counted(len(apart), 'sample')}")


def _stages(sample: Sample) -> dict[str, float]:
    return {key: value for key, value in (sample.seconds or {}).items() if key not in ("features", "total")}


def _gap(sample: Sample) -> float:
    stages = _stages(sample)
    return abs(sum(stages.values()) - (sample.seconds or {})["total"]) if stages else 0.0


def _beneath(sample: Sample, device: str) -> float:
    """How far ``unattributed`` lies below what the clocks can tell; not above 0 where it does not."""
    seconds = sample.seconds or {}
    allowed = HOST_RESOLUTION_SECONDS
    if device != "cpu":
        marks = _MARKS if sample.marks is None else sample.marks
        allowed += marks * EVENT_RESOLUTION_SECONDS + CLOCK_RATES * seconds["total"]
    return -seconds.get("unattributed", 0.0) - allowed


def overhead(evidence: Evidence) -> Finding:
    """Marks times the cost of one bound what measuring costs; unmarked calls beside marked ones tell it."""
    name = "overhead"
    costs = {method: _cost(evidence, method) for method in evidence.methods}
    bounds = {method: cost["bound"] for method, cost in costs.items() if cost["bound"] is not None}
    pairs = {method: cost["unmarked"] for method, cost in costs.items() if _tells(cost["unmarked"])}
    if not bounds and not pairs:
        return not_recorded(name, OLD_RUN if evidence.old else "neither the cost of a mark nor enough unmarked calls")
    seen = []
    if bounds:
        worst = max(bounds, key=lambda method: bounds[method])
        seen.append(f"marking costs at most {percent(bounds[worst])} of the total ({worst})")
    if pairs:
        worst = max(pairs, key=lambda method: pairs[method]["high"])
        low, high = pairs[worst]["low"], pairs[worst]["high"]
        seen.append(f"with marks {worst} took {low:.3f} to {high:.3f} times what it took without")
    text = "; ".join(seen)
    dear = [method for method in costs if _is_dear(bounds.get(method), pairs.get(method))]
    if dear:
        advice = f"give {listed(dear)} larger images or more boxes (--max-proposals)"
        return Finding(name, "inconclusive", f"{text}; {advice}")
    return ok(name, text)


def _cost(evidence: Evidence, method: str) -> dict[str, Any]:
    own = [one for one in evidence.samples if one.method == method and one.role == "unmarked"]
    # What a first touch costs is not what marks cost.
    warm = [one for one in evidence.by_method[method] if one.warm]
    return cost_of_marking(warm or evidence.by_method[method], own, evidence.processes)


def _tells(pair: Mapping[str, Any]) -> bool:
    """Whether times with and without marks say anything of what marks cost."""
    return pair["low"] is not None and pair["high"] < WIDEST_PAIRS * pair["low"]


def _is_dear(bound: float | None, pair: Mapping[str, float] | None) -> bool:
    """Whether 1 % is exceeded: seen beyond doubt, or not excluded by the bound and not refuted by what was seen."""
    most = 1 + OVERHEAD_SHARE
    if pair is not None and pair["low"] > most:
        return True
    refuted = pair is not None and pair["high"] < most
    return bound is not None and bound >= OVERHEAD_SHARE and not refuted
