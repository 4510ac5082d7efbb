"""What detecting is made of, on the CPU and on a CUDA device: crops, pyramid, fc6, suppression, and a whole image.

Seconds of the two devices stand in groups of their own. The timer waits for the device, so a launch is not taken for
the work; what a round hands over stays on the device, save for detections.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

import detectors
from detectors.contract import SHARED_POLICY
from detectors.parts.affine import affine
from detectors.parts.crops import warp
from detectors.parts.decide import decide
from detectors.parts.pooling import spatial_pyramid_pool

N_CLASSES = 20
N_BOXES = {"cpu": 64, "cuda": 2000}
"""Of one image: 2,000 at most [SPP 4.1, FRCN 2.3]; fewer where a round would take minutes."""
TOLERANCE = 1e-3
"""Of the largest value: sums are ordered otherwise on another device."""

Work = Callable[..., torch.Tensor]


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def timed(benchmark: BenchmarkFixture, device: str, name: str, work: Work, *inputs: torch.Tensor) -> None:
    """Check what the device computes against the CPU, then time it."""
    there = [each.to(device) for each in inputs]
    with torch.inference_mode():
        found, expected = work(*there).cpu(), work(*inputs)
        torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE * float(expected.abs().max()))
        benchmark.group = f"{name}, {device}"
        benchmark.pedantic(work, args=there, rounds=7, warmup_rounds=2)


def drawn_boxes(count: int, generator: torch.Generator) -> torch.Tensor:
    """Corners in a scene of 500 x 375 px, sides of 20 to 150 px."""
    low = torch.rand(count, 2, generator=generator) * torch.tensor([350.0, 225.0])
    return torch.cat([low, low + 20 + 130 * torch.rand(count, 2, generator=generator)], dim=1).round()


def test_crops(benchmark: BenchmarkFixture, device: str) -> None:
    """A chunk of R-CNN's crops, of the size and with the context of [RCNN App. A]."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(256, (3, 375, 500), generator=generator).float()

    def work(pixels: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        return warp(pixels, boxes, size_px=227, context_px=16)

    timed(benchmark, device, "64 crops", work, image, drawn_boxes(64, generator))


def test_pyramid(benchmark: BenchmarkFixture, device: str) -> None:
    """50 bins of every box on conv5 of ZF-5 at 688 px [SPP 4.1]."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, 256, 43, 58, generator=generator).relu()
    windows = (drawn_boxes(N_BOXES[device], generator) / 9).long()

    def work(values: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
        return spatial_pyramid_pool(values, cells, (6, 3, 2, 1))

    timed(benchmark, device, f"pyramid of {N_BOXES[device]} boxes", work, features, windows)


def test_fc6(benchmark: BenchmarkFixture, device: str) -> None:
    """The widest layer of the classifier, on the pyramid's 12,800 numbers a box."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(N_BOXES[device], 12_800, generator=generator)
    weight, bias = torch.randn(4096, 12_800, generator=generator) / 113, torch.zeros(4096)
    timed(benchmark, device, f"fc6 of {N_BOXES[device]} boxes", affine, x, weight, bias)


def test_decide(benchmark: BenchmarkFixture, device: str) -> None:
    """From the scores of 2,000 boxes to detections in host memory: the same ones on every device, to the bit."""
    generator = torch.Generator().manual_seed(0)
    boxes = drawn_boxes(2000, generator)[:, None].expand(-1, N_CLASSES, -1).contiguous()
    scores = torch.randperm(2000 * N_CLASSES, generator=generator).view(2000, N_CLASSES) / (2000 * N_CLASSES)
    there = (boxes.to(device), scores.to(device))
    found, expected = decide(*there, SHARED_POLICY), decide(boxes, scores, SHARED_POLICY)
    assert torch.equal(found.boxes, expected.boxes)
    assert torch.equal(found.scores, expected.scores)
    benchmark.group = f"suppress, 2,000 boxes of {N_CLASSES} classes, {device}"
    benchmark.pedantic(decide, args=(*there, SHARED_POLICY), rounds=7, warmup_rounds=2)


@pytest.mark.parametrize("method", ["rcnn", "spp", "fast"])
def test_one_image(benchmark: BenchmarkFixture, device: str, method: str) -> None:
    """CaffeNet with random weights, which cost what learnt ones cost: falling finite scores of known classes."""
    generator = torch.Generator().manual_seed(0)
    entry = detectors.load(method)
    backbone = detectors.load_backbone("caffenet", "random", generator=generator)
    build: Any = entry.detector
    detector = build(N_CLASSES, entry.config, backbone, torch.device(device))
    detector.initialise(generator=generator)
    image = torch.randint(256, (3, 375, 500), dtype=torch.uint8, generator=generator)
    boxes = drawn_boxes(N_BOXES[device], generator)
    found = detector.detect(image, boxes)
    assert found.scores.isfinite().all()
    assert (found.scores.diff() <= 0).all()
    assert set(found.labels.tolist()) <= set(range(1, N_CLASSES + 1))
    benchmark.group = f"one image of {len(boxes)} boxes, {device}"
    benchmark.pedantic(detector.detect, args=(image, boxes), rounds=3, warmup_rounds=1)
