"""Do the files of a run, its manifest aside, hold what a gate reads of them, and do they belong together?

A file that is gone, or that something else wrote, is refused in a line that names it. To be summarised it must not:
detections that were lost are no accuracy that was lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from harness.forms.form import first_error
from harness.forms.records import Detection, Fit, Flops, Logged, Truth, stray
from harness.record import Condition, Sample
from harness.runs import RunError, RunFolder
from harness.storage import read_bytes, read_lines, stored_as

__all__ = ["check_records"]

Held = TypeVar("Held")

_ADVICE = "measure again, it cannot be judged"
_TIMES = ("conv", "features", "total")
"""That methods are compared by."""

_TRUTH = TypeAdapter(Truth)
_ROWS = TypeAdapter(list[Detection])
_LOGGED = TypeAdapter(Logged)
_FIT = TypeAdapter(Fit)
_FLOPS = TypeAdapter(Flops)
_SAMPLE = TypeAdapter(Sample)
_CONDITION = TypeAdapter(Condition)


def check_records(folder: RunFolder, manifest: Mapping[str, Any]) -> None:
    """See that all of a run's records can be read and belong together.

    Raises:
        harness.runs.RunError: a file is missing or damaged.
        harness.storage.StorageError: a line in the middle of a log is no JSON object.
    """
    truth = _whole(_TRUTH, folder.path / "truth.json")
    samples = folder.path / "samples.jsonl"
    every = _lines(_SAMPLE, samples)
    _check_samples(samples, every, manifest)
    _lines(_CONDITION, folder.path / "conditions.jsonl")
    if stored_as(flops := folder.path / "flops.json") is not None:
        _whole(_FLOPS, flops)
    timed = {one.method for one in every if one.role == "measured" and one.status == "ok"}
    for method in manifest["plan"]["methods"]:
        about = manifest["methods"].get(method, {})
        if (fit := folder.model_path(about.get("fitted_as") or method).with_suffix(".json")).exists():
            _whole(_FIT, fit)
        if method in timed and about.get("status", "ok") == "ok":
            _check_detections(folder, method, truth)


def _check_samples(path: Path, samples: list[Sample], manifest: Mapping[str, Any]) -> None:
    planned = manifest["plan"]["methods"]
    for one in samples:
        if one.method not in planned:
            raise RunError(f"{path} is damaged: it has samples of {one.method}, which was not planned; {_ADVICE}")
        if one.role == "measured" and one.status == "ok":
            absent = [name for name in _TIMES if name not in (one.seconds or {})]
            if absent:
                where = f"{one.method} on {one.image}"
                raise RunError(f"{path} is damaged: {where} has no time for {absent[0]}; {_ADVICE}")
    if not samples and manifest.get("status") == "complete":
        raise RunError(f"{path} has no samples, though the run is complete; {_ADVICE}")


def _check_detections(folder: RunFolder, method: str, truth: Truth) -> None:
    """One file of a finished method, and a log while it goes on; one of them must be there."""
    finished = folder.detections_path(method)
    log = finished.with_suffix(".jsonl")
    if not log.exists() or stored_as(finished) is not None:
        _check_rows(finished, _whole(_ROWS, finished), truth)
    for logged in _lines(_LOGGED, log):
        _check_rows(log, logged.rows, truth)


def _check_rows(path: Path, rows: list[Detection], truth: Truth) -> None:
    if wrong := stray(rows, truth):
        raise RunError(f"{path} is damaged: {wrong}; {_ADVICE}")


def _whole(form: TypeAdapter[Held], path: Path) -> Held:
    """What a JSON file holds, plain or packed."""
    if stored_as(path) is None:
        raise RunError(f"{path} is missing; {_ADVICE}")
    try:
        return form.validate_json(read_bytes(path), strict=True)
    except ValidationError as error:
        raise RunError(f"{path} is damaged at {first_error(error, 'the file')}; {_ADVICE}") from None


def _lines(form: TypeAdapter[Held], path: Path) -> list[Held]:
    """What a log of lines holds, but for a torn end; nothing where there is none."""
    found = []
    for number, values in enumerate(read_lines(path), start=1):
        try:
            # As JSON, where a list is as good as a tuple, and a text is still no number.
            found.append(form.validate_json(json.dumps(values), strict=True))
        except ValidationError as error:
            wrong = first_error(error, "the line")
            raise RunError(f"{path}, line {number}, is damaged at {wrong}; {_ADVICE}") from None
    return found
