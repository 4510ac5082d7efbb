"""What R-CNN and SPP-net learn after the network: linear SVMs on fc7 and ridge regressors on pooled features.

Both papers train them alike [RCNN 2.3, App. B, C; SPP 4.1], and SPP-net's released code is R-CNN's at this point. The
training images are gone through twice: once for the objects, the boxes near them and the size of the features; once,
image by image, for hard negatives, so that the features of all boxes never have to be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from detectors.contract import Stage, progress, stage
from detectors.parts.boxes import encode
from detectors.parts.regions import Regions
from detectors.parts.ridge import ClassRidge
from detectors.parts.svm import HardNegativeMiner, LinearClassifiers, SvmSettings, feature_scale, scaled_cost

__all__ = ["Extract", "PostHoc", "RidgeSettings", "fit_posthoc"]

Extract = Callable[[int, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""(index of a training image, boxes (N, 4)) -> pooled features (N, d) and fc7 features (N, width)."""

_NORM_IMAGES = 200
_NORM_BOXES = 200
"""The mean feature norm is taken over up to 200 random images with 200 random boxes each (rcnn_feature_stats.m)."""


@dataclass(frozen=True, slots=True)
class RidgeSettings:
    """Box regression by ridge."""

    ridge_lambda: float = 1000.0
    """[RCNN App. C]"""
    min_iou: float = 0.6
    """A box teaches the regressor of the object that it overlaps most if their IoU is above this [RCNN App. C]."""


class PostHoc(nn.Module):
    """K linear SVMs and K ridge regressors, with the factors that bring features to norm 20."""

    svm_weight: torch.Tensor
    svm_bias: torch.Tensor
    svm_factor: torch.Tensor
    ridge_weight: torch.Tensor
    ridge_bias: torch.Tensor
    ridge_factor: torch.Tensor

    def __init__(self, n_classes: int, width: int, pooled: int) -> None:
        """K classes, fc7 of `width`, `pooled` features a region. Scores nothing until it is filled."""
        super().__init__()
        self.register_buffer("svm_weight", torch.zeros(n_classes, width))
        self.register_buffer("svm_bias", torch.full((n_classes,), float("-inf")))
        self.register_buffer("svm_factor", torch.ones(()))
        self.register_buffer("ridge_weight", torch.zeros(n_classes, pooled, 4))
        self.register_buffer("ridge_bias", torch.zeros(n_classes, 4))
        self.register_buffer("ridge_factor", torch.ones(()))

    def fill(self, svm: LinearClassifiers, svm_factor: float, ridge: ClassRidge, ridge_factor: float) -> None:
        """Take over what was learnt."""
        self.svm_weight.copy_(svm.weight)
        self.svm_bias.copy_(svm.bias)
        self.svm_factor.fill_(svm_factor)
        self.ridge_weight.copy_(ridge.weight)
        self.ridge_bias.copy_(ridge.bias)
        self.ridge_factor.fill_(ridge_factor)

    def scores(self, features: torch.Tensor) -> torch.Tensor:
        """(N, K) SVM scores of fc7 features (N, width); -inf for a class that had no object in training."""
        return torch.addmm(self.svm_bias, features, self.svm_weight.T * self.svm_factor)

    def deltas(self, pooled: torch.Tensor) -> torch.Tensor:
        """(N, K, 4) box deltas of pooled features (N, d), for `detectors.parts.boxes.decode`."""
        n_classes, inputs, _ = self.ridge_weight.shape
        weight = self.ridge_weight.permute(1, 0, 2).reshape(inputs, -1) * self.ridge_factor
        return (pooled @ weight).view(len(pooled), n_classes, 4) + self.ridge_bias


