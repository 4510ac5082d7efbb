"""Every method of the tree under the contract test kit, what they promise beyond it, and the contract's own types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import detectors
from detectors.contract import (
    SHARED_POLICY,
    Detections,
    Detector,
    Example,
    Policy,
    SettingsError,
    Stage,
    listening,
    progress,
    stage,
)
from harness.testing import DetectorContract, Ear
from harness.testing.subject import ALL

Make = Callable[..., Detector]
Get = Callable[[str], Detector]
Scenes = tuple[Example, ...]

METHODS = [name for name in detectors.names() if detectors.origin(name) == "built in"]
VARIANTS = [f"{name}:{variant}" for name in METHODS for variant in detectors.load(name).detector.variants]

every_method = pytest.mark.parametrize("name", METHODS)

# One class for each file of `detectors/`: a fourth method is tested without a line here.
globals().update({f"Test_{name}": type(f"Test_{name}", (DetectorContract,), {"name": name}) for name in METHODS})


def test_the_three_papers_are_found() -> None:
    """R-CNN, SPP-net and Fast R-CNN are methods of the package, and nothing that is no method is listed."""
    assert {"fast", "rcnn", "spp"} <= set(METHODS)
    assert not {"combination", "contract", "parts", "plugins"} & set(detectors.names())


def test_unknown_names_say_what_there_is() -> None:
    """A wrong method or variant is answered with the right ones."""
    with pytest.raises(detectors.MethodError, match="no method 'frcn'; there are fast, rcnn, spp"):
        detectors.load("frcn")
    with pytest.raises(detectors.MethodError, match="no variant rcnn:9; variants of rcnn: "):
        detectors.load("rcnn:9")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("spp:fc6:pool5", "spp:fc6:pool5: pool5 sets bb, layer once more"),
        ("spp:5:5", "spp:5:5: 5 sets scales_px once more"),
        ("spp+", "combination 'spp\\+' lacks a method"),
        ("+fast", "combination '\\+fast' lacks a method"),
    ],
)
def test_names_that_contradict_themselves_are_refused(name: str, message: str) -> None:
    """Two variants that set the same, and half a combination, are no methods."""
    with pytest.raises(detectors.MethodError, match=message):
        detectors.load(name)


@every_method
def test_published_methods_share_the_policy_of_the_reports(name: str) -> None:
    """The settings of every published method begin with the policy of every headline number, and name their paper."""
    method = detectors.load(name)
    assert method.config.policy == SHARED_POLICY
    assert method.detector.paper.isupper()


def _made_or_refused(small: Make, name: str) -> Detector | str:
    try:
        return small(name)
    except SettingsError as refused:
        return str(refused)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_detects(name: str, small: Make, scenes: Scenes) -> None:
    """Every variant detects with the small backbone, or says in one line why it cannot."""
    detector = _made_or_refused(small, name)
    if isinstance(detector, str):
        assert detector
        assert "\n" not in detector
        return
    detector.initialise(generator=torch.Generator().manual_seed(0))
    assert len(detector.detect(scenes[0].image, scenes[0].proposals).scores) > 0


@every_method
def test_another_seed_gives_another_model(name: str, fitted: Get, small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """The generator is used: a fit with another seed saves another file."""
    other = small(name)
    other.fit(scenes, generator=torch.Generator().manual_seed(1), workdir=tmp_path)
    fitted(name).save(tmp_path / "first")
    other.save(tmp_path / "other")
    assert (tmp_path / "first").read_bytes() != (tmp_path / "other").read_bytes()


@every_method
def test_every_stage_of_the_tables_is_marked(
    name: str, fitted: Get, small: Make, scenes: Scenes, tmp_path: Path
) -> None:
    """All five stages of detecting, SUPPRESS last; those of fitting once each, and with progress."""
    ear = Ear()
    with listening(ear):
        fitted(name).detect(scenes[0].image, scenes[0].proposals)
    assert {Stage.CONV, Stage.POOL, Stage.FC, Stage.DECODE, Stage.SUPPRESS} <= set(ear.heard)
    assert ear.heard[-1] is Stage.SUPPRESS
    ear = Ear()
    with listening(ear):
        small(name).fit(scenes, generator=torch.Generator().manual_seed(0), workdir=tmp_path)
    fitting = [one for one in ear.heard if one in Stage.of_fitting()]
    assert len(fitting) == len(set(fitting))
    assert ear.steps


@every_method
def test_more_proposals_than_a_chunk(name: str, fitted: Get, small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """300 proposals score as they do 60 at a time: a box's score does not depend on its neighbours in a batch."""
    proposals = torch.cat([example.proposals for example in scenes] * 3)[:300]
    height, width = scenes[0].image.shape[1:]
    proposals = proposals.minimum(torch.tensor([width, height, width, height]).float())
    proposals = proposals[(proposals[:, 2:] - proposals[:, :2] >= 4).all(1)].repeat(2, 1)[:300]
    assert len(proposals) == 300
    fitted(name).save(tmp_path / "model")
    detector = small(name, policy=ALL)
    detector.restore(tmp_path / "model")
    together = detector.detect(scenes[0].image, proposals)
    apart = [detector.detect(scenes[0].image, part) for part in torch.split(proposals, 60)]
    for label in sorted(set(together.labels.tolist())):
        joined = torch.cat([one.scores[one.labels == label] for one in apart]).sort(descending=True).values
        torch.testing.assert_close(together.scores[together.labels == label], joined, rtol=1e-4, atol=1e-4)


