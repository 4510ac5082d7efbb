"""SVMs and regressors on top of a network, against the parts that they are made of and literal gathering."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from detectors.contract import Example, Stage, listening
from detectors.parts.boxes import encode, iou
from detectors.parts.posthoc import Extract, PostHoc, RidgeSettings, fit_posthoc
from detectors.parts.regions import Regions
from detectors.parts.ridge import ClassRidge, fit_ridge
from detectors.parts.svm import HardNegativeMiner, LinearClassifiers, SvmSettings, scaled_cost

_N_CLASSES, _WIDTH, _POOLED = 3, 6, 10


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


def _fitted(examples: list[Example], ridge: RidgeSettings | None = None) -> PostHoc:
    module = PostHoc(_N_CLASSES, _WIDTH, _POOLED)
    regions = [Regions.of(one, _N_CLASSES) for one in examples]
    fit_posthoc(
        module,
        regions,
        _extract_of(examples),
        svm=SvmSettings(),
        ridge=ridge or RidgeSettings(),
        generator=_generator(),
    )
    return module


def test_predictions_are_those_of_the_parts() -> None:
    """Scores and deltas are the classifiers' and regressors' own on features brought to size first."""
    draw = _generator(3)
    svm = LinearClassifiers(
        torch.randn(_N_CLASSES, _WIDTH, generator=draw), torch.tensor([0.5, -torch.inf, 1.0]), torch.ones(3).bool()
    )
    ridge = ClassRidge(torch.randn(_N_CLASSES, _POOLED, 4, generator=draw), torch.randn(_N_CLASSES, 4, generator=draw))
    module = PostHoc(_N_CLASSES, _WIDTH, _POOLED)
    module.fill(svm, 2.5, ridge, 0.3)
    features, pooled = torch.randn(9, _WIDTH, generator=draw), torch.randn(9, _POOLED, generator=draw)
    torch.testing.assert_close(module.scores(features), svm.scores(2.5 * features))
    torch.testing.assert_close(module.deltas(pooled), ridge.predict(0.3 * pooled))
    assert (module.scores(features)[:, 1] == -torch.inf).all()


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
    settings = SvmSettings()
    miner = HardNegativeMiner(positives, replace(settings, c=scaled_cost(settings.c, len(few_classes))))
    for part, one, box in zip(fc7, few_classes, boxes, strict=True):
        overlap = torch.zeros(len(box), _N_CLASSES)
        for truth, label in zip(one.boxes, one.labels.tolist(), strict=True):
            overlap[:, label - 1] = overlap[:, label - 1].maximum(iou(box, truth[None])[:, 0])
        miner.add_image(part * factor, overlap)
    expected = miner.finish()
    found = _fitted(few_classes)
    assert float(found.svm_factor) == pytest.approx(factor, rel=1e-5)
    torch.testing.assert_close(found.svm_weight, expected.weight, rtol=1e-3, atol=1e-4)
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
    assert float(found.ridge_factor) == pytest.approx(factor, rel=1e-5)
    for k in (0, 1):
        expected = fit_ridge(
            torch.stack(features[k]) * factor, torch.stack(targets[k]), ridge_lambda=settings.ridge_lambda
        )
        torch.testing.assert_close(found.ridge_weight[k], expected.weight, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(found.ridge_bias[k], expected.bias, rtol=1e-4, atol=1e-6)
    assert (found.ridge_weight[2] == 0).all()
    assert (found.ridge_bias[2] == 0).all()


def test_stages_follow_each_other(few_classes: list[Example]) -> None:
    """Features, SVMs and regressors are stages of their own, in this order."""
    heard: list[Stage] = []

    class Ear:
        def enter(self, stage: Stage) -> None:
            heard.append(stage)

        def leave(self, stage: Stage) -> None: ...

        def progress(self, done: int, total: int, text: str) -> None: ...

    with listening(Ear()):
        _fitted(few_classes)
    assert heard == [Stage.FEATURES, Stage.SVM, Stage.REGRESS]


def test_the_same_generator_gives_the_same_models(few_classes: list[Example]) -> None:
    """Fitting is deterministic to the bit."""
    one, two = (_fitted(few_classes).state_dict() for _ in range(2))
    assert all(torch.equal(one[key], two[key]) for key in one)
