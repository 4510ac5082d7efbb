"""SVMs and regressors on top of a network, against the parts that they are made of and literal gathering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from detectors.contract import Example, Stage, listening
from detectors.parts.boxes import encode, iou
from detectors.parts.harvest import Extract
from detectors.parts.mining import HardNegativeMiner, LinearClassifiers
from detectors.parts.posthoc import PostHoc, RidgeSettings, fit_posthoc
from detectors.parts.regions import Regions
from detectors.parts.ridge import ClassRidge, fit_ridge
from detectors.parts.svm import SvmSettings
from harness.testing import Ear

_N_CLASSES, _WIDTH, _POOLED = 3, 6, 10
_SVM = SvmSettings(c=1e-5, retrain_limit=50)
"""So few images raise C by 800; from a smaller one the solver settles soon."""


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _extract_of(scenes: list[Example]) -> Extract:
    """Features that are a fixed non-linear function of image and box, so that a box has the same ones each time."""
    to_pooled = torch.randn(4, _POOLED, generator=_generator(1)) / 40
    to_fc7 = torch.randn(_POOLED, _WIDTH, generator=_generator(2))

    def extract(index: int, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean = scenes[index].image.float().mean() / 100
        pooled = torch.relu(torch.sin(boxes @ to_pooled) + mean)
        return pooled, torch.relu(pooled @ to_fc7)

    return extract


@pytest.fixture(scope="module")
def few_classes(scenes: tuple[Example, ...]) -> list[Example]:
    """The scenes with labels 1 and 2; class 3 has no object. The last image has none at all."""
    found = [replace(one, labels=one.labels % 2 + 1) for one in scenes]
    nothing = torch.zeros(0, dtype=torch.int64)
    found[-1] = replace(found[-1], boxes=torch.zeros(0, 4), labels=nothing, difficult=nothing.bool())
    return found


def _fit(
    examples: Sequence[Example],
    extract: Extract,
    *,
    svm: SvmSettings | None = None,
    ridge: RidgeSettings | None = None,
    workdir: Path | None = None,
    key: str = "",
    width: int = _WIDTH,
    seed: int = 0,
) -> PostHoc:
    module = PostHoc(_N_CLASSES, width, _POOLED)
    regions = [Regions.of(one, _N_CLASSES) for one in examples]
    fit_posthoc(
        module,
        regions,
        extract,
        svm=svm or _SVM,
        ridge=ridge or RidgeSettings(),
        generator=_generator(seed),
        workdir=workdir,
        key=key,
    )
    return module


def _fitted(examples: list[Example], ridge: RidgeSettings | None = None) -> PostHoc:
    return _fit(examples, _extract_of(examples), ridge=ridge)


def _same(one: PostHoc, two: PostHoc) -> bool:
    first, second = one.state_dict(), two.state_dict()
    return all(torch.equal(first[name], second[name]) for name in first)


def _filled() -> tuple[PostHoc, LinearClassifiers, ClassRidge]:
    draw = _generator(3)
    svm = LinearClassifiers(
        torch.randn(_N_CLASSES, _WIDTH, generator=draw), torch.tensor([0.5, -torch.inf, 1.0]), torch.ones(3).bool()
    )
    ridge = ClassRidge(torch.randn(_N_CLASSES, _POOLED, 4, generator=draw), torch.randn(_N_CLASSES, 4, generator=draw))
    module = PostHoc(_N_CLASSES, _WIDTH, _POOLED)
    module.fill(svm, 2.5, ridge, 0.3)
    return module, svm, ridge


def test_predictions_are_those_of_the_parts() -> None:
    """Scores and deltas are each class's own on features brought to size first, a class and a box at a time."""
    module, svm, ridge = _filled()
    features, pooled = torch.randn(9, _WIDTH, generator=_generator(4)), torch.randn(9, _POOLED, generator=_generator(5))
    scores, deltas = module.scores(features), module.deltas(pooled)
    assert (scores.shape, deltas.shape) == ((9, _N_CLASSES), (9, _N_CLASSES, 4))
    for i in range(9):
        for k in range(_N_CLASSES):
            score = (2.5 * features[i].double()) @ svm.weight[k].double() + svm.bias[k]
            np.testing.assert_allclose(float(scores[i, k]), float(score), rtol=1e-5, atol=1e-5)
            delta = (0.3 * pooled[i].double()) @ ridge.weight[k].double() + ridge.bias[k]
            np.testing.assert_allclose(deltas[i, k].numpy(), delta.numpy(), rtol=1e-5, atol=1e-5)
    assert (scores[:, 1] == -torch.inf).all()


