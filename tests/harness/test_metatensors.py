"""Tensors without values: operators give them the shape, type and order in memory that they give real ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from detectors.contract import Detector
from harness.flops import ImageShape, count_image

Work = Callable[[torch.Tensor], torch.Tensor]


def without_values(work: Work, shape: tuple[int, ...], order: torch.memory_format) -> torch.Tensor:
    found = []

    def detect(image: torch.Tensor, _: torch.Tensor) -> None:
        with torch.inference_mode():
            made = torch.empty(shape, device=image.device, dtype=torch.float32, memory_format=order)
            found.append(work(made))

    count_image(cast(Detector, type("Only", (), {"detect": staticmethod(detect)})()), ImageShape(8, 9, 1))
    return found[0]


def alike(work: Work, shape: tuple[int, ...], order: torch.memory_format) -> None:
    found = without_values(work, shape, order)
    with torch.inference_mode():
        real = work(torch.ones(shape).contiguous(memory_format=order))
    assert found.is_meta
    assert (found.shape, found.dtype, found.stride()) == (real.shape, real.dtype, real.stride())


OFFSET = torch.ones(6, 1, 1)
CHAINS: dict[str, Work] = {
    "offset": lambda x: x - OFFSET,
    "offset first": lambda x: OFFSET - x,
    "number": lambda x: 1 - x * 2,
    "grown": lambda x: x[:, :, :1] + x[:, :, :, :1].contiguous(),
    "resized": lambda x: functional.interpolate(x, size=(5, 13), mode="bilinear"),
    "by a factor": lambda x: functional.interpolate(x, scale_factor=1.3, mode="bilinear"),
    "convolved": nn.Conv2d(6, 4, 3),
    "one by one": nn.Sequential(nn.Conv2d(6, 4, 1), nn.ReLU(), nn.Conv2d(4, 8, 3, padding="same", bias=False)),
    "weights in that order": nn.Conv2d(6, 4, 3).to(memory_format=torch.channels_last),
    "one stride for both": lambda x: functional.conv2d(x, torch.ones(2, 6, 3, 3), stride=[2], padding=[1]),
    "transposed": nn.ConvTranspose2d(6, 4, 3),
    "pooled": nn.Sequential(nn.Conv2d(6, 4, 3, padding=1), nn.MaxPool2d(2), nn.AdaptiveMaxPool2d(3)),
    "in a line": lambda x: functional.conv1d(x.flatten(2), torch.ones(2, 6, 3)),
    "flattened": nn.Sequential(nn.Conv2d(6, 4, 3, padding=1), nn.Flatten(), nn.LazyLinear(3)),
    "sampled": lambda x: functional.grid_sample(x, torch.zeros(2, 5, 7, 2), align_corners=False),
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels last"])
def test_results_are_as_those_with_values(name: str, order: torch.memory_format) -> None:
    """A copy into another order is work, so that the order must be right."""
    work = CHAINS[name]
    with torch.inference_mode():
        work(torch.ones(2, 6, 9, 11))  # a lazy layer finds its width
    alike(work, (2, 6, 9, 11), order)


SIDES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(5, 12), st.integers(5, 12))


@given(SIDES, st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2))
@settings(max_examples=60)
def test_a_convolution_has_the_sides_of_a_real_one(
    shape: tuple[int, int, int, int], channels: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:
    """Whatever kernel, stride, padding and dilation."""
    layer = nn.Conv2d(shape[1], channels, kernel, stride, padding, dilation)
    found = without_values(layer, shape, torch.contiguous_format)
    assert found.shape == layer(torch.ones(shape)).shape