@dataclass(slots=True)
class _Harvest:
    """What the first pass over the images collects; lists of lists are per class, label k at k - 1."""

    positives: list[list[torch.Tensor]]
    pooled: list[list[torch.Tensor]]
    targets: list[list[torch.Tensor]]
    norm_fc7: list[torch.Tensor]
    norm_pooled: list[torch.Tensor]

    @classmethod
    def empty(cls, n_classes: int) -> _Harvest:
        return cls(
            [[] for _ in range(n_classes)], [[] for _ in range(n_classes)], [[] for _ in range(n_classes)], [], []
        )

    @staticmethod
    def joined(parts: list[list[torch.Tensor]], width: int) -> list[torch.Tensor]:
        return [torch.cat(part) if part else torch.zeros(0, width) for part in parts]


def _gather(
    regions: Sequence[Regions], extract: Extract, settings: RidgeSettings, n_classes: int, generator: torch.Generator
) -> _Harvest:
    harvest = _Harvest.empty(n_classes)
    for_norm = set(torch.randperm(len(regions), generator=generator)[:_NORM_IMAGES].tolist())
    for index, item in enumerate(regions):
        near = (item.best_iou > settings.min_iou) & (item.best_label > 0)
        wanted = near.clone()
        wanted[: item.n_truth] = True
        sampled = torch.zeros_like(near)
        if index in for_norm:
            sampled[torch.randperm(len(sampled), generator=generator)[:_NORM_BOXES]] = True
        picked = (wanted | sampled).nonzero().squeeze(1)
        progress(index + 1, len(regions))
        if len(picked) == 0:
            continue
        pooled, fc7 = (part.cpu() for part in extract(index, item.boxes[picked]))
        harvest.norm_fc7.append(fc7[sampled[picked]].norm(dim=1))
        harvest.norm_pooled.append(pooled[sampled[picked]].norm(dim=1))
        targets = encode(item.boxes[picked], item.best_box[picked])
        for k in item.best_label[picked].unique().tolist():
            of_class = item.best_label[picked] == k
            if k == 0:
                continue
            harvest.positives[k - 1].append(fc7[of_class & (picked < item.n_truth)])
            harvest.pooled[k - 1].append(pooled[of_class & near[picked]])
            harvest.targets[k - 1].append(targets[of_class & near[picked]])
    return harvest


def fit_posthoc(
    module: PostHoc,
    regions: Sequence[Regions],
    extract: Extract,
    *,
    svm: SvmSettings,
    ridge: RidgeSettings,
    generator: torch.Generator,
) -> None:
    """Train SVMs and regressors on the training images and put them into `module`.

    The positives of a class are its ground-truth boxes; its negatives are boxes that overlap no object of the class by
    `svm.negative_iou` or more, mined in one pass over the images [RCNN 2.3].

    Differs from [SPP 4.1]: a negative that overlaps another by more than 70 % is kept, because the released code has no
    such rule; nor are negatives merged that fall on the same cells, which there only saves time.
    """
    n_classes, width = module.svm_weight.shape
    with stage(Stage.FEATURES):
        harvest = _gather(regions, extract, ridge, n_classes, generator)
        svm_factor = feature_scale(torch.cat(harvest.norm_fc7), svm.feature_norm)
        ridge_factor = feature_scale(torch.cat(harvest.norm_pooled), svm.feature_norm)
        positives = [part * svm_factor for part in _Harvest.joined(harvest.positives, width)]
    with stage(Stage.SVM):
        miner = HardNegativeMiner(positives, replace(svm, c=scaled_cost(svm.c, len(regions))))
        for index, item in enumerate(regions):
            if len(item.boxes):
                _, fc7 = extract(index, item.boxes)
                miner.add_image(fc7.cpu() * svm_factor, item.class_iou)
            progress(index + 1, len(regions))
        classifiers = miner.finish()
    with stage(Stage.REGRESS):
        pooled = [part * ridge_factor for part in _Harvest.joined(harvest.pooled, module.ridge_weight.shape[1])]
        regressors = ClassRidge.fit(pooled, _Harvest.joined(harvest.targets, 4), ridge_lambda=ridge.ridge_lambda)
    module.fill(classifiers, svm_factor, regressors, ridge_factor)
