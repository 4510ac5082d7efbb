"""The fully connected layers: size of the input, dropout and learning rates."""

from __future__ import annotations

import pytest
import torch

from detectors.parts.backbones import FcStack, Geometry
from detectors.parts.head import Head, fc_widths
from detectors.parts.precision import detecting_copy
from detectors.parts.streams import Streams


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _identity(width: int) -> Head:
    """A head that passes non-negative features through."""
    head = Head(width, (width, width), {"classes": 2})
    with torch.no_grad():
        for layer in (head.fc6, head.fc7):
            layer.weight.copy_(torch.eye(width))
            layer.bias.zero_()
        head.outputs["classes"].weight.zero_()
        head.outputs["classes"].bias.zero_()
    return head


def test_features_are_two_linear_layers_with_relu() -> None:
    """fc7 is relu(W7 relu(W6 (f x) + b6) + b7), and an output is linear in it."""
    head = Head(5, (4, 4), {"classes": 3, "boxes": 8})
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
        head = Head(256, (256, 256), {"classes": 3})
        pooled = size * torch.rand(64, 256, generator=_generator(1))
        head.start(pooled, {"classes": 0.01}, _generator())
        assert float((pooled * head.input_factor).square().mean()) == pytest.approx(1, rel=1e-4)
        with torch.no_grad():
            assert 0.2 < float(head.features(pooled).square().mean()) < 5


def test_the_start_survives_features_that_are_all_zero() -> None:
    """A map without any response gives finite factors and weights."""
    head = Head(8, (4, 4), {"classes": 2})
    head.start(torch.zeros(3, 8), {"classes": 0.01}, _generator())
    assert all(value.isfinite().all() for value in head.state_dict().values())


def test_outputs_start_with_their_deviations() -> None:
    """Output weights are Gaussian of the stated deviation, all biases 0, all from the generator."""
    made = []
    for _ in range(2):
        head = Head(64, (400, 400), {"classes": 50, "boxes": 200})
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


def test_pretrained_layers_are_taken_as_they_are() -> None:
    """Given fc6 and fc7 of a network, the head computes its fc7 from features as they are; only outputs are new."""
    given = {
        "fc6.weight": torch.randn(6, 5, generator=_generator(1)),
        "fc6.bias": torch.ones(6),
        "fc7.weight": torch.randn(3, 6, generator=_generator(2)),
        "fc7.bias": -torch.ones(3),
    }
    head = Head(5, (6, 3), {"classes": 2})
    head.start(torch.full((1, 5), 100.0), {"classes": 0.01}, _generator(), given)
    x = torch.rand(4, 5, generator=_generator(3))
    fc6 = (x @ given["fc6.weight"].T + given["fc6.bias"]).clamp(min=0)
    with torch.no_grad():
        torch.testing.assert_close(head.features(x, layer="fc6"), fc6)
        torch.testing.assert_close(head.features(x), (fc6 @ given["fc7.weight"].T + given["fc7.bias"]).clamp(min=0))
    assert [id(one) for one in head.new] == [id(one) for one in head.outputs.parameters()]
    assert len(head.pretrained) == 4


def test_without_pretrained_layers_everything_is_new() -> None:
    """A head that starts random learns at the rate of new layers throughout."""
    head = Head(5, (6, 3), {"classes": 2})
    head.start(torch.ones(1, 5), {"classes": 0.01}, _generator())
    assert len(head.new) == 6
    assert head.pretrained == []


def test_widths_are_asked_for_or_the_networks_own_or_1024() -> None:
    """4,096 and 1,024 for VGG_CNN_M_1024, 1,024 twice where a network has no fc layers, and what a user wants first."""
    bare = Geometry(channels=64, stride_px=8, cell0_px=0.0, crop_px=64, smallest_px=1)
    own = Geometry(
        channels=512, stride_px=16, cell0_px=17.0, crop_px=224, smallest_px=1, fc=FcStack((6,), (4096, 1024))
    )
    assert fc_widths(bare, None) == (1024, 1024)
    assert fc_widths(own, None) == (4096, 1024)
    assert fc_widths(own, 32) == (32, 32)


def test_a_bfloat16_copy_leaves_the_fitted_head_alone() -> None:
    """The copy answers in bfloat16 and near the original, which stays float32; without bf16 there is no copy."""
    head = Head(64, (32, 32), {"classes": 3})
    head.start(torch.ones(1, 64), {"classes": 0.01}, _generator())
    x = torch.rand(9, 64, generator=_generator(1))
    copied = detecting_copy(head, True)
    with torch.no_grad():
        features = copied.features(x)
        assert features.dtype == torch.bfloat16
        torch.testing.assert_close(features.float(), head.features(x), rtol=0.05, atol=0.02)
    assert head.fc6.weight.dtype == torch.float32
    assert detecting_copy(head, False) is head


def test_streams_have_random_access() -> None:
    """A step's numbers depend on seed, step and purpose alone; the parent moves by one number."""
    one, two = Streams(_generator(4)), Streams(_generator(4))
    drawn = [torch.rand(3, generator=one.cpu(step)) for step in range(5)]
    assert torch.equal(torch.rand(3, generator=two.cpu(4)), drawn[4])
    assert len({tuple(row.tolist()) for row in drawn}) == 5
    assert not torch.equal(torch.rand(3, generator=two.cpu(4, purpose=1)), drawn[4])
    assert not torch.equal(torch.rand(3, generator=Streams(_generator(5)).cpu(0)), drawn[0])
    parent, expected = _generator(4), _generator(4)
    Streams(parent)
    torch.randint(2**62, (1,), generator=expected)
    assert torch.equal(parent.get_state(), expected.get_state())
