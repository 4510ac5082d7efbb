"""A linear SVM of one class against all else, and what it is trained with [RCNN 2.3].

minimise ``|w|^2 / 2 + (b / B)^2 / 2 + C * sum of weighted hinge losses``, the positives weighing twice: liblinear's
solver 3, which the released code uses (rcnn_train.m). Letters: K classes, d features, p positives, n negatives.

One training takes 24 bytes a value (p + n) d of the host's memory up to 1.5 GiB in all, and 4 bytes a value where that
would be more.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

__all__ = ["SvmSettings", "TrainedSvm", "feature_scale", "train_svm"]

_VOC07_TRAINVAL_IMAGES = 5011
"""What the published weights were chosen for [RCNN 2.3]."""
_PASSES = (1_000, 20_000)
"""Passes over the samples that the solver may take; the second bound counts where the first does not suffice."""
_LIBLINEAR_VALUES = 2**26
"""Up to this many feature values liblinear trains: it makes a float64 copy (8 bytes a value) and lists of its own (16
bytes for each value that is not 0). Beyond, `_descend` does, on one float32 copy; it takes up to 4 times as long."""
_TOLERANCE = 1e-4
"""A sample that decides has its margin right to this; the released -1.0001 leaves room for it.

Differs from [RCNN rcnn_train.m]: it keeps liblinear's own default for this solver, 0.1, because two trainings should
end with the same classifier whatever the order of their samples."""
_BLOCK, _SWEEPS, _BLOCK_PASSES = 128, 3, 3_000
"""Samples whose dual variables `_descend` changes together, how often it does at a visit, and its passes at most."""

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SvmSettings:
    """The released numbers (rcnn_train.m)."""

    c: float = 1e-3
    """Weight of the losses."""
    bias_mult: float = 10.0
    """B, the constant feature of the bias: so large that the bias is hardly regularised."""
    positive_weight: float = 2.0
    """A positive's loss counts this often in a training set of 5,011 images; see `for_images`."""
    negative_iou: float = 0.3
    """Negatives overlap every object of the class by less [RCNN 2.3].

    Differs from [SPP 4.1]: a box that overlaps by exactly 0.3 is no negative, because the released code has none."""
    negative_overlap: float | None = None
    """Of two hard negatives of one image and class that overlap by more, the one that scores higher stays; None keeps
    both. 0.7 is [SPP 4.1]'s "any negative sample is removed if it overlaps another negative sample by more than 70%".
    The paper leaves open which of the two goes and what overlap is: here IoU, greedily from the highest score down, in
    the boxes' own order while the class has not been trained. None of the released code has such a rule, nor R-CNN."""
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
    cache_bytes: int = 4 * 2**30
    """What the caches of all classes may take. Each class with objects has room for cache_bytes / (4 d K) rows, those
    since its last training included: 13,107 for 20 classes on fc7 of 4,096, 4,194 on pool5 of 12,800. Where that is
    little, a class keeps fewer than `cache_limit` and is retrained before `retrain_limit`."""
    positive_bytes: int = 2 * 2**30
    """What the positives of all classes may take. The 15,662 objects of VOC07 trainval take 257 MB on fc7 of 4,096 and
    802 MB on pool5 of 12,800.

    Differs from [RCNN 2.3]: beyond this the largest classes keep a random share of their objects, because memory is
    bounded."""

    def for_images(self, n_images: int) -> SvmSettings:
        """These for a training set of `n_images`: with fewer than 5,011, a positive's loss counts more often.

        Differs from [RCNN 2.3]: it counts twice whatever the training set; here positives weigh together what those of
        5,011 images would, because fewer images have fewer objects but, of thousands of boxes each, as many hard
        negatives as a cache holds: unweighted, those alone decide, and a class of few objects is given up.
        """
        share = max(1.0, _VOC07_TRAINVAL_IMAGES / max(n_images, 1))
        return replace(self, positive_weight=self.positive_weight * share)


class TrainedSvm(NamedTuple):
    """One classifier: score = weight . x + bias."""

    weight: torch.Tensor
    """float32 (d,)."""
    bias: float
    converged: bool
    """Whether the solver met its tolerance; if not, the weights are the best it had."""


def feature_scale(features: torch.Tensor, feature_norm: float = 20.0) -> float:
    """The factor that brings features to a mean L2 norm of 20 (rcnn_feature_stats.m, rcnn_scale_features.m).

    `features` are feature vectors (n, d) or, so that a caller need not keep those, their L2 norms (n,). The factor is 1
    where there are none or all are 0.
    """
    norms = features.norm(dim=1) if features.ndim == 2 else features
    mean = float(norms.double().mean()) if len(norms) else 0.0
    return feature_norm / mean if mean > 0 else 1.0


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
    solve = _liblinear if positives.numel() + negatives.numel() <= _LIBLINEAR_VALUES else _descend
    weight, bias, converged = solve(positives.cpu(), negatives.cpu(), c, bias_mult, positive_weight)
    return TrainedSvm(weight.to(positives.device), bias, converged)


