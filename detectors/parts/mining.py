"""Hard negative mining: one pass over the images that keeps the negatives that a classifier does not reject clearly.

Almost all boxes are negatives, most of them easy; SVMs trained on the hard ones, again and again as these come in, end
near those trained on all [RCNN 2.3] (rcnn_train.m). Letters: P boxes of an image, K classes, d features, p positives.

Memory, all of it the host's: the caches of all classes together take at most `SvmSettings.cache_bytes` and the hard
negatives of the image at hand, 4 d a row, beside the positives and one training (see `detectors.parts.svm`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torchvision.ops import nms

from detectors.parts.svm import SvmSettings, train_svm

__all__ = ["HardNegativeMiner", "LinearClassifiers"]


@dataclass(frozen=True, slots=True)
class LinearClassifiers:
    """The classifiers of K classes."""

    weight: torch.Tensor
    """float32 (K, d). 0 for a class that could not be trained."""
    bias: torch.Tensor
    """float32 (K,). -inf for a class that could not be trained, so that it is never detected."""
    converged: torch.Tensor
    """bool (K,): whether the last training met its tolerance; True for a class that could not be trained."""


@dataclass(slots=True)
class _Cache:
    """The samples of one class."""

    positives: torch.Tensor
    negatives: list[torch.Tensor] = field(default_factory=list)
    held: int = 0
    """How many negatives there are."""
    added: int = 0
    """How many of them came after the last training."""


class HardNegativeMiner:
    """Trains K classifiers in one pass over the training images, of which it keeps only what is hard.

    Until a class has been trained, all its negatives are hard: the first image contributes all of them. A class without
    positives, or that meets no negative, is skipped: its weights are 0 and its bias is -inf.
    """

    def __init__(self, positives: Sequence[torch.Tensor], settings: SvmSettings) -> None:
        """Start from the positives (p_k, d) of each class, on the CPU, scaled by `feature_scale`; p_k may be 0."""
        self._settings = settings
        self._caches = [_Cache(part) for part in positives]
        width, trainable = positives[0].shape[1], max(1, sum(len(part) > 0 for part in positives))
        room = settings.cache_bytes // (4 * width * trainable)
        self._retrain_at = min(settings.retrain_limit, room // 2)
        self._keep = max(1, min(settings.cache_limit, room - self._retrain_at))
        self._weight = torch.zeros(len(positives), width)
        # An infinite bias makes every box of an untrained class hard, and none of a class that cannot be trained.
        self._bias = torch.tensor([math.inf if len(part) else -math.inf for part in positives])
        self._converged = torch.ones(len(positives), dtype=torch.bool)

    @property
    def held(self) -> int:
        """Hard negatives in the caches of all classes."""
        return sum(cache.held for cache in self._caches)

    def add_image(
        self, features: torch.Tensor, max_iou_by_class: torch.Tensor, boxes: torch.Tensor | None = None
    ) -> None:
        """Take the hard negatives of one image.

        Args:
            features: float (P, d), scaled as the positives are, on any device.
            max_iou_by_class: float (P, K) on the CPU, largest IoU of the box with an object of the class; 0 where there
                is none.
            boxes: float32 (P, 4) px on the CPU; needed where `negative_overlap` is set.

        Raises:
            ValueError: `negative_overlap` is set and there are no boxes.
        """
        weight, bias = self._weight.to(features.device), self._bias.to(features.device)
        scores = torch.addmm(bias, features.float(), weight.T).cpu()
        hard = (max_iou_by_class < self._settings.negative_iou) & (scores > self._settings.hard_threshold)
        if self._settings.negative_overlap is not None:
            hard = _without_overlapping(boxes, scores, hard, self._settings.negative_overlap)
        picked = hard.any(dim=1).nonzero().flatten()
        rows, hard = features[picked.to(features.device)].float().cpu(), hard[picked]
        for k in hard.any(dim=0).nonzero().flatten().tolist():
            cache = self._caches[k]
            cache.negatives.append(rows[hard[:, k]])
            cache.held += len(cache.negatives[-1])
            cache.added += len(cache.negatives[-1])
            if cache.added > self._retrain_at or self._bias[k] == math.inf:
                self._train(k)

    def finish(self) -> LinearClassifiers:
        """Train every class once more on what its cache holds."""
        for k, cache in enumerate(self._caches):
            # Where the last training evicted every negative, its weights stand.
            if len(cache.positives) and cache.held:
                self._train(k)
        untrained = self._bias == math.inf
        return LinearClassifiers(
            self._weight.clone(), self._bias.masked_fill(untrained, -math.inf), self._converged.clone()
        )

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that it has learnt, for `load_state_dict`; shares its tensors."""
        for cache in self._caches:
            cache.negatives = [_joined(cache)]
        return {
            "weight": self._weight,
            "bias": self._bias,
            "converged": self._converged,
            "added": torch.tensor([cache.added for cache in self._caches]),
            **{f"negatives.{k}": cache.negatives[0] for k, cache in enumerate(self._caches)},
        }

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on where a miner with the same positives and settings gave its `state_dict`."""
        # Copies, because a training writes into them.
        self._weight, self._bias, self._converged = (state[name].clone() for name in ("weight", "bias", "converged"))
        for k, (cache, added) in enumerate(zip(self._caches, state["added"].tolist(), strict=True)):
            cache.negatives, cache.added = [state[f"negatives.{k}"]], added
            cache.held = len(cache.negatives[0])

    def _train(self, k: int) -> None:
        cache, settings = self._caches[k], self._settings
        negatives = _joined(cache)
        cache.negatives = []
        trained = train_svm(
            cache.positives,
            negatives,
            c=settings.c,
            bias_mult=settings.bias_mult,
            positive_weight=settings.positive_weight,
        )
        self._weight[k], self._bias[k], self._converged[k] = trained.weight, trained.bias, trained.converged
        scores = negatives @ trained.weight + trained.bias
        hardest = scores.argsort(descending=True, stable=True)[: self._keep]
        kept = hardest[scores[hardest] >= settings.evict_threshold].sort().values
        cache.negatives, cache.held, cache.added = [negatives[kept]], len(kept), 0


def _joined(cache: _Cache) -> torch.Tensor:
    if len(cache.negatives) == 1:
        return cache.negatives[0]
    return torch.cat(cache.negatives) if cache.negatives else cache.positives.new_zeros(0, cache.positives.shape[1])


def _without_overlapping(
    boxes: torch.Tensor | None, scores: torch.Tensor, hard: torch.Tensor, most_iou: float
) -> torch.Tensor:
    """Of the hard negatives (P, K) those that no higher-scoring one of the same class overlaps by more."""
    if boxes is None:
        raise ValueError("boxes of an image: expected float32 (P, 4), because negative_overlap is set, got None")
    kept = torch.zeros_like(hard)
    for k in hard.any(dim=0).nonzero().flatten().tolist():
        rows = hard[:, k].nonzero().flatten()
        kept[rows[nms(boxes[rows], scores[rows, k], most_iou)], k] = True
    return kept
