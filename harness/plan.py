"""What is compared on what. A plan is frozen, validated as a whole, and has a digest.

`Plan` holds what the user asked for; `harness.preparation` opens what it names.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from harness.networks import split
from harness.sweep import Sweep

__all__ = ["Plan", "PlanError"]

_OF_ANY_NETWORK = ("auto", "torchvision", "random")


class PlanError(ValueError):
    """A plan cannot be carried out as asked; the message is one line: what, where, what instead."""


class Plan(BaseModel):
    """All that decides what a comparison computes; where it is written and how it is shown stand elsewhere."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    methods: tuple[str, ...] = Field(("rcnn", "spp", "fast"), min_length=1)
    """Speed-ups are over the first. ``rcnn@caffenet`` is rcnn on another network than `backbone`."""
    dataset: str = "shapes"
    """``shapes``, ``shapes:WxH`` or ``voc:DIR``."""
    train_split: str = "train"
    split: str = "test"
    backbone: str = "mini"
    weights: str = "auto"
    """Of every network: ``auto``, ``torchvision`` or ``random``; or a file, for `backbone` alone."""
    proposals: str = "selective-search"
    max_proposals: int = Field(2000, ge=1)
    images: int | None = Field(None, ge=1)
    """Test images; None: all (120 for `shapes`)."""
    train_images: int | None = Field(None, ge=1)
    """None: all (300 for `shapes`)."""
    iterations: int | Literal["quick", "paper"] | None = None
    """Mini-batches of fine-tuning. ``quick``: each method's own small number a training image; ``paper``: the published
    number; 0: nothing is trained. None: ``quick``, or nothing where the backbone's weights are random."""
    fc_width: int | None = Field(None, ge=1)
    """Of fc6 and fc7. None: the backbone's own, 1,024 where it has none."""
    models: str | None = None
    """Folder of models that were fitted before, in the place of fits."""
    repeats: int = Field(1, ge=1)
    processes: int = Field(1, ge=1, le=1000)
    """Fresh processes in which all is measured, one after the other."""
    block: int | None = Field(None, ge=1)
    """Images of a block, within which a method runs on all before the next takes its turn. None: `harness.order`
    chooses."""
    sweep: str | None = None
    """Inputs to be changed on purpose afterwards, as `harness.sweep.Sweep.of` reads it."""
    policy: Literal["shared", "paper"] = "shared"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """Arithmetic of detecting; `harness.precision` says what each means. Fitting is float32 always."""
    seed: int = Field(0, ge=0)

    @field_validator("methods", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("methods")
    @classmethod
    def _differ(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"a method is named twice in {','.join(value)}")
        for name in value:
            split(name)
        return value

    @field_validator("sweep")
    @classmethod
    def _can_be_swept(cls, value: str | None, info: ValidationInfo) -> str | None:
        most = info.data.get("max_proposals")
        if value is not None:
            sweep = Sweep.of(value)
            if sweep.quantity == "proposals" and most is not None and max(sweep.values) > most:
                raise ValueError(f"there are {most} boxes an image at most; raise --max-proposals or sweep fewer")
        return value

    @field_validator("images", "train_images", "max_proposals", "repeats", "processes", "block", "seed", mode="before")
    @classmethod
    def _no_truth_value(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError(f"expected a number, got {str(value).lower()}")
        return value

    @field_validator("iterations", mode="before")
    @classmethod
    def _count(cls, value: object) -> object:
        if value is None or value in ("quick", "paper"):
            return value
        try:
            count = int(value) if isinstance(value, str) else value
        except ValueError:
            count = None
        if not isinstance(count, int) or isinstance(count, bool):
            raise ValueError(f"expected a number, 'quick' or 'paper', got {value!r}")
        if count < 0:
            raise ValueError(f"expected 0, which trains nothing, or more, got {count}")
        return count

    @model_validator(mode="after")
    def _networks_agree(self) -> Self:
        once: dict[tuple[str, str], str] = {}
        for name in self.methods:
            method, network = split(name)
            other = once.setdefault((method, network or self.backbone), name)
            if other != name:
                raise ValueError(f"--methods: {other} and {name} are one method on one network; leave one out")
            if network not in (None, self.backbone) and self.weights not in _OF_ANY_NETWORK:
                raise ValueError(
                    f"--weights: a file is for --backbone {self.backbone} alone, and {name} runs on another network; "
                    "compare on one network, or use --weights random, auto or torchvision"
                )
        return self

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """Validate values by field name.

        Raises:
            PlanError: the first thing wrong, with the option's name.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            # What is wrong between fields says in its own words which.
            option = "".join(f"--{field}: ".replace("_", "-") for field in first["loc"][:1])
            if first["type"] == "extra_forbidden":
                message = f"there is no such option; there are {', '.join(cls.model_fields)}"
            elif first["type"] == "value_error":
                message = first["msg"].removeprefix("Value error, ")
            else:
                message = f"{first['msg'].lower()}, got {first['input']!r}"
            raise PlanError(f"{option}{message}") from None

    @classmethod
    def values_in(cls, path: Path) -> dict[str, Any]:
        """Read the values of a TOML plan, not yet validated.

        Raises:
            PlanError: no such file, not TOML, or a name that is no field.
        """
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise PlanError(f"no plan file {path}") from None
        # ValueError: no TOML, no UTF-8, or a number of thousands of digits.
        except (ValueError, RecursionError, OSError) as error:
            raise PlanError(f"plan file {path} cannot be read: {error}") from None
        for key in values:
            if key not in cls.model_fields:
                raise PlanError(f"plan file {path}: there is no {key!r}; there are {', '.join(cls.model_fields)}")
        return values

    @property
    def trained(self) -> bool:
        """Whether what is measured was fitted, here or before. Random weights are for measuring speed, unless
        iterations are asked for."""
        if self.models is not None:
            return True
        return self.weights != "random" if self.iterations is None else self.iterations != 0

    @property
    def networks(self) -> tuple[str, ...]:
        """The backbones that methods run on, each once; the plan's own first where it is among them."""
        used = {split(name)[1] or self.backbone: None for name in self.methods}
        return tuple(sorted(used, key=lambda network: network != self.backbone))

    @property
    def digest(self) -> str:
        """16 hex digits that differ where plans differ."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    def differences(self, other: Plan) -> tuple[str, ...]:
        """Names of the fields in which two plans differ."""
        mine, theirs = self.model_dump(), other.model_dump()
        return tuple(name for name in mine if mine[name] != theirs[name])