def test_marks_are_silent_without_a_listener() -> None:
    """Outside `listening` a mark and a progress line do nothing, before and after somebody has listened."""
    ear = Ear()
    with stage(Stage.CONV):
        progress(1, 2)
    with listening(ear):
        pass
    with stage(Stage.CONV):
        progress(1, 2)
    assert ear.heard == []
    assert ear.steps == []


def test_marks_reach_the_innermost_listener() -> None:
    """Who listened last hears the marks, and after it the one before again."""
    outer, inner = Ear(), Ear()
    with listening(outer):
        with listening(inner), stage(Stage.FC):
            progress(3, 4, "loss 1")
        with stage(Stage.POOL):
            assert outer.open == [Stage.POOL]
    assert (outer.heard, inner.heard) == ([Stage.POOL], [Stage.FC])
    assert inner.steps == [(3, 4, "loss 1")]
    assert outer.steps == []


def test_a_mark_ends_when_its_work_fails() -> None:
    """An exception in a stage is not swallowed, and the listener hears the stage end."""
    ear = Ear()
    with pytest.raises(KeyError, match="work"), listening(ear), stage(Stage.SVM):
        raise KeyError("work")
    assert ear.heard == [Stage.SVM]
    assert ear.open == []
    with stage(Stage.CONV):
        pass
    assert ear.heard == [Stage.SVM]


def test_every_stage_is_of_detecting_or_fitting() -> None:
    """The two lists of stages are disjoint and hold all of them."""
    assert {*Stage.of_detecting(), *Stage.of_fitting()} == set(Stage)
    assert not set(Stage.of_detecting()) & set(Stage.of_fitting())


_EXAMPLE = Example(
    "street",
    torch.zeros(3, 4, 5, dtype=torch.uint8),
    torch.tensor([[0.0, 0.0, 2.0, 2.0]]),
    torch.tensor([1]),
    torch.tensor([False]),
    torch.zeros(0, 4),
)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"image": torch.zeros(3, 4, 5)}, "image of street: expected uint8, got torch.float32"),
        (
            {"image": torch.zeros(4, 5, 3, dtype=torch.uint8)},
            r"image of street: expected shape \(3, H, W\), got \(4, 5, 3\)",
        ),
        ({"boxes": torch.zeros(1, 4).double()}, "boxes of street: expected float32, got torch.float64"),
        ({"boxes": torch.zeros(4)}, r"boxes of street: expected shape \(N, 4\), got \(4,\)"),
        ({"proposals": torch.zeros(0)}, r"proposals of street: expected shape \(N, 4\), got \(0,\)"),
        ({"proposals": torch.zeros(1, 4).long()}, "proposals of street: expected float32, got torch.int64"),
        ({"labels": torch.tensor([1, 2])}, r"labels of street: expected shape \(1,\), got \(2,\)"),
        ({"labels": torch.tensor([0])}, r"labels of street: expected 1..K, got \[0\]"),
        ({"difficult": torch.zeros(0).bool()}, r"difficult of street: expected shape \(1,\), got \(0,\)"),
    ],
)
def test_a_wrong_example_is_refused(wrong: dict[str, Any], message: str) -> None:
    """What is not an example says which part of which image is wrong."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        replace(_EXAMPLE, **wrong)


@pytest.mark.parametrize(
    ("boxes", "scores", "labels", "message"),
    [
        (torch.zeros(2, 5), torch.zeros(2), torch.ones(2).long(), r"boxes: expected shape \(N, 4\), got \(2, 5\)"),
        (torch.zeros(2, 4), torch.zeros(1), torch.ones(2).long(), r"scores: expected shape \(2,\), got \(1,\)"),
        (torch.zeros(2, 4), torch.zeros(2), torch.ones(3).long(), r"labels: expected shape \(2,\), got \(3,\)"),
        (
            torch.zeros(2, 4),
            torch.tensor([1.0, 2.0]),
            torch.ones(2).long(),
            r"scores: expected falling order, got \[1.0, 2.0\]",
        ),
    ],
)
def test_wrong_detections_are_refused(
    boxes: torch.Tensor, scores: torch.Tensor, labels: torch.Tensor, message: str
) -> None:
    """What are not detections say which part is wrong."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        Detections(boxes, scores, labels)


def test_the_shared_policy_is_the_one_of_the_reports() -> None:
    """100 best of a class, NMS above 0.3, 100 best of the image, no threshold: what every headline number rests on."""
    assert Policy(None, 100, 0.3, None, 100) == SHARED_POLICY
