"""What the files of a run beside its manifest hold: truth, detections, fits and counts.

Samples and conditions have their types in `harness.record`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Self

from pydantic import AllowInfNan, Field, model_validator

from harness.forms.form import Record

__all__ = ["Counts", "Detection", "Fit", "Flops", "Logged", "Truth", "stray"]

_Number = Annotated[float, AllowInfNan(False)]
_Length = Annotated[_Number, Field(ge=0)]
_Box = tuple[_Number, _Number, _Length, _Length]
"""``x y width height``, pixels, half-open."""


class Image(Record):
    """A test image."""

    id: str
    width: _Number | None = None
    height: _Number | None = None


class Object(Record):
    """A ground-truth box."""

    image_id: str
    category_id: int
    bbox: _Box
    ignore: int | bool
    """Whether it is difficult, so that finding it counts neither way."""


class Category(Record):
    """A class."""

    id: int
    name: str


class Truth(Record):
    """``truth.json``: ground truth of the test images, COCO format."""

    images: Annotated[list[Image], Field(min_length=1)]
    annotations: list[Object]
    categories: list[Category]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.ids) < len(self.images):
            raise ValueError("an image is in it twice")
        if [one.id for one in self.categories] != list(range(1, len(self.categories) + 1)):
            raise ValueError("the categories are not numbered from 1")
        if len({one.name for one in self.categories}) < len(self.categories):
            raise ValueError("two categories have one name")
        if wrong := stray(self.annotations, self):
            raise ValueError(f"annotations: {wrong}")
        return self

    @property
    def ids(self) -> set[str]:
        """Of the images."""
        return {one.id for one in self.images}


class Detection(Record):
    """A detection, COCO results format."""

    image_id: str
    category_id: int
    bbox: _Box
    score: _Number


class Logged(Record):
    """The detections of one image, while the run goes on."""

    image_id: str
    rows: list[Detection]


class Fit(Record):
    """``models/METHOD.json``, as much as a gate reads of it: how long the fit took, by stage of fitting.

    `harness.forms.models.Card` says the rest, which models of an earlier version have not.
    """

    fit_seconds: dict[str, _Length]


class Counts(Record):
    """What was counted of one method: by image, by stage."""

    reason: str | None
    """Why nothing was counted."""
    images: dict[str, dict[str, _Number]] | None = None
    """Floating-point operations; a multiply-add is two."""
    bytes: dict[str, dict[str, _Number]] | None = None
    launches: dict[str, dict[str, _Number]] | None = None


class Flops(Record):
    """``flops.json``: operations, bytes and launches of each method on each image, by stage."""

    methods: dict[str, Counts]


def stray(rows: Collection[Detection | Object], truth: Truth) -> str | None:
    """What is of no image or class of the truth; None where nothing is."""
    known, n_classes = truth.ids, len(truth.categories)
    for row in rows:
        if row.image_id not in known:
            return f"image {row.image_id} is not in the truth"
        if not 1 <= row.category_id <= n_classes:
            return f"there is no category {row.category_id}"
    return None
