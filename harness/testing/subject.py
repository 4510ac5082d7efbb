"""The detector under test: how it is found, made small, and fitted once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

import detectors
from detectors.contract import Detections, Detector, Example, Policy
from harness.testing import material

__all__ = ["ALL", "Subject", "assert_same", "assert_well_formed"]

ALL = Policy(per_class_before=None, iou=1.0, per_image=None)
"""Suppresses nothing."""

_SMALL: Mapping[str, Any] = {"iterations": 3, "fc_width": 32}
"""Settings with which the methods here are fitted in a second, for those that have them."""


def assert_same(a: Detections, b: Detections) -> None:
    """Two detections agree to the bit."""
    assert torch.equal(a.boxes, b.boxes)
    assert torch.equal(a.scores, b.scores)
    assert torch.equal(a.labels, b.labels)


def assert_well_formed(found: Detections, image: torch.Tensor, n_classes: int) -> None:
    """Types, devices and shapes; falling finite scores; boxes inside the image; labels 1 to K."""
    assert isinstance(found, Detections)
    height, width = image.shape[1:]
    for values, dtype in ((found.boxes, torch.float32), (found.scores, torch.float32), (found.labels, torch.int64)):
        assert values.dtype == dtype
        assert values.device.type == "cpu"
        assert len(values) == len(found.scores)
    assert found.boxes.shape[1:] == (4,)
    assert found.scores.isfinite().all()
    assert (found.scores[1:] <= found.scores[:-1]).all()
    assert (found.boxes >= 0).all()
    assert (found.boxes <= torch.tensor([width, height, width, height])).all()
    assert (found.boxes[:, :2] <= found.boxes[:, 2:]).all()
    assert set(found.labels.tolist()) <= set(range(1, n_classes + 1))


class Subject:
    """What a test class says of its detector, and what every test of the contract gets it by."""

    name: ClassVar[str]
    """As for ``--methods``, variants included."""
    settings: ClassVar[Mapping[str, Any]] = {}
    """Fields of its Config with which a fit on six images takes a second."""
    backbone: ClassVar[str] = material.BACKBONE
    """Loaded with random weights."""

    def make(self, *, n_classes: int = len(material.CLASSES), **settings: object) -> Detector:
        """A detector that has learnt nothing, on the CPU, with `settings` laid over the small ones."""
        method = detectors.load(self.name)
        known = {one.name for one in fields(method.config)}
        small = {key: value for key, value in _SMALL.items() if key in known} | dict(self.settings) | settings
        build: Any = method.detector
        config = replace(method.config, **small)
        made: Detector = build(n_classes, config, material.backbone(self.backbone), torch.device("cpu"))
        return made

    def fit(
        self, workdir: Path, examples: Sequence[Example] | None = None, *, seed: int = 0, **settings: Any
    ) -> Detector:
        """A detector made with `settings` and fitted on `examples`, else on the six scenes."""
        detector = self.make(**settings)
        generator = torch.Generator().manual_seed(seed)
        detector.fit(material.scenes() if examples is None else examples, generator=generator, workdir=workdir)
        return detector

    @pytest.fixture
    def scenes(self) -> tuple[Example, ...]:
        """Six scenes with proposals, for this test alone."""
        return material.scenes()

    @pytest.fixture
    def fitted(self, tmp_path_factory: pytest.TempPathFactory) -> Detector:
        """Fitted on the scenes with seed 0, once a class; tests only look at it."""
        # Not a fixture of class scope: those cannot call the hooks above, which a subclass may override.
        kept = vars(type(self)).get("_fitted")
        if kept is None:
            kept = self.fit(tmp_path_factory.mktemp("fit"))
            type(self)._fitted = kept  # type: ignore[attr-defined]
        detector: Detector = kept
        return detector
