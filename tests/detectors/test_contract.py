"""What every detector promises, for every method found, and what the types of the contract refuse."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import FrozenInstanceError, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import detectors
from detectors.contract import (
    SHARED_POLICY,
    Detections,
    Detector,
    Example,
    FitError,
    Policy,
    Stage,
    listening,
    progress,
    stage,
)
from detectors.parts.backbones import Backbone

Make = Callable[..., Detector]
Get = Callable[[str], Detector]
Scenes = tuple[Example, ...]

every_method = pytest.mark.parametrize("name", detectors.names())

_ALL = Policy(per_class_before=None, iou=1.0, per_image=None)
"""Suppresses nothing."""


def _fit(detector: Detector, examples: Sequence[Example], workdir: Path, seed: int = 0) -> Detector:
    detector.fit(examples, generator=torch.Generator().manual_seed(seed), workdir=workdir)
    return detector


def _assert_same(a: Detections, b: Detections) -> None:
    assert torch.equal(a.boxes, b.boxes)
    assert torch.equal(a.scores, b.scores)
    assert torch.equal(a.labels, b.labels)


def _without_objects(example: Example, proposals: torch.Tensor | None = None) -> Example:
    return replace(
        example,
        boxes=torch.zeros(0, 4),
        labels=torch.zeros(0, dtype=torch.int64),
        difficult=torch.zeros(0, dtype=torch.bool),
        proposals=example.proposals if proposals is None else proposals,
    )


class _Ear:
    """Writes down the marks that it hears."""

    def __init__(self) -> None:
        self.heard: list[Stage] = []
        self.open: list[Stage] = []
        self.deepest = 0
        self.steps: list[tuple[int, int, str]] = []

    def enter(self, stage: Stage) -> None:
        self.heard.append(stage)
        self.open.append(stage)
        self.deepest = max(self.deepest, len(self.open))

    def leave(self, stage: Stage) -> None:
        assert self.open.pop() is stage

    def progress(self, done: int, total: int, text: str) -> None:
        self.steps.append((done, total, text))


def test_the_three_papers_are_found() -> None:
    """R-CNN, SPP-net and Fast R-CNN are methods of the package, and nothing that is no method is listed."""
    assert {"fast", "rcnn", "spp"} <= set(detectors.names())
    assert not {"contract", "parts"} & set(detectors.names())


def test_unknown_names_say_what_there_is() -> None:
    """A wrong method or variant is answered with the right ones."""
    with pytest.raises(detectors.MethodError, match="no method 'frcn'; there are fast, rcnn, spp"):
        detectors.load("frcn")
    with pytest.raises(detectors.MethodError, match="no variant 'rcnn:9'; variants of rcnn: "):
        detectors.load("rcnn:9")


@every_method
def test_class_attributes(name: str) -> None:
    """A method names its paper and policy, and its settings and variants are frozen dataclasses of one type."""
    method = detectors.load(name)
    assert method.detector.paper.isupper()
    assert isinstance(method.detector.needs_proposals, bool)
    assert isinstance(method.detector.paper_policy, Policy)
    configs: list[Any] = [method.config, *method.detector.variants.values()]
    for config in configs:
        assert is_dataclass(type(config))
        assert type(config) is method.detector.Config
        assert config.policy == SHARED_POLICY
        assert config.iterations > 0
        with pytest.raises(FrozenInstanceError):
            config.iterations = 1
    for variant in method.detector.variants:
        assert detectors.load(f"{name}:{variant}").config == method.detector.variants[variant]


@every_method
def test_detections_are_well_formed(name: str, fitted: Get, scenes: Scenes) -> None:
    """Types, shapes and falling scores; boxes with area inside the image; labels 1 to K; at most 100 an image."""
    for example in scenes:
        found = fitted(name).detect(example.image, example.proposals)
        height, width = example.image.shape[1:]
        assert (found.boxes.dtype, found.scores.dtype, found.labels.dtype) == (
            torch.float32,
            torch.float32,
            torch.int64,
        )
        assert found.boxes.shape == (len(found.scores), 4)
        assert found.labels.shape == found.scores.shape
        assert 0 < len(found.scores) <= 100
        assert found.scores.isfinite().all()
        assert (found.scores[1:] <= found.scores[:-1]).all()
        assert (found.boxes >= 0).all()
        assert (found.boxes <= torch.tensor([width, height, width, height])).all()
        assert (found.boxes[:, :2] <= found.boxes[:, 2:]).all()
        assert found.labels.min() >= 1
        assert found.labels.max() <= 8
        assert found.boxes.device.type == found.scores.device.type == found.labels.device.type == "cpu"


@every_method
@pytest.mark.parametrize("policy", [Policy(per_image=5), Policy(per_class_after=1), Policy(per_class_before=2)])
def test_the_policy_of_the_settings_is_obeyed(
    name: str, policy: Policy, fitted: Get, small: Make, scenes: Scenes, tmp_path: Path
) -> None:
    """The detector makes no more detections than its policy lets it."""
    fitted(name).save(tmp_path / "model")
    detector = small(name, policy=policy)
    detector.restore(tmp_path / "model")
    found = detector.detect(scenes[0].image, scenes[0].proposals)
    per_class = int(found.labels.bincount().max())
    assert 0 < len(found.labels) <= (policy.per_image or 100)
    assert per_class <= min(policy.per_class_before or 100, policy.per_class_after or 100)


@every_method
def test_same_seed_same_model_same_detections(
    name: str, fitted: Get, small: Make, scenes: Scenes, tmp_path: Path
) -> None:
    """Fitting twice with one seed gives the same file and the same detections, to the bit; another seed does not."""
    again = _fit(small(name), scenes, tmp_path)
    other = _fit(small(name), scenes, tmp_path, seed=1)
    for file, detector in (("first", fitted(name)), ("again", again), ("other", other)):
        detector.save(tmp_path / file)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
    assert (tmp_path / "first").read_bytes() != (tmp_path / "other").read_bytes()
    for example in scenes:
        _assert_same(
            fitted(name).detect(example.image, example.proposals), again.detect(example.image, example.proposals)
        )


@every_method
def test_a_restored_model_detects_the_same(name: str, fitted: Get, small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """What is saved is all that was learnt: a fresh detector that reads it agrees to the bit, and so does its file."""
    fitted(name).save(tmp_path / "one" / "model")
    detector = small(name)
    detector.restore(tmp_path / "one" / "model")
    detector.save(tmp_path / "two")
    assert (tmp_path / "two").read_bytes() == (tmp_path / "one" / "model").read_bytes()
    for example in scenes:
        _assert_same(
            fitted(name).detect(example.image, example.proposals), detector.detect(example.image, example.proposals)
        )


@every_method
def test_detect_before_fit_is_refused(name: str, small: Make, scenes: Scenes) -> None:
    """A detector that has learnt nothing says so instead of guessing."""
    with pytest.raises(RuntimeError, match="detect comes after fit or restore"):
        small(name).detect(scenes[0].image, scenes[0].proposals)


@every_method
def test_no_proposals_no_detections(name: str, fitted: Get, scenes: Scenes) -> None:
    """An image without proposals has no detections, and is no error."""
    if not detectors.load(name).detector.needs_proposals:
        pytest.skip(f"{name} makes its own boxes")
    found = fitted(name).detect(scenes[0].image, torch.zeros(0, 4))
    assert found.boxes.shape == (0, 4)
    assert len(found.scores) == len(found.labels) == 0


@every_method
def test_boxes_of_one_pixel_in_every_corner(name: str, fitted: Get, scenes: Scenes) -> None:
    """Boxes of one pixel, also at the far edges, and the whole image are proposals like any other."""
    height, width = scenes[0].image.shape[1:]
    corners = [[x, y, x + 1, y + 1] for x in (0, width - 1) for y in (0, height - 1)]
    proposals = torch.tensor([*corners, [0, 0, width, height]]).float()
    found = fitted(name).detect(scenes[0].image, proposals)
    assert len(found.scores) > 0
    assert found.boxes.isfinite().all()
    assert found.scores.isfinite().all()


@every_method
def test_more_proposals_than_a_chunk(name: str, fitted: Get, small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """300 proposals score as they do 60 at a time: a box's score does not depend on its neighbours in a batch."""
    proposals = torch.cat([example.proposals for example in scenes] * 3)[:300]
    height, width = scenes[0].image.shape[1:]
    proposals = proposals.minimum(torch.tensor([width, height, width, height]).float())
    proposals = proposals[(proposals[:, 2:] - proposals[:, :2] >= 4).all(1)].repeat(2, 1)[:300]
    assert len(proposals) == 300
    fitted(name).save(tmp_path / "model")
    detector = small(name, policy=_ALL)
    detector.restore(tmp_path / "model")
    together = detector.detect(scenes[0].image, proposals)
    apart = [detector.detect(scenes[0].image, part) for part in torch.split(proposals, 60)]
    for label in sorted(set(together.labels.tolist())):
        joined = torch.cat([one.scores[one.labels == label] for one in apart]).sort(descending=True).values
        torch.testing.assert_close(together.scores[together.labels == label], joined, rtol=1e-4, atol=1e-4)


