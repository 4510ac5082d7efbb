"""What a manifest must hold for a gate to read it, as types; it may hold more.

A file that was changed by hand, or that another program wrote, is then refused in a line that names the place.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from harness.plan import Plan, PlanError

__all__ = ["damage", "damage_of_run", "first_error", "states_of_source"]

_Fields = dict[str, Any]
_STATE = ("commit", "dirty", "diff_sha256")


class _Held(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Source(_Held):
    commit: str | None = None
    dirty: bool | None = None
    diff_sha256: str | None = None


class _Resume(_Held):
    source: _Source | None


class _Method(_Held):
    status: str = "ok"
    reason: str | None = None

    @model_validator(mode="after")
    def _reasoned(self) -> Self:
        if self.status != "ok" and self.reason is None:
            raise ValueError(f"the status is {self.status}, without a reason")
        return self


class _Process(_Held):
    threads: int | None = None
    resident: bool | None = None


class _Compared(_Held):
    """As much as `harness.likeness` reads."""

    plan: _Fields
    schema_version: int | None = None
    created: str | None = None
    machine: _Fields | None = None
    software: _Fields | None = None
    flags: _Fields | None = None
    source: _Source | None = None
    resumed: list[_Resume] = []
    dataset: _Fields | None = None
    methods: dict[str, _Fields] | None = None
    processes: list[_Process] | None = None


class _Warming(_Held):
    bucket: str
    seconds: list[float]
    steady: bool


class _Warmed(_Process):
    process: int | None = None
    mark_seconds: float | None = None
    warm_up: dict[str, list[_Warming]] | None = None


class _Machine(_Held):
    device: str
    cpu: str | None = None
    gpu: str | None = None


class _Data(_Held):
    proposal_seconds_by_image: dict[str, float | None]


class _Planned(_Held):
    methods: list[str]
    weights: str
    seed: int
    iterations: int | str | None


class _Summarised(_Held):
    """As much as `harness.summary` reads."""

    created: str
    command: str
    plan: _Planned
    machine: _Machine
    software: _Fields
    source: _Fields | None
    dataset: _Data
    methods: dict[str, _Method]
    notices: list[_Fields] = []
    processes: list[_Warmed] | None = None


def damage(manifest: Any) -> str | None:
    """What is wrong with what is kept of a manifest: where and what; None where nothing is."""
    if wrong := _wrong(_Compared, manifest):
        return wrong
    try:
        Plan.of(dict(manifest["plan"]))
    except PlanError as error:
        return f"plan: {error}"
    return None


def damage_of_run(manifest: Any) -> str | None:
    """The same of the whole manifest of a run."""
    return damage(manifest) or _wrong(_Summarised, manifest)


def _wrong(model: type[_Held], manifest: object) -> str | None:
    try:
        model.model_validate(manifest)
    except ValidationError as error:
        return first_error(error, "the manifest")
    return None


def first_error(error: ValidationError, whole: str) -> str:
    """Where something is wrong first, and what; `whole` is the word for where it is not at one place."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or whole
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"


def states_of_source(manifest: _Fields) -> list[str]:
    """The states of the source that measured a run, more than one where it was resumed with another; for people."""
    sources = [manifest.get("source"), *(each.get("source") for each in manifest.get("resumed") or ())]
    states = dict.fromkeys(tuple((source or {}).get(field) for field in _STATE) for source in sources)
    return [
        f"{str(commit)[:12] if commit else 'no commit'}{' and changes' if dirty else ''}" for commit, dirty, _ in states
    ]
