"""What else went on: load on the processors, the device's clock, and other programs on the device."""

from __future__ import annotations

from collections import Counter

import numpy as np

from harness.findings.evidence import Evidence
from harness.findings.finding import Finding, not_recorded, note, ok
from harness.tolerances import CLOCK_SPREAD, OTHERS_SHARE, STEAL_SHARE, THROTTLED_SHARE, clock_spread
from harness.wording import counted, gibibytes, listed, percent

__all__ = ["clock", "foreign_processes", "load", "throttling"]

_FEW_LOOKS = 0.05
"""Share of the looks. A tool that asks the device how it is, say, is on it for a moment."""
_LITTLE_MEMORY_BYTES = 100 * 2**20
"""A process that can compute holds more: its context alone takes some hundred MiB."""


def load(evidence: Evidence) -> Finding:
    """Other processes, and other virtual machines, should leave the processors alone."""
    name = "load"
    shares = [one.cpu for one in evidence.conditions if one.cpu]
    if not shares:
        return not_recorded(name, evidence.reason(one.cpu_reason for one in evidence.conditions))
    # Means over the run: a short burst falls on one block, and there on all methods in turn.
    others, steal = (float(np.mean([each.get(key) or 0.0 for each in shares])) for key in ("others", "steal"))
    worst = max(each.get("others") or 0.0 for each in shares)
    text = f"other processes took {percent(others)} of the processors (at most {percent(worst)} between two blocks)"
    text += f", the virtual machine's host {percent(steal)}"
    advice = []
    if others > OTHERS_SHARE:
        advice.append("stop them")
    if steal > STEAL_SHARE:
        advice.append("use a machine of its own")
    if advice:
        return Finding(name, "inconclusive", f"{text}; {' and '.join(advice)}, then measure again")
    return ok(name, text)


def _no_device(name: str, evidence: Evidence, why: str | None) -> Finding:
    if evidence.device == "cpu" and evidence.conditions:
        return ok(name, "does not apply: ran on the CPU")
    return not_recorded(name, why)


def throttling(evidence: Evidence) -> Finding:
    """A device that lowers its own clock is no longer the device that was bought."""
    name = "throttling"
    states = [state for state in evidence.device_states if state.get("throttle") is not None]
    if not states:
        return _no_device(name, evidence, evidence.no_device_state)
    reasons = Counter(reason for state in states for reason in set(state["throttle"]))
    throttled = sum(bool(state["throttle"]) for state in states)
    if not throttled:
        return ok(name, f"in none of {len(states):,} readings did the device hold its clock down")
    text = f"the device held its clock down in {throttled:,} of {len(states):,} readings"
    text += f" ({listed(reason for reason, _ in reasons.most_common())})"
    advice = "; see to cooling and power, or lock a lower clock (nvidia-smi -lgc), then measure again"
    return Finding(name, "inconclusive" if throttled > THROTTLED_SHARE * len(states) else "note", text + advice)


def clock(evidence: Evidence) -> Finding:
    """The clock should be the same all through the run."""
    name = "clock"
    device = [state["clock_mhz"] for one in evidence.measured if (state := one.device_state) and state.get("clock_mhz")]
    if device:
        spread, text = _clock_spread(device, "the device's clock")
        if spread > CLOCK_SPREAD:
            return Finding(name, "inconclusive", f"{text}; lock it (nvidia-smi -lgc), then measure again")
        return ok(name, text)
    host = [one.cpu_mhz for one in evidence.conditions if one.cpu_mhz]
    if not host:
        return _no_device(name, evidence, evidence.no_device_state)
    spread, text = _clock_spread(host, "the processor's clock, read between blocks,")
    # Between blocks a core may idle, so that its clock says little of the calls.
    return note(name, f"{text}; fix it where you may (harness doctor)") if spread > CLOCK_SPREAD else ok(name, text)


def _clock_spread(mhz: list[float], what: str) -> tuple[float, str]:
    spread = clock_spread(mhz)
    low, high = np.percentile(mhz, [5, 95])
    return spread, f"{what} lay between {low:.0f} and {high:.0f} MHz in 9 of 10 readings, a spread of {percent(spread)}"


def foreign_processes(evidence: Evidence) -> Finding:
    """No other program should use the device."""
    name = "foreign-processes"
    looks = [one.foreign for one in evidence.conditions if one.foreign is not None]
    if not looks:
        return _no_device(name, evidence, evidence.reason(one.foreign_reason for one in evidence.conditions))
    busy = [foreign for foreign in looks if foreign]
    if not busy:
        return ok(name, f"no other process was on the device in any of {len(looks):,} looks")
    pids = dict.fromkeys(str(one.get("pid")) for foreign in busy for one in foreign)
    memory = max(sum(one.get("memory_bytes") or 0 for one in foreign) for foreign in busy)
    text = f"{counted(len(pids), 'other process', 'other processes')} (pid {listed(pids)}) used the device"
    text += f" in {len(busy):,} of {len(looks):,} looks, with up to {gibibytes(memory)}"
    if all(one.get("graphics") for foreign in busy for one in foreign):
        return note(name, f"{text}; it only draws, as a desktop does; leave it alone while measuring")
    if memory <= _LITTLE_MEMORY_BYTES and len(busy) < _FEW_LOOKS * len(looks):
        return note(name, f"{text}; so little, and so seldom, hardly computes")
    return Finding(name, "inconclusive", f"{text}; stop them or use another device, then measure again")
