"""Plans that are carried out in a second: few scenes, boxes from a file, narrow heads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.datasets.shapes import Shapes
from harness.plan import Plan
from harness.progress import Reporter

TRAIN, TEST = 4, 3


@pytest.fixture(scope="session")
def boxes_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each object of the first scenes moved a little four times, among 24 boxes of any place and size."""
    rng = np.random.default_rng(7)
    found = {}
    for split, length in (("train", TRAIN), ("test", TEST)):
        scenes = Shapes(split, length)
        for index, name in enumerate(scenes.ids):
            height, width = scenes.image(index).shape[:2]
            near = scenes.truth(index).boxes[:, None] + rng.uniform(-8, 8, (1, 4, 4))
            low = rng.uniform(0, 0.8, (24, 2)) * (width, height)
            anywhere = np.concatenate([low, low + rng.uniform(16, 120, (24, 2))], axis=1)
            every = np.concatenate([near.reshape(-1, 4), anywhere]).clip(0, (width, height, width, height)).round()
            every = every[((every[:, 2:] - every[:, :2]) >= 8).all(axis=1)]
            found[name] = rng.permutation(every).astype(np.float32)
    path = tmp_path_factory.mktemp("boxes") / "boxes.npz"
    np.savez(path, **found)
    return path


@pytest.fixture(scope="session")
def small_plan(boxes_file: Path) -> Callable[..., Plan]:
    """A plan of a second; `changes` are laid over it."""

    def make(**changes: Any) -> Plan:
        values: dict[str, Any] = {
            "proposals": str(boxes_file),
            "images": TEST,
            "train_images": TRAIN,
            "iterations": 3,
            "fc_width": 16,
            "device": "cpu",
        }
        return Plan.of(values | changes)

    return make


@pytest.fixture
def silent() -> Reporter:
    """Shows nothing."""
    return Reporter(quiet=True)
