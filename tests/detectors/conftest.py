"""The scenes and the backbone of the contract test kit, and detectors small enough to be fitted on them in a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from detectors.contract import Detector, Example
from detectors.parts.backbones import Backbone
from harness.testing import DetectorContract, material


@pytest.fixture(scope="session")
def scenes() -> tuple[Example, ...]:
    """Six scenes of the split `train`; labels 1 to 8."""
    return material.scenes()


@pytest.fixture(scope="session")
def backbone() -> Backbone:
    """A random `mini`; no detector may change it."""
    return material.backbone()


@pytest.fixture(scope="session")
def small() -> Callable[..., Detector]:
    """Make a detector by name that fits in a second: few iterations, narrow fc layers, other settings as given."""

    def make(wanted: str, **settings: object) -> Detector:
        class Small(DetectorContract):
            name = wanted

        return Small().make(**settings)  # type: ignore[arg-type]

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
