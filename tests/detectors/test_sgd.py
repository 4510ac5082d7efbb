"""Gradient descent against the arithmetic written out."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch

from detectors.contract import Stage, listening
from detectors.parts.checkpoint import Checkpoint
from detectors.parts.sgd import CHECKPOINT_EVERY, Sgd, descend, groups


def _by_hand(settings: Sgd, lr: float, iterations: int) -> list[float]:
    """Values of w on its way down (w - i)^2 at step i, starting from 2."""
    w, velocity, path = np.float64(2.0), np.float64(0.0), []
    for i in range(iterations):
        rate = lr * settings.lr_drop ** sum(i >= share * iterations for share in settings.lr_drops_at)
        gradient = 2 * (w - i) + settings.weight_decay * w
        velocity = settings.momentum * velocity + gradient
        w = w - rate * velocity
        path.append(float(w))
    return path


@pytest.mark.parametrize(
    "settings", [Sgd(), Sgd(momentum=0.5, weight_decay=0.1, lr_drop=0.5, lr_drops_at=(0.25, 0.5, 0.75))]
)
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

    of_each: list[dict[str, object]] = [{"params": [w], "lr": rate} for w, rate in zip(weights, rates, strict=True)]
    descend(of_each, settings, iterations, loss_of)
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

        def notice(self, text: str) -> None: ...

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


def test_new_layers_and_biases_have_their_own_rates() -> None:
    """New layers learn ten times as fast, biases twice as fast and without decay; each stands in one group."""
    new, old = torch.nn.Linear(3, 2), torch.nn.Conv2d(1, 1, 1)
    settings = Sgd(lr=1e-3, new_layer_factor=10, weight_decay=5e-4, bias_factor=2, decay_biases=False)
    found = {
        id(one): (group["lr"], group["weight_decay"])
        for group in groups(settings, new=new.parameters(), pretrained=old.parameters())
        for one in group["params"]  # type: ignore[attr-defined]
    }
    expected = [(new.weight, 1e-2, 5e-4), (new.bias, 2e-2, 0), (old.weight, 1e-3, 5e-4), (old.bias, 2e-3, 0)]
    assert len(found) == 4
    for parameter, lr, decay in expected:
        assert found[id(parameter)] == pytest.approx((lr, decay))
    assert len(groups(settings, new=new.parameters())) == 2


class _Stopped(Exception):
    """Somebody pulled the plug."""


def _walk(folder: Path, iterations: int, *, stop_at: int | None = None, key: str = "a fit") -> tuple[torch.Tensor, int]:
    """Descend a little network; returns its weight and the number of mini-batches that were asked for."""
    torch_layer = torch.nn.Linear(2, 1)
    with torch.no_grad():
        torch_layer.weight.copy_(torch.tensor([[1.0, -2.0]]))
        torch_layer.bias.zero_()
    asked = 0

    def loss_of(i: int) -> torch.Tensor:
        nonlocal asked
        asked += 1
        if i == stop_at:
            raise _Stopped
        return (torch_layer(torch.tensor([1.0, i % 7])) - i % 5).square().sum()

    checkpoint = Checkpoint(folder / "state.pt", torch_layer, key)
    with contextlib.suppress(_Stopped):
        descend(groups(Sgd(), new=torch_layer.parameters()), Sgd(lr=1e-5), iterations, loss_of, checkpoint)
    return torch_layer.weight.detach().clone(), asked


@pytest.mark.parametrize("stop_at", [CHECKPOINT_EVERY, 2 * CHECKPOINT_EVERY + 17])
def test_a_stopped_descent_goes_on_to_the_same_end(stop_at: int, tmp_path: Path) -> None:
    """Stopped and called again it ends with the same bits, also across a drop of the rate, and repeats little."""
    iterations = 3 * CHECKPOINT_EVERY
    unbroken, _ = _walk(tmp_path / "unbroken", iterations)
    _walk(tmp_path / "broken", iterations, stop_at=stop_at)
    resumed, asked = _walk(tmp_path / "broken", iterations)
    assert torch.equal(resumed, unbroken)
    assert asked == iterations - stop_at // CHECKPOINT_EVERY * CHECKPOINT_EVERY
    again, asked = _walk(tmp_path / "broken", iterations)
    assert torch.equal(again, unbroken)
    assert asked == 0


@pytest.mark.parametrize("what", ["another key", "torn", "garbage", "one byte", "nothing"])
def test_a_foreign_or_torn_checkpoint_is_not_read(what: str, tmp_path: Path) -> None:
    """What another fit wrote, half of a file or a damaged one lead to a start from the beginning and no error."""
    iterations = CHECKPOINT_EVERY + 10
    expected, _ = _walk(tmp_path / "fresh", iterations)
    _walk(tmp_path, iterations, key="another" if what == "another key" else "a fit")
    (path,), (right,) = tmp_path.glob("shared-*"), (tmp_path / "fresh").iterdir()
    path = path.rename(tmp_path / right.name)  # of another key it has another name, too
    if what == "torn":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif what == "one byte":
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 1
        path.write_bytes(content)
    elif what != "another key":
        path.write_bytes(b"" if what == "nothing" else b"\x80\x02 no checkpoint")
    found, asked = _walk(tmp_path, iterations)
    assert asked == iterations
    assert torch.equal(found, expected)


def test_what_stands_after_the_last_step_is_the_network_alone(tmp_path: Path) -> None:
    """One file for other fits to take up, named by its key; what was kept on the way is gone."""
    _walk(tmp_path, 2 * CHECKPOINT_EVERY, key="one")
    (first,) = tmp_path.iterdir()
    assert first.name.startswith("shared-state-")
    assert not any(name.startswith("optimiser") for name in torch.load(first, weights_only=True))
    _walk(tmp_path, 2 * CHECKPOINT_EVERY, key="another")
    assert len(list(tmp_path.iterdir())) == 2
