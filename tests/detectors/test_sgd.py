"""Gradient descent against the arithmetic written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from detectors.contract import Stage, listening
from detectors.parts.sgd import Sgd, descend


def _by_hand(settings: Sgd, lr: float, iterations: int) -> list[float]:
    """Values of w on its way down (w - i)^2 at step i, starting from 2."""
    w, velocity, path = np.float64(2.0), np.float64(0.0), []
    for i in range(iterations):
        rate = lr * (settings.lr_drop if i >= settings.lr_drop_at * iterations else 1)
        gradient = 2 * (w - i) + settings.weight_decay * w
        velocity = settings.momentum * velocity + gradient
        w = w - rate * velocity
        path.append(float(w))
    return path


@pytest.mark.parametrize("settings", [Sgd(), Sgd(momentum=0.5, weight_decay=0.1, lr_drop=0.5, lr_drop_at=0.5)])
def test_equals_the_arithmetic_by_hand(settings: Sgd) -> None:
    """Momentum, weight decay and the drop of the rate act as written out, and each group has its own rate."""
    rates, iterations = (0.01, 0.1), 12
    weights = [torch.tensor(2.0, dtype=torch.float64, requires_grad=True) for _ in rates]
    paths: list[list[float]] = [[], []]

    def loss_of(i: int) -> torch.Tensor:
        if i > 0:
            for path, weight in zip(paths, weights, strict=True):
                path.append(float(weight.detach()))
        return sum(((weight - i) ** 2 for weight in weights), torch.zeros((), dtype=torch.float64))

    groups: list[dict[str, object]] = [{"params": [w], "lr": rate} for w, rate in zip(weights, rates, strict=True)]
    descend(groups, settings, iterations, loss_of)
    for path, weight, rate in zip(paths, weights, rates, strict=True):
        np.testing.assert_allclose([*path, float(weight.detach())], _by_hand(settings, rate, iterations), rtol=1e-9)


def test_the_loss_of_every_mini_batch_is_asked_for_once() -> None:
    """Mini-batches come in order, each once, and the listener hears the first and the last step."""
    asked: list[int] = []
    heard: list[tuple[int, int, str]] = []

    class Ear:
        def enter(self, stage: Stage) -> None: ...

        def leave(self, stage: Stage) -> None: ...

        def progress(self, done: int, total: int, text: str) -> None:
            heard.append((done, total, text))

    weight = torch.ones(1, requires_grad=True)

    def loss_of(i: int) -> torch.Tensor:
        asked.append(i)
        return weight.sum()

    with listening(Ear()):
        descend([{"params": [weight], "lr": 0.1}], Sgd(), 25, loss_of)
    assert asked == list(range(25))
    assert heard[0] == (1, 25, "loss 1.000")
    assert heard[-1][:2] == (25, 25)


def test_parameters_outside_the_groups_stay() -> None:
    """What is in no group is not trained, whatever its gradient."""
    trained, kept = (torch.ones(2, requires_grad=True) for _ in range(2))
    descend([{"params": [trained], "lr": 0.1}], Sgd(), 3, lambda _: (trained * kept).sum())
    assert kept.tolist() == [1, 1]
    assert (trained < 1).all()
