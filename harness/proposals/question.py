"""The study of a source of boxes: its recall on the splits of a data set, and its boxes beside those of another."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from harness.datasets import Dataset, DatasetError, Truth, open_dataset
from harness.machine import describe_source
from harness.photographs import Photographs
from harness.proposals import MOST, ProposalError, ProposalSet, ProposalSource, source
from harness.proposals.beside import by_image, neighbours, share_as_long, shortest_side_px
from harness.proposals.cache import default_cache_dir, gather
from harness.proposals.curves import SIZES_PX, Draws, curve, sized
from harness.proposals.overlap import Boxes
from harness.proposals.precomputed import Precomputed
from harness.proposals.recall import Covered, cover, reaching
from harness.proposals.study import SCHEMA_VERSION, Beside, BoxCount, Group, Part, Study

__all__ = ["Question", "measure"]

Hear = Callable[[str, int, int], None]
"""Told of a task, and how many steps of how many are done."""

_MOST_LISTED = 20
"""Images that a comparison names one by one."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which boxes are looked at, on which images, beside which others."""

    dataset: str | None
    """None where there is no ground truth to find: then `pictures` and `against` are given."""
    splits: tuple[str, ...]
    proposals: str
    """As the command line names a source of boxes; `against`, too."""
    images: int | None
    """First images of each split; None is all."""
    seed: int
    """Of the boxes, where their source draws, and of the draws of images."""
    pictures: Path | None
    """Photographs on which boxes are set beside others; None: those of the splits."""
    against: str | None

    def __post_init__(self) -> None:
        if self.pictures is not None and self.against is None:
            raise ProposalError("--pictures needs --against with the boxes that those of --proposals are set beside")
        if self.dataset is None and self.pictures is None:
            raise ProposalError("nothing to look at: expected --dataset, or --pictures with --against")
        if not self.splits or len(set(self.splits)) < len(self.splits):
            raise ProposalError(
                f"--split: expected different splits with commas between, got {','.join(self.splits)!r}"
            )
        if self.seed < 0:
            raise ProposalError(f"--seed: expected 0 or more, got {self.seed}")


def _nobody(_task: str, _done: int, _total: int) -> None:
    """Where nobody listens."""


def measure(question: Question, *, command: str, hear: Hear = _nobody) -> Study:
    """Make the boxes where the cache has none, and set them against objects and other boxes.

    Raises:
        DatasetError: no such data set, split or photograph.
        ProposalError: no such source, or a file of boxes that lacks an image.
    """
    splits = _open(question)
    beside = splits if question.pictures is None else [_photographs(question.pictures)]
    # All that can be refused is refused before any slow step.
    everywhere = list(dict.fromkeys(name for each in (*splits, *beside) for name in each.ids))
    own = source(question.proposals, everywhere, seed=question.seed)
    other = None
    if question.against is not None:
        other = source(question.against, [name for each in beside for name in each.ids], seed=question.seed)
        _check_files(beside, own, other)
    found = [_boxes(each, own, hear) for each in splits]
    apart = found if question.pictures is None else [_boxes(each, own, hear) for each in beside]
    return Study(
        schema_version=SCHEMA_VERSION,
        command=command,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        source=describe_source(),
        proposals=dict(own.settings),
        seed=question.seed,
        sizes_px={name: _told(*ends) for name, ends in SIZES_PX.items()},
        parts=[_part(*each, question.seed) for each in zip(splits, found, strict=True)],
        beside=[_beside(*each, other, hear) for each in zip(beside, apart, strict=True)] if other else [],
    )


def _check_files(beside: Sequence[Dataset], own: ProposalSource, other: ProposalSource) -> None:
    """See that boxes which are read from files leave something to compare, before those of others are looked for."""
    shortest = float(own.settings.get("min_side_px", 0))
    for dataset in beside:
        if isinstance(own, Precomputed):
            shortest = shortest_side_px(_boxes(dataset, own).boxes)
        if isinstance(other, Precomputed):
            share_as_long(_boxes(dataset, other).boxes, shortest)


def _open(question: Question) -> list[Dataset]:
    if question.dataset is None:
        return []
    return [open_dataset(question.dataset, split, length=question.images, training=False) for split in question.splits]


