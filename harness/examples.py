"""A data set with its boxes, as detectors take it, and what a run records of both."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, overload

import numpy as np
import torch

from detectors.contract import Example
from harness.datasets import Dataset
from harness.proposals import ProposalSet
from harness.proposals.recall import recall

__all__ = ["Examples", "Images", "describe_data"]

_RECALL_IOUS = (0.5, 0.7)


class Examples(Sequence[Example]):
    """Images are decoded when they are asked for, and not kept."""

    def __init__(self, dataset: Dataset, proposals: ProposalSet) -> None:
        """Boxes and images must be in the same order."""
        self._dataset, self._proposals = dataset, proposals

    def __len__(self) -> int:
        return len(self._dataset.ids)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | Sequence[Example]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        index %= len(self)
        truth = self._dataset.truth(index)
        # Copies, so that no detector can change what the data set keeps.
        return Example(
            self._dataset.ids[index],
            torch.from_numpy(self._dataset.image(index).copy()).permute(2, 0, 1).contiguous(),
            torch.from_numpy(truth.boxes.copy()),
            torch.from_numpy(truth.labels.copy()),
            torch.from_numpy(truth.difficult.copy()),
            torch.from_numpy(self._proposals.boxes[index].copy()),
        )


@dataclass(frozen=True, slots=True)
class Images:
    """The images of a split, and their shapes without decoding any."""

    examples: Sequence[Example]
    ids: Sequence[str]
    shapes: Sequence[tuple[int, int, int]]
    """Height and width in pixels, and the number of boxes."""

    @classmethod
    def of(cls, dataset: Dataset, proposals: ProposalSet, truth: Mapping[str, Any]) -> Self:
        """`truth` holds the images' sizes, as `harness.coco.truth_file` makes it of the data set."""
        sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
        counts = zip(dataset.ids, proposals.boxes, strict=True)
        return cls(Examples(dataset, proposals), dataset.ids, [(*sizes[name], len(boxes)) for name, boxes in counts])


def _split_digest(dataset: Dataset) -> str:
    digest = hashlib.sha256()
    for index, image_id in enumerate(dataset.ids):
        truth = dataset.truth(index)
        digest.update(f"{len(image_id.encode())}:{image_id}:{len(truth.labels)}:".encode())
        digest.update(truth.boxes.tobytes() + truth.labels.tobytes() + truth.difficult.tobytes())
    return digest.hexdigest()


def _no_seconds(settings: Mapping[str, Any]) -> str:
    drawn = settings.get("name") == "uniform"
    return "the boxes were drawn at random, not looked for" if drawn else "the boxes were read from a file"


def describe_data(
    train: Dataset, test: Dataset, train_boxes: ProposalSet, test_boxes: ProposalSet, settings: dict[str, Any]
) -> dict[str, Any]:
    """Names, sizes and digests; where there are test images, recall of their boxes and the seconds that those took."""
    found = {
        "name": test.name,
        "classes": list(test.classes),
        "train_images": len(train.ids),
        "images": len(test.ids),
        "train_sha256": _split_digest(train),
        "test_sha256": _split_digest(test),
        "train_boxes_sha256": train_boxes.sha256,
        "test_boxes_sha256": test_boxes.sha256,
        "proposals": settings,
    }
    return found if not test.ids else found | _describe_boxes(test, test_boxes, settings)


def _describe_boxes(test: Dataset, test_boxes: ProposalSet, settings: Mapping[str, Any]) -> dict[str, Any]:
    counts = np.array([len(boxes) for boxes in test_boxes.boxes])
    truths = [test.truth(index) for index in range(len(test.ids))]
    known = [seconds for seconds in test_boxes.seconds if seconds is not None]
    complete = len(known) == len(test.ids)
    return {
        "proposals_per_image": {"mean": float(counts.mean()), "min": int(counts.min()), "max": int(counts.max())},
        "recall": {str(iou): recall(test_boxes.boxes, truths, iou) for iou in _RECALL_IOUS},
        "proposal_seconds": float(np.mean(known)) if complete else None,
        "proposal_seconds_reason": None if complete else _no_seconds(settings),
        "proposal_seconds_by_image": dict(zip(test.ids, test_boxes.seconds, strict=True)),
    }
