"""For continuous integration: do the speed-ups and the accuracy of a baseline still hold in a run?

Decided on ratios of times within a run, on mAP and on what the summary promises; never on absolute seconds, which say
more about the machine's day than about the code. Three answers: pass, fail, and inconclusive where the runs are not
alike, the times are not to be trusted, or the interval of a change holds both what is allowed and what is not.

A run is held against the entry of its device. Where there is none, it becomes it, unless it is partial or its times
are not to be trusted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from harness.baseline import Baselines, Entry
from harness.gates.comparable import Likeness
from harness.gates.measured import Measured
from harness.gates.outcome import BaselineState, Gate, Outcome, Verdict
from harness.gates.promises import broken_promise
from harness.gates.scores import map_gates
from harness.gates.speed import speed_gates
from harness.record import SCHEMA_VERSION
from harness.storage import StorageError
from harness.wording import listed

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
    tolerance: float = TOLERANCE,
    map_tolerance: float = MAP_TOLERANCE,
) -> Verdict:
    """Judge the run in a folder by the entry of its device in a file; make that entry where there is none.

    With `update` the run is judged and then replaces the entry, whatever came out, unless it is partial or its times
    are not to be trusted. Entries of other devices stay.

    Raises:
        GateError: a tolerance is no share.
        harness.baseline.BaselineError: the file is no baseline, damaged, or cannot be written.
        harness.runs.RunError, harness.storage.StorageError, harness.plan.PlanError: there is no run that can be read.
    """
    for name, value in (("tolerance", tolerance), ("map-tolerance", map_tolerance)):
        if not (math.isfinite(value) and 0 <= value < 1):
            raise GateError(f"--{name}: expected a share from 0 to below 1, such as {TOLERANCE:g}, got {value:g}")
    kept = Baselines.read(baseline)
    measured = Measured.of(run)
    entry = kept.devices.get(measured.device)
    gates = [] if entry is None else judge(measured, entry, tolerance, map_tolerance)
    state: BaselineState = "kept"
    if entry is None or update:
        unfit = _unfit(measured)
        state = "refused" if unfit else "made" if entry is None else "replaced"
        if not unfit:
            kept.with_entry(measured.device, measured.entry).write(baseline)
        gates.append(_about_baseline(state, unfit, measured.device))
    against = None if entry is None else entry.origin.model_dump(mode="json")
    return Verdict(str(run), measured.device, tuple(gates), state, against, tolerance, map_tolerance)


def judge(measured: Measured, base: Entry, tolerance: float, map_tolerance: float) -> list[Gate]:
    """All gates of a run, in order: schema, comparable, trust, methods, speed-ups, mAP."""
    head = measured.entry
    likeness = Likeness.of(base, head)
    trust = _trust(measured)
    doubt = likeness.doubt or (None if trust.outcome == "pass" else "the times are not to be trusted")
    return [
        _schema(measured),
        likeness.gate(),
        trust,
        *_methods(measured, base),
        *speed_gates(base, head, tolerance, doubt),
        *map_gates(
            base,
            head,
            measured.truth,
            seed=measured.manifest["plan"]["seed"],
            tolerance=map_tolerance,
            doubt=likeness.doubt_of_scores,
        ),
    ]


def _unfinished(measured: Measured) -> str | None:
    status = measured.manifest.get("status")
    return None if status == "complete" else f"the run is {status or 'of unknown status'}, not complete"


def _broken(measured: Measured) -> str | None:
    """What is wrong with the summary on disk, which is what others read."""
    try:
        wrong = broken_promise(measured.folder.read_summary())
    except StorageError as error:
        return str(error)
    return f"summary.json breaks its promise: {wrong}" if wrong else None


def _schema(measured: Measured) -> Gate:
    wrong = _unfinished(measured) or _broken(measured)
    if wrong:
        return Gate("schema", "fail", wrong)
    version = measured.manifest["schema_version"]
    told = f"the run is complete, of schema {version} of {SCHEMA_VERSION}, and its summary holds what it promises"
    return Gate("schema", "pass", told)


def _trust(measured: Measured) -> Gate:
    doubts = measured.doubts
    if doubts:
        return Gate("trust", "inconclusive", listed(doubts))
    return Gate("trust", "pass", "nothing speaks against its times")


def _methods(measured: Measured, base: Entry) -> Iterator[Gate]:
    for name in base.methods:
        about = measured.summary["methods"].get(name)
        if about is None:
            yield Gate("method", "fail", "it is not in this run", name)
        elif about["status"] != "ok":
            yield Gate("method", "fail", f"{about['status']}: {about['reason']}", name)
        else:
            yield Gate("method", "pass", f"measured on all {len(measured.entry.images)} images", name)


def _unfit(measured: Measured) -> str | None:
    """Why a run must not become a baseline; None where it may."""
    if wrong := _unfinished(measured) or _broken(measured):
        return wrong
    return f"its times are not to be trusted ({listed(measured.doubts)})" if measured.doubts else None


def _about_baseline(state: BaselineState, unfit: str | None, device: str) -> Gate:
    if state == "made":
        return Gate("baseline", "pass", f"first run on this device, {device}: baseline made, nothing to compare yet")
    if state == "replaced":
        return Gate("baseline", "pass", "replaced by this run, as asked")
    return Gate("baseline", "inconclusive", f"not taken from this run: {unfit}; measure again")
