"""Linear SVMs and hard negative mining, against optima found by another solver."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from detectors.parts.svm import HardNegativeMiner, SvmSettings, feature_scale, scaled_cost, train_svm


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


@pytest.mark.parametrize("c", [1e-3, 1e-2, 0.3])
def test_reaches_the_optimum(c: float) -> None:
    """The objective is within 0.1 % of the one that an independent dual solver proves to be the smallest."""
    positives, negatives = _samples(15, 45, 6)
    trained = train_svm(positives, negatives, c=c)
    assert trained.converged
    best = _optimum(positives, negatives, c)
    assert _objective(trained.weight, trained.bias, positives, negatives, c) == pytest.approx(best, rel=1e-3)


def test_training_is_deterministic() -> None:
    """The same samples give the same bits."""
    positives, negatives = _samples(20, 300, 30)
    first, second = (train_svm(positives, negatives, c=0.1) for _ in range(2))
    assert torch.equal(first.weight, second.weight)
    assert first.bias == second.bias


def test_unconverged_training_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver that runs out of passes gives what it has, a flag, and no warning."""
    monkeypatch.setattr("detectors.parts.svm._PASSES", (1, 2))
    positives, negatives = _samples(20, 300, 5)
    trained = train_svm(positives, negatives, c=10.0)
    assert not trained.converged
    assert trained.weight.isfinite().all()


def test_both_kinds_of_samples_are_needed() -> None:
    """An SVM of one kind of samples is refused."""
    with pytest.raises(ValueError, match="both kinds"):
        train_svm(torch.zeros(0, 3), torch.zeros(2, 3), c=1.0)


def _mine(
    positives: list[torch.Tensor],
    images: list[torch.Tensor],
    settings: SvmSettings,
    overlaps: torch.Tensor | None = None,
) -> HardNegativeMiner:
    miner = HardNegativeMiner(positives, settings)
    for image in images:
        miner.add_image(image, torch.zeros(len(image), len(positives)) if overlaps is None else overlaps)
    return miner


def test_mining_reaches_the_optimum_of_all_negatives() -> None:
    """Trained on what was hard, the classifier minimises the objective over all negatives to within 1 %."""
    d, c = 8, 0.01
    positives, negatives = _samples(40, 3000, d)
    settings = SvmSettings(c=c, retrain_limit=100)
    found = _mine([positives], list(negatives.chunk(20)), settings).finish()
    reached = _objective(found.weight[0], float(found.bias[0]), positives, negatives, c)
    whole = train_svm(positives, negatives, c=c)
    assert reached == pytest.approx(_objective(whole.weight, whole.bias, positives, negatives, c), rel=0.01)


def test_cache_keeps_what_is_hard() -> None:
    """Easy negatives are neither taken nor kept: the cache stays far smaller than what was seen."""
    positives, negatives = _samples(40, 6000, 8)
    positives = positives + 3
    miner = _mine([positives], list(negatives.chunk(30)), SvmSettings(c=0.1, retrain_limit=100))
    assert sum(len(part) for part in miner._caches[0].negatives) < 500


def test_cache_is_bounded() -> None:
    """However many negatives are hard, the hardest `cache_limit` remain after a training."""
    positives, negatives = _samples(30, 2000, 3)
    settings = SvmSettings(c=1e-3, retrain_limit=10, cache_limit=50)
    miner = _mine([positives], list(negatives.chunk(20)), settings)
    assert sum(len(part) for part in miner._caches[0].negatives) <= 50 + 10


def test_boxes_near_an_object_are_no_negatives() -> None:
    """IoU of 0.3 and more with an object of the class keeps a box out of that class, and of that class only."""
    positives, near = _samples(20, 200, 4)
    far = torch.randn(50, 4, generator=torch.Generator().manual_seed(5))
    overlaps = torch.zeros(250, 2)
    overlaps[:200, 0] = 0.3
    found = _mine([positives, positives], [torch.cat([near, far])], SvmSettings(), overlaps).finish()
    assert torch.equal(found.weight[0], train_svm(positives, far, c=1e-3).weight)
    assert torch.equal(found.weight[1], train_svm(positives, torch.cat([near, far]), c=1e-3).weight)


def test_classes_that_cannot_be_trained_are_never_detected() -> None:
    """A class without objects, or whose boxes all lie on objects, scores -inf everywhere."""
    positives, negatives = _samples(20, 100, 4)
    overlaps = torch.zeros(100, 3)
    overlaps[:, 2] = 0.5
    found = _mine([positives, torch.zeros(0, 4), positives], [negatives], SvmSettings(), overlaps).finish()
    scores = found.scores(torch.cat([positives, negatives]))
    assert scores[:, 0].isfinite().all()
    assert (scores[:, 1:] == -math.inf).all()


def test_class_first_meets_negatives_later() -> None:
    """A class whose first image offers no negative takes all of the next one."""
    positives, negatives = _samples(20, 100, 4)
    miner = HardNegativeMiner([positives], SvmSettings())
    miner.add_image(negatives[:10], torch.ones(10, 1))
    miner.add_image(negatives[10:], torch.zeros(90, 1))
    assert torch.equal(miner.finish().weight[0], train_svm(positives, negatives[10:], c=1e-3).weight)


def test_easy_classes_survive_an_empty_cache() -> None:
    """Where every negative was evicted, the last weights stand."""
    positives = torch.full((5, 2), 3.0) + torch.rand(5, 2, generator=torch.Generator().manual_seed(0))
    found = _mine([positives], [-positives, -positives], SvmSettings(c=10.0, evict_threshold=5.0)).finish()
    assert (found.scores(positives) > 0).all()
    assert (found.scores(-positives) < 0).all()


def test_feature_scale() -> None:
    """Scaled features have mean norm 20, given as features or as norms; nothing to scale is scaled by 1."""
    features = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    assert float((features * feature_scale(features)).norm(dim=1).mean()) == pytest.approx(20)
    assert feature_scale(features.norm(dim=1)) == pytest.approx(feature_scale(features))
    assert feature_scale(torch.zeros(0, 7)) == feature_scale(torch.zeros(3, 7)) == 1


def test_scaled_cost() -> None:
    """C times images is constant below 5,011 images, and C never falls below the published one."""
    assert scaled_cost(1e-3, 5011) == pytest.approx(1e-3)
    assert scaled_cost(1e-3, 100) * 100 == pytest.approx(5.011)
    assert scaled_cost(1e-3, 20_000) == 1e-3
