"""Linear SVMs against optima found by another solver, and what they are trained with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.svm import LinearSVC

from detectors.parts.svm import SvmSettings, feature_scale, train_svm


def _samples(p: int, n: int, d: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Overlapping clouds of mean norm about 5."""
    generator = torch.Generator().manual_seed(seed)
    shift = torch.randn(d, generator=generator)
    positives = torch.randn(p, d, generator=generator) + shift
    return positives, torch.randn(n, d, generator=generator)


def _objective(weight: torch.Tensor, bias: float, positives: torch.Tensor, negatives: torch.Tensor, c: float) -> float:
    """The released objective (rcnn_train.m): bias_mult 10, positives count twice."""
    w = weight.double()
    loss = (
        2 * (1 - positives.double() @ w - bias).clamp(min=0).sum()
        + (1 + negatives.double() @ w + bias).clamp(min=0).sum()
    )
    return float(w @ w / 2 + (bias / 10) ** 2 / 2 + c * loss)


def _optimum(positives: torch.Tensor, negatives: torch.Tensor, c: float) -> float:
    """The smallest objective, as the largest dual one: max sum(a) - |sum(a y x)|^2 / 2 with 0 <= a <= C_i."""
    x = np.hstack(
        [torch.cat([positives, negatives]).double().numpy(), np.full((len(positives) + len(negatives), 1), 10)]
    )
    signed = x * np.repeat([1.0, -1.0], [len(positives), len(negatives)])[:, None]
    bounds = [(0, 2 * c)] * len(positives) + [(0, c)] * len(negatives)

    def negated_dual(a: np.ndarray) -> tuple[float, np.ndarray]:
        total = a @ signed
        return float(total @ total / 2 - a.sum()), signed @ total - 1

    found = minimize(
        negated_dual,
        np.zeros(len(x)),
        jac=True,
        bounds=bounds,
        method="L-BFGS-B",
        options={"maxiter": 20_000, "maxfun": 40_000, "ftol": 1e-15, "gtol": 1e-9},
    )
    return -float(found.fun)


@pytest.mark.parametrize("most_values", [2**26, 0])
@pytest.mark.parametrize("c", [1e-3, 1e-2, 0.3])
def test_reaches_the_optimum(c: float, most_values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The objective is within 0.1 % of the one that an independent dual solver proves to be the smallest.

    By liblinear and, where there are too many values for it, by descent in blocks.
    """
    monkeypatch.setattr("detectors.parts.svm._LIBLINEAR_VALUES", most_values)
    positives, negatives = _samples(15, 45, 6)
    trained = train_svm(positives, negatives, c=c)
    assert trained.converged
    best = _optimum(positives, negatives, c)
    assert _objective(trained.weight, trained.bias, positives, negatives, c) == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize(("p", "n", "d", "c"), [(30, 700, 200, 1e-3), (60, 500, 40, 0.02), (300, 400, 600, 1e-3)])
def test_descent_in_blocks_is_as_good_as_liblinear(
    p: int, n: int, d: int, c: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On rectified features of norm 20 the objective is within 0.1 % of liblinear's at a tolerance of 1e-6."""
    positives, negatives = (part.relu() for part in _samples(p, n, d))
    factor = feature_scale(torch.cat([positives, negatives]))
    positives, negatives = positives * factor, negatives * factor
    reference = LinearSVC(
        loss="hinge", C=c, intercept_scaling=10, class_weight={1: 2}, tol=1e-6, max_iter=100_000, random_state=1
    ).fit(torch.cat([positives, negatives]).double().numpy(), np.repeat([1, -1], [p, n]))
    best = _objective(torch.from_numpy(reference.coef_[0]), float(reference.intercept_[0]), positives, negatives, c)
    monkeypatch.setattr("detectors.parts.svm._LIBLINEAR_VALUES", 0)
    trained = train_svm(positives, negatives, c=c)
    assert trained.converged
    assert trained.weight.dtype == torch.float32
    assert _objective(trained.weight, trained.bias, positives, negatives, c) == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize("most_values", [2**26, 0])
def test_training_is_deterministic(most_values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same samples give the same bits."""
    monkeypatch.setattr("detectors.parts.svm._LIBLINEAR_VALUES", most_values)
    positives, negatives = _samples(20, 300, 30)
    first, second = (train_svm(positives, negatives, c=0.1) for _ in range(2))
    assert torch.equal(first.weight, second.weight)
    assert first.bias == second.bias


def test_unconverged_training_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver that runs out of passes gives what it has, a flag, and no warning."""
    monkeypatch.setattr("detectors.parts.svm._PASSES", (1, 2))
    monkeypatch.setattr("detectors.parts.svm._BLOCK_PASSES", 2)
    positives, negatives = _samples(20, 300, 5)
    for most_values in (2**26, 0):
        monkeypatch.setattr("detectors.parts.svm._LIBLINEAR_VALUES", most_values)
        trained = train_svm(positives, negatives, c=10.0)
        assert not trained.converged
        assert trained.weight.isfinite().all()


def test_both_kinds_of_samples_are_needed() -> None:
    """An SVM of one kind of samples is refused."""
    with pytest.raises(ValueError, match="both kinds"):
        train_svm(torch.zeros(0, 3), torch.zeros(2, 3), c=1.0)


def test_the_svms_of_fast_rcnn_are_a_setting() -> None:
    """evict -1.1 is the one number in which Fast R-CNN's post-hoc SVMs differ from R-CNN's (papers' released codes)."""
    svm = SvmSettings(evict_threshold=-1.1)
    assert (svm.c, svm.bias_mult, svm.positive_weight, svm.feature_norm) == (0.001, 10, 2, 20)
    assert (svm.hard_threshold, svm.evict_threshold, svm.negative_iou) == (-1.0001, -1.1, 0.3)
    assert svm.negative_overlap is None


def test_feature_scale() -> None:
    """Scaled features have mean norm 20, given as features or as norms; nothing to scale is scaled by 1."""
    features = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    assert float((features * feature_scale(features)).norm(dim=1).mean()) == pytest.approx(20)
    assert feature_scale(features.norm(dim=1)) == pytest.approx(feature_scale(features))
    assert feature_scale(torch.zeros(0, 7)) == feature_scale(torch.zeros(3, 7)) == 1


def test_positives_weigh_together_what_they_would_in_voc07() -> None:
    """Weight times images is constant below 5,011 images, and the weight never falls below the published one."""
    settings = SvmSettings(positive_weight=2, c=1e-3)
    assert settings.for_images(5011) == settings.for_images(20_000) == settings
    few = settings.for_images(100)
    assert few.positive_weight * 100 == pytest.approx(2 * 5011)
    assert replace(few, positive_weight=2) == settings
