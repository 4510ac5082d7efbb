"""What a gate holds a run against: a file that is committed, with one entry for each device.

An entry has no absolute seconds. It keeps what each image cost in units of the baseline method's mean time, so that
nothing that is computed from it can depend on how fast the device happened to be; the true and false detections in
the order of their scores, since a bootstrap needs no more; and the part of the manifest that tells whether two runs
are alike. The entry of a run is made by `harness.gates.measured`, and the same form serves the run that is judged.

Letters: I images, P processes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.forms.form import first_error
from harness.gates.manifests import damage
from harness.storage import StorageError, parse_json, write_text

__all__ = ["QUANTITIES", "SCHEMA_VERSION", "BaselineError", "Baselines", "Cost", "Entry", "MethodEntry", "Origin"]

SCHEMA_VERSION = 1
"""Of the baseline file. It grows when an old reader would misunderstand a new file."""

QUANTITIES = ("conv", "total")
"""Times by which methods are compared."""

_NO_BASELINE = "no baseline of harness gate; name another file, or one that does not exist yet"

_NonNegative = Annotated[float, Field(ge=0)]


class BaselineError(StorageError):
    """A baseline file cannot be read or written; the message is one line."""


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Cost(_Kept):
    """What a method's time was, in units of the baseline method's mean total."""

    images: list[_NonNegative]
    """(I,): the mean over processes and repeats."""
    processes: list[_NonNegative]
    """(P,): the mean over images and repeats."""


class MethodEntry(_Kept):
    """One method that succeeded."""

    conv: Cost
    total: Cost
    lag: list[float] | None
    """(I,): how many places later in its block the baseline method ran than this one, the mean over processes and
    repeats. None of the baseline method itself, and where that failed."""
    detections_sha256: str
    """Of all its detections: equal where they are the same to the bit."""
    ranked: dict[str, list[int]] | None
    """By class, the detections that count, by falling score: ``n`` is a true one in image number ``n - 1``, ``-n`` a
    false one there. False ones after the last true one change no average precision and are left out. None where the
    detections mean nothing."""
    ranked_reason: str | None
    """Why there are none."""

    @model_validator(mode="after")
    def _reasoned(self) -> Self:
        if (self.ranked is None) != (self.ranked_reason is not None):
            raise ValueError("ranked is null where there is a ranked_reason, and only there")
        return self


class Origin(_Kept):
    """Which run an entry was made from."""

    run: str
    """Name of its folder."""
    measured: str
    """When it was begun, ISO 8601."""
    commit: str | None
    """Of the source; None where that was in no repository."""


class Entry(_Kept):
    """What is kept of one run on one device."""

    origin: Origin
    manifest: dict[str, Any]
    """As much of it as `harness.likeness` compares."""
    baseline: str
    """The method that speed-ups are over."""
    images: list[str]
    """(I,), ids in the order of the split."""
    blocks: list[int] | None
    """(I,): the block that each image was in; None where the run kept none."""
    methods: dict[str, MethodEntry]
    """Those that succeeded."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        n_images, processes = len(self.images), set[int]()
        columns: dict[str, list[Any] | None] = {"blocks": self.blocks}
        for name, method in self.methods.items():
            columns |= {f"{name}: lag": method.lag}
            columns |= {f"{name}: {of}": getattr(method, of).images for of in QUANTITIES}
            processes |= {len(getattr(method, of).processes) for of in QUANTITIES}
            ranks = [rank for ranked in (method.ranked or {}).values() for rank in ranked]
            if not all(1 <= abs(rank) <= n_images for rank in ranks):
                raise ValueError(f"{name}: ranked names an image that is not there")
        for column, values in columns.items():
            if values is not None and len(values) != n_images:
                raise ValueError(f"{column}: expected one value for each of {n_images} images, got {len(values)}")
        if len(processes) > 1 or 0 in processes:
            raise ValueError("expected one value a process, of the same processes for all methods")
        return self

    @property
    def processes(self) -> int:
        """P; 0 where no method succeeded."""
        return next((len(method.total.processes) for method in self.methods.values()), 0)


class Baselines(_Kept):
    """The file: entries by the name of their device."""

    schema_version: int = SCHEMA_VERSION
    devices: dict[str, Entry] = {}

    @classmethod
    def read(cls, path: Path) -> Baselines:
        """What the file holds; nothing where there is none yet.

        Raises:
            BaselineError: it is no baseline file, damaged, or a newer version of this program wrote it.
        """
        if not path.exists():
            return cls()
        try:
            values = parse_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise BaselineError(f"{path} cannot be read ({error.strerror}); choose another --baseline") from None
        except ValueError:
            values = None
        version = values.get("schema_version") if isinstance(values, dict) else None
        if not isinstance(version, int) or isinstance(version, bool) or "devices" not in values:
            raise BaselineError(f"{path} is {_NO_BASELINE}")
        if version > SCHEMA_VERSION:
            raise BaselineError(f"{path} has schema {version}; this version of harness reads up to {SCHEMA_VERSION}")
        return cls._checked(path, values)

    @classmethod
    def _checked(cls, path: Path, values: dict[str, Any]) -> Baselines:
        again = "restore it, or remove it for a new one"
        try:
            found = cls.model_validate(values)
        except ValidationError as error:
            raise BaselineError(f"{path} is damaged at {first_error(error, 'the file')}; {again}") from None
        for device, entry in found.devices.items():
            if wrong := damage(entry.manifest) or _unusable(entry):
                raise BaselineError(f"{path} is damaged at devices.{device}: {wrong}; {again}")
        return found

    def with_entry(self, device: str, entry: Entry) -> Baselines:
        """The same with this device's entry made or replaced."""
        return Baselines(schema_version=SCHEMA_VERSION, devices={**self.devices, device: entry})

    def write(self, path: Path) -> None:
        """Replace the file at once: a reader sees the old or the new one.

        Raises:
            BaselineError: it cannot be written.
        """
        text = _text(self.model_dump(mode="json")) + "\n"
        try:
            write_text(path, text)
        except OSError as error:
            raise BaselineError(f"{path} cannot be written ({error.strerror}); choose another --baseline") from None


def _unusable(entry: Entry) -> str | None:
    """Why nothing can be held against an entry, though it is whole; None where something can."""
    if not entry.methods:
        return "it has no methods"
    return (
        None
        if entry.baseline in entry.methods
        else f"the method that speed-ups are over, {entry.baseline}, has no times"
    )


def _text(value: object, depth: int = 1) -> str:
    """JSON with a line for each key, and each list within its line, so that a commit shows what changed."""
    if not isinstance(value, Mapping) or not value:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    rows = [f"{' ' * depth}{json.dumps(key)}: {_text(each, depth + 1)}" for key, each in value.items()]
    return "{\n" + ",\n".join(rows) + "\n" + " " * (depth - 1) + "}"
