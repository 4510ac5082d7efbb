"""The convolutions of R-CNN's crops on a GPU, with images and weights channels first and channels last."""

from __future__ import annotations

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

import detectors
from detectors.parts.precision import lay_out
from harness.precision import arithmetic

_CROPS = 64


@pytest.mark.gpu
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["first", "last"])
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("backbone", ["zf5", "caffenet", "vgg16", "squeezenet1_1"])
def test_crops(benchmark: BenchmarkFixture, backbone: str, precision: str, layout: torch.memory_format) -> None:
    """The layout that detecting takes is named in the group."""
    dtype, draw = torch.bfloat16 if precision == "bf16" else torch.float32, torch.Generator().manual_seed(0)
    with arithmetic(precision), torch.inference_mode():
        network = detectors.load_backbone(backbone, "random", generator=draw).to("cuda", dtype)
        taken = "last" if lay_out(network, torch.device("cuda")) == torch.channels_last else "first"
        network.to(memory_format=layout)
        side = network.geometry.crop_px
        crops = torch.rand(_CROPS, 3, side, side, generator=draw).to("cuda", dtype, memory_format=layout)
        benchmark.group = f"{backbone}, {precision}, {_CROPS} crops; detecting takes channels {taken}"
        benchmark.pedantic(network, args=(crops,), rounds=5, warmup_rounds=2)
