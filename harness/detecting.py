"""A fitted model on photographs that no data set knows: boxes are found, the model is restored, and it detects.

All that it takes is the model and its card: neither the images that it was fitted on nor the weights that the fit began
with. It computes as in a comparison, so that an image gets the very detections that it would get there.

Letters: P proposals, D detections.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from detectors.contract import Detector
from harness.coco import detection_rows
from harness.modelcard import ModelCard
from harness.photographs import Photographs
from harness.precision import arithmetic
from harness.proposals import ProposalSource, source
from harness.proposals.cache import default_cache_dir, gather
from harness.proposals.precomputed import Precomputed
from harness.restoring import restore

__all__ = ["LEAST_SCORES", "Detecting", "Found", "boxes_for", "doubts"]

LEAST_SCORES: Mapping[str | None, float] = MappingProxyType({"softmax": 0.5, "svm": 0.0})
"""By kind of score, the least that is worth showing: a class more likely than all others together, and the positive
side of an SVM's plane."""
_SEARCHED_PX = 500
"""Longer side at which boxes are looked for in larger photographs, since selective search depends on scale.

Differs from [RCNN 4.2]: the longer side in place of the width, and smaller photographs stay as they are, because those
of VOC, on which models are fitted, have longer sides of 500 px at most."""
_AS_FITTED_ON_FILE = "selective-search"


@dataclass(frozen=True, slots=True)
class Found:
    """The detections of one photograph, best first."""

    image_id: str
    file: Path
    image: npt.NDArray[np.uint8]
    """RGB, (H, W, 3)."""
    boxes: npt.NDArray[np.float32]
    """(D, 4) px of that image, half-open."""
    scores: npt.NDArray[np.float32]
    """(D,), falling."""
    names: tuple[str, ...]
    """D names of classes."""
    rows: tuple[dict[str, Any], ...]
    """The same in COCO results format, with the name of the class beside ``category_id``."""

    def shown(self, least_score: float | None, top: int | None) -> Self:
        """Those detections alone that have at least this score, and of them the `top` best; None sets no limit."""
        kept = len(self.scores) if least_score is None else int((self.scores >= least_score).sum())
        kept = kept if top is None else min(kept, top)
        parts = (self.boxes[:kept], self.scores[:kept], self.names[:kept], self.rows[:kept])
        return type(self)(self.image_id, self.file, self.image, *parts)


class Detecting:
    """A restored model, and photographs with their boxes."""

    def __init__(
        self,
        card: ModelCard,
        photographs: Photographs,
        source: ProposalSource,
        device: str,
        on_progress: Callable[[int, int], None],
    ) -> None:
        """Restore the model and find all boxes; `on_progress` hears how many photographs of how many have theirs.

        Raises:
            ModelCardError: the model cannot be restored.
            ProposalError: the source refuses a photograph.
        """
        self._detector: Detector = restore(card, device)
        self._precision = str(card.plan.get("precision", "fp32"))
        self._photographs = photographs
        # Boxes that were read from a file are of the photograph at its own size.
        self._searched = photographs if isinstance(source, Precomputed) else photographs.shrunk(_SEARCHED_PX)
        self._boxes = gather(
            self._searched,
            source,
            max_proposals=card.max_proposals,
            cache_dir=default_cache_dir(),
            workers=os.cpu_count() or 1,
            on_progress=on_progress,
        ).boxes

    @property
    def score_kind(self) -> str | None:
        """What scores are: ``softmax``, ``svm``, or None where the method does not say."""
        kind: str | None = getattr(self._detector, "score_kind", None)
        return kind

    def detect(self, index: int) -> Found:
        """All detections in one photograph."""
        image = self._photographs.image(index)
        boxes = self._proposals(index, image.shape[:2])
        pixels = torch.from_numpy(image).permute(2, 0, 1).contiguous()
        with arithmetic(self._precision):
            said = self._detector.detect(pixels, torch.from_numpy(boxes))
        names = tuple(self._photographs.classes[label - 1] for label in said.labels.tolist())
        image_id, corners, scores = self._photographs.ids[index], said.boxes.numpy(), said.scores.numpy()
        rows = detection_rows(image_id, corners, scores, said.labels.numpy())
        named = tuple({**row, "category": name} for row, name in zip(rows, names, strict=True))
        return Found(image_id, self._photographs.files[index], image, corners, scores, names, named)

    def _proposals(self, index: int, size: tuple[int, int]) -> npt.NDArray[np.float32]:
        """Boxes (P, 4) px of a photograph of height and width `size`, from those of it as it was searched."""
        height, width = size
        searched_height, searched_width = self._searched.size_of(height, width)
        if (searched_height, searched_width) == size:
            return self._boxes[index]
        across, down = width / searched_width, height / searched_height
        enlarged = self._boxes[index] * np.array([across, down, across, down])
        return np.asarray(enlarged.clip(0, [width, height, width, height]), dtype=np.float32)


def boxes_for(card: ModelCard, asked: str | None, photographs: Photographs) -> ProposalSource:
    """The source that was asked for, else the one that the model was fitted with.

    A model that was fitted on boxes read from a file gets selective search, as those are of other images.

    Raises:
        ProposalError: there is no such source, or its file lacks a photograph.
    """
    spec = card.proposals if asked is None else asked
    if asked is None and _fitted_on_file(card):
        spec = _AS_FITTED_ON_FILE
    return source(spec, photographs.ids, max_proposals=card.max_proposals)


def _fitted_on_file(card: ModelCard) -> bool:
    """Whether the boxes of the fit were read from a file."""
    return card.trained_on.proposals.get("name") == "precomputed"


def doubts(card: ModelCard, asked: str | None) -> list[str]:
    """What is to be known before the detections of a model are believed, a line each."""
    found = []
    if card.weights_sha256 == "random":
        found.append(f"the {card.backbone} under {card.method} was never pretrained: expect little of its detections")
    name = card.trained_on.proposals.get("name")
    if asked is None and _fitted_on_file(card):
        found.append(f"{card.method} was fitted on boxes of {card.proposals}; these are of {_AS_FITTED_ON_FILE}")
    if "uniform" in (asked, name if asked is None else None):
        found.append("uniform boxes are drawn at random and hit an object by chance; give --proposals selective-search")
    return found
