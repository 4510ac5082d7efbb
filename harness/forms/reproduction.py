"""What ``reproduction.json`` holds: the parts of a preset, and its claims judged by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from harness.forms.form import Fields, Form
from harness.forms.summary import JudgedClaim

__all__ = ["Reproduction"]


class Labels(Form):
    """What must stand beside the numbers."""

    device: str | None
    """Such as ``CPU (Some CPU)``; null where nothing was timed."""
    counted: bool
    """Whether operations were counted on shapes alone."""
    untrained: bool
    extrapolated: bool
    """Whether hours of training are extrapolated from measured iterations."""
    quick: bool
    """Whether this is the smoke version, which decides nothing."""
    images: int | None
    data: list[str]
    """What was timed on, such as ``drawn scenes of 500x375, 2,000 random boxes each``."""
    boxes: list[int]
    """Of an image, on average, in each part that was timed; each number once."""


class Part(Form):
    """One run of several that a preset is made of."""

    null_beside: ClassVar[Mapping[str, tuple[str, ...]]] = {"reason": ("folder",)}

    name: str
    kind: Literal["speed", "accuracy", "training", "count"]
    status: str
    reason: str | None
    folder: str | None
    """Of the run, relative to that of the reproduction."""
    counted: Fields | None
    """Of what counts instead of timing: the image, and by method what its convolutions take in."""


class Reproduction(Form):
    """``reproduction.json``: which preset, on what, and what came of each claim."""

    schema_version: int
    preset: str
    title: str
    status: str
    """``complete`` where no part is still to come."""
    created: str
    command: str
    labels: Labels
    parts: list[Part]
    claims: list[JudgedClaim]
    verdicts: dict[str, int]
    """How many claims came to each."""
    published_alone: int
    """How many numbers the table prints that no part is made for."""
    published_anatomy: list[Fields]
