"""Linear SVMs, one per class against all else, trained by hard negative mining [RCNN 2.3].

minimise ``|w|^2 / 2 + (b / B)^2 / 2 + C * sum of weighted hinge losses``, the positives weighing twice: liblinear's
solver 3, which the released code uses (rcnn_train.m). Almost all boxes are negatives, most of them easy; one pass over
the images collects those that the current classifier does not reject clearly. Letters: P boxes of an image, K classes,
d features, p positives, n negatives.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

__all__ = [
    "HardNegativeMiner",
    "LinearClassifiers",
    "SvmSettings",
    "TrainedSvm",
    "feature_scale",
    "scaled_cost",
    "train_svm",
]

_VOC07_TRAINVAL_IMAGES = 5011
"""What the published C was chosen for [RCNN 2.3]."""
_PASSES = (1_000, 20_000)
"""Passes over the samples that the solver may take; the second bound counts where the first does not suffice."""


@dataclass(frozen=True, slots=True)
class SvmSettings:
    """The released numbers (rcnn_train.m)."""

    c: float = 1e-3
    """Weight of the losses, for a training set of 5,011 images; see `scaled_cost`."""
    bias_mult: float = 10.0
    """B, the constant feature of the bias: so large that the bias is hardly regularised."""
    positive_weight: float = 2.0
    """A positive's loss counts this often."""
    negative_iou: float = 0.3
    """Negatives overlap every object of the class by less [RCNN 2.3]."""
    hard_threshold: float = -1.0001
    """A negative that scores above this joins the cache."""
    evict_threshold: float = -1.2
    """A cached negative that scores below this leaves it."""
    retrain_limit: int = 2000
    """More new negatives than this retrain the class."""
    feature_norm: float = 20.0
    """Features are scaled to this mean L2 norm; see `feature_scale`."""
    cache_limit: int = 20_000
    """Differs from [RCNN 2.3]: a class keeps its hardest negatives up to this number, because memory is bounded."""


class TrainedSvm(NamedTuple):
    """One classifier: score = weight . x + bias."""

    weight: torch.Tensor
    """float32 (d,)."""
    bias: float
    converged: bool
    """Whether the solver met its tolerance; if not, the weights are the best it had."""


@dataclass(frozen=True, slots=True)
class LinearClassifiers:
    """The classifiers of K classes."""

    weight: torch.Tensor
    """float32 (K, d). 0 for a class that could not be trained."""
    bias: torch.Tensor
    """float32 (K,). -inf for a class that could not be trained, so that it is never detected."""
    converged: torch.Tensor
    """bool (K,): whether the last training met its tolerance."""

    def scores(self, features: torch.Tensor) -> torch.Tensor:
        """Scores (N, K) of features (N, d)."""
        return torch.addmm(self.bias, features, self.weight.T)


def feature_scale(features: torch.Tensor, feature_norm: float = 20.0) -> float:
    """The factor that brings features to a mean L2 norm of 20 (rcnn_feature_stats.m, rcnn_scale_features.m).

    `features` are feature vectors (n, d) or, so that a caller need not keep those, their L2 norms (n,). The factor is 1
    where there are none or all are 0.
    """
    norms = features.norm(dim=1) if features.ndim == 2 else features
    mean = float(norms.double().mean()) if len(norms) else 0.0
    return feature_norm / mean if mean > 0 else 1.0


def scaled_cost(c: float, n_images: int) -> float:
    """C for a training set of `n_images`, where `c` is meant for 5,011; never below `c`."""
    # Differs from [RCNN 2.3]: C is 1e-3 whatever the training set; C * images is kept constant here because the losses
    # are summed over samples, so that the same C regularises a smaller set more.
    return max(c, c * _VOC07_TRAINVAL_IMAGES / max(n_images, 1))


