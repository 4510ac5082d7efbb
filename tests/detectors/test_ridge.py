"""Ridge regressors, against the normal equations and the released procedure with its whitening."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from detectors.parts.ridge import ClassRidge, RidgeRegressor, fit_ridge


def _samples(n: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(n * 1000 + d)
    x = torch.randn(n, d, generator=generator).relu()
    y = x @ torch.randn(d, 4, generator=generator) / d + torch.randn(n, 4, generator=generator) + 0.5
    return x, y


def _predict(fitted: RidgeRegressor, x: torch.Tensor) -> torch.Tensor:
    return x @ fitted.weight + fitted.bias


def _released(x: np.ndarray, y: np.ndarray, ridge_lambda: float) -> tuple[np.ndarray, np.ndarray]:
    """rcnn_train_bbox_regressor.m and its prediction: centre, whiten, normal equations, undo."""
    a = np.hstack([x, np.ones((len(x), 1))])
    mean = y.mean(axis=0)
    values, vectors = np.linalg.eigh((y - mean).T @ (y - mean) / len(y))
    whiten = vectors @ np.diag(1 / np.sqrt(values + 0.001)) @ vectors.T
    restore = vectors @ np.diag(np.sqrt(values + 0.001)) @ vectors.T
    beta = np.linalg.inv(a.T @ a + ridge_lambda * np.eye(a.shape[1])) @ a.T @ ((y - mean) @ whiten)
    return beta[:-1] @ restore, beta[-1] @ restore + mean


@pytest.mark.parametrize(("n", "d"), [(60, 7), (60, 59), (60, 60), (20, 90), (1, 5)])
@pytest.mark.parametrize("ridge_lambda", [0.1, 10.0, 1000.0])
def test_equals_the_released_procedure(n: int, d: int, ridge_lambda: float) -> None:
    """With more or fewer samples than features, whitened or not, the regressor is the same."""
    x, y = _samples(n, d)
    weight, bias = _released(x.double().numpy(), y.double().numpy(), ridge_lambda)
    fitted = fit_ridge(x, y, ridge_lambda=ridge_lambda)
    assert fitted.weight.dtype == fitted.bias.dtype == torch.float32
    np.testing.assert_allclose(fitted.weight.numpy(), weight, rtol=0, atol=1e-6)
    np.testing.assert_allclose(fitted.bias.numpy(), bias, rtol=0, atol=1e-6)
    np.testing.assert_allclose(_predict(fitted, x).numpy(), x.double().numpy() @ weight + bias, rtol=0, atol=2e-6)


@pytest.mark.parametrize("n", [40, 200])
def test_float32_solution_is_close(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the problem is too large for float64 the answer differs by about a millionth."""
    x, y = _samples(n, 100)
    exact = fit_ridge(x, y, ridge_lambda=100.0)
    monkeypatch.setattr("detectors.parts.ridge._FLOAT64_VALUES", 0)
    fitted = fit_ridge(x, y, ridge_lambda=100.0)
    torch.testing.assert_close(_predict(fitted, x), _predict(exact, x), rtol=0, atol=1e-5)


def test_large_lambda_predicts_the_mean() -> None:
    """Regularised to nothing, the regressor says the mean of its targets."""
    x, y = _samples(50, 6)
    fitted = fit_ridge(x, y, ridge_lambda=1e12)
    torch.testing.assert_close(_predict(fitted, x), y.mean(dim=0).expand(50, 4), rtol=0, atol=1e-6)


def test_classes_together_equal_classes_alone() -> None:
    """Each class has its own regressor; a class without samples leaves boxes where they are."""
    (xa, ya), (xb, yb) = _samples(30, 8), _samples(5, 8)
    together = ClassRidge.fit([(xa, ya), (torch.zeros(0, 8), torch.zeros(0, 4)), (xb, yb)], ridge_lambda=3.0)
    assert together.weight.shape == (3, 8, 4)
    for k, alone in ((0, fit_ridge(xa, ya, ridge_lambda=3.0)), (2, fit_ridge(xb, yb, ridge_lambda=3.0))):
        assert torch.equal(together.weight[k], alone.weight)
        assert torch.equal(together.bias[k], alone.bias)
    assert (together.weight[1] == 0).all()
    assert (together.bias[1] == 0).all()


@pytest.mark.parametrize("n", [40, 200])
def test_features_beside_targets_are_as_good_as_features_alone(n: int) -> None:
    """Columns of a wider tensor give the same regressor, and stay as they are."""
    x, y = _samples(n, 100)
    rows = torch.cat([x, y], dim=1)
    fitted, alone = fit_ridge(rows[:, :-4], rows[:, -4:]), fit_ridge(x, y)
    torch.testing.assert_close(fitted.weight, alone.weight, rtol=0, atol=1e-7)
    assert torch.equal(rows, torch.cat([x, y], dim=1))


def test_samples_must_match() -> None:
    """No sample, or features without targets, are refused."""
    with pytest.raises(ValueError, match="got 0, 0"):
        fit_ridge(torch.zeros(0, 3), torch.zeros(0, 4))
    with pytest.raises(ValueError, match="got 2, 1"):
        fit_ridge(torch.zeros(2, 3), torch.zeros(1, 4))
