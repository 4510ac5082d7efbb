"""The product of fc layers against float64 in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.parts.affine import affine


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 40), st.integers(1, 70), st.integers(1, 50), st.booleans(), st.booleans(), st.integers(0, 9))
def test_equals_the_product_written_out(
    rows: int, inputs: int, outputs: int, with_bias: bool, strided: bool, seed: int
) -> None:
    """x W^T + b within float32 rounding, for no rows, one and many, whatever lies where in memory."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(inputs, rows, generator=draw).T if strided else torch.randn(rows, inputs, generator=draw)
    weight, bias = torch.randn(outputs, inputs, generator=draw), torch.randn(outputs, generator=draw)
    expected = x.double().numpy() @ weight.double().numpy().T + (bias.double().numpy() if with_bias else 0)
    with torch.inference_mode():
        found = affine(x, weight, bias if with_bias else None)
    assert found.shape == (rows, outputs)
    assert found.is_contiguous()
    np.testing.assert_allclose(found.double().numpy(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_types_and_gradients_are_those_of_a_linear_layer(dtype: torch.dtype) -> None:
    """The result has the type of its input, and where gradients are taken they are those of torch's own layer."""
    layer = torch.nn.Linear(6, 4, dtype=dtype)
    x = torch.ones(3, 6, dtype=dtype)
    with torch.no_grad():
        assert affine(x, layer.weight, layer.bias).dtype == dtype
    affine(x, layer.weight, layer.bias).sum().backward()
    assert layer.weight.grad is not None
    assert torch.equal(layer.weight.grad, torch.full((4, 6), 3.0, dtype=dtype))
