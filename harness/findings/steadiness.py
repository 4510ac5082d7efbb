"""Whether the machine stayed as fast as it was: drift, noise, and what a place in the order costs."""

from __future__ import annotations

import numpy as np

from harness.findings.evidence import Evidence
from harness.findings.finding import Finding, not_recorded, note, ok
from harness.findings.trend import Effect, PlacedTime, position_effect, trend
from harness.findings.wording import counted, percent
from harness.record import Condition, Sample

__all__ = ["drift", "noise", "position"]

DRIFT_SHARE = 0.02
"""Over a process. The order of methods cancels a drift in the ratio but not in the seconds, and a machine that changes
by more is not the one that the manifest describes."""
STEP_SHARE = 0.05
"""A machine in order does not wander so far, however slowly."""
_DRIFT_CONFIDENCE, _STEP_CONFIDENCE, _POSITION_CONFIDENCE = 0.95, 0.99, 0.99
"""A drift must also be large; a place is told from none by its interval alone."""
NOISE_SHARE = 0.10
"""Interquartile range over median of the same work, where torch.utils.benchmark begins to warn, too."""
POSITION_SHARE = 0.002
"""A place. Less is of no consequence even where a method stands first once more than another."""
_FEWEST_FOR_NOISE = 8


def _sentinels(conditions: list[Condition]) -> list[Condition]:
    return [one for one in conditions if one.sentinel_seconds]


def _interval(effect: Effect, confidence: float) -> str:
    return f"{100 * confidence:.3g} % interval {100 * effect.low:+.1f} to {100 * effect.high:+.1f} %"


def drift(evidence: Evidence) -> Finding:
    """The sentinel, a fixed piece of work between blocks, should take as long at the end of a process as at first."""
    name = "drift"
    series = {process: _sentinels(of) for process, of in evidence.by_process.items()}
    if not any(series.values()):
        return not_recorded(name, evidence.reason() if evidence.old else "no sentinel was timed between blocks")
    times = {process: [float(np.median(one.sentinel_seconds)) for one in of] for process, of in series.items()}
    known = {process: found for process, of in times.items() if (found := _change(of, len(times))) is not None}
    if not known:
        most = max(len(of) for of in times.values())
        return note(
            name, f"cannot be told from {counted(most, 'moment')}; a trend needs 5, so more images or --repeats"
        )
    drifting = [process for process, (_, drifts, _) in known.items() if drifts]
    worst = max(drifting or known, key=lambda process: abs(known[process][0].value))
    effect, _, confidence = known[worst]
    text = (
        f"the same work changed by {100 * effect.value:+.1f} % over process {worst} ({_interval(effect, confidence)})"
    )
    if drifting:
        advice = "let the machine reach its temperature or fix its clock (harness doctor), then measure again"
        return Finding(name, "inconclusive", f"{text}; {advice}")
    return ok(name, text)


def _change(seconds: list[float], processes: int) -> tuple[Effect, bool, float] | None:
    """What changed over a process, whether that is a drift, and the confidence of the interval."""
    # Of P processes, each gets one chance in P to be called drifting by accident.
    slow, fast = (1 - (1 - each) / processes for each in (_DRIFT_CONFIDENCE, _STEP_CONFIDENCE))
    drift = trend(seconds, slow)
    step = trend(seconds, fast, correlated=False)
    if drift is None or step is None:
        return None
    if drift.certain and abs(drift.value) >= DRIFT_SHARE:
        return drift, True, slow
    if step.certain and abs(step.value) >= STEP_SHARE:
        return step, True, fast
    return drift, False, slow


def noise(evidence: Evidence) -> Finding:
    """Times of the sentinel should agree with each other; a steady drift is not counted here."""
    name = "noise"
    spreads = {
        process: spread
        for process, of in evidence.by_process.items()
        if (spread := _spread(_sentinels(of))) is not None
    }
    if not spreads:
        why = evidence.reason() if evidence.old else f"fewer than {_FEWEST_FOR_NOISE} times of a sentinel"
        return not_recorded(name, why)
    worst = max(spreads, key=lambda process: spreads[process])
    text = f"the middle half of the times of the same work spans {percent(spreads[worst])} of their median"
    text += f" in process {worst}"
    if spreads[worst] > NOISE_SHARE:
        advice = "stop other programs or fix the clock (harness doctor), then measure again"
        return Finding(name, "inconclusive", f"{text}; {advice}")
    return ok(name, text)


def _spread(conditions: list[Condition]) -> float | None:
    """Interquartile range of the logs, less their line over time."""
    if sum(len(one.sentinel_seconds) for one in conditions) < _FEWEST_FOR_NOISE:
        return None
    logs = np.concatenate([np.log(one.sentinel_seconds) for one in conditions])
    place = np.repeat(np.arange(len(conditions), dtype=np.float64), [len(one.sentinel_seconds) for one in conditions])
    if len(conditions) >= 3:
        centred = place - place.mean()
        logs = logs - centred * float(centred @ logs / (centred @ centred))
    low, high = np.percentile(logs, [25, 75])
    return float(np.expm1(high - low))


def position(evidence: Evidence) -> Finding:
    """What it costs to come one place later in a block; the order shares that out evenly among the methods."""
    name = "position"
    if len(evidence.methods) < 2:
        return ok(name, "there is one method, and it is always first")
    effect = position_effect([_placed(evidence, one) for one in evidence.measured], _POSITION_CONFIDENCE)
    if effect is None:
        return note(name, "cannot be told: the methods changed places in fewer than 4 blocks; measure more images")
    text = f"one place later in the order costs {100 * effect.value:+.2f} % ({_interval(effect, _POSITION_CONFIDENCE)})"
    if effect.certain and abs(effect.value) >= POSITION_SHARE:
        return note(
            name, f"{text}; ratios stand, since methods take turns, but a method run alone may take another time"
        )
    return ok(name, text)


def _placed(evidence: Evidence, one: Sample) -> PlacedTime:
    # Runs of schema 1 took turns image by image and kept no blocks.
    group = one.index if evidence.old else one.block
    unit = (one.process, one.repeat, group)
    return PlacedTime(unit, group, one.image, one.method, one.position, (one.seconds or {})["total"])
