"""Inputs that several benchmarks share: real photographs with their proposals, and drawn ones that are always there.

Compare only medians of one group and one run: machines differ, and the load of one changes by the hour.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from detectors.parts.pooling import map_windows
from detectors.parts.resize import resize
from harness.proposals.selective_search import SelectiveSearch

CHANNELS, STRIDE_PX, SHORT_SIDE_PX = 256, 16, 688
"""conv5 of ZF-5 at SPP-net's single scale [SPP 4.1]."""


@cache
def _photograph(shared: Path, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    path = sorted((shared / "VOCdevkit" / "VOC2007" / "JPEGImages").glob("*.jpg"))[index]
    with Image.open(path) as opened:
        image = np.array(opened.convert("RGB"))
    boxes = SelectiveSearch().propose(path.stem, image)
    return torch.from_numpy(image).permute(2, 0, 1).contiguous(), torch.from_numpy(boxes)


def _drawn(low_px: int, high_px: int, count: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise of VOC's usual size with boxes of sides between two bounds."""
    rng = np.random.default_rng(low_px)
    height, width = 375, 500
    sides = rng.uniform(low_px, high_px, (count, 2))
    corner = rng.uniform(0, 1, (count, 2)) * (np.array([width, height]) - sides)
    boxes = np.concatenate([corner, corner + sides], axis=1).round().astype(np.float32)
    return torch.from_numpy(rng.integers(0, 256, (3, height, width), np.uint8)), torch.from_numpy(boxes)


@pytest.fixture(params=["photograph 1", "photograph 2", "small boxes", "middle boxes", "large boxes"])
def scene(request: pytest.FixtureRequest) -> tuple[str, torch.Tensor, torch.Tensor]:
    """Name, RGB uint8 image (3, H, W) and float32 boxes (P, 4) px; photographs only where there are shared data."""
    name: str = request.param
    if name.startswith("photograph"):
        return (name, *_photograph(request.getfixturevalue("shared_data"), int(name[-1]) - 1))
    return (name, *_drawn(*{"small": (20, 40), "middle": (40, 120), "large": (150, 370)}[name.split()[0]]))


@pytest.fixture
def windows(scene: tuple[str, torch.Tensor, torch.Tensor]) -> tuple[str, torch.Tensor, torch.Tensor]:
    """Name, a random map (1, C, H, W) of the scene's size at 688 px, and its boxes as windows of cells (P, 4)."""
    name, image, boxes = scene
    resized, factors = resize(image.float(), short_side_px=SHORT_SIDE_PX)
    height, width = (-(-side // STRIDE_PX) for side in resized.shape[2:])
    features = torch.randn(1, CHANNELS, height, width, generator=torch.Generator().manual_seed(0)).relu()
    return name, features, map_windows(boxes * factors, stride=STRIDE_PX, offset_px=0.0, height=height, width=width)