def test_the_chunk_of_rcnn_changes_no_score(fitted: Get, small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """Seven crops at a time or all at once: R-CNN answers the same up to rounding."""
    fitted("rcnn").save(tmp_path / "model")
    found = []
    for chunk in (7, 256):
        detector = small("rcnn", chunk=chunk, policy=_ALL)
        detector.restore(tmp_path / "model")
        found.append(detector.detect(scenes[1].image, scenes[1].proposals))
    for label in range(1, 9):
        few, many = (one.scores[one.labels == label] for one in found)
        torch.testing.assert_close(few, many, rtol=1e-4, atol=1e-4)


@every_method
def test_inputs_and_backbone_stay_as_they_were(
    name: str, small: Make, scenes: Scenes, backbone: Backbone, tmp_path: Path
) -> None:
    """Neither fit nor detect writes into an example, an image, proposals, or the backbone that methods share."""
    tensors = [
        part for one in scenes for part in (one.image, one.boxes, one.labels, one.difficult, one.proposals)
    ] + list(backbone.state_dict().values())
    before = [part.clone() for part in tensors]
    detector = _fit(small(name), scenes, tmp_path)
    detector.detect(scenes[0].image, scenes[0].proposals)
    assert all(torch.equal(a, b) for a, b in zip(tensors, before, strict=True))
    assert not backbone.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in backbone.parameters())