def train_svm(
    positives: torch.Tensor,
    negatives: torch.Tensor,
    *,
    c: float,
    bias_mult: float = 10.0,
    positive_weight: float = 2.0,
) -> TrainedSvm:
    """Tell positives (p, d) from negatives (n, d); the weight comes back on their device. Deterministic.

    Raises:
        ValueError: no positive or no negative.
    """
    if len(positives) == 0 or len(negatives) == 0:
        raise ValueError(f"samples of an SVM: expected both kinds, got {len(positives)} positive, {len(negatives)} not")
    samples = torch.cat([positives, negatives]).double().cpu().numpy()
    labels = np.repeat([1, -1], [len(positives), len(negatives)])
    for passes in _PASSES:
        solver = LinearSVC(
            loss="hinge",
            dual=True,
            C=c,
            intercept_scaling=bias_mult,
            class_weight={1: positive_weight},
            random_state=0,
            max_iter=passes,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            solver.fit(samples, labels)
        converged = bool(np.max(solver.n_iter_) < passes)
        if converged:
            break
    weight = torch.from_numpy(solver.coef_[0]).float().to(positives.device)
    return TrainedSvm(weight, float(solver.intercept_[0]), converged)


@dataclass(slots=True)
class _Cache:
    """The samples of one class."""

    positives: torch.Tensor
    negatives: list[torch.Tensor] = field(default_factory=list)
    added: int = 0
    """Negatives since the last training."""


class HardNegativeMiner:
    """Trains K classifiers in one pass over the training images, of which it keeps only what is hard.

    Until a class has been trained, all its negatives are hard: the first image contributes all of them. A class without
    positives, or that meets no negative, is skipped: its weights are 0 and its bias is -inf.
    """

    def __init__(self, positives: Sequence[torch.Tensor], settings: SvmSettings) -> None:
        """Start from the positives (p_k, d) of each class, scaled by `feature_scale`; p_k may be 0."""
        self._settings = settings
        self._caches = [_Cache(part) for part in positives]
        device, width = positives[0].device, positives[0].shape[1]
        self._weight = torch.zeros(len(positives), width, device=device)
        # An infinite bias makes every box of an untrained class hard, and none of a class that cannot be trained.
        self._bias = torch.tensor([math.inf if len(part) else -math.inf for part in positives], device=device)
        self._converged = torch.ones(len(positives), dtype=torch.bool, device=device)

    def add_image(self, features: torch.Tensor, max_iou_by_class: torch.Tensor) -> None:
        """Take the hard negatives of one image.

        Args:
            features: float (P, d), scaled as the positives are.
            max_iou_by_class: float (P, K), largest IoU of the box with an object of the class; 0 where there is none.
        """
        scores = torch.addmm(self._bias, features.float(), self._weight.T)
        hard = (max_iou_by_class < self._settings.negative_iou) & (scores > self._settings.hard_threshold)
        for k in hard.any(dim=0).nonzero().flatten().tolist():
            cache = self._caches[k]
            cache.negatives.append(features[hard[:, k]].float())
            cache.added += len(cache.negatives[-1])
            if cache.added > self._settings.retrain_limit or self._bias[k] == math.inf:
                self._train(k)

    def finish(self) -> LinearClassifiers:
        """Train every class once more on what its cache holds."""
        for k, cache in enumerate(self._caches):
            # Where the last training evicted every negative, its weights stand.
            if len(cache.positives) and any(len(part) for part in cache.negatives):
                self._train(k)
        untrained = self._bias == math.inf
        return LinearClassifiers(
            self._weight.clone(), self._bias.masked_fill(untrained, -math.inf), self._converged.clone()
        )

    def _train(self, k: int) -> None:
        cache, settings = self._caches[k], self._settings
        negatives = torch.cat(cache.negatives)
        trained = train_svm(
            cache.positives,
            negatives,
            c=settings.c,
            bias_mult=settings.bias_mult,
            positive_weight=settings.positive_weight,
        )
        self._weight[k], self._bias[k], self._converged[k] = trained.weight, trained.bias, trained.converged
        scores = negatives @ trained.weight + trained.bias
        hardest = scores.argsort(descending=True, stable=True)[: settings.cache_limit]
        kept = hardest[scores[hardest] >= settings.evict_threshold].sort().values
        cache.negatives, cache.added = [negatives[kept]], 0