def test_half_precision_features_are_scored_in_single() -> None:
    """bfloat16 features give the bits that the same numbers give as float32."""
    module, _, _ = _filled()
    features, pooled = (torch.randn(9, d, generator=_generator(6)).bfloat16() for d in (_WIDTH, _POOLED))
    assert torch.equal(module.scores(features), module.scores(features.float()))
    assert torch.equal(module.deltas(pooled), module.deltas(pooled.float()))
    assert module.scores(features).dtype == module.deltas(pooled).dtype == torch.float32


def test_random_weights_find_every_class() -> None:
    """`initialise` gives finite scores of both signs for each class and deltas that leave a box a box; by its seed."""
    one, two = PostHoc(_N_CLASSES, 200, 300), PostHoc(_N_CLASSES, 200, 300)
    one.initialise(_generator(7))
    two.initialise(_generator(7))
    assert _same(one, two)
    scores, deltas = one.scores(torch.randn(50, 200)), one.deltas(20 * torch.rand(50, 300))
    assert scores.isfinite().all()
    assert (scores.amax(dim=0) > 0).all()
    assert (scores.amin(dim=0) < 0).all()
    assert 0 < float(deltas.abs().max()) < 1


def test_no_boxes_have_no_scores() -> None:
    """An image without proposals gives empty scores and deltas of the right shape."""
    module, _, _ = _filled()
    assert module.scores(torch.zeros(0, _WIDTH)).shape == (0, _N_CLASSES)
    assert module.deltas(torch.zeros(0, _POOLED)).shape == (0, _N_CLASSES, 4)


def test_an_empty_module_scores_nothing() -> None:
    """Before it is filled every score is -inf and every delta 0."""
    module = PostHoc(_N_CLASSES, _WIDTH, _POOLED)
    assert (module.scores(torch.ones(2, _WIDTH)) == -torch.inf).all()
    assert (module.deltas(torch.ones(2, _POOLED)) == 0).all()


def test_svms_learn_from_ground_truth_and_boxes_below_the_negative_iou(few_classes: list[Example]) -> None:
    """Positives are the ground-truth boxes alone; the negatives of a class are all boxes with IoU below 0.3."""
    extract = _extract_of(few_classes)
    boxes = [torch.cat([one.boxes, one.proposals]) for one in few_classes]
    fc7 = [extract(index, part)[1] for index, part in enumerate(boxes)]
    factor = 20 / float(torch.cat(fc7).norm(dim=1).double().mean())
    positives = []
    for label in (1, 2, 3):
        mine = [part[: len(one.boxes)][one.labels == label] for part, one in zip(fc7, few_classes, strict=True)]
        positives.append(torch.cat(mine) * factor)
    miner = HardNegativeMiner(positives, _SVM.for_images(len(few_classes)))
    for part, one, box in zip(fc7, few_classes, boxes, strict=True):
        overlap = torch.zeros(len(box), _N_CLASSES)
        for truth, label in zip(one.boxes, one.labels.tolist(), strict=True):
            overlap[:, label - 1] = overlap[:, label - 1].maximum(iou(box, truth[None])[:, 0])
        miner.add_image(part * factor, overlap)
    expected = miner.finish()
    found = _fitted(few_classes)
    torch.testing.assert_close(found.svm_weight, expected.weight.T * factor, rtol=1e-3, atol=1e-4 * factor)
    torch.testing.assert_close(found.svm_bias, expected.bias, rtol=1e-3, atol=1e-4)
    assert float(found.svm_bias[2]) == -torch.inf


