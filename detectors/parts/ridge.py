"""Box regression: one ridge regressor per class, from pooled features to the four deltas of a box.

minimise ``||A beta - Y||^2 + lambda ||beta||^2`` with a column of ones appended to the features, regularised like any
other, and targets centred [RCNN App. C] (rcnn_train_bbox_regressor.m). Letters: n samples, d features, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

__all__ = ["ClassRidge", "RidgeRegressor", "fit_ridge"]

_FLOAT64_VALUES = 2**25
"""Up to this many feature values they are copied to float64: 256 MiB. Beyond, float32 is right to about 1e-6, and the
features are not copied."""


@dataclass(frozen=True, slots=True)
class RidgeRegressor:
    """An affine map from features to deltas: features @ weight + bias."""

    weight: torch.Tensor
    """float32 (d, 4)."""
    bias: torch.Tensor
    """float32 (4,)."""


def fit_ridge(features: torch.Tensor, targets: torch.Tensor, *, ridge_lambda: float = 1000.0) -> RidgeRegressor:
    """Fit deltas (n, 4) to features (n, d), on the device of the features; lambda is 1,000 [RCNN App. C].

    Solved by Cholesky, with n unknowns in place of d + 1 where there are fewer samples than features: the same answer,
    ``A' (A A' + lambda I)^-1 Y = (A' A + lambda I)^-1 A' Y``. Takes two square matrices of min(n, d + 1) rows: 1.3 GB
    at most for 12,800 features.

    Raises:
        ValueError: no sample.
    """
    if len(features) == 0 or len(features) != len(targets):
        raise ValueError(
            f"samples of a ridge: expected as many features as targets, got {len(features)}, {len(targets)}"
        )
    dtype = torch.float64 if features.numel() <= _FLOAT64_VALUES else torch.float32
    # Differs from [RCNN App. C]: the released code whitens the targets and undoes it in the prediction; that is left
    # out because with one lambda for all four targets the two cancel exactly, and a test says so.
    mean = targets.to(dtype).mean(dim=0)
    centred = targets.to(dtype) - mean
    x = features.to(dtype)
    if len(x) <= x.shape[1]:
        # A column of ones adds 1 to every inner product of two samples.
        dual = _solve((x @ x.T).add_(1), centred, ridge_lambda)
        weight, bias = x.T @ dual, dual.sum(dim=0)
    else:
        sums, gram = x.sum(dim=0), x.new_empty(x.shape[1] + 1, x.shape[1] + 1)
        torch.mm(x.T, x, out=gram[:-1, :-1])
        gram[-1, :-1], gram[:-1, -1], gram[-1, -1] = sums, sums, len(x)
        beta = _solve(gram, torch.cat([x.T @ centred, centred.sum(dim=0, keepdim=True)]), ridge_lambda)
        weight, bias = beta[:-1], beta[-1]
    return RidgeRegressor(weight.float(), (bias + mean).float())


def _solve(gram: torch.Tensor, right: torch.Tensor, ridge_lambda: float) -> torch.Tensor:
    gram.diagonal().add_(ridge_lambda)
    return torch.cholesky_solve(right, torch.linalg.cholesky(gram))


@dataclass(frozen=True, slots=True)
class ClassRidge:
    """The regressors of K classes."""

    weight: torch.Tensor
    """float32 (K, d, 4)."""
    bias: torch.Tensor
    """float32 (K, 4)."""

    @classmethod
    def fit(cls, samples: Iterable[tuple[torch.Tensor, torch.Tensor]], *, ridge_lambda: float = 1000.0) -> ClassRidge:
        """Fit one regressor a class to its features (n_k, d) and targets (n_k, 4), one class after another.

        A class without samples predicts 0 for every delta, which leaves a box where it is.
        """
        fitted = []
        for x, y in samples:
            if len(x) == 0:
                fitted.append(RidgeRegressor(x.new_zeros(x.shape[1], 4).float(), x.new_zeros(4).float()))
            else:
                fitted.append(fit_ridge(x, y, ridge_lambda=ridge_lambda))
        return cls(torch.stack([one.weight for one in fitted]), torch.stack([one.bias for one in fitted]))