@every_method
def test_global_random_state_stays_as_it_was(
    name: str, fitted: Get, small: Make, scenes: Scenes, tmp_path: Path
) -> None:
    """All randomness comes from the given generator: torch's, NumPy's and Python's global streams do not move."""

    def states() -> tuple[bytes, bytes, object]:
        numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
        return torch.get_rng_state().numpy().tobytes(), numpy_state["state"]["key"].tobytes(), random.getstate()

    fitted(name)  # libraries that load themselves at their first use may draw while they do
    before = states()
    numpy_position = np.random.get_state(legacy=False)["state"]["pos"]  # noqa: NPY002
    detector = _fit(small(name), scenes, tmp_path)
    detector.detect(scenes[0].image, scenes[0].proposals)
    assert states() == before
    assert np.random.get_state(legacy=False)["state"]["pos"] == numpy_position  # noqa: NPY002


@every_method
def test_detect_draws_nothing(name: str, fitted: Get, scenes: Scenes) -> None:
    """Detecting the same image twice gives the same bits, whatever was detected in between."""
    first = fitted(name).detect(scenes[0].image, scenes[0].proposals)
    fitted(name).detect(scenes[1].image, scenes[1].proposals[:5])
    _assert_same(first, fitted(name).detect(scenes[0].image, scenes[0].proposals))