@pytest.mark.parametrize("settings", [RidgeSettings(), RidgeSettings(ridge_lambda=4000.0, min_iou=0.5)])
def test_regressors_learn_from_boxes_near_their_object(few_classes: list[Example], settings: RidgeSettings) -> None:
    """The regressor of a class sees each box above the IoU once, with the deltas to its most overlapped object."""
    extract = _extract_of(few_classes)
    features: list[list[torch.Tensor]] = [[], []]
    targets: list[list[torch.Tensor]] = [[], []]
    norms = []
    for index, one in enumerate(few_classes):
        boxes = torch.cat([one.boxes, one.proposals])
        pooled, _ = extract(index, boxes)
        norms.append(pooled.norm(dim=1))
        for row, box in enumerate(boxes):
            overlaps = [float(iou(box[None], truth[None])) for truth in one.boxes]
            if overlaps and max(overlaps) > settings.min_iou:
                best = overlaps.index(max(overlaps))
                features[int(one.labels[best]) - 1].append(pooled[row])
                targets[int(one.labels[best]) - 1].append(encode(box[None], one.boxes[best : best + 1])[0])
    factor = 20 / float(torch.cat(norms).double().mean())
    found = _fitted(few_classes, settings)
    weight, bias = found.ridge_weight.view(_POOLED, _N_CLASSES, 4), found.ridge_bias.view(_N_CLASSES, 4)
    for k in (0, 1):
        expected = fit_ridge(
            torch.stack(features[k]) * factor, torch.stack(targets[k]), ridge_lambda=settings.ridge_lambda
        )
        torch.testing.assert_close(weight[:, k], expected.weight * factor, rtol=1e-4, atol=1e-6 * factor)
        torch.testing.assert_close(bias[k], expected.bias, rtol=1e-4, atol=1e-6)
    assert (weight[:, 2] == 0).all()
    assert (bias[2] == 0).all()


def test_stages_follow_each_other(few_classes: list[Example]) -> None:
    """Features, regressors and SVMs are stages of their own, and say how far they are."""
    ear = Ear()
    with listening(ear):
        _fitted(few_classes)
    assert ear.heard == [Stage.FEATURES, Stage.REGRESS, Stage.SVM]
    objects = sum(len(one.boxes) for one in few_classes)
    assert any(text.startswith(f"{objects} objects, ") for _, _, text in ear.steps)
    assert ear.steps[-1][2].endswith(" hard negatives")
    assert not ear.notices


def test_the_same_generator_gives_the_same_models(few_classes: list[Example]) -> None:
    """Fitting is deterministic to the bit."""
    assert _same(_fitted(few_classes), _fitted(few_classes))


