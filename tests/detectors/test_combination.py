"""The combination of fitted detectors: a union before suppression, one file, and members that go together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import detectors
from detectors.combination import Combination, CombinationConfig
from detectors.contract import SHARED_POLICY, Example, FitError, Policy, SettingsError, Stage, fit_settings, listening
from detectors.parts.backbones import Backbone
from detectors.parts.boxes import iou
from detectors.parts.modelfile import ModelFileError
from detectors.parts.sampling import Sampling
from harness.testing import Ear
from harness.testing.subject import assert_same, assert_well_formed

Scenes = tuple[Example, ...]
Make = Callable[..., Combination]

CPU = torch.device("cpu")
SMALL = {"iterations": 2, "fc_width": 16, "sampling": Sampling(regions=32)}


def _seed(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


@pytest.fixture(scope="module")
def make(backbone: Backbone) -> Make:
    """A small combination by name, with a policy."""

    def build(name: str, policy: Policy = SHARED_POLICY) -> Combination:
        method = detectors.load(name)
        members = tuple(replace(one.config, **SMALL) for one in method.members)
        config = replace(method.config, members=members, policy=policy)
        return Combination(8, config, backbone, CPU)

    return build


@pytest.fixture(scope="module")
def fitted(make: Make, scenes: Scenes, tmp_path_factory: pytest.TempPathFactory) -> Combination:
    """R-CNN and SPP-net, fitted on four scenes; tests only look at it."""
    detector = make("rcnn+spp")
    detector.fit(scenes[:4], generator=_seed(), workdir=tmp_path_factory.mktemp("fit"))
    return detector


def test_a_name_with_a_plus_is_a_combination() -> None:
    """Members with their variants, in order; mini-batches are those of all members."""
    method = detectors.load("spp:5+rcnn")
    assert method.detector is Combination
    assert [one.name for one in method.members] == ["spp:5", "rcnn"]
    assert method.config.iterations == 300_000 + 70_000
    assert method.config.members == tuple(one.config for one in method.members)
    assert "policy" not in fit_settings(method.config)
    assert (method.detector.paper, method.detector.needs_proposals, dict(method.detector.variants)) == ("SPP", True, {})


def _literal(boxes: torch.Tensor, scores: torch.Tensor) -> list[tuple[int, float, list[float]]]:
    """Label, score and box of what stays of (P, K, 4) and (P, K), by the shared policy written out as loops."""
    kept: list[tuple[int, float, list[float]]] = []
    for k in range(scores.shape[1]):
        order = sorted(range(len(scores)), key=lambda index: -float(scores[index, k]))[:100]
        of_class: list[int] = []
        for index in order:
            if not torch.isfinite(scores[index, k]):
                continue
            overlaps = [float(iou(boxes[index, k][None].double(), boxes[best, k][None].double())) for best in of_class]
            if all(overlap <= 0.3 for overlap in overlaps):
                of_class.append(index)
        kept += [(k + 1, float(scores[index, k]), boxes[index, k].tolist()) for index in of_class]
    return sorted(kept, key=lambda one: -one[1])[:100]


def test_suppression_runs_over_the_union(fitted: Combination, scenes: Scenes) -> None:
    """Both members score all proposals; of both together the best of a class suppress the rest [SPP Table 12]."""
    image, proposals = scenes[5].image, scenes[5].proposals
    of_each = [member.score(image, proposals) for member in fitted.members]
    boxes, scores = (torch.cat(parts) for parts in zip(*of_each, strict=True))
    assert len(scores) == 2 * len(proposals)
    expected = _literal(boxes, scores)
    found = fitted.detect(image, proposals)
    assert_well_formed(found, image, 8)
    assert found.labels.tolist() == [label for label, _, _ in expected]
    assert found.scores.tolist() == [score for _, score, _ in expected]
    assert found.boxes.tolist() == [box for _, _, box in expected]
    # Each of the two has a part in it.
    assert any(float(one) in scores[: len(proposals)].flatten() for one in found.scores)
    assert any(float(one) in scores[len(proposals) :].flatten() for one in found.scores)


def test_the_policy_is_that_of_the_whole(fitted: Combination, make: Make, scenes: Scenes, tmp_path: Path) -> None:
    """What the members would do with their own boxes plays no part."""
    fitted.save(tmp_path / "model")
    few = make("rcnn+spp", Policy(per_image=3))
    few.restore(tmp_path / "model")
    assert len(few.detect(scenes[0].image, scenes[0].proposals).scores) == 3


def test_one_file_holds_all_members(fitted: Combination, make: Make, scenes: Scenes, tmp_path: Path) -> None:
    """A restored combination detects the same to the bit and writes the same file."""
    fitted.save(tmp_path / "deep" / "model")
    restored = make("rcnn+spp")
    restored.restore(tmp_path / "deep" / "model")
    for one in scenes[:2]:
        assert_same(restored.detect(one.image, one.proposals), fitted.detect(one.image, one.proposals))
    restored.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "deep" / "model").read_bytes()


def test_a_wrong_file_is_refused(fitted: Combination, make: Make, tmp_path: Path) -> None:
    """None there, none of ours, one of a single detector, or of members in another order: one line that names it."""
    fitted.save(tmp_path / "model")
    fitted.members[0].save(tmp_path / "single")
    (tmp_path / "text").write_text("no model")
    for name, message in (
        ("none", "no fitted model at .*none"),
        ("text", "text does not hold this model"),
        ("single", "single does not hold this model: expected a combination of 2"),
    ):
        with pytest.raises(ModelFileError, match=message):
            make("rcnn+spp").restore(tmp_path / name)
    with pytest.raises(ModelFileError, match=r"model, member 0, does not hold this model") as caught:
        make("spp+rcnn").restore(tmp_path / "model")
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelFileError, match="expected a combination of 3"):
        make("rcnn+spp+spp").restore(tmp_path / "model")


def test_the_same_detector_twice_learns_two_models(make: Make, scenes: Scenes, tmp_path: Path) -> None:
    """Members draw from generators of their own, so that two of a kind differ, and a seed gives the same two again."""
    files = []
    for number in range(2):
        twice = make("spp+spp")
        twice.fit(scenes[:2], generator=_seed(3), workdir=tmp_path / str(number))
        for index, member in enumerate(twice.members):
            member.save(tmp_path / f"model {index}")
        files.append([(tmp_path / f"model {index}").read_bytes() for index in range(2)])
    assert files[0] == files[1]
    assert files[0][0] != files[0][1]


def test_stages_of_members_follow_each_other(fitted: Combination, scenes: Scenes) -> None:
    """No stage stands within another, and there is one suppression, at the end."""
    ear = Ear()
    with listening(ear):
        fitted.detect(scenes[0].image, scenes[0].proposals)
    assert (ear.nested, ear.crossed, ear.open) == ([], [], [])
    assert ear.heard.count(Stage.SUPPRESS) == 1
    assert ear.heard[-1] is Stage.SUPPRESS
    assert ear.heard.count(Stage.FC) == 2


def test_no_proposals(fitted: Combination, scenes: Scenes) -> None:
    """No boxes have no detections."""
    assert len(fitted.detect(scenes[0].image, torch.zeros(0, 4)).scores) == 0


def test_initialised_members_detect(make: Make, scenes: Scenes) -> None:
    """Random members are enough to measure speed on, and one seed draws the same."""
    found = []
    for _ in range(2):
        detector = make("rcnn+spp")
        detector.initialise(generator=_seed())
        found.append(detector.detect(scenes[0].image, scenes[0].proposals))
    assert len(found[0].scores) == 100
    assert_same(*found)


def test_softmax_members_go_together(make: Make) -> None:
    """Fast R-CNN and R-CNN by softmax both give probabilities."""
    assert make("fast+rcnn:softmax").score_kind == "softmax"
    assert make("spp+rcnn").score_kind == "svm"


def test_scores_of_two_kinds_are_refused(make: Make) -> None:
    """A probability and a distance do not compare, and the message says whose is which."""
    with pytest.raises(SettingsError, match=r"expected one kind, got SPP svm, FastRCNN softmax, which do not compare"):
        make("spp+fast")


def test_one_member_is_no_combination(backbone: Backbone) -> None:
    """Two or more, and settings for each."""
    method = detectors.load("rcnn")
    for config in (
        CombinationConfig((method.detector,), (method.config,)),
        CombinationConfig((method.detector, method.detector), (method.config,)),
    ):
        with pytest.raises(SettingsError, match="expected two detectors or more and settings for each"):
            Combination(8, config, backbone, CPU)


def test_a_detector_without_scores_cannot_be_combined(backbone: Backbone) -> None:
    """One that only says what is left after its own suppression is refused by name."""

    class Silent:
        def __init__(self, *arguments: Any) -> None: ...

    method = detectors.load("rcnn")
    config = CombinationConfig((method.detector, Silent), (method.config, None))
    with pytest.raises(SettingsError, match="Silent cannot be combined"):
        Combination(8, config, backbone, CPU)


def test_no_object_is_an_error(make: Make, scenes: Scenes, tmp_path: Path) -> None:
    """What its first member cannot learn from, a combination cannot."""
    nothing = torch.zeros(0)
    empty = replace(scenes[0], boxes=nothing.view(0, 4), labels=nothing.long(), difficult=nothing.bool())
    with pytest.raises(FitError, match="no object"):
        make("rcnn+spp").fit([empty], generator=_seed(), workdir=tmp_path)
