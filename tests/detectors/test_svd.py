"""Truncated SVD of fc layers, against numpy's singular values and the counts of the paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from detectors.contract import listening
from detectors.parts.head import Head
from detectors.parts.svd import PUBLISHED_RANKS, LowRank, compress, factorise, ranks_for
from harness.testing import Ear


def _layer(u: int, v: int, seed: int = 0) -> nn.Linear:
    generator = torch.Generator().manual_seed(seed)
    layer = nn.Linear(v, u)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(u, v, generator=generator))
        layer.bias.copy_(torch.randn(u, generator=generator))
    return layer


def _head(inputs: int = 48, widths: tuple[int, int] = (32, 24)) -> Head:
    head = Head(inputs, widths, {"classes": 3, "boxes": 8})
    generator = torch.Generator().manual_seed(1)
    head.start(torch.rand(4, inputs, generator=generator), {"classes": 0.1, "boxes": 0.1}, generator)
    return head


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(0, 5))
def test_the_error_is_that_of_the_dropped_singular_values(u: int, v: int, rank: int, seed: int) -> None:
    """No matrix of the rank is nearer (Eckart and Young): the error is the root of the sum of their squares."""
    layer = _layer(u, v, seed)
    found = factorise(layer, rank)
    weight = layer.weight.detach().double().numpy()
    product = found.second.double().numpy() @ found.first.double().numpy()
    dropped = np.linalg.svd(weight, compute_uv=False)[rank:]
    norm = np.linalg.norm(weight)
    assert abs(np.linalg.norm(product - weight) - np.sqrt((dropped**2).sum())) <= 1e-6 * norm
    assert np.linalg.matrix_rank(product, tol=1e-5 * norm) <= rank


@pytest.mark.parametrize(("u", "v"), [(12, 30), (30, 12), (20, 20)])
def test_full_rank_changes_nothing(u: int, v: int) -> None:
    """With all singular values the two layers are the one, up to float32."""
    layer, x = _layer(u, v), torch.randn(7, v, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(factorise(layer, 999)(x), layer(x), rtol=1e-4, atol=1e-4)


def test_a_matrix_of_low_rank_survives() -> None:
    """A layer whose weights have rank 5 is the same after a cut to 5, also where the rest of it is all zeros."""
    layer = _layer(40, 60)
    with torch.no_grad():
        layer.weight.copy_(_layer(40, 5).weight @ _layer(5, 60, 1).weight)
    x = torch.randn(7, 60, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(factorise(layer, 5)(x), layer(x), rtol=1e-4, atol=1e-3)


def test_the_columns_are_taken_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many columns are held in float64 at a time changes nothing that float32 shows."""
    layer = _layer(20, 64)
    whole = factorise(layer, 6)
    monkeypatch.setattr("detectors.parts.svd._COLUMNS", 7)
    pieces = factorise(layer, 6)
    torch.testing.assert_close(pieces.second @ pieces.first, whole.second @ whole.first, rtol=1e-5, atol=1e-5)


def test_sigma_stands_in_the_first_layer() -> None:
    """The first layer is S V^T, so its rows are as long as the singular values; the second is U, orthonormal."""
    layer = _layer(20, 64)
    found = factorise(layer, 6)
    values = np.linalg.svd(layer.weight.detach().double().numpy(), compute_uv=False)[:6]
    np.testing.assert_allclose(found.first.norm(dim=1).numpy(), values, rtol=1e-5)
    np.testing.assert_allclose((found.second.T @ found.second).numpy(), np.eye(6), atol=1e-5)
    assert torch.equal(found.bias, layer.bias)
    assert [tuple(one.shape) for one in found.parameters()] == [(6, 64), (20, 6), (20,)]


def test_published_ranks_and_parameter_counts() -> None:
    """fc6 of VGG16 shrinks from 25,088 x 4,096 to 1,024 (25,088 + 4,096) weights, fc7 to 256 (4,096 + 4,096)."""
    assert PUBLISHED_RANKS == (1024, 256)
    with torch.device("meta"):
        fc6 = LowRank(torch.empty(1024, 25_088), torch.empty(4096, 1024), torch.empty(4096))
        fc7 = LowRank(torch.empty(256, 4096), torch.empty(4096, 256), torch.empty(4096))
    assert sum(one.numel() for one in fc6.parameters() if one.ndim == 2) == 1024 * (25_088 + 4096) == 29_884_416
    assert sum(one.numel() for one in fc7.parameters() if one.ndim == 2) == 256 * (4096 + 4096) == 2_097_152
    assert pytest.approx(3.44, abs=0.005) == 25_088 * 4096 / 29_884_416


def test_ranks_of_narrower_layers_shrink_in_proportion() -> None:
    """A network of the paper keeps 1,024 and 256, whatever its widths; layers of 1,024 keep a quarter of that."""
    assert ranks_for(PUBLISHED_RANKS, (4096, 1024), published=True) == (1024, 256)
    assert ranks_for(PUBLISHED_RANKS, (4096, 4096), published=False) == (1024, 256)
    assert ranks_for(PUBLISHED_RANKS, (1024, 1024), published=False) == (256, 64)
    assert ranks_for(PUBLISHED_RANKS, (2, 2), published=False) == (1, 1)


def test_compressing_a_head_keeps_its_interface() -> None:
    """fc6, fc7 and the outputs are what the two factored layers give by hand, and the head itself stays as it was."""
    head = _head()
    before = {key: value.clone() for key, value in head.state_dict().items()}
    small = compress(head, (4, 3))
    x = torch.rand(5, 48, generator=torch.Generator().manual_seed(3))
    six, seven = factorise(head.fc6, 4), factorise(head.fc7, 3)
    fc6 = torch.relu(x * head.input_factor @ six.first.T @ six.second.T + head.fc6.bias)
    fc7 = torch.relu(fc6 @ seven.first.T @ seven.second.T + head.fc7.bias)
    with torch.inference_mode():
        torch.testing.assert_close(small.features(x, layer="fc6"), fc6.detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(small.features(x), fc7.detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(small(x)["boxes"], head.outputs["boxes"](fc7), rtol=1e-4, atol=1e-5)
    assert isinstance(head.fc6, nn.Linear)
    assert isinstance(head.fc7, nn.Linear)
    assert all(torch.equal(value, before[key]) for key, value in head.state_dict().items())


def test_a_layer_that_would_grow_is_kept_with_a_notice() -> None:
    """t (u + v) must be below u v: fc6 of 32 x 48 gains up to rank 19, fc7 of 24 x 32 up to 13."""
    head, ear = _head(), Ear()
    with listening(ear):
        both = compress(head, (19, 13))
        neither = compress(head, (20, 14))
    assert isinstance(both.fc6, LowRank)
    assert isinstance(both.fc7, LowRank)
    assert (neither.fc6, neither.fc7) == (head.fc6, head.fc7)
    assert [text.split()[0] for text in ear.notices] == ["fc6", "fc7"]
    assert all("no multiply-add" in text for text in ear.notices)
    assert 19 * (32 + 48) < 32 * 48 < 20 * (32 + 48)
    assert 13 * (24 + 32) < 24 * 32 < 14 * (24 + 32)
