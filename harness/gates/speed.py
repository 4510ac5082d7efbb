"""Is each method still as many times faster than the baseline method?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.baseline import QUANTITIES, Cost, Entry
from harness.gates.change import Ratio, joint_blocks, over_images, over_processes
from harness.gates.outcome import Change, Gate, held_against
from harness.intervals import Estimate, Ints
from harness.statistics import PROCESSES_FOR_INTERVAL

__all__ = ["speed_gates"]

_NAME = "speed-up"


def speed_gates(base: Entry, head: Entry, tolerance: float, doubt: str | None) -> Iterator[Gate]:
    """A gate for each method of the baseline and each quantity.

    Args:
        doubt: why nothing is decided on times, for the end of a sentence; None where it is.
        tolerance: the share of a ratio that may be lost.
    """
    for method in base.methods:
        for quantity in QUANTITIES:
            if method != base.baseline:
                yield _gate(base, head, method, quantity, tolerance, doubt)


def _gate(base: Entry, head: Entry, method: str, quantity: str, tolerance: float, doubt: str | None) -> Gate:
    absent = next((name for name in (base.baseline, method) if name not in head.methods), None)
    if absent is not None:
        return Gate(_NAME, "skipped", f"{absent} has no times in this run", method, quantity, tolerance=tolerance)
    times = [(_cost(entry, base.baseline, quantity), _cost(entry, method, quantity)) for entry in (base, head)]
    if not all(any(cost.images) for pair in times for cost in pair):
        return Gate(_NAME, "skipped", "there is no such stage", method, quantity, tolerance=tolerance)
    if base.images != head.images:
        reason = "not decided: the images are not those of the baseline, so times have no pair"
        return Gate(_NAME, "inconclusive", reason, method, quantity, tolerance=tolerance)
    before, after = (_ratio(entry, base.baseline, method, quantity) for entry in (base, head))
    found, covers = _change(base, head, method, quantity)
    change = Change.of(found, covers)
    if change is None:
        return Gate(_NAME, "inconclusive", found.reason or "", method, quantity, before, after, None, tolerance)
    outcome = held_against(change, tolerance)
    told = f"{after:.4g}x, was {before:.4g}x: {_percent(change, tolerance)}"
    if outcome == "pass" and change.low is not None and change.low > 0:
        told += ", an improvement"
    if outcome == "inconclusive":
        told += "; measure more: --processes, --repeats or --images"
    elif doubt is not None:
        outcome, told = "inconclusive", f"{told}; would {outcome}, not decided as {doubt}"
    return Gate(_NAME, outcome, told, method, quantity, before, after, change, tolerance)


def _percent(change: Change, tolerance: float) -> str:
    """Such as ``-0.8 % [-2.1, +0.5] over images, -5 % allowed``."""
    ends = ""
    if change.low is not None and change.high is not None:
        ends = f" [{100 * change.low:+.1f}, {100 * change.high:+.1f}]"
    return f"{100 * change.value:+.1f} %{ends} {change.interval}, {0 - 100 * tolerance:g} % allowed"


def _cost(entry: Entry, method: str, quantity: str) -> Cost:
    cost: Cost = getattr(entry.methods[method], quantity)
    return cost


def _of_processes(entry: Entry, baseline: str, method: str, quantity: str) -> np.ndarray:
    above, below = (np.array(_cost(entry, name, quantity).processes) for name in (baseline, method))
    return np.asarray(above / below, dtype=np.float64)


def _ratio(entry: Entry, baseline: str, method: str, quantity: str) -> float:
    """As the run's summary has it: the geometric mean over processes where its interval is over them."""
    if entry.processes >= PROCESSES_FOR_INTERVAL:
        return float(np.exp(np.log(_of_processes(entry, baseline, method, quantity)).mean()))
    return _by_image(entry, baseline, method, quantity).value


def _by_image(entry: Entry, baseline: str, method: str, quantity: str) -> Ratio:
    above, below = (np.array(_cost(entry, name, quantity).images) for name in (baseline, method))
    # Lags are kept against the run's own first method, which another run may have named later.
    lag = entry.methods[method].lag if entry.baseline == baseline else None
    return Ratio(above, below, None if lag is None else np.array(lag, dtype=np.float64))


def _blocks(entry: Entry) -> Ints | None:
    return None if entry.blocks is None else np.array(entry.blocks, dtype=np.int64)


def _change(base: Entry, head: Entry, method: str, quantity: str) -> tuple[Estimate, str]:
    """The change, and what its interval covers."""
    named = (base.baseline, method, quantity)
    if min(base.processes, head.processes) >= PROCESSES_FOR_INTERVAL:
        found = over_processes(_of_processes(head, *named), _of_processes(base, *named))
        return found, f"over {head.processes} and {base.processes} processes"
    groups = joint_blocks(_blocks(head), _blocks(base), len(base.images))
    return over_images(_by_image(head, *named), _by_image(base, *named), groups), "over images"