def _photographs(where: Path) -> Dataset:
    """All that lie there; one that cannot be read would be missing in silence."""
    found, skipped = Photographs.found([where], ())
    if skipped:
        raise DatasetError(f"{skipped[0]}; take it out of {where}")
    return found


def _told(low: float, high: float) -> str:
    """Such as ``area from 32² to below 96² px``."""
    begin, end = (f"{area**0.5:g}²" for area in (low, high))
    if not low:
        return f"area below {end} px"
    return f"area of {begin} px and more" if high == float("inf") else f"area from {begin} to below {end} px"


def _boxes(dataset: Dataset, own: ProposalSource, hear: Hear = _nobody) -> ProposalSet:
    """All boxes of each image, from the cache where it has them."""
    return gather(
        dataset,
        own,
        max_proposals=sys.maxsize,
        cache_dir=default_cache_dir(),
        workers=os.cpu_count() or 1,
        on_progress=lambda done, total: hear(f"boxes, {dataset.split}", done, total),
    )


def _part(dataset: Dataset, boxes: ProposalSet, seed: int) -> Part:
    truths = [dataset.truth(index) for index in range(len(dataset.ids))]
    firsts = reaching(boxes.boxes)
    covered = cover(boxes.boxes, truths, firsts)
    draws, sizes = Draws(len(truths), seed=seed), sized(covered.area_px)
    return Part(
        dataset=dataset.name,
        split=dataset.split,
        images=len(truths),
        truth_sha256=_truth_digest(dataset.ids, truths),
        boxes_sha256=boxes.sha256,
        difficult=int(sum(truth.difficult.sum() for truth in truths)),
        boxes_per_image=_count(boxes.boxes),
        every=curve(covered, boxes.boxes, firsts, draws),
        sizes={name: curve(covered, boxes.boxes, firsts, draws, chosen=chosen) for name, chosen in sizes.items()},
        classes=_classes(dataset.classes, covered, boxes.boxes, firsts, draws),
    )


def _classes(
    names: Sequence[str], covered: Covered, boxes: Sequence[Boxes], firsts: Sequence[int | None], draws: Draws
) -> dict[str, Group]:
    """Each class with as many boxes as a comparison takes, or all where no image has more."""
    row = firsts.index(MOST) if MOST in firsts else len(firsts) - 1
    at = Covered(covered.image, covered.label, covered.area_px, covered.overlap[row : row + 1])
    return {
        name: curve(at, boxes, [firsts[row]], draws, chosen=covered.label == label)
        for label, name in enumerate(names, start=1)
    }


def _count(boxes: Sequence[Boxes]) -> BoxCount:
    numbers = np.array([len(each) for each in boxes])
    return BoxCount(
        mean=round(float(numbers.mean()), 1),
        median=float(np.median(numbers)),
        min=int(numbers.min()),
        max=int(numbers.max()),
    )


def _truth_digest(ids: Sequence[str], truths: Sequence[Truth]) -> str:
    digest = hashlib.sha256()
    for name, truth in zip(ids, truths, strict=True):
        digest.update(f"{len(name.encode())}:{name}:{len(truth.labels)}:".encode())
        digest.update(truth.boxes.tobytes() + truth.labels.tobytes() + truth.difficult.tobytes())
    return digest.hexdigest()


def _beside(dataset: Dataset, ours: ProposalSet, other: ProposalSource, hear: Hear) -> Beside:
    theirs = _boxes(dataset, other, hear)
    shortest = shortest_side_px(ours.boxes)
    listed = len(dataset.ids) <= _MOST_LISTED
    return Beside(
        dataset=dataset.name,
        split=dataset.split,
        images=len(dataset.ids),
        against=dict(other.settings),
        boxes_sha256=ours.sha256,
        their_boxes_sha256=theirs.sha256,
        boxes_per_image=_count(ours.boxes),
        their_boxes_per_image=_count(theirs.boxes),
        shortest_side_px=shortest,
        their_share_as_long=share_as_long(theirs.boxes, shortest),
        points=neighbours(ours.boxes, theirs.boxes, shortest),
        by_image=by_image(dataset.ids, ours.boxes, theirs.boxes, shortest) if listed else [],
    )
