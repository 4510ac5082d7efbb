"""Is a run sound in itself? With or without a baseline: is it whole, are its times to be trusted, did all work?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from harness.baseline import Entry
from harness.gates.manifests import states_of_source
from harness.gates.measured import Measured
from harness.gates.outcome import Gate
from harness.gates.promises import broken_promise, follows
from harness.record import SCHEMA_VERSION
from harness.storage import StorageError

__all__ = ["method_gates", "mixed", "schema_gate", "trust_gate", "unfit"]

_BETWEEN = " | "
"""Findings have commas and semicolons of their own."""
_STALE = "summary.json does not follow from the samples; run `harness report RUN`"
_WERE_MEASURED = " images were measured"
"""As `harness.quantities.observations` says of a method that did not see all images, after their number."""


def schema_gate(measured: Measured) -> Gate:
    """Is the run complete, and does its summary hold what it promises?"""
    wrong = _unfinished(measured) or _broken(measured)
    if wrong:
        return Gate("schema", "fail", wrong)
    version = measured.manifest["schema_version"]
    told = f"the run is complete, of schema {version} of {SCHEMA_VERSION}, and its summary holds what it promises"
    return Gate("schema", "pass", told)


def _unfinished(measured: Measured) -> str | None:
    status = measured.manifest.get("status")
    return None if status == "complete" else f"the run is {status or 'of unknown status'}, not complete"


def _broken(measured: Measured) -> str | None:
    """What is wrong with the summary on disk, which is what others read."""
    try:
        summary = measured.folder.read_summary()
        wrong = broken_promise(summary)
    except StorageError as error:
        return str(error)
    if wrong:
        return f"summary.json breaks its promise: {wrong}"
    return None if follows(summary, measured.summary) else _STALE


def mixed(entry: Entry) -> str | None:
    """Whether a run was begun with one state of the source and went on with another; None where it was not."""
    states = states_of_source(entry.manifest)
    if len(states) == 1:
        return None
    number = "two" if len(states) == 2 else str(len(states))
    return f"measured by {number} states of the source ({', then '.join(states)}): nobody knows what is of which"


def trust_gate(measured: Measured, base: Entry | None) -> Gate:
    """Does nothing speak against its times, and is it clear which source they are of?"""
    doubts = [each for each in (mixed(measured.entry),) if each]
    if base is not None and (of_base := mixed(base)):
        doubts.append(f"the baseline was {of_base}; replace it with --update-baseline")
    doubts += measured.doubts
    aside = ", and ".join(measured.left_out)
    if doubts:
        besides = [f"not asked: {aside}"] if aside else []
        return Gate("trust", "inconclusive", _BETWEEN.join([*doubts, *besides]))
    return Gate(
        "trust",
        "pass",
        f"nothing but {aside}, speaks against its times" if aside else "nothing speaks against its times",
    )


def method_gates(
    measured: Measured, names: Iterable[str], baseline: str, *, other_work: bool = False
) -> Iterator[Gate]:
    """Was each of these methods measured?

    Args:
        baseline: the one that speed-ups are over.
        other_work: whether the baseline was asked for something else, so that its methods need not be there.
    """
    for name in names:
        about = measured.summary["methods"].get(name)
        if about is None and other_work:
            yield Gate(
                "method", "inconclusive", "it is not in this run; not decided as the runs are not comparable", name
            )
        elif about is None:
            yield Gate("method", "fail", "it is not in this run", name)
        elif about["status"] != "ok":
            yield Gate("method", "fail", _failure(about), name)
        else:
            own = "; speed-ups are over it, its own time is not gated" if name == baseline else ""
            yield Gate("method", "pass", f"measured on all {len(measured.entry.images)} images{own}", name)


def _failure(about: Mapping[str, Any]) -> str:
    """What became of a method that did not succeed."""
    number, found, rest = str(about["reason"]).partition(_WERE_MEASURED)
    return f"measured on {number} images{rest}" if found else f"{about['status']}: {about['reason']}"


def unfit(measured: Measured) -> str | None:
    """Why a run must not become a baseline, for the middle of a sentence; None where it may."""
    if wrong := _unfinished(measured) or _broken(measured):
        return wrong
    if mixed(measured.entry):
        return "it was measured by more than one state of the source"
    return "its times are not to be trusted" if measured.doubts else None
