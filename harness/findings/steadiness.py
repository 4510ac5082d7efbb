"""Whether the machine stayed as fast as it was: drift, noise, and what a place in the order costs."""

from __future__ import annotations

import numpy as np

from harness.findings.evidence import Evidence, Start
from harness.findings.finding import Finding, not_recorded, note, ok
from harness.findings.levels import Apart, apart, step
from harness.findings.trend import FEWEST_FOR_TREND, Effect, PlacedTime, position_effect, trends
from harness.record import Sample
from harness.tolerances import DRIFT_SHARE, NOISE_SHARE, STEP_SHARE, middle_half
from harness.wording import counted, percent

__all__ = ["drift", "noise", "position"]

_ONE_CONFIDENCE, _MANY_CONFIDENCE, _APART_CONFIDENCE = 0.97, 0.98, 0.99
"""Of a trend in the only process, of all trends in several processes together, and of a difference between processes.
So about one run in twenty is called drifting by accident where a machine finds nine tenths of its state again at the
next look, and fewer where it forgets faster. A drift must also be large."""
_POSITION_CONFIDENCE = 0.99
"""A place is told from none by its interval, whatever its size."""
POSITION_SHARE = 0.002
"""A place. Less is of no consequence even where a method stands first once more than another."""
_BLIND_SHARE = 0.10
"""An interval that reaches further than this from 0 tells nothing of a few per cent."""
_FEWEST_FOR_NOISE = 8


def _is_blind(effect: Effect) -> bool:
    return max(abs(effect.low), abs(effect.high)) > _BLIND_SHARE


def _interval(effect: Effect, confidence: float) -> str:
    return f"{100 * confidence:.3g} % interval {100 * effect.low:+.1f} to {100 * effect.high:+.1f} %"


def drift(evidence: Evidence) -> Finding:
    """The sentinel, a fixed piece of work between blocks, should take as long in all of a run."""
    name = "drift"
    times = {start: [float(np.median(one.sentinel_seconds)) for one in of] for start, of in evidence.sentinels.items()}
    if not times:
        return not_recorded(name, evidence.reason() if evidence.old else "no sentinel was timed between blocks")
    between = apart(list(times.values()), _APART_CONFIDENCE)
    told, seen, blind = _within_starts(times)
    if between is not None and between.share > STEP_SHARE:
        (told if between.certain else seen).append(_between(between, list(times)))
    if told:
        advice = "let the machine warm up or fix its clock (harness doctor), then measure again"
        return Finding(name, "inconclusive", f"{'; '.join(told)}; {advice}")
    if not seen:
        most = max(len(of) for of in times.values())
        text = f"cannot be told from {counted(most, 'look')} at the machine"
        return note(name, f"{text}; it takes {FEWEST_FOR_TREND}, so more images or --repeats")
    if between is not None and between.share > STEP_SHARE:
        return note(name, f"{'; '.join(seen)}; no more than each wanders, so judge by the spread over processes")
    if blind:
        return note(name, f"{'; '.join(seen)}; too noisy to tell a drift of a few per cent")
    return ok(name, "; ".join(seen))


def _within_starts(times: dict[Start, list[float]]) -> tuple[list[str], list[str], bool]:
    """What changed within one start of a process: a drift or a step if there is one, else the largest trend.

    The first list holds what is beyond doubt, the second what is not; and whether the trend is too noisy to be told.
    """
    starts = [start for start, of in times.items() if len(of) >= FEWEST_FOR_TREND]
    if not starts:
        return [], [], False
    # Of P starts, each gets one chance in P to be called drifting by accident.
    confidence = 1 - (1 - _MANY_CONFIDENCE) / len(starts) if len(times) > 1 else _ONE_CONFIDENCE
    found = trends([times[start] for start in starts], confidence)
    effects = {start: effect for start, effect in zip(starts, found, strict=True) if effect is not None}
    drifting = [start for start, one in effects.items() if one.certain and abs(one.value) >= DRIFT_SHARE]
    worst = max(drifting or effects, key=lambda start: abs(effects[start].value))
    text = f"the same work changed by {100 * effects[worst].value:+.1f} % over {worst}"
    text += f" ({_interval(effects[worst], confidence)})"
    steps = {start: cut for start in starts if (cut := step(times[start])) and abs(cut[1]) >= STEP_SHARE}
    if steps:
        stepping = max(steps, key=lambda start: abs(steps[start][1]))
        first, share = steps[stepping]
        text = f"the same work changed by {100 * share:+.1f} % at once in {stepping}"
        text += f", from look {first + 1} of {len(times[stepping])} on"
        return [text], [], False
    return ([text], [], False) if drifting else ([], [text], _is_blind(effects[worst]))


def _between(between: Apart, starts: list[Start]) -> str:
    slow, fast = starts[between.slowest], starts[between.fastest]
    return f"the same work took {percent(between.share)} longer in {slow} than in {fast}"


def noise(evidence: Evidence) -> Finding:
    """Times of the sentinel should agree with each other; a steady drift is not counted here."""
    name = "noise"
    looks = {start: [one.sentinel_seconds for one in of] for start, of in evidence.sentinels.items()}
    spreads = {start: middle_half(of) for start, of in looks.items() if sum(map(len, of)) >= _FEWEST_FOR_NOISE}
    if not spreads:
        why = evidence.reason() if evidence.old else f"fewer than {_FEWEST_FOR_NOISE} times of a sentinel"
        return not_recorded(name, why)
    worst = max(spreads, key=lambda start: spreads[start])
    text = f"the middle half of the times of the same work spans {percent(spreads[worst])} in {worst}"
    if spreads[worst] > NOISE_SHARE:
        advice = "stop other programs or fix the clock (harness doctor), then measure again"
        return Finding(name, "inconclusive", f"{text}; {advice}")
    return ok(name, text)


def position(evidence: Evidence) -> Finding:
    """What it costs to come one place later in a block; the order shares that out evenly among the methods."""
    name = "position"
    if len(evidence.methods) < 2:
        return ok(name, "there is one method, and it is always first")
    effect = position_effect([_placed(evidence, one) for one in evidence.measured], _POSITION_CONFIDENCE)
    if effect is None:
        return note(name, "cannot be told: the methods changed places in fewer than 4 blocks; measure more images")
    text = f"one place later in the order changes a time by {100 * effect.value:+.2f} %"
    text += f" ({_interval(effect, _POSITION_CONFIDENCE)})"
    if effect.certain and abs(effect.value) >= POSITION_SHARE:
        return note(name, f"{text}; ratios stand, but a method run alone may take another time")
    return note(name, f"{text}; too noisy to tell") if _is_blind(effect) else ok(name, text)


def _placed(evidence: Evidence, one: Sample) -> PlacedTime:
    # Runs of schema 1 took turns image by image and kept no blocks.
    group = one.index if evidence.old or one.block is None else one.block
    unit = (one.process, one.repeat, group)
    return PlacedTime(unit, group, one.image, one.method, one.position, (one.seconds or {})["total"])
