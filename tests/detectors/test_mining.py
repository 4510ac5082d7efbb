"""Hard negative mining, against training on all negatives and literal loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.parts.boxes import iou
from detectors.parts.mining import HardNegativeMiner, LinearClassifiers
from detectors.parts.svm import SvmSettings, train_svm


def _samples(p: int, n: int, d: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Overlapping clouds of mean norm about 5."""
    generator = torch.Generator().manual_seed(seed)
    shift = torch.randn(d, generator=generator)
    positives = torch.randn(p, d, generator=generator) + shift
    return positives, torch.randn(n, d, generator=generator)


def _objective(weight: torch.Tensor, bias: float, positives: torch.Tensor, negatives: torch.Tensor, c: float) -> float:
    """The released objective (rcnn_train.m): bias_mult 10, positives count twice."""
    w = weight.double()
    loss = (
        2 * (1 - positives.double() @ w - bias).clamp(min=0).sum()
        + (1 + negatives.double() @ w + bias).clamp(min=0).sum()
    )
    return float(w @ w / 2 + (bias / 10) ** 2 / 2 + c * loss)


def _scores(found: LinearClassifiers, features: torch.Tensor) -> torch.Tensor:
    return features @ found.weight.T + found.bias


def _mine(
    positives: list[torch.Tensor],
    images: list[torch.Tensor],
    settings: SvmSettings,
    overlaps: torch.Tensor | None = None,
) -> HardNegativeMiner:
    miner = HardNegativeMiner(positives, settings)
    for image in images:
        miner.add_image(image, torch.zeros(len(image), len(positives)) if overlaps is None else overlaps)
    return miner


def test_mining_reaches_the_optimum_of_all_negatives() -> None:
    """Trained on what was hard, the classifier minimises the objective over all negatives to within 1 %."""
    d, c = 8, 0.01
    positives, negatives = _samples(40, 3000, d)
    settings = SvmSettings(c=c, retrain_limit=100)
    found = _mine([positives], list(negatives.chunk(20)), settings).finish()
    reached = _objective(found.weight[0], float(found.bias[0]), positives, negatives, c)
    whole = train_svm(positives, negatives, c=c)
    assert reached == pytest.approx(_objective(whole.weight, whole.bias, positives, negatives, c), rel=0.01)


def test_cache_keeps_what_is_hard() -> None:
    """Easy negatives are neither taken nor kept: the cache stays far smaller than what was seen."""
    positives, negatives = _samples(40, 6000, 8)
    positives = positives + 3
    miner = _mine([positives], list(negatives.chunk(30)), SvmSettings(c=0.1, retrain_limit=100))
    assert sum(len(part) for part in miner._caches[0].negatives) < 500


def test_cache_is_bounded() -> None:
    """However many negatives are hard, the hardest `cache_limit` remain after a training."""
    positives, negatives = _samples(30, 2000, 3)
    settings = SvmSettings(c=1e-3, retrain_limit=10, cache_limit=50)
    miner = _mine([positives], list(negatives.chunk(20)), settings)
    assert sum(len(part) for part in miner._caches[0].negatives) <= 50 + 10


@pytest.mark.parametrize("rows", [4, 30])
def test_cache_stays_within_its_bytes(rows: int) -> None:
    """All caches together hold what `cache_bytes` has room for, and the hard negatives of the last image."""
    d, per_image = 3, 20
    positives, negatives = _samples(30, 1000, d)
    miner = HardNegativeMiner([positives, torch.zeros(0, d), positives], SvmSettings(cache_bytes=4 * d * 2 * rows))
    for image in negatives.split(per_image):
        miner.add_image(image, torch.zeros(per_image, 3))
        assert miner.held <= 2 * (rows + per_image)
        assert miner.held == sum(len(part) for cache in miner._caches for part in cache.negatives)


def _boxes(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * 20
    return torch.cat([corner, corner + 10 + torch.rand(count, 2, generator=generator) * 30], dim=1)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), most_iou=st.sampled_from([0.3, 0.5, 0.7]))