def test_svms_may_score_the_pooled_features(few_classes: list[Example]) -> None:
    """One tensor for both is as good as two equal ones, to the bit."""
    extract = _extract_of(few_classes)

    def one(index: int, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pooled, _ = extract(index, boxes)
        return pooled, pooled

    def two(index: int, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        pooled, _ = extract(index, boxes)
        return pooled, pooled.clone()

    assert _same(_fit(few_classes, one, width=_POOLED), _fit(few_classes, two, width=_POOLED))


def test_svms_without_regressors(few_classes: list[Example]) -> None:
    """Without ridge settings that stage is left out, boxes stay where they are, and the SVMs are trained."""
    module = PostHoc(_N_CLASSES, _WIDTH, 0)
    ear = Ear()
    with listening(ear):
        fit_posthoc(
            module,
            [Regions.of(one, _N_CLASSES) for one in few_classes],
            _extract_of(few_classes),
            svm=_SVM,
            ridge=None,
            generator=_generator(),
        )
    assert ear.heard == [Stage.FEATURES, Stage.SVM]
    assert module.svm_bias[:2].isfinite().all()
    assert (module.deltas(torch.zeros(3, 0)) == 0).all()


def test_training_set_without_boxes_detects_nothing(few_classes: list[Example]) -> None:
    """Images without any box leave every class undetected, and raise nothing."""
    empty = [replace(few_classes[-1], proposals=torch.zeros(0, 4))]
    assert (_fitted(empty).svm_bias == -torch.inf).all()


class _Stopped(RuntimeError):
    pass


def _stopping(extract: Extract, after: int) -> Extract:
    left = iter(range(after))

    def stopped(index: int, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if next(left, None) is None:
            raise _Stopped
        return extract(index, boxes)

    return stopped


def _calls(extract: Extract) -> tuple[Extract, list[int]]:
    heard: list[int] = []

    def hearing(index: int, boxes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        heard.append(index)
        return extract(index, boxes)

    return hearing, heard


@pytest.mark.parametrize("after", [0, 3, 6, 7, 9, 11])
def test_a_stopped_fit_goes_on_to_the_same_bits(
    few_classes: list[Example], after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at any image, the next call repeats only what was not written, and ends in the same bits."""
    monkeypatch.setattr("detectors.parts.posthoc._IMAGES_PER_CHECKPOINT", 2)
    extract = _extract_of(few_classes)
    unbroken = _fit(few_classes, extract)
    with pytest.raises(_Stopped):
        _fit(few_classes, _stopping(extract, after), workdir=tmp_path, key="a")
    hearing, heard = _calls(extract)
    assert _same(_fit(few_classes, hearing, workdir=tmp_path, key="a"), unbroken)
    images = len(few_classes)
    passed = images if after >= images else 0
    assert len(heard) == 2 * images - passed - (max(0, after - images) // 2 * 2)


def test_another_key_starts_afresh(few_classes: list[Example], tmp_path: Path) -> None:
    """What was written under another key, or with other settings, is not taken."""
    extract = _extract_of(few_classes)
    _fit(few_classes, extract, workdir=tmp_path, key="a")
    for key, svm in (("b", _SVM), ("a", SvmSettings(c=0.5))):
        hearing, heard = _calls(extract)
        _fit(few_classes, hearing, svm=svm, workdir=tmp_path, key=key)
        assert len(heard) == 2 * len(few_classes)


def test_a_damaged_file_is_as_good_as_none(few_classes: list[Example], tmp_path: Path) -> None:
    """Torn files start the fit afresh, and never break it."""
    extract = _extract_of(few_classes)
    unbroken = _fit(few_classes, extract, workdir=tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    hearing, heard = _calls(extract)
    assert _same(_fit(few_classes, hearing, workdir=tmp_path), unbroken)
    assert len(heard) == 2 * len(few_classes)


def test_classes_whose_svm_stopped_early_are_named(few_classes: list[Example], monkeypatch: pytest.MonkeyPatch) -> None:
    """One notice names all classes whose last training did not meet its tolerance."""
    monkeypatch.setattr("detectors.parts.svm._PASSES", (1,))
    ear = Ear()
    with listening(ear):
        _fitted(few_classes)
    assert len(ear.notices) == 1
    assert ear.notices[0].startswith("SVM of class 1, 2: ")


def test_dropped_rows_are_told(few_classes: list[Example], tmp_path: Path) -> None:
    """Where memory is too small for all samples, a notice says how many were kept; also after a stop."""
    svm, ridge = replace(_SVM, positive_bytes=4 * _WIDTH * 6), RidgeSettings(sample_bytes=4 * (_POOLED + 4) * 8)
    for _ in range(2):
        ear = Ear()
        with listening(ear):
            _fit(few_classes, _extract_of(few_classes), svm=svm, ridge=ridge, workdir=tmp_path)
        assert [text.partition(" of ")[2].split(" ", 1)[1].split(",")[0] for text in ear.notices] == [
            "objects for the SVMs",
            "boxes for the regressors",
        ]
