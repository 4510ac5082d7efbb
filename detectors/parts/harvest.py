"""What the first pass over the training images collects for SVMs and regressors.

The objects of each class, the boxes near them with their targets, and how large features are. Letters: P boxes of an
image, N boxes, K classes, d features of the SVMs, e pooled features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from detectors.contract import progress
from detectors.parts.boxes import encode
from detectors.parts.regions import Regions

__all__ = ["Extract", "Harvest", "Reservoir", "gather"]

Extract = Callable[[int, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""(index of a training image, boxes (N, 4)) -> pooled features (N, e) and the features (N, d) that the SVMs score, on
any device. Both may be the same tensor."""

_NORM_IMAGES = 200
_NORM_BOXES = 200
"""The mean feature norm is taken over up to 200 random images with 200 random boxes each (rcnn_feature_stats.m)."""


class Reservoir:
    """Rows of K classes; past a budget the largest class keeps each of its rows with half the probability.

    Every row draws a number when it comes and stays while that is below its class's share, so that what is kept is a
    uniform sample of what came.
    """

    def __init__(self, n_classes: int, width: int, most_bytes: int, generator: torch.Generator) -> None:
        self._parts: list[list[torch.Tensor]] = [[] for _ in range(n_classes)]
        self._draws: list[list[torch.Tensor]] = [[] for _ in range(n_classes)]
        self._shares, self._held, self.seen = [1.0] * n_classes, [0] * n_classes, 0
        self._width, self._most, self._generator = width, most_bytes // (4 * width), generator

    @property
    def held(self) -> int:
        """Rows of all classes."""
        return sum(self._held)

    def add(self, k: int, rows: torch.Tensor) -> None:
        """Take float32 rows (n, width) of class k, 0..K-1."""
        if len(rows) == 0:
            return
        draws = torch.rand(len(rows), generator=self._generator, dtype=torch.float64)
        self.seen += len(rows)
        self._parts[k].append(rows)
        self._draws[k].append(draws)
        self._held[k] += len(rows)
        if self._shares[k] < 1:
            self._thin(k, last=True)
        while self.held > max(self._most, len(self._held)):
            largest = max(range(len(self._held)), key=self._held.__getitem__)
            self._shares[largest] /= 2
            self._thin(largest, last=False)

    def _thin(self, k: int, *, last: bool) -> None:
        """Drop the rows of class k whose draw is not below its share, of the last part or of all."""
        first = len(self._parts[k]) - 1 if last else 0
        for place in range(first, len(self._parts[k])):
            staying = self._draws[k][place] < self._shares[k]
            self._parts[k][place] = self._parts[k][place][staying]
            self._draws[k][place] = self._draws[k][place][staying]
        self._held[k] = sum(len(part) for part in self._parts[k])

    def take(self, k: int) -> torch.Tensor:
        """The rows (n, width) of class k, which it forgets."""
        parts, self._parts[k], self._draws[k], self._held[k] = self._parts[k], [], [], 0
        return torch.cat(parts) if parts else torch.zeros(0, self._width)


@dataclass(slots=True)
class Harvest:
    """Samples and norms of features."""

    positives: Reservoir
    """SVM features of the objects."""
    near: Reservoir
    """Pooled features of the boxes near an object and, behind them, the 4 targets."""
    norms: list[torch.Tensor] = field(default_factory=list)
    """L2 norms (n,) of the SVM features of random boxes, an image an entry."""
    pooled_norms: list[torch.Tensor] = field(default_factory=list)
    """Those of their pooled features."""

    def counts(self) -> torch.Tensor:
        """int64 (2, 2): of the objects and of the boxes near them, how many are held and how many came."""
        return torch.tensor([[kept.held, kept.seen] for kept in (self.positives, self.near)])


def gather(
    harvest: Harvest, regions: Sequence[Regions], extract: Extract, *, min_iou: float, generator: torch.Generator
) -> None:
    """Go through the images once; a box is near the object that it overlaps most if their IoU is above `min_iou`."""
    for_norm = set(torch.randperm(len(regions), generator=generator)[:_NORM_IMAGES].tolist())
    for index, item in enumerate(regions):
        labels = item.best_label
        near = (item.best_iou > min_iou) & (labels > 0)
        wanted = near.clone()
        wanted[: item.n_truth] = True
        sampled = torch.zeros_like(near)
        if index in for_norm:
            sampled[torch.randperm(len(sampled), generator=generator)[:_NORM_BOXES]] = True
        picked = (wanted | sampled).nonzero().squeeze(1)
        if len(picked):
            boxes, targets = item.boxes[picked], encode(item.boxes[picked], item.best_box[picked])
            pooled, features = extract(index, boxes)
            _note_norms(harvest, pooled, features, sampled[picked])
            pooled, features = _on_cpu(pooled, features)
            for k in labels[wanted].unique().tolist():
                mine = labels[picked] == k
                harvest.positives.add(k - 1, features[mine & (picked < item.n_truth)])
                rows = (mine & near[picked]).nonzero().squeeze(1)
                harvest.near.add(k - 1, torch.cat([pooled[rows], targets[rows]], dim=1))
        text = f"{harvest.positives.seen:,} objects, {harvest.near.seen:,} boxes near them"
        progress(index + 1, len(regions), text)


def _on_cpu(pooled: torch.Tensor, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    here = features.float().cpu()
    return here if pooled is features else pooled.float().cpu(), here


def _note_norms(harvest: Harvest, pooled: torch.Tensor, features: torch.Tensor, sampled: torch.Tensor) -> None:
    rows = sampled.nonzero().squeeze(1).to(features.device)
    norms = features[rows].float().norm(dim=1).cpu()
    harvest.norms.append(norms)
    harvest.pooled_norms.append(norms if pooled is features else pooled[rows].float().norm(dim=1).cpu())