def test_no_two_negatives_overlap_by_more_than_70_percent(seed: int, most_iou: float) -> None:
    """From the highest score down, a hard negative goes that overlaps a kept one by more [SPP 4.1]; a literal loop."""
    positives, features = _samples(10, 40, 5, seed)
    boxes = _boxes(40, seed)
    config = SvmSettings(c=0.05, negative_overlap=most_iou, retrain_limit=10_000, evict_threshold=-math.inf)
    miner = HardNegativeMiner([positives, positives + 1], config)
    expected = [features[:0], features[:0]]
    for part, where in zip(features.split(20), boxes.split(20), strict=True):
        scores = part @ miner._weight.T + miner._bias
        miner.add_image(part, torch.zeros(20, 2), where)
        for k in (0, 1):
            order = sorted(range(20), key=lambda i: (-float(scores[i, k]), i))
            kept: list[int] = []
            for i in (one for one in order if scores[one, k] > config.hard_threshold):
                if all(float(iou(where[i : i + 1], where[j : j + 1])) <= most_iou for j in kept):
                    kept.append(i)
            expected[k] = torch.cat([expected[k], part[sorted(kept)]])
            assert torch.equal(torch.cat(miner._caches[k].negatives), expected[k])


def test_removing_overlapping_negatives_needs_boxes() -> None:
    """Without boxes the rule is refused in one line."""
    positives, negatives = _samples(5, 10, 3)
    with pytest.raises(ValueError, match="negative_overlap is set, got None"):
        HardNegativeMiner([positives], SvmSettings(negative_overlap=0.7)).add_image(negatives, torch.zeros(10, 1))


@pytest.mark.parametrize("stop", [1, 7, 15])
def test_a_miner_goes_on_where_another_stopped(stop: int) -> None:
    """One miner that takes over another's state after some images ends in the same bits, and leaves the other's be."""
    positives, negatives = _samples(40, 2000, 8)
    images, config = list(negatives.chunk(20)), SvmSettings(c=0.01, retrain_limit=100)
    unbroken = _mine([positives, positives + 1], images, config).finish()
    first = _mine([positives, positives + 1], images[:stop], config)
    second = HardNegativeMiner([positives, positives + 1], config)
    second.load_state_dict(first.state_dict())
    for miner in (second, first):
        for image in images[stop:]:
            miner.add_image(image, torch.zeros(len(image), 2))
        found = miner.finish()
        assert torch.equal(found.weight, unbroken.weight)
        assert torch.equal(found.bias, unbroken.bias)


def test_boxes_near_an_object_are_no_negatives() -> None:
    """IoU of 0.3 and more with an object of the class keeps a box out of that class, and of that class only."""
    positives, near = _samples(20, 200, 4)
    far = torch.randn(50, 4, generator=torch.Generator().manual_seed(5))
    overlaps = torch.zeros(250, 2)
    overlaps[:200, 0] = 0.3
    found = _mine([positives, positives], [torch.cat([near, far])], SvmSettings(), overlaps).finish()
    assert torch.equal(found.weight[0], train_svm(positives, far, c=1e-3).weight)
    assert torch.equal(found.weight[1], train_svm(positives, torch.cat([near, far]), c=1e-3).weight)


def test_classes_that_cannot_be_trained_are_never_detected() -> None:
    """A class without objects, or whose boxes all lie on objects, scores -inf everywhere."""
    positives, negatives = _samples(20, 100, 4)
    overlaps = torch.zeros(100, 3)
    overlaps[:, 2] = 0.5
    found = _mine([positives, torch.zeros(0, 4), positives], [negatives], SvmSettings(), overlaps).finish()
    scores = _scores(found, torch.cat([positives, negatives]))
    assert scores[:, 0].isfinite().all()
    assert (scores[:, 1:] == -math.inf).all()


def test_class_first_meets_negatives_later() -> None:
    """A class whose first image offers no negative takes all of the next one."""
    positives, negatives = _samples(20, 100, 4)
    miner = HardNegativeMiner([positives], SvmSettings())
    miner.add_image(negatives[:10], torch.ones(10, 1))
    miner.add_image(negatives[10:], torch.zeros(90, 1))
    assert torch.equal(miner.finish().weight[0], train_svm(positives, negatives[10:], c=1e-3).weight)


def test_easy_classes_survive_an_empty_cache() -> None:
    """Where every negative was evicted, the last weights stand."""
    positives = torch.full((5, 2), 3.0) + torch.rand(5, 2, generator=torch.Generator().manual_seed(0))
    found = _mine([positives], [-positives, -positives], SvmSettings(c=10.0, evict_threshold=5.0)).finish()
    assert (_scores(found, positives) > 0).all()
    assert (_scores(found, -positives) < 0).all()
