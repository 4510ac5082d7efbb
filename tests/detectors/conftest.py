"""A handful of drawn scenes with hand-made proposals, and detectors small enough to be fitted on them in a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import detectors
from detectors.contract import Detector, Example
from detectors.parts.backbones import Backbone
from harness.datasets.shapes import CLASSES, Shapes

_SMALL = {"iterations": 3, "fc_width": 32}


def _proposals(boxes: np.ndarray[Any, Any], height: int, width: int, seed: int) -> torch.Tensor:
    """Each true box moved six times by up to a sixth of its sides, among 30 boxes of any place and size."""
    rng = np.random.default_rng(seed)
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)[:, None]
    near = (boxes[:, None] + rng.uniform(-1 / 6, 1 / 6, (len(boxes), 6, 4)) * size).reshape(-1, 4)
    low = rng.uniform(0, 0.8, (30, 2)) * (width, height)
    anywhere = np.concatenate([low, low + rng.uniform(12, 120, (30, 2))], axis=1)
    every = np.concatenate([near, anywhere]).clip(0, (width, height, width, height)).round()
    every = every[((every[:, 2:] - every[:, :2]) >= 4).all(axis=1)]
    return torch.from_numpy(rng.permutation(every).astype(np.float32))


@pytest.fixture(scope="session")
def scenes() -> tuple[Example, ...]:
    """Six scenes of the split `train`; labels 1 to 8."""
    drawn = Shapes("train", 6)
    found = []
    for index, name in enumerate(drawn.ids):
        image, truth = drawn.image(index), drawn.truth(index)
        found.append(
            Example(
                name,
                torch.from_numpy(image).permute(2, 0, 1).contiguous(),
                torch.from_numpy(truth.boxes),
                torch.from_numpy(truth.labels),
                torch.from_numpy(truth.difficult),
                _proposals(truth.boxes, image.shape[0], image.shape[1], seed=index),
            )
        )
    return tuple(found)


@pytest.fixture(scope="session")
def backbone() -> Backbone:
    """A random `mini`; no detector may change it."""
    return detectors.load_backbone("mini", "random", generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="session")
def small(backbone: Backbone) -> Callable[..., Detector]:
    """Make a detector by name that fits in a second: few iterations, narrow fc layers, other settings as given."""

    def make(name: str, *, n_classes: int = len(CLASSES), **settings: object) -> Detector:
        method = detectors.load(name)
        known = {one.name for one in fields(method.config)}
        shrunk = {key: value for key, value in _SMALL.items() if key in known}
        config = replace(method.config, **(shrunk | settings))
        build: Any = method.detector
        made: Detector = build(n_classes, config, backbone, torch.device("cpu"))
        return made

    return make


@pytest.fixture(scope="session")
def fitted(
    small: Callable[..., Detector], scenes: tuple[Example, ...], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Detector]:
    """The small detector of a name, fitted on the scenes with seed 0, once a session. Tests only look at it."""
    kept: dict[str, Detector] = {}

    def get(name: str) -> Detector:
        if name not in kept:
            kept[name] = small(name)
            workdir: Path = tmp_path_factory.mktemp("fit")
            kept[name].fit(scenes, generator=torch.Generator().manual_seed(0), workdir=workdir)
        return kept[name]

    return get
