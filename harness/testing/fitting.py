"""What a detector promises of `fit`, `initialise`, `save` and `restore`."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from detectors.contract import Detector, Example, FitError, Stage, listening
from harness.testing import material
from harness.testing.ear import Ear
from harness.testing.material import CLASSES, without_objects
from harness.testing.subject import ALL, Subject, assert_same, assert_well_formed

__all__ = ["FittingContract"]

Scenes = tuple[Example, ...]


def _global_streams() -> tuple[object, ...]:
    drawn_by_numpy = np.random.get_state(legacy=False)  # noqa: NPY002
    key, position = drawn_by_numpy["state"]["key"].tobytes(), drawn_by_numpy["state"]["pos"]
    return torch.get_rng_state().numpy().tobytes(), key, position, random.getstate()


class FittingContract(Subject):
    """Where a model comes from, and what making it leaves alone."""

    def test_same_seed_same_model_same_detections(self, fitted: Detector, scenes: Scenes, tmp_path: Path) -> None:
        """Fitting twice with one seed gives the same file and the same detections, to the bit."""
        again = self.fit(tmp_path)
        fitted.save(tmp_path / "first")
        again.save(tmp_path / "again")
        assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
        for example in scenes:
            assert_same(fitted.detect(example.image, example.proposals), again.detect(example.image, example.proposals))

    def test_a_restored_model_detects_the_same(self, fitted: Detector, scenes: Scenes, tmp_path: Path) -> None:
        """What is saved is all that was learnt: a fresh detector that reads it agrees to the bit, and so its file."""
        fitted.save(tmp_path / "one")
        detector = self.make()
        detector.restore(tmp_path / "one")
        detector.save(tmp_path / "two")
        assert (tmp_path / "two").read_bytes() == (tmp_path / "one").read_bytes()
        for example in scenes:
            assert_same(
                fitted.detect(example.image, example.proposals), detector.detect(example.image, example.proposals)
            )

    def test_initialising_gives_detections(self, scenes: Scenes) -> None:
        """Without a fit, `initialise` draws a model that detects, the same one for the same seed."""
        found = []
        for _ in range(2):
            detector = self.make()
            detector.initialise(generator=torch.Generator().manual_seed(0))
            found.append(detector.detect(scenes[0].image, scenes[0].proposals))
        assert len(found[0].scores) > 0
        assert_well_formed(found[0], scenes[0].image, len(CLASSES))
        assert_same(found[0], found[1])

    def test_inputs_and_backbone_stay_as_they_were(self, scenes: Scenes, tmp_path: Path) -> None:
        """Neither fit nor detect writes into an example, an image, proposals, or the backbone that methods share."""
        detector = self.fit(tmp_path, scenes)
        detector.detect(scenes[0].image, scenes[0].proposals)
        for given, untouched in zip(scenes, material.scenes(), strict=True):
            for part in ("image", "boxes", "labels", "difficult", "proposals"):
                assert torch.equal(getattr(given, part), getattr(untouched, part)), f"{part} of {given.id}"
        shared, untouched_weights = material.backbone(self.backbone), material.new_backbone(self.backbone).state_dict()
        for key, weight in shared.state_dict().items():
            assert torch.equal(weight, untouched_weights[key]), f"{key} of the backbone"
        assert not shared.training
        assert all(parameter.requires_grad and parameter.grad is None for parameter in shared.parameters())

    def test_global_random_state_stays_as_it_was(self, fitted: Detector, scenes: Scenes, tmp_path: Path) -> None:
        """All randomness comes from the given generator: torch's, NumPy's and Python's global streams do not move."""
        # After `fitted`: libraries that load themselves at their first use may draw while they do.
        before = _global_streams()
        detector = self.fit(tmp_path)
        detector.detect(scenes[0].image, scenes[0].proposals)
        self.make().initialise(generator=torch.Generator().manual_seed(0))
        assert _global_streams() == before

    @pytest.mark.parametrize("place", ["first", "last"])
    @pytest.mark.parametrize("with_proposals", [True, False])
    def test_a_training_image_without_objects_is_accepted(
        self, place: str, with_proposals: bool, scenes: Scenes, tmp_path: Path
    ) -> None:
        """An image without objects, even without any box, may stand anywhere among the training images."""
        empty = without_objects(scenes[5], None if with_proposals else torch.zeros(0, 4))
        examples = [empty, *scenes[:3]] if place == "first" else [*scenes[:3], empty]
        detector = self.fit(tmp_path, examples)
        assert len(detector.detect(scenes[0].image, scenes[0].proposals).scores) > 0

    def test_one_training_image_is_enough(self, scenes: Scenes, tmp_path: Path) -> None:
        """A single image with a single object and boxes around it fits a detector that detects that class alone."""
        one = scenes[0]
        single = replace(one, boxes=one.boxes[:1], labels=torch.tensor([5]), difficult=one.difficult[:1])
        detector = self.fit(tmp_path, [single])
        assert set(detector.detect(one.image, one.proposals).labels.tolist()) == {5}

    def test_no_object_anywhere_is_an_error(self, scenes: Scenes, tmp_path: Path) -> None:
        """Without any object there is nothing to learn, and the message says so in one line."""
        with pytest.raises(FitError, match="no object") as caught:
            self.fit(tmp_path, [without_objects(one) for one in scenes])
        assert "\n" not in str(caught.value)

    def test_a_class_without_objects_is_never_detected(self, scenes: Scenes, tmp_path: Path) -> None:
        """A class that no training object shows gets no detection, first, last or between; nor when restored."""
        seen = {2, 3}
        examples = [
            replace(one, boxes=one.boxes[:2], labels=one.labels[:2] % 2 + 2, difficult=one.difficult[:2])
            for one in scenes
        ]
        assert set(torch.cat([one.labels for one in examples]).tolist()) == seen
        detector = self.fit(tmp_path, examples, n_classes=4, policy=ALL)
        found = detector.detect(scenes[0].image, scenes[0].proposals)
        assert set(found.labels.tolist()) == seen
        detector.save(tmp_path / "model")
        restored = self.make(n_classes=4, policy=ALL)
        restored.restore(tmp_path / "model")
        assert_same(found, restored.detect(scenes[0].image, scenes[0].proposals))

    def test_stages_of_fitting(self, tmp_path: Path) -> None:
        """Stages of fitting are marked one at a time, each over when it ends; those of detecting may lie within."""
        ear, fitting = Ear(), set(Stage.of_fitting())
        with listening(ear):
            self.fit(tmp_path)
        assert fitting & set(ear.heard)
        assert [pair for pair in ear.nested if set(pair) <= fitting] == []
        assert ear.open == []
        assert ear.crossed == []
        assert all(0 < done <= total for done, total, _ in ear.steps)
