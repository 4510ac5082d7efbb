"""The fully connected layers: size of the input, dropout and learning rates."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from detectors.parts.head import Head, generator_on


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _identity(width: int) -> Head:
    """A head that passes non-negative features through."""
    head = Head(width, width, {"classes": 2})
    with torch.no_grad():
        for layer in (head.fc6, head.fc7):
            layer.weight.copy_(torch.eye(width))
            layer.bias.zero_()
    return head


def test_features_are_two_linear_layers_with_relu() -> None:
    """fc7 is relu(W7 relu(W6 (f x) + b6) + b7), and an output is linear in it."""
    head = Head(5, 4, {"classes": 3, "boxes": 8})
    head.start(torch.rand(6, 5, generator=_generator(1)), {"classes": 0.01, "boxes": 0.001}, _generator())
    with torch.no_grad():
        head.fc6.bias.fill_(0.1)
        head.fc7.bias.fill_(-0.05)
    x = torch.rand(7, 5, generator=_generator(2))
    state = {key: value.double().numpy() for key, value in head.state_dict().items()}
    expected = x.double().numpy() * state["input_factor"]
    for layer in ("fc6", "fc7"):
        expected = (expected @ state[f"{layer}.weight"].T + state[f"{layer}.bias"]).clip(0)
    with torch.no_grad():
        torch.testing.assert_close(head.features(x).double(), torch.from_numpy(expected), rtol=1e-5, atol=1e-6)
        outputs = head(x)
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {"classes": (7, 3), "boxes": (7, 8)}
    expected = expected @ state["outputs.boxes.weight"].T + state["outputs.boxes.bias"]
    torch.testing.assert_close(outputs["boxes"].double(), torch.from_numpy(expected), rtol=1e-5, atol=1e-6)


def test_the_start_brings_typical_features_to_unit_mean_square() -> None:
    """Features of any size enter fc6 at mean square 1, and fc7 is of the same order, not faded, not blown up."""
    for size in (1e-3, 1.0, 1e3):
        head = Head(256, 256, {"classes": 3})
        pooled = size * torch.rand(64, 256, generator=_generator(1))
        head.start(pooled, {"classes": 0.01}, _generator())
        assert float((pooled * head.input_factor).square().mean()) == pytest.approx(1, rel=1e-4)
        with torch.no_grad():
            assert 0.2 < float(head.features(pooled).square().mean()) < 5


def test_the_start_survives_features_that_are_all_zero() -> None:
    """A map without any response gives finite factors and weights."""
    head = Head(8, 4, {"classes": 2})
    head.start(torch.zeros(3, 8), {"classes": 0.01}, _generator())
    assert all(value.isfinite().all() for value in head.state_dict().values())


def test_outputs_start_with_their_deviations() -> None:
    """Output weights are Gaussian of the stated deviation, all biases 0, all from the generator."""
    made = []
    for _ in range(2):
        head = Head(64, 400, {"classes": 50, "boxes": 200})
        before = torch.get_rng_state()
        head.start(torch.ones(2, 64), {"classes": 0.01, "boxes": 0.001}, _generator(3))
        assert torch.equal(torch.get_rng_state(), before)
        made.append(head.state_dict())
    assert all(torch.equal(made[0][key], made[1][key]) for key in made[0])
    assert float(made[0]["outputs.classes.weight"].std()) == pytest.approx(0.01, rel=0.03)
    assert float(made[0]["outputs.boxes.weight"].std()) == pytest.approx(0.001, rel=0.03)
    assert all((value == 0).all() for key, value in made[0].items() if key.endswith("bias"))


def test_dropout_keeps_the_expectation() -> None:
    """After two layers of dropout a quarter of the features is left, four times as large."""
    head, x = _identity(64), torch.full((500, 64), 3.0)
    with torch.no_grad():
        dropped = head.features(x, _generator())
        assert torch.equal(head.features(x), x)
    assert set(dropped.flatten().tolist()) == {0.0, 12.0}
    # 32,000 coins of 1/4: five deviations are 0.012.
    assert abs(float((dropped > 0).double().mean()) - 0.25) < 0.0122


def test_dropout_draws_from_the_given_generator_alone() -> None:
    """One seed drops the same features; the global stream is not touched, and without a generator nothing is drawn."""
    head, x = _identity(16), torch.ones(4, 16)
    before = torch.get_rng_state()
    with torch.no_grad():
        one, two, other = (head.features(x, _generator(seed)) for seed in (1, 1, 2))
        head.features(x)
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_generator_follows_from_the_other() -> None:
    """The generator of a device is seeded by the next number of the given one."""
    cpu = torch.device("cpu")
    parent = _generator()
    first, second = generator_on(cpu, parent), generator_on(cpu, parent)
    again = generator_on(cpu, _generator())
    draws = [torch.rand(3, generator=one).tolist() for one in (first, second, again)]
    assert draws[0] == draws[2] != draws[1]


def test_new_layers_learn_faster_than_pretrained_ones() -> None:
    """The head's layers have ten times the rate of the convolutions, and each parameter stands in one group."""
    head, conv = Head(4, 4, {"classes": 2}), torch.nn.Conv2d(1, 1, 1)
    groups: list[Any] = head.parameter_groups(list(conv.parameters()), 1e-3, 10.0)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert {rates[id(p)] for p in head.parameters()} == {1e-2}
    assert {rates[id(p)] for p in conv.parameters()} == {1e-3}
    assert len(rates) == sum(len(group["params"]) for group in groups)
    assert [group["lr"] for group in head.parameter_groups([], 1e-3, 10.0)] == [1e-2]
