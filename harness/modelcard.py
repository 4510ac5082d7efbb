"""What must be known of a fitted model to detect with it, without the data set or the weights file that it came from.

A card stands beside its model as models/METHOD.json, with the seconds of the fit; the two files together are enough.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from harness.forms.form import first_error
from harness.forms.models import Card
from harness.networks import network_of
from harness.storage import UNFINISHED, StorageError, read_json

__all__ = ["ModelCard", "ModelCardError", "TrainedOn", "sha256_of"]

_VERSION = 1
_DISTRIBUTION = "rcnn-harness"
_WHERE = ("device", "cpu", "gpu")
"""What a card keeps of the machine of a manifest."""


class ModelCardError(StorageError):
    """A folder does not hold the model that was asked for; the message is one line."""


@dataclass(frozen=True, slots=True)
class TrainedOn:
    """The images and boxes that a model was fitted on."""

    dataset: str
    """Name of the data set as it calls itself."""
    split: str
    images: tuple[str, ...]
    """Their ids: what must not be tested on."""
    sha256: str
    """Of ids and ground truth, as in the manifest."""
    boxes_sha256: str
    proposals: Mapping[str, Any]
    """Settings of the source of the boxes, such as its name and version."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One fitted model."""

    method: str
    """Name of the method as it was fitted, with its network where it named one: ``spp:5@zf5``."""
    backbone: str
    input: str
    """Input convention of the backbone, one line such as ``RGB 0-1 minus (...) over (...)``."""
    weights_sha256: str
    """Of the weights that the fit began with; ``random`` where they were drawn."""
    classes: tuple[str, ...]
    """Names of labels 1..K."""
    settings: Mapping[str, Any]
    """All settings on which the fit depended, as JSON has them, as the detector resolved those that were left open."""
    plan: Mapping[str, Any]
    """The plan under which it was fitted."""
    trained_on: TrainedOn
    model_sha256: str
    fit_seconds: Mapping[str, float]
    """By stage, and ``total``; empty where they are not known."""
    harness_version: str
    created: str | None = None
    """When the fit was over, UTC; None in cards of an earlier version, which did not keep it."""
    machine: Mapping[str, str | None] = field(default_factory=dict)
    """Where the fit ran, whose seconds are of no other: ``device``, ``cpu``, ``gpu``; empty in cards of an earlier
    version."""
    begun_with: Mapping[str, str] = field(default_factory=dict)
    """By name, the files that it took up, and the methods whose fits left them: their seconds are not in its own."""
    model: Path = field(default=Path(), compare=False)
    """The model's file: beside the card, wherever the folder has been moved to."""

    @classmethod
    def of_fit(
        cls,
        method: str,
        manifest: Mapping[str, Any],
        *,
        settings: Mapping[str, Any],
        images: Sequence[str],
        model: Path,
        fit_seconds: Mapping[str, float],
        begun_with: Mapping[str, str],
    ) -> Self:
        """The card of a fit that has just been saved, in the run of a manifest, on the images of these ids."""
        network, data = network_of(manifest, method), manifest["dataset"]
        about = manifest["networks"][network]
        trained_on = TrainedOn(
            data["name"],
            manifest["plan"]["train_split"],
            tuple(images),
            data["train_sha256"],
            data["train_boxes_sha256"],
            data["proposals"],
        )
        return cls(
            method=method,
            backbone=network,
            input=about["input"],
            weights_sha256=about["weights_sha256"],
            classes=tuple(data["classes"]),
            settings=settings,
            plan=manifest["plan"],
            trained_on=trained_on,
            model_sha256=sha256_of(model),
            fit_seconds=fit_seconds,
            harness_version=metadata.version(_DISTRIBUTION),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            machine={name: manifest["machine"].get(name) for name in _WHERE},
            begun_with=begun_with,
            model=model,
        )

    @property
    def proposals(self) -> str:
        """The source of the boxes that it was fitted on, as ``--proposals`` takes it."""
        return str(self.plan["proposals"])

    @property
    def max_proposals(self) -> int:
        """Boxes an image at most in its fit."""
        return int(self.plan["max_proposals"])

    def as_dict(self) -> dict[str, Any]:
        """What its file holds."""
        values = asdict(self)
        del values["model"]
        return {"card_version": _VERSION, **values}

    def check_model(self) -> None:
        """See that the model's file is the one that was fitted.

        Raises:
            ModelCardError: it is another, or damaged.
        """
        found = sha256_of(self.model)
        if found != self.model_sha256:
            raise ModelCardError(f"{self.model} is not the file that its card tells of: its sha256 begins {found[:12]}")

    @classmethod
    def all_in(cls, folder: Path) -> dict[str, Self]:
        """By method, every model of a run folder, or of its folder ``models``; those without a card are left out.

        Raises:
            ModelCardError: there is none, or a card is damaged or its model missing.
        """
        found: dict[str, Self] = {}
        paths = [path for path in sorted(_models(folder).glob("*.json")) if not path.name.startswith(UNFINISHED)]
        for path in paths:
            card = cls.of_file(path)
            if card is not None:
                found[card.method] = card
        if not found and paths:
            raise ModelCardError(f"the models in {folder} have no cards: an earlier version fitted them; fit anew")
        if not found:
            raise ModelCardError(f"no fitted model in {folder}; --model and --models take what `harness train` made")
        return dict(sorted(found.items()))

    @classmethod
    def read(cls, folder: Path, method: str | None) -> Self:
        """The model of a method; None: of the only one that there is.

        Raises:
            ModelCardError: there is no such model, several and none was named, or its card is damaged.
        """
        found = cls.all_in(folder)
        names = ", ".join(found)
        if method is None:
            if len(found) > 1:
                raise ModelCardError(f"{folder} holds several models; choose one with --method: {names}")
            return next(iter(found.values()))
        if method not in found:
            raise ModelCardError(f"no model of {method!r} in {folder}; there are {names}")
        return found[method]

    @classmethod
    def of_file(cls, path: Path) -> Self | None:
        """The card in a file; None where an earlier version wrote the file, which knew the seconds of the fit alone.

        Raises:
            ModelCardError: it is damaged, of a later version, or without its model.
        """
        values = read_json(path)
        if not isinstance(values, dict) or "card_version" not in values:
            return None
        if values["card_version"] != _VERSION:
            raise ModelCardError(f"{path} is a card of version {values['card_version']}; this program reads {_VERSION}")
        model = path.with_suffix(".safetensors")
        if not model.is_file():
            raise ModelCardError(f"{path} tells of a model, but {model.name} is not beside it")
        try:
            Card.model_validate(values)
        except ValidationError as error:
            raise ModelCardError(f"{path}, {first_error(error, 'the card')}") from None
        return TypeAdapter(cls).validate_python({**values, "model": model})


def _models(folder: Path) -> Path:
    if not folder.is_dir():
        raise ModelCardError(f"no folder {folder}")
    return folder / "models" if (folder / "models").is_dir() else folder


def sha256_of(path: Path) -> str:
    """Of the bytes of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
