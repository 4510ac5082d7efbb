"""What R-CNN and SPP-net learn after the network: linear SVMs on its features and ridge regressors on pooled ones.

Both papers train them alike [RCNN 2.3, App. B, C; SPP 4.1], and SPP-net's released code is R-CNN's at this point. The
training images are gone through twice: once for the objects, the boxes near them and the size of the features; once,
image by image, for hard negatives, so that the features of all boxes never have to be kept.

Letters: P boxes of an image, N boxes, K classes, d features of the SVMs, e pooled features.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from detectors.contract import Stage, notice, progress, stage
from detectors.parts.harvest import Extract, Harvest, Reservoir, gather
from detectors.parts.mining import HardNegativeMiner, LinearClassifiers
from detectors.parts.regions import Regions
from detectors.parts.ridge import ClassRidge
from detectors.parts.svm import SvmSettings, feature_scale
from detectors.parts.tensorfiles import TensorFiles

__all__ = ["PostHoc", "RidgeSettings", "fit_posthoc"]

_IMAGES_PER_CHECKPOINT = 200
"""What a stop costs at most of the second pass."""
_FIRST_PASS, _MINING = "posthoc-first-pass.pt", "posthoc-mining.pt"


@dataclass(frozen=True, slots=True)
class RidgeSettings:
    """Box regression by ridge."""

    ridge_lambda: float = 1000.0
    """[RCNN App. C]"""
    min_iou: float = 0.6
    """A box teaches the regressor of the object that it overlaps most if their IoU is above this [RCNN App. C]."""
    sample_bytes: int = 4 * 2**30
    """What the boxes near objects may take, 4 (e + 4) a box: room for 116,000 with 9,216 pooled features, 84,000 with
    12,800. At 30 boxes an object, VOC07 trainval has 470,000 near its 15,662 objects, 24 GB of the latter.

    Differs from [RCNN App. C]: beyond this the largest classes learn from a random share of their boxes, because memory
    is bounded; so are the systems to solve, whose exact sums (e + 1)^2 would take 13 GB for 20 classes in float32."""


class PostHoc(nn.Module):
    """K linear SVMs and K ridge regressors; the factors that bring features to norm 20 lie within the weights.

    Computes in float32, whatever the features come in.
    """

    svm_weight: torch.Tensor
    svm_bias: torch.Tensor
    ridge_weight: torch.Tensor
    ridge_bias: torch.Tensor

    def __init__(self, n_classes: int, width: int, pooled: int) -> None:
        """K classes, `width` features that SVMs score, `pooled` features a region. Scores -inf until it is filled."""
        super().__init__()
        self.register_buffer("svm_weight", torch.zeros(width, n_classes))
        self.register_buffer("svm_bias", torch.full((n_classes,), -math.inf))
        self.register_buffer("ridge_weight", torch.zeros(pooled, 4 * n_classes))
        self.register_buffer("ridge_bias", torch.zeros(4 * n_classes))

    def fill(self, svm: LinearClassifiers, svm_factor: float, ridge: ClassRidge, ridge_factor: float) -> None:
        """Take over what was learnt on features times these factors."""
        self.svm_weight.copy_(svm.weight.T * svm_factor)
        self.svm_bias.copy_(svm.bias)
        self.ridge_weight.copy_(ridge.weight.transpose(0, 1).flatten(1) * ridge_factor)
        self.ridge_bias.copy_(ridge.bias.flatten())

    def initialise(self, generator: torch.Generator) -> None:
        """Draw small weights and no bias, so that every class finds boxes, which mean nothing."""
        for weight, deviation in ((self.svm_weight, 1e-2), (self.ridge_weight, 1e-4)):
            weight.copy_(torch.randn(weight.shape, generator=generator) * deviation)
        self.svm_bias.zero_()
        self.ridge_bias.zero_()

    def scores(self, features: torch.Tensor) -> torch.Tensor:
        """(N, K) SVM scores of features (N, d); -inf for a class that had no object in training."""
        return torch.addmm(self.svm_bias, features.float(), self.svm_weight)

    def deltas(self, pooled: torch.Tensor) -> torch.Tensor:
        """(N, K, 4) box deltas of pooled features (N, e), for `detectors.parts.boxes.decode`."""
        flat = torch.addmm(self.ridge_bias, pooled.float(), self.ridge_weight)
        return flat.view(len(pooled), len(self.svm_bias), 4)


@dataclass(slots=True)
class _FirstPass:
    """What the first pass over the images leaves."""

    positives: list[torch.Tensor]
    """(p_k, d) of each class, times `svm_factor`."""
    svm_factor: float
    """What brings the SVM features to norm 20."""
    ridge: ClassRidge
    """Fitted to pooled features times `ridge_factor`."""
    ridge_factor: float
    counts: torch.Tensor
    """See `Harvest.counts`."""

    def state_dict(self, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """All of it, with the state that the generator is left in."""
        return {
            "generator": generator.get_state(),
            "factors": torch.tensor([self.svm_factor, self.ridge_factor], dtype=torch.float64),
            "counts": self.counts,
            "ridge_weight": self.ridge.weight,
            "ridge_bias": self.ridge.bias,
            **{f"positives.{k}": part for k, part in enumerate(self.positives)},
        }

    @classmethod
    def restored(cls, state: Mapping[str, torch.Tensor], generator: torch.Generator) -> _FirstPass:
        """What gave this state; brings the generator to where it was left."""
        generator.set_state(state["generator"])
        svm_factor, ridge_factor = state["factors"].tolist()
        ridge = ClassRidge(state["ridge_weight"], state["ridge_bias"])
        positives = [state[f"positives.{k}"] for k in range(len(ridge.bias))]
        return cls(positives, svm_factor, ridge, ridge_factor, state["counts"])

    def tell_dropped(self) -> None:
        """A notice for each kind of which rows were dropped."""
        for what, (held, seen) in zip(
            ("objects for the SVMs", "boxes for the regressors"), self.counts.tolist(), strict=True
        ):
            if held < seen:
                notice(f"kept {held:,} of {seen:,} {what}, drawn at random, to bound memory")


def _first_pass(
    module: PostHoc,
    regions: Sequence[Regions],
    extract: Extract,
    svm: SvmSettings,
    ridge: RidgeSettings | None,
    generator: torch.Generator,
) -> _FirstPass:
    """Gather, and fit the regressors at once, so that their samples are gone before negatives are mined."""
    n_classes, width, pooled = len(module.svm_bias), len(module.svm_weight), len(module.ridge_weight)
    with stage(Stage.FEATURES):
        near = Reservoir(n_classes, pooled + 4, ridge.sample_bytes if ridge else 0, generator)
        harvest = Harvest(Reservoir(n_classes, width, svm.positive_bytes, generator), near)
        gather(harvest, regions, extract, min_iou=ridge.min_iou if ridge else math.inf, generator=generator)
        none = torch.zeros(0)
        svm_factor = feature_scale(torch.cat([none, *harvest.norms]), svm.feature_norm)
        ridge_factor = feature_scale(torch.cat([none, *harvest.pooled_norms]), svm.feature_norm)
        counts = harvest.counts()
        positives = [harvest.positives.take(k).mul_(svm_factor) for k in range(n_classes)]
    if ridge is None:
        regressors = ClassRidge(torch.zeros(n_classes, pooled, 4), torch.zeros(n_classes, 4))
        return _FirstPass(positives, svm_factor, regressors, ridge_factor, counts)

    def samples() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for k in range(n_classes):
            rows = near.take(k)
            yield rows[:, :-4].mul_(ridge_factor), rows[:, -4:]
            progress(k + 1, n_classes, f"{len(rows):,} boxes of class {k + 1}")

    with stage(Stage.REGRESS):
        regressors = ClassRidge.fit(samples(), ridge_lambda=ridge.ridge_lambda)
    return _FirstPass(positives, svm_factor, regressors, ridge_factor, counts)


def _mine(
    miner: HardNegativeMiner,
    regions: Sequence[Regions],
    extract: Extract,
    factor: float,
    files: TensorFiles,
    state: Mapping[str, torch.Tensor] | None,
) -> LinearClassifiers:
    """The second pass over the images, from where `state` left off."""
    start = 0
    if state is not None:
        start = int(state["images"])
        miner.load_state_dict(state)
    for index in range(start, len(regions)):
        item = regions[index]
        if len(item.boxes):
            _, features = extract(index, item.boxes)
            miner.add_image(features.float() * factor, item.class_iou, item.boxes)
        progress(index + 1, len(regions), f"{miner.held:,} hard negatives")
        if (index + 1) % _IMAGES_PER_CHECKPOINT == 0:
            files.save(_MINING, miner.state_dict() | {"images": torch.tensor(index + 1)})
    return miner.finish()


def fit_posthoc(
    module: PostHoc,
    regions: Sequence[Regions],
    extract: Extract,
    *,
    svm: SvmSettings,
    ridge: RidgeSettings | None,
    generator: torch.Generator,
    workdir: Path | None = None,
    key: str = "",
) -> None:
    """Train SVMs and regressors on the training images and put them into `module`; no regressors without `ridge`.

    The positives of a class are its ground-truth boxes; its negatives are boxes that overlap no object of the class by
    `svm.negative_iou` or more, mined in one pass over the images [RCNN 2.3].

    Memory of the host, beside the features of one image, 4 P (d + e): first `positive_bytes + sample_bytes` and the two
    matrices of `fit_ridge`; then `positive_bytes + cache_bytes` and one training (see `detectors.parts.svm`); in both
    the largest class's share again while its rows are put together. With the settings' defaults, 20 classes and pool5
    of 12,800: 6 + 1.3 GiB, then 6 + 2 GiB.

    With `workdir`, what the first pass leaves is written there, and the state of the second every 200 images, at most
    `positive_bytes` and `cache_bytes` of disk. A later call with the same `key`, which names all that decides the
    features, goes on from there and ends with the same bits; whoever gave the folder deletes it.

    Differs from [SPP 4.1]: negatives that fall on the same cells are not merged, which there only saves time.
    """
    sizes = [tuple(part.shape) for part in module.state_dict().values()]
    files = TensorFiles(workdir, hashlib.sha256(repr((key, svm, ridge, sizes, len(regions))).encode()).hexdigest())
    mining = None
    if (state := files.load(_FIRST_PASS)) is not None:
        first, mining = _FirstPass.restored(state, generator), files.load(_MINING)
    else:
        first = _first_pass(module, regions, extract, svm, ridge, generator)
        files.save(_FIRST_PASS, first.state_dict(generator))
    first.tell_dropped()
    with stage(Stage.SVM):
        miner = HardNegativeMiner(first.positives, svm.for_images(len(regions)))
        classifiers = _mine(miner, regions, extract, first.svm_factor, files, mining)
    unsettled = [str(k + 1) for k in (~classifiers.converged).nonzero().flatten().tolist()]
    if unsettled:
        notice(
            f"SVM of class {', '.join(unsettled)}: stopped before its tolerance of 1e-4, with the best weights it had"
        )
    module.fill(classifiers, first.svm_factor, first.ridge, first.ridge_factor)