@every_method
@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("with_proposals", [True, False])
def test_a_training_image_without_objects_is_accepted(
    name: str, place: str, with_proposals: bool, small: Make, scenes: Scenes, tmp_path: Path
) -> None:
    """An image without objects, even without any box, may stand anywhere among the training images."""
    empty = _without_objects(scenes[5], None if with_proposals else torch.zeros(0, 4))
    examples = [empty, *scenes[:3]] if place == "first" else [*scenes[:3], empty]
    detector = _fit(small(name), examples, tmp_path)
    assert len(detector.detect(scenes[0].image, scenes[0].proposals).scores) > 0


@every_method
def test_one_training_image_is_enough(name: str, small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """A single image with a single object and a few boxes around it fits a detector that detects that class alone."""
    one = scenes[0]
    single = replace(one, boxes=one.boxes[:1], labels=torch.tensor([5]), difficult=one.difficult[:1])
    detector = _fit(small(name), [single], tmp_path)
    assert set(detector.detect(one.image, one.proposals).labels.tolist()) == {5}


@every_method
def test_no_object_anywhere_is_an_error(name: str, small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """Without any object there is nothing to learn, and the message says so in one line."""
    with pytest.raises(FitError, match="no object") as caught:
        _fit(small(name), [_without_objects(one) for one in scenes], tmp_path)
    assert "\n" not in str(caught.value)


@every_method
def test_a_class_without_objects_is_never_detected(name: str, small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """A class of the data set that no training object shows gets no detection, the first, the last or another."""
    seen = {2, 3}
    examples = [
        replace(one, boxes=one.boxes[kept], labels=one.labels[kept] % 2 + 2, difficult=one.difficult[kept])
        for one in scenes
        for kept in [slice(0, 2)]
    ]
    assert set(torch.cat([one.labels for one in examples]).tolist()) == seen
    detector = _fit(small(name, n_classes=4, policy=_ALL), examples, tmp_path)
    found = detector.detect(scenes[0].image, scenes[0].proposals)
    assert set(found.labels.tolist()) == seen
    detector.save(tmp_path / "model")
    restored = small(name, n_classes=4, policy=_ALL)
    restored.restore(tmp_path / "model")
    _assert_same(found, restored.detect(scenes[0].image, scenes[0].proposals))


@every_method
def test_stages_of_detecting(name: str, fitted: Get, scenes: Scenes) -> None:
    """Detecting marks the stages that the tables show, one at a time, and no stage of fitting."""
    detector, ear = fitted(name), _Ear()
    with listening(ear):
        detector.detect(scenes[0].image, scenes[0].proposals)
    assert {Stage.CONV, Stage.POOL, Stage.FC, Stage.DECODE, Stage.SUPPRESS} <= set(ear.heard)
    assert set(ear.heard) <= set(Stage.of_detecting())
    assert ear.deepest == 1
    assert ear.open == []
    assert ear.heard[-1] is Stage.SUPPRESS


@every_method
def test_stages_of_fitting(name: str, small: Make, scenes: Scenes, tmp_path: Path) -> None:
    """Fitting marks stages of fitting, each over when it ends, and says how far each has come."""
    ear = _Ear()
    with listening(ear):
        _fit(small(name), scenes, tmp_path)
    fitting = [one for one in ear.heard if one in Stage.of_fitting()]
    assert fitting == [one for one in Stage.of_fitting() if one in fitting]
    assert set(ear.heard) <= {*Stage.of_fitting(), *Stage.of_detecting()}
    assert ear.open == []
    assert ear.steps
    assert all(0 < done <= total for done, total, _ in ear.steps)


@every_method
def test_listening_changes_no_detection(name: str, fitted: Get, scenes: Scenes) -> None:
    """A marked run and an unmarked one detect the same."""
    silent = fitted(name).detect(scenes[2].image, scenes[2].proposals)
    with listening(_Ear()):
        heard = fitted(name).detect(scenes[2].image, scenes[2].proposals)
    _assert_same(silent, heard)


def test_marks_are_silent_without_a_listener() -> None:
    """Outside `listening` a mark and a progress line do nothing, before and after somebody has listened."""
    ear = _Ear()
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
    outer, inner = _Ear(), _Ear()
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
    ear = _Ear()
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
