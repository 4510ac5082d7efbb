"""What can be reproduced: tables and figures of the papers, and the plans by which each is measured.

``presets.toml`` holds them, and says what a part and its kind are. Nothing is measured here, and torch is not loaded:
listing presets must cost nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.plan import Plan, PlanError

__all__ = ["Catalogue", "Kind", "Options", "Part", "Preset", "PresetError", "Training", "catalogue", "chosen"]

Kind = Literal["speed", "count", "training", "accuracy"]

_VOC = "voc:"

_ALIKE = str.maketrans("oli", "011")
"""Letters that are taken for digits, and the other way round."""


class PresetError(PlanError):
    """A reproduction cannot be begun as asked; the message is one line: what, where, what instead."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Options(_Frozen):
    """What the command line changes in the plans of a preset. What papers fix, such as scales, it cannot change."""

    dataset: str | None = None
    """``voc:DIR``, or another that `harness compare` takes. None: scenes drawn in the size of VOC's, for time alone."""
    weights: Mapping[str, str] = Field(default_factory=dict)
    """By backbone, what its convolutions start from where accuracy is measured: a file, or ``torchvision``."""
    proposals: str | None = None
    """Boxes where the accuracy is measured, such as those that the authors published."""
    images: Annotated[int, Field(ge=1)] | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    repeats: Annotated[int, Field(ge=1)] = 1
    processes: Annotated[int, Field(ge=1, le=1000)] = 1
    seed: Annotated[int, Field(ge=0)] = 0
    quick: bool = False
    """A smoke version: few boxes on two images. It shows that all of it works, and decides nothing."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Validate values by field name; of ``weights``, texts such as ``zf5=FILE``.

        Raises:
            PresetError: the first thing wrong, with the option's name.
        """
        try:
            return cls(**{**values, "weights": _by_backbone(values.get("weights") or ())})
        except ValidationError as error:
            first = error.errors()[0]
            option = f"--{first['loc'][0]}".replace("_", "-")
            raise PresetError(f"{option}: {first['msg'].lower()}, got {first['input']!r}") from None

    def as_given(self) -> dict[str, Any]:
        """All values as `of` takes them."""
        return {**self.model_dump(), "weights": [f"{backbone}={file}" for backbone, file in self.weights.items()]}

    @property
    def voc(self) -> bool:
        """Whether the data are a VOC folder, on which the papers' accuracy is defined."""
        return (self.dataset or "").startswith(_VOC)


def _by_backbone(weights: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in weights:
        backbone, equals, file = text.partition("=")
        if not (backbone and equals and file):
            raise PresetError(f"--weights: expected BACKBONE=FILE such as zf5=zf5.caffemodel, got {text!r}")
        if backbone in found:
            raise PresetError(f"--weights: {backbone} is given twice; leave one out")
        found[backbone] = file
    return found


class Part(_Frozen):
    """One measurement that a preset needs."""

    name: str
    kind: Kind
    about: str
    plan: Mapping[str, Any] = Field(default_factory=dict)
    """Values of `Plan` that are the part's own."""
    quick: Mapping[str, Any] = Field(default_factory=dict)
    """Those that a smoke version changes."""
    cannot: str | None = None
    """Why this harness cannot measure it at all; None where it can."""

    @property
    def backbone(self) -> str:
        """The network of the plan."""
        return str(self.plan.get("backbone", ""))


class Size(_Frozen):
    """Of a short fit."""

    iterations: int = Field(ge=1)
    images: int = Field(ge=1)


class Training(_Frozen):
    """How hours of training are extrapolated."""

    train_images: int = Field(ge=1)
    """Of the training set that the papers' hours are about."""
    fits: int = Field(ge=1)
    """Of each method and size."""
    sizes: tuple[Size, ...] = Field(min_length=3)
    regions: Mapping[str, int]
    """By method, the regions of a mini-batch that are drawn over all images."""
    stands_for: Mapping[str, str] = Field(default_factory=dict)
    """By method, as what the papers' numbers name it, where that is not its own name."""


class Preset(_Frozen):
    """One table or figure of a paper."""

    name: str
    """Also that of its layout in `harness.papertables`."""
    title: str
    source: str
    parts: tuple[Part, ...]


class Catalogue(_Frozen):
    """All presets, with what their plans have in common."""

    presets: tuple[Preset, ...]
    kinds: Mapping[Kind, Mapping[str, Any]]
    quick: Mapping[Kind, Mapping[str, Any]]
    training: Training
    quick_training: Training

    @model_validator(mode="after")
    def _plans_can_be(self) -> Self:
        for part in {part.name: part for preset in self.presets for part in preset.parts}.values():
            for quick in (False, True):
                if part.cannot is None:
                    self.plan(part, Options(quick=quick, dataset="voc:VOC2007", weights={part.backbone: "torchvision"}))
        return self

    def preset(self, name: str) -> Preset:
        """The preset of that name.

        Raises:
            PresetError: there is none.
        """
        found = next((preset for preset in self.presets if preset.name == name), None)
        if found is None:
            names = {each.translate(_ALIKE): each for each in ("all", *(preset.name for preset in self.presets))}
            near = get_close_matches(name.lower().translate(_ALIKE), names, n=1)
            meant = f"did you mean {names[near[0]]}? " if near else ""
            raise PresetError(f"nothing to reproduce is called {name!r}; {meant}`harness reproduce list` shows all")
        return found

    def plan(self, part: Part, options: Options) -> Plan:
        """The plan of a part with what the command line changes in it.

        Raises:
            PlanError: what it changes cannot be.
        """
        values = {**self.kinds[part.kind], **part.plan, **_given(part, options)}
        if options.quick:
            values |= {**self.quick[part.kind], **part.quick}
            if options.images is not None and part.kind == "speed":
                values["images"] = options.images
        return Plan.of(values)

    def training_of(self, options: Options) -> Training:
        """How long the fits are."""
        return self.quick_training if options.quick else self.training


def _given(part: Part, options: Options) -> dict[str, Any]:
    values: dict[str, Any] = {"device": options.device, "seed": options.seed}
    if options.dataset is not None:
        values["dataset"] = options.dataset
    if part.kind in ("speed", "accuracy"):
        values |= {"repeats": options.repeats, "processes": options.processes}
        if options.images is not None:
            values["images"] = options.images
    if part.kind == "training" and options.voc:
        values["train_split"] = "trainval"
    if part.kind == "accuracy":
        values["weights"] = options.weights.get(part.backbone, "random")
        if options.proposals is not None:
            values["proposals"] = options.proposals
    return values


@cache
def catalogue() -> Catalogue:
    """All presets, as ``presets.toml`` has them."""
    found = tomllib.loads((files("harness") / "presets.toml").read_text(encoding="utf-8"))
    parts = {name: Part(name=name, **about) for name, about in found["parts"].items()}
    presets = (
        Preset(name=name, **{**about, "parts": tuple(parts[part] for part in about["parts"])})
        for name, about in found["presets"].items()
    )
    return Catalogue(
        presets=tuple(presets),
        kinds=found["kinds"],
        quick=found["quick"],
        training=Training(**found["training"]),
        quick_training=Training(**{**found["training"], **found["quick_training"]}),
    )


def chosen(name: str) -> tuple[Preset, ...]:
    """The preset of that name, or all of them.

    Raises:
        PresetError: there is none.
    """
    known = catalogue()
    return known.presets if name == "all" else (known.preset(name),)
