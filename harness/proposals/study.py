"""What ``recall.json`` holds: how well boxes cover the objects of splits, and how like other boxes they are.

Fractions are rounded to six digits and mean numbers of boxes to one; intervals are of 95 % over images.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from harness.forms.form import Fields, Form, first_error
from harness.forms.summary import Value
from harness.intervals import Estimate
from harness.storage import StorageError, read_json, write_json

__all__ = [
    "DIGITS",
    "FILE",
    "SCHEMA_VERSION",
    "Beside",
    "BoxCount",
    "Group",
    "Likeness",
    "Near",
    "Neighbours",
    "Part",
    "Pictured",
    "Point",
    "Study",
    "StudyError",
    "read",
    "rounded",
    "write",
]

FILE = "recall.json"
SCHEMA_VERSION = 1
"""Grows when an old reader would misunderstand a new file."""

DIGITS = 6
"""Of a fraction."""


class StudyError(StorageError):
    """A study cannot be kept or read; the message is one line."""


class Point(Form):
    """What the first boxes of each image find."""

    first: int | Literal["all"]
    """At most so many of each image; all of an image that has no more."""
    boxes: float
    """Of an image, on average."""
    recall_50: Value
    """Share of objects that some box covers with an IoU of 0.5 or more."""
    recall_70: Value
    average_recall: Value
    """Twice the integral of recall over IoU from 0.5 to 1."""
    best_overlap: Value
    """Mean best IoU of the objects; of those of all classes and sizes, the mean over classes of each one's (MABO)."""


class Group(Form):
    """Some objects, and what is found of them by how many boxes."""

    objects: int
    images: int
    """That hold one of them."""
    points: list[Point]
    """By rising number of boxes, all of them last."""


class BoxCount(Form):
    """Boxes of an image."""

    mean: float
    median: float
    min: int
    max: int


class Part(Form):
    """One split."""

    dataset: str
    split: str
    images: int
    truth_sha256: str
    """Over names, objects and flags of all images."""
    boxes_sha256: str
    """Over names and boxes of all images, all of their boxes."""
    difficult: int
    """Objects that are left out."""
    boxes_per_image: BoxCount
    every: Group
    sizes: dict[str, Group]
    classes: dict[str, Group]
    """At one point only, that of as many boxes as comparisons take."""


class Likeness(Form):
    """Of boxes: how near the nearest of some other boxes is."""

    mean: float
    """IoU with the nearest."""
    at_50: float
    """Share of them that have another at an IoU of 0.5 or more."""
    at_70: float


class Near(Form):
    """Some boxes of ours, and all of the others."""

    theirs: Likeness
    """Of each of the others, the nearest among ours."""
    theirs_as_long: Likeness
    """Of those of them whose sides are all as long as the shortest one of ours; of each, the nearest among ours."""
    ours: Likeness
    """Of each of ours, the nearest among the others."""


class Neighbours(Near):
    """The first boxes of each image beside all of the others."""

    first: int | Literal["all"]
    boxes: float
    """Of an image, on average."""


class Pictured(Near):
    """One image, with all boxes of both kinds."""

    id: str
    boxes: int
    their_boxes: int


class Beside(Form):
    """Boxes set beside other boxes of the same images."""

    dataset: str
    split: str
    images: int
    against: Fields
    """Settings of the others."""
    boxes_sha256: str
    their_boxes_sha256: str
    boxes_per_image: BoxCount
    their_boxes_per_image: BoxCount
    shortest_side_px: float
    """Of any box of ours: what a source leaves out by rule, it cannot come near to."""
    their_share_as_long: float
    """Share of the others whose sides are all as long as that."""
    points: list[Neighbours]
    by_image: list[Pictured]
    """Empty where there are too many to be listed."""


class Study(Form):
    """``recall.json``."""

    schema_version: int
    command: str
    created: str
    source: Fields
    """Commit that measured it."""
    proposals: Fields
    """All that decides the boxes besides the image."""
    seed: int
    """Of the draws of images."""
    sizes_px: dict[str, str]
    """What the sizes of objects mean."""
    parts: list[Part]
    beside: list[Beside]


def rounded(estimate: Estimate) -> Value:
    """As it is kept."""
    ends = (None if each is None else round(each, DIGITS) for each in (estimate.value, estimate.low, estimate.high))
    value, low, high = ends
    return Value(value=value, low=low, high=high, reason=estimate.reason)


def write(path: Path, study: Study) -> None:
    """Replace the file at once.

    Raises:
        StudyError: it cannot be written.
    """
    try:
        write_json(path, study.model_dump(mode="json"))
    except OSError as error:
        raise StudyError(f"{path} cannot be written ({error.strerror}); name another with --out") from None


def read(path: Path) -> Study:
    """What `write` wrote.

    Raises:
        StorageError: the file is missing, no JSON, or of another form.
    """
    content = read_json(path)
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise StudyError(f"{path}: expected schema {SCHEMA_VERSION}, got {version}; make it anew by `harness recall`")
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        raise StudyError(f"{path}: {first_error(error, 'the file')}") from None