def _liblinear(
    positives: torch.Tensor, negatives: torch.Tensor, c: float, bias_mult: float, positive_weight: float
) -> TrainedSvm:
    samples = np.concatenate([positives.numpy(), negatives.numpy()], dtype=np.float64)
    labels = np.repeat([1, -1], [len(positives), len(negatives)])
    for passes in _PASSES:
        solver = LinearSVC(
            loss="hinge",
            dual=True,
            C=c,
            intercept_scaling=bias_mult,
            class_weight={1: positive_weight},
            random_state=0,
            tol=_TOLERANCE,
            max_iter=passes,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            solver.fit(samples, labels)
        converged = bool(np.max(solver.n_iter_) < passes)
        if converged:
            break
    return TrainedSvm(torch.from_numpy(solver.coef_[0]).float(), float(solver.intercept_[0]), converged)


class _Block:
    """Samples times their signs (m, d + 1), and their dual variables."""

    def __init__(self, rows: torch.Tensor, upper: _Floats) -> None:
        self._rows, self._upper = rows, upper
        self._inner: _Floats = (rows @ rows.T).double().numpy()
        self._a = np.zeros(len(rows))

    def visit(self, w: torch.Tensor) -> float:
        """Improve the dual variables and `w` (d + 1,) in place; return how wrong a margin was before."""
        a, upper, inner = self._a, self._upper, self._inner
        slope: _Floats = (self._rows @ w.float()).double().numpy() - 1
        before, worst = a.copy(), float(self._wrong(slope).max())
        if worst <= _TOLERANCE:
            return worst
        for _ in range(_SWEEPS):
            for i in (self._wrong(slope) > _TOLERANCE / 2).nonzero()[0].tolist():
                step = min(max(a[i] - slope[i] / inner[i, i], 0.0), upper[i]) - a[i]
                a[i] += step
                slope += step * inner[i]
        w += (self._rows.T @ torch.from_numpy(a - before).float()).double()
        return worst

    def _wrong(self, slope: _Floats) -> _Floats:
        """How far each margin is from where its dual variable says that it is: 0 at the optimum."""
        falling = np.where(self._a > 0, slope.clip(min=0), 0.0)
        rising = np.where(self._a < self._upper, slope.clip(max=0), 0.0)
        wrong: _Floats = falling - rising
        return wrong


def _descend(
    positives: torch.Tensor, negatives: torch.Tensor, c: float, bias_mult: float, positive_weight: float
) -> TrainedSvm:
    """liblinear's dual coordinate descent, a block of samples at a time, on float32 rows.

    maximise ``sum(a) - |sum a_i z_i|^2 / 2`` with ``0 <= a_i <= C_i``, where z is a sample times its sign, the constant
    feature B appended; w is ``sum a_i z_i``. Within a block the margins follow from its matrix of inner products. The
    blocks are drawn once from all samples: one of positives alone would push the bias to and fro.
    """
    count, width = len(positives) + len(negatives), positives.shape[1]
    random = np.random.default_rng(0)
    order = random.permutation(count)
    place, is_positive = torch.from_numpy(np.argsort(order)), order < len(positives)
    rows = torch.empty(count, width + 1)
    # Each to its place at once, so that there is one copy and not two.
    rows[:, :width].index_copy_(0, place[: len(positives)], positives.float())
    rows[:, :width].index_copy_(0, place[len(positives) :], negatives.float())
    rows[:, width] = bias_mult
    rows *= torch.from_numpy(np.where(is_positive, 1, -1).astype(np.float32))[:, None]
    upper = np.where(is_positive, c * positive_weight, c)
    blocks = [_Block(rows[i : i + _BLOCK], upper[i : i + _BLOCK]) for i in range(0, count, _BLOCK)]
    w = torch.zeros(width + 1, dtype=torch.float64)
    active, converged = list(range(len(blocks))), False
    for _ in range(_BLOCK_PASSES):
        whole = len(active) == len(blocks)
        active = [i for i in random.permutation(active).tolist() if blocks[i].visit(w) > _TOLERANCE]
        if not active:
            if converged := whole:
                break
            active = list(range(len(blocks)))
    return TrainedSvm(w[:-1].float(), float(w[-1]) * bias_mult, converged)
