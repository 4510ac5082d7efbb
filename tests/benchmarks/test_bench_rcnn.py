"""R-CNN on one image with CaffeNet: crops in chunks and fc layers for all at once, against crop by crop; and chunks of
the size chosen for this machine against the published 256."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

import detectors

N_CROPS = 64  # of the 2,000 of a real image, so that a round takes seconds
N_CLASSES = 20
PUBLISHED_CHUNK = 256

Scored = tuple[torch.Tensor, torch.Tensor]


def made(chunk: int | None) -> Any:
    """With random weights, which cost what learnt ones cost."""
    generator = torch.Generator().manual_seed(0)
    method = detectors.load("rcnn")
    backbone = detectors.load_backbone("caffenet", "random", generator=generator)
    build: Any = method.detector
    detector = build(N_CLASSES, replace(method.config, chunk=chunk), backbone, torch.device("cpu"))
    detector.initialise(generator=generator)
    return detector


@pytest.fixture(autouse=True)
def _all_cores() -> Iterator[None]:
    """As many threads as `harness compare` has; single crops keep them less busy than batches do."""
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def rcnn() -> Any:
    return made(None)


def batched(rcnn: Any, image: torch.Tensor, proposals: torch.Tensor) -> Scored:
    found: Scored = rcnn.score(image, proposals)
    return found


def crop_by_crop(rcnn: Any, image: torch.Tensor, proposals: torch.Tensor) -> Scored:
    boxes, scores = zip(*(rcnn.score(image, one) for one in proposals.split(1)), strict=True)
    return torch.cat(boxes), torch.cat(scores)


@pytest.mark.parametrize("scene", ["photograph 1", "middle boxes"], indirect=True)
@pytest.mark.parametrize("way", [batched, crop_by_crop])
def test_rcnn(
    benchmark: BenchmarkFixture,
    rcnn: Any,
    scene: tuple[str, torch.Tensor, torch.Tensor],
    way: Callable[[Any, torch.Tensor, torch.Tensor], Scored],
) -> None:
    """Both give the same scores within 1e-3 of their range and boxes within 0.01 px; sums are ordered otherwise."""
    name, image, proposals = scene
    proposals = proposals[:N_CROPS]
    (boxes, scores), (same_boxes, same_scores) = way(rcnn, image, proposals), batched(rcnn, image, proposals)
    scale = float(same_scores.abs().max())
    torch.testing.assert_close(scores, same_scores, rtol=0, atol=1e-3 * scale)
    torch.testing.assert_close(boxes, same_boxes, rtol=0, atol=0.01)
    benchmark.group = f"R-CNN, {N_CROPS} crops, {name}"
    benchmark.pedantic(way, args=(rcnn, image, proposals), rounds=3)


@pytest.mark.parametrize("chunk", [None, PUBLISHED_CHUNK], ids=["chosen", "published"])
@pytest.mark.parametrize("scene", ["middle boxes"], indirect=True)
def test_chunk(
    benchmark: BenchmarkFixture, rcnn: Any, scene: tuple[str, torch.Tensor, torch.Tensor], chunk: int | None
) -> None:
    """Both give the same scores within 1e-3 of their range."""
    _, image, proposals = scene
    proposals = proposals[:PUBLISHED_CHUNK]
    detector = rcnn if chunk is None else made(chunk)
    scores, same = batched(detector, image, proposals)[1], batched(rcnn, image, proposals)[1]
    torch.testing.assert_close(scores, same, rtol=0, atol=1e-3 * float(same.abs().max()))
    benchmark.group = f"R-CNN, {PUBLISHED_CHUNK} crops, chunk of {rcnn.chunk} chosen"
    benchmark.pedantic(batched, args=(detector, image, proposals), rounds=3)
