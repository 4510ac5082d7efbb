"""fc6 of CaffeNet for the boxes of an image, as detecting computes it and by torch's linear layer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch.nn import functional

from detectors.parts.affine import affine

Way = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def by_linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return functional.linear(x, weight, bias)


@pytest.mark.parametrize("n_boxes", [200, 1000])
@pytest.mark.parametrize("way", [affine, by_linear])
def test_fc6(benchmark: BenchmarkFixture, way: Way, n_boxes: int) -> None:
    """Both give the same numbers within 1e-3 of their size."""
    draw = torch.Generator().manual_seed(0)
    x, weight = torch.rand(n_boxes, 9216, generator=draw), torch.randn(4096, 9216, generator=draw) / 96
    bias = torch.zeros(4096)
    with torch.inference_mode():
        torch.testing.assert_close(way(x, weight, bias), by_linear(x, weight, bias), rtol=1e-3, atol=1e-3)
        benchmark.group = f"fc6, {n_boxes} boxes"
        benchmark.pedantic(way, args=(x, weight, bias), rounds=5)
