"""What ``manifest.json`` holds, as far as others read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from pydantic import model_validator

from harness.forms.form import Fields, Form

__all__ = ["Compared", "Manifest"]


class Source(Form):
    """The state of the source."""

    commit: str | None = None
    dirty: bool | None = None
    diff_sha256: str | None = None
    """Of what was changed since the commit."""


class Resume(Form):
    """When and with what a run went on."""

    source: Source | None


class Method(Form):
    """What became of a method before its samples."""

    status: str = "ok"
    reason: str | None = None

    @model_validator(mode="after")
    def _told(self) -> Self:
        if self.status != "ok" and self.reason is None:
            raise ValueError(f"the status is {self.status}, without a reason")
        return self


class Process(Form):
    """What a process says of itself."""

    threads: int | None = None
    resident: bool | None = None
    """Whether all methods were in memory at once."""


class Compared(Form):
    """As much as `harness.likeness` reads, which is what a baseline keeps."""

    plan: Fields
    """What was asked for, one key an option of the command line."""
    schema_version: int | None = None
    created: str | None = None
    machine: Fields | None = None
    software: Fields | None = None
    flags: Fields | None = None
    source: Source | None = None
    resumed: Sequence[Resume] = ()
    dataset: Fields | None = None
    methods: dict[str, Fields] | None = None
    processes: list[Process] | None = None


class Warming(Form):
    """How one method was warmed up on one shape of input."""

    bucket: str
    seconds: list[float]
    steady: bool


class Warmed(Process):
    """A process of a run, with its warm-up."""

    process: int | None = None
    mark_seconds: float | None = None
    warm_up: dict[str, list[Warming]] | None = None


class Machine(Form):
    """What ran it."""

    device: str
    cpu: str | None = None
    gpu: str | None = None


class Data(Form):
    """Which images and boxes."""

    proposal_seconds_by_image: dict[str, float | None]


class Planned(Form):
    """The options that a summary is derived by."""

    methods: list[str]
    weights: str
    seed: int
    iterations: int | str | None


class Manifest(Form):
    """``manifest.json``: a run's plan, machine, software, source, data and status, as much as a summary needs."""

    schema_version: int | None = None
    status: str | None = None
    """``complete`` where all that was planned was measured."""
    created: str
    command: str
    plan: Planned
    machine: Machine
    software: Fields
    source: Fields | None
    dataset: Data
    methods: dict[str, Method]
    notices: Sequence[Fields] = ()
    processes: list[Warmed] | None = None
