"""The spatial pyramid in one pass over the map, against four RoI poolings and against box by box."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch.nn import functional
from torchvision import ops

from detectors.parts.pooling import spatial_pyramid_pool

LEVELS = (6, 3, 2, 1)  # 50 bins [SPP 4.1]


def one_pass(features: torch.Tensor, windows: torch.Tensor) -> torch.Tensor:
    return spatial_pyramid_pool(features, windows, LEVELS)


def four_calls(features: torch.Tensor, windows: torch.Tensor) -> torch.Tensor:
    rois = torch.cat([torch.zeros(len(windows), 1), windows.float()], dim=1)
    return torch.cat([ops.roi_pool(features, rois, (level, level), 1.0).flatten(1) for level in LEVELS], dim=1)


def box_by_box(features: torch.Tensor, windows: torch.Tensor) -> torch.Tensor:
    found = []
    for left, top, right, bottom in windows.tolist():
        cells = features[0, :, top : bottom + 1, left : right + 1]
        found.append(torch.cat([functional.adaptive_max_pool2d(cells, level).flatten() for level in LEVELS]))
    return torch.stack(found)


@pytest.mark.parametrize("way", [one_pass, four_calls, box_by_box])
def test_pyramid(
    benchmark: BenchmarkFixture,
    windows: tuple[str, torch.Tensor, torch.Tensor],
    way: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> None:
    """All ways give the same pyramid to the bit; one pass is there to be the fastest of them."""
    name, features, cells = windows
    benchmark.group = f"pyramid pooling, {name}"
    with torch.inference_mode():
        assert torch.equal(way(features, cells), one_pass(features, cells))
        benchmark.pedantic(way, args=(features, cells), rounds=7, warmup_rounds=2)
