"""What the files of a run must hold for a gate to read them, its manifest aside, as types; they may hold more.

A file that is gone, or that something else wrote, is refused in a line that names it. To be summarised it must not:
detections that were lost are no accuracy that was lost.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import AllowInfNan, BaseModel, Field, TypeAdapter, ValidationError, model_validator

from harness.gates.manifests import first_error
from harness.record import Condition, Sample
from harness.runs import RunError, RunFolder
from harness.storage import read_lines

__all__ = ["check_records"]

Held = TypeVar("Held")

_ADVICE = "measure again, it cannot be judged"
_TIMES = ("conv", "features", "total")
"""That methods are compared by."""

_Number = Annotated[float, AllowInfNan(False)]
_Length = Annotated[_Number, Field(ge=0)]
_Box = tuple[_Number, _Number, _Length, _Length]
"""``x y w h``."""


class _Image(BaseModel):
    id: str
    width: _Number | None = None
    height: _Number | None = None


class _Object(BaseModel):
    image_id: str
    category_id: int
    bbox: _Box
    ignore: int | bool


class _Category(BaseModel):
    id: int
    name: str


class _Truth(BaseModel):
    images: Annotated[list[_Image], Field(min_length=1)]
    annotations: list[_Object]
    categories: list[_Category]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.ids) < len(self.images):
            raise ValueError("an image is in it twice")
        if [one.id for one in self.categories] != list(range(1, len(self.categories) + 1)):
            raise ValueError("the categories are not numbered from 1")
        if len({one.name for one in self.categories}) < len(self.categories):
            raise ValueError("two categories have one name")
        if wrong := _stray(self.annotations, self):
            raise ValueError(f"annotations: {wrong}")
        return self

    @property
    def ids(self) -> set[str]:
        return {one.id for one in self.images}


class _Row(BaseModel):
    image_id: str
    category_id: int
    bbox: _Box
    score: _Number


class _Logged(BaseModel):
    image_id: str
    rows: list[_Row]


class _Fit(BaseModel):
    fit_seconds: dict[str, _Length]


class _Counts(BaseModel):
    reason: str | None
    images: dict[str, dict[str, _Number]] | None = None
    bytes: dict[str, dict[str, _Number]] | None = None
    launches: dict[str, dict[str, _Number]] | None = None


class _Flops(BaseModel):
    methods: dict[str, _Counts]


_TRUTH = TypeAdapter(_Truth)
_ROWS = TypeAdapter(list[_Row])
_LOGGED = TypeAdapter(_Logged)
_FIT = TypeAdapter(_Fit)
_FLOPS = TypeAdapter(_Flops)
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
    if (flops := folder.path / "flops.json").exists():
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


def _check_detections(folder: RunFolder, method: str, truth: _Truth) -> None:
    """One file of a finished method, and a log while it goes on; one of them must be there."""
    finished = folder.detections_path(method)
    log = finished.with_suffix(".jsonl")
    if not log.exists() or finished.exists():
        _check_rows(finished, _whole(_ROWS, finished), truth)
    for logged in _lines(_LOGGED, log):
        _check_rows(log, logged.rows, truth)


def _check_rows(path: Path, rows: list[_Row], truth: _Truth) -> None:
    if wrong := _stray(rows, truth):
        raise RunError(f"{path} is damaged: {wrong}; {_ADVICE}")


def _stray(rows: Collection[_Row | _Object], truth: _Truth) -> str | None:
    """What is of no image or class of the truth; None where nothing is."""
    known, n_classes = truth.ids, len(truth.categories)
    for row in rows:
        if row.image_id not in known:
            return f"image {row.image_id} is not in the truth"
        if not 1 <= row.category_id <= n_classes:
            return f"there is no category {row.category_id}"
    return None


def _whole(form: TypeAdapter[Held], path: Path) -> Held:
    """What a JSON file holds."""
    try:
        return form.validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        raise RunError(f"{path} is missing; {_ADVICE}") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}); {_ADVICE}") from None
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
