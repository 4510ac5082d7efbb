"""What a detector promises of itself and of `detect`."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, is_dataclass
from pathlib import Path

import pytest
import torch

import detectors
from detectors.contract import Detector, Example, Policy, Stage, listening
from harness.testing.ear import Ear
from harness.testing.material import CLASSES, thin_scene
from harness.testing.subject import Subject, assert_same, assert_well_formed

__all__ = ["DetectingContract"]

Scenes = tuple[Example, ...]
_PER_IMAGE = 100


class DetectingContract(Subject):
    """Class attributes, detections, and what `detect` leaves alone."""

    def test_class_attributes(self) -> None:
        """A method names its paper and policy, and its settings are a frozen dataclass with defaults."""
        method = detectors.load(self.name)
        detector, config = method.detector, method.config
        assert isinstance(detector.paper, str)
        assert detector.paper
        assert isinstance(detector.needs_proposals, bool)
        assert detector.quick_per_image >= 1
        assert isinstance(detector.paper_policy, Policy)
        assert isinstance(config.policy, Policy)
        assert config.iterations >= 1
        with pytest.raises(FrozenInstanceError):
            config.iterations = 1
        assert is_dataclass(detector.Config)
        assert type(config) is detector.Config

    def test_variants_are_changes_to_the_settings(self) -> None:
        """Each variant changes fields that the settings have, and something at all."""
        base = self.name.partition(":")[0]
        detector = detectors.load(base).detector
        known = {field.name for field in fields(detector.Config)}
        for variant, changes in detector.variants.items():
            assert set(changes) <= known
            assert detectors.load(f"{base}:{variant}").config == detector.Config(**changes)
            assert detector.Config(**changes) != detector.Config()

    def test_detections_are_well_formed(self, fitted: Detector, scenes: Scenes) -> None:
        """Types, shapes and falling scores; boxes inside the image; labels 1 to K; at most 100 an image."""
        for example in scenes:
            found = fitted.detect(example.image, example.proposals)
            assert_well_formed(found, example.image, len(CLASSES))
            assert 0 < len(found.scores) <= _PER_IMAGE

    @pytest.mark.parametrize("policy", [Policy(per_image=5), Policy(per_class_after=1), Policy(per_class_before=2)])
    def test_the_policy_of_the_settings_is_obeyed(
        self, policy: Policy, fitted: Detector, scenes: Scenes, tmp_path: Path
    ) -> None:
        """A detector makes no more detections than its policy lets it, and needs no other fit for another policy."""
        fitted.save(tmp_path / "model")
        detector = self.make(policy=policy)
        detector.restore(tmp_path / "model")
        found = detector.detect(scenes[0].image, scenes[0].proposals)
        assert 0 < len(found.labels) <= (policy.per_image or _PER_IMAGE)
        most = min(policy.per_class_before or _PER_IMAGE, policy.per_class_after or _PER_IMAGE)
        assert int(found.labels.bincount().max()) <= most

    def test_detect_before_fit_is_refused(self, scenes: Scenes) -> None:
        """A detector that has learnt nothing says so in one line instead of guessing."""
        with pytest.raises(RuntimeError, match="fit") as caught:
            self.make().detect(scenes[0].image, scenes[0].proposals)
        assert "\n" not in str(caught.value)

    def test_no_proposals_no_detections(self, fitted: Detector, scenes: Scenes) -> None:
        """An image without proposals has no detections, and is no error."""
        if not fitted.needs_proposals:
            pytest.skip(f"{self.name} makes its own boxes")
        found = fitted.detect(scenes[0].image, torch.zeros(0, 4))
        assert found.boxes.shape == (0, 4)
        assert len(found.scores) == len(found.labels) == 0

    def test_boxes_of_one_pixel_in_every_corner(self, fitted: Detector, scenes: Scenes) -> None:
        """Boxes of one pixel, also at the far edges, and the whole image are proposals like any other."""
        height, width = scenes[0].image.shape[1:]
        corners = [[x, y, x + 1, y + 1] for x in (0, width - 1) for y in (0, height - 1)]
        proposals = torch.tensor([*corners, [0, 0, width, height]]).float()
        found = fitted.detect(scenes[0].image, proposals)
        assert len(found.scores) > 0
        assert_well_formed(found, scenes[0].image, len(CLASSES))

    @pytest.mark.parametrize(("height", "width"), [(1, 4000), (4000, 1), (1, 1)])
    def test_an_image_of_any_shape_gives_a_result(self, height: int, width: int, fitted: Detector) -> None:
        """One pixel high and 4000 wide, the other way round, and a single pixel: detections, and memory for them."""
        image, proposals = thin_scene(height, width)
        assert_well_formed(fitted.detect(image, proposals), image, len(CLASSES))

    def test_detect_leaves_its_inputs_alone(self, fitted: Detector, scenes: Scenes) -> None:
        """Neither the image nor the proposals are written into."""
        image, proposals = scenes[0].image.clone(), scenes[0].proposals.clone()
        fitted.detect(scenes[0].image, scenes[0].proposals)
        assert torch.equal(image, scenes[0].image)
        assert torch.equal(proposals, scenes[0].proposals)

    def test_detect_draws_nothing(self, fitted: Detector, scenes: Scenes) -> None:
        """Detecting in the same image twice gives the same bits, whatever was detected in between."""
        first = fitted.detect(scenes[0].image, scenes[0].proposals)
        fitted.detect(scenes[1].image, scenes[1].proposals[:5])
        assert_same(first, fitted.detect(scenes[0].image, scenes[0].proposals))

    def test_stages_of_detecting(self, fitted: Detector, scenes: Scenes) -> None:
        """Detecting marks stages of detecting, one at a time, each over when it ends."""
        ear = Ear()
        with listening(ear):
            fitted.detect(scenes[0].image, scenes[0].proposals)
        assert ear.heard
        assert set(ear.heard) <= set(Stage.of_detecting())
        assert ear.nested == []
        assert ear.open == []

    def test_listening_changes_no_detection(self, fitted: Detector, scenes: Scenes) -> None:
        """A marked call and an unmarked one detect the same."""
        silent = fitted.detect(scenes[2].image, scenes[2].proposals)
        with listening(Ear()):
            heard = fitted.detect(scenes[2].image, scenes[2].proposals)
        assert_same(silent, heard)
