"""What ``models/METHOD.json`` holds beside a model: all that must be known to detect with it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.forms.form import Fields, Form

__all__ = ["Card"]


class TrainedOn(Form):
    """The images and boxes that a model was fitted on."""

    dataset: str
    split: str
    images: list[str]
    """Their ids: what must not be tested on."""
    sha256: str
    """Of ids and ground truth, as ``train_sha256`` of the manifest."""
    boxes_sha256: str
    proposals: Fields
    """Settings of the source of the boxes."""


class Planned(Form):
    """The options of the fit that whoever detects asks for."""

    proposals: str
    max_proposals: int


class Card(Form):
    """``models/METHOD.json``: one fitted model. Earlier versions kept the seconds of its fit alone."""

    card_version: Literal[1]
    method: str
    """As it was fitted, with its network where it named one."""
    backbone: str
    input: str
    """Channel order, range, mean and deviation of what the network takes."""
    weights_sha256: str
    """Of what the fit began with; ``random`` where that was drawn."""
    classes: list[str]
    """Names of labels 1 and up."""
    settings: Fields
    """On which the fit depended, as the detector resolved those that were left open."""
    plan: Planned
    trained_on: TrainedOn
    model_sha256: str
    """Of the model's file, which stands beside this one."""
    fit_seconds: dict[str, Annotated[float, Field(ge=0)]]
    """By stage, and ``total``; empty where they are not known."""
    harness_version: str
    created: str | None = None
    """When the fit was over, UTC; not known of fits of an earlier version, as are the two below."""
    machine: dict[str, str | None] = Field(default_factory=dict)
    """Where the fit ran, whose seconds are of no other machine."""
    begun_with: dict[str, str] = Field(default_factory=dict)
    """By file that the fit took up, the method whose fit left it and spent the seconds."""
