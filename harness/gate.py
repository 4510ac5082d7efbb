"""For continuous integration: do the speed-ups and the accuracy of a baseline still hold in a run?

Decided on ratios of times within a run, on mAP and on what the summary promises; never on absolute seconds, which say
more about the machine's day than about the code. Three answers: pass, fail, and inconclusive where the runs are not
alike, the times are not to be trusted, or the interval of a change holds both what is allowed and what is not.

A run is held against the entry of its device. Where there is none, it is judged by itself and becomes it, unless it is
partial, its times are not to be trusted, or an entry was required.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from harness.baseline import Baselines, Entry
from harness.gates.comparable import Likeness
from harness.gates.measured import Measured
from harness.gates.outcome import BaselineState, Gate, Outcome, Verdict
from harness.gates.scores import map_gates
from harness.gates.soundness import method_gates, mixed, schema_gate, trust_gate, unfit
from harness.gates.speed import speed_gates

__all__ = ["MAP_TOLERANCE", "TOLERANCE", "Gate", "GateError", "Outcome", "Verdict", "gate", "judge"]

TOLERANCE = 0.05
"""Share of a speed-up that may be lost. Two processes of one program can differ by a few per cent."""
MAP_TOLERANCE = 0.01
"""Of mAP as a fraction, that may be lost: a point."""


class GateError(ValueError):
    """A gate cannot be asked for like this; the message is one line."""


def gate(
    run: Path,
    baseline: Path,
    *,
    update: bool = False,
    require: bool = False,
    tolerance: float = TOLERANCE,
    map_tolerance: float = MAP_TOLERANCE,
) -> Verdict:
    """Judge the run in a folder by the entry of its device in a file; make that entry where there is none.

    With `update` the run is judged and then replaces the entry, whatever came out, unless it is partial or its times
    are not to be trusted. With `require` no entry is made: where there is none the verdict is inconclusive, or fail
    where the run is not sound. Entries of other devices stay.

    Raises:
        GateError: a tolerance is no share.
        harness.baseline.BaselineError: the file is no baseline, damaged, or cannot be written.
        harness.runs.RunError, harness.storage.StorageError: there is no run that can be read.
    """
    for name, value in (("tolerance", tolerance), ("map-tolerance", map_tolerance)):
        if not (math.isfinite(value) and 0 <= value < 1):
            raise GateError(f"--{name}: expected a share from 0 to below 1, such as {TOLERANCE:g}, got {value:g}")
    kept = Baselines.read(baseline)
    measured = Measured.of(run)
    entry = kept.devices.get(measured.device)
    gates = _by_itself(measured) if entry is None else judge(measured, entry, tolerance, map_tolerance)
    state: BaselineState = "kept"
    if entry is None or update:
        others = [device for device in kept.devices if device != measured.device]
        why = unfit(measured)
        state = _becomes(entry, why, require=require)
        if state in ("made", "replaced"):
            kept.with_entry(measured.device, measured.entry).write(baseline)
        gates.append(_about_baseline(state, why, measured.device, others))
    against = None if entry is None else entry.origin.model_dump(mode="json")
    return Verdict(str(run), measured.device, tuple(gates), state, against, tolerance, map_tolerance)


def judge(measured: Measured, base: Entry, tolerance: float, map_tolerance: float) -> list[Gate]:
    """All gates of a run, in order: schema, comparable, trust, methods, speed-ups, mAP."""
    head = measured.entry
    likeness = Likeness.of(base, head)
    trust = trust_gate(measured, base)
    several = "a run was measured by several states of the source" if mixed(base) or mixed(head) else None
    untrusted = None if trust.outcome == "pass" else "the times are not to be trusted"
    return [
        schema_gate(measured),
        likeness.gate(),
        trust,
        *method_gates(measured, base.methods, base.baseline, other_work=likeness.other_work),
        *speed_gates(base, head, tolerance, likeness.doubt or several or untrusted, other_work=likeness.other_work),
        *map_gates(
            base,
            head,
            measured.truth,
            seed=measured.manifest["plan"]["seed"],
            tolerance=map_tolerance,
            doubt=likeness.doubt_of_scores or several,
            other_work=likeness.other_work,
        ),
    ]


def _by_itself(measured: Measured) -> list[Gate]:
    """What can be asked of a run that is held against nothing."""
    names = measured.manifest["plan"]["methods"]
    return [schema_gate(measured), trust_gate(measured, None), *method_gates(measured, names, names[0])]


def _becomes(entry: Entry | None, why_unfit: str | None, *, require: bool) -> BaselineState:
    if entry is None and require:
        return "absent"
    if why_unfit:
        return "refused"
    return "made" if entry is None else "replaced"


def _about_baseline(state: BaselineState, why_unfit: str | None, device: str, others: Iterable[str]) -> Gate:
    besides = ", ".join(others)
    if state == "made":
        told = f"first run on this device, {device}: baseline made, nothing to compare yet"
        return Gate(
            "baseline", "pass", f"{told}; the file has entries of other devices, too: {besides}" if besides else told
        )
    if state == "replaced":
        return Gate("baseline", "pass", "replaced by this run, as asked")
    if state == "absent":
        told = f"no entry for this device, {device}, and --require-baseline makes none"
        return Gate("baseline", "inconclusive", f"{told}; there are entries of {besides}" if besides else told)
    return Gate("baseline", "inconclusive", f"not taken from this run: {why_unfit}")
