"""The box targets and the loss of Fast R-CNN, against the formulas written out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from detectors.contract import Example
from detectors.parts.boxes import encode
from detectors.parts.regions import Regions
from detectors.parts.targets import Normaliser, box_loss


def _regions(boxes: list[list[float]], labels: list[int], proposals: list[list[float]]) -> Regions:
    example = Example(
        "one",
        torch.zeros(3, 100, 100, dtype=torch.uint8),
        torch.tensor(boxes).reshape(-1, 4),
        torch.tensor(labels, dtype=torch.int64),
        torch.zeros(len(labels), dtype=torch.bool),
        torch.tensor(proposals).reshape(-1, 4),
    )
    return Regions.of(example, 3)


def _plain(n_classes: int) -> Normaliser:
    return Normaliser(torch.zeros(n_classes, 4), torch.ones(n_classes, 4))


def _smooth_l1(x: float) -> float:
    """[FRCN eq. 3]"""
    return 0.5 * x * x if abs(x) < 1 else abs(x) - 0.5


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 4), st.integers(0, 10_000))
def test_loss_equals_a_loop_over_regions(count: int, n_classes: int, seed: int) -> None:
    """Smooth L1 of the own class's four offsets, foreground alone, divided by all regions of the mini-batch."""
    rng = np.random.default_rng(seed)
    deltas, targets = rng.normal(0, 2, (count, n_classes, 4)), rng.normal(0, 2, (count, 4))
    labels = rng.integers(0, n_classes + 1, count)
    mean, deviation = rng.normal(0, 1, (n_classes, 4)), rng.uniform(0.1, 2, (n_classes, 4))
    expected = 0.0
    for row in range(count):
        if labels[row] == 0:
            continue
        k = labels[row] - 1
        for i in range(4):
            expected += _smooth_l1(deltas[row, k, i] - (targets[row, i] - mean[k, i]) / deviation[k, i])
    found = box_loss(
        torch.from_numpy(deltas),
        torch.from_numpy(targets),
        torch.from_numpy(labels),
        Normaliser(torch.from_numpy(mean), torch.from_numpy(deviation)),
    )
    assert float(found) == pytest.approx(expected / count, rel=1e-9, abs=1e-12)


def test_background_teaches_no_box() -> None:
    """Only the four offsets of a foreground region's own class get a gradient, whatever background's targets are."""
    deltas = torch.randn(3, 2, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    targets = torch.full((3, 4), math.nan)
    targets[1] = 0.25
    box_loss(deltas, targets, torch.tensor([0, 2, 0]), _plain(2)).backward()
    touched = torch.zeros(3, 2, 4, dtype=torch.bool)
    touched[1, 1] = True
    assert deltas.grad is not None
    assert torch.equal(deltas.grad != 0, touched)


def test_a_mini_batch_of_background_has_no_box_loss() -> None:
    """Without foreground the loss is 0 and its gradient too."""
    deltas = torch.ones(3, 2, 4, requires_grad=True)
    loss = box_loss(deltas, torch.ones(3, 4), torch.zeros(3, dtype=torch.int64), _plain(2))
    loss.backward()
    assert float(loss.detach()) == 0
    assert deltas.grad is not None
    assert not deltas.grad.any()


def _with_mirror_images(targets: torch.Tensor) -> np.ndarray[Any, Any]:
    """In a mirrored image a box has to move as far the other way along x, and all else as before."""
    return torch.cat([targets, targets * torch.tensor([-1.0, 1.0, 1.0, 1.0])]).double().numpy()


def test_statistics_are_taken_over_all_foreground_regions() -> None:
    """Mean and deviation of a class run over its regions of IoU 0.5 and more, ground truth among them, and over those
    of the mirror images, which the release appends before it measures [FRCN 2.3, lib/fast_rcnn/train.py]."""
    near = [[10.0, 10.0, 50.0, 48.0], [12.0, 8.0, 52.0, 50.0], [14.0, 10.0, 50.0, 50.0]]
    far = [[60.0, 60.0, 90.0, 90.0], [10.0, 10.0, 24.0, 50.0]]
    regions = [
        _regions([[10.0, 10.0, 50.0, 50.0]], [2], near + far),
        _regions([], [], far),
        _regions([[0.0, 0.0, 20.0, 20.0]], [1], []),
    ]
    found = Normaliser.of(regions, 3, 0.5)
    boxes = torch.tensor([[10.0, 10.0, 50.0, 50.0], *near])
    targets = _with_mirror_images(encode(boxes, boxes[:1].expand(4, 4)))
    np.testing.assert_allclose(found.mean[1].numpy(), targets.mean(axis=0), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found.deviation[1].numpy(), targets.std(axis=0), rtol=1e-5)
    # One region has no spread, and a class without any has nothing: both keep mean 0 and deviation 1.
    for k in (0, 2):
        assert torch.equal(found.mean[k], torch.zeros(4))
        assert torch.equal(found.deviation[k], torch.ones(4))


def test_normalised_targets_have_mean_0_and_deviation_1() -> None:
    """That is what the normalisation is for [FRCN 2.3]; half of the images that it learns from are mirrored."""
    rng = np.random.default_rng(0)
    truth = [20.0, 20.0, 70.0, 80.0]
    near = (np.array(truth) + rng.uniform(-5, 5, (50, 4))).tolist()
    regions = _regions([truth], [1], near)
    normaliser = Normaliser.of([regions], 3, 0.5)
    targets = torch.from_numpy(_with_mirror_images(encode(regions.boxes, regions.best_box)))
    scaled = normaliser.normalise(targets, torch.zeros(len(targets), dtype=torch.int64)).double()
    np.testing.assert_allclose(scaled.mean(dim=0).numpy(), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(dim=0, correction=0).numpy(), 1, rtol=1e-4)


def test_folding_back_undoes_the_normalisation() -> None:
    """After it the layer predicts plain targets: deviation times what it said, plus the mean, class by class."""
    generator = torch.Generator().manual_seed(0)
    normaliser = Normaliser(torch.randn(3, 4, generator=generator), torch.rand(3, 4, generator=generator) + 0.1)
    layer, x = nn.Linear(5, 12), torch.randn(6, 5, generator=generator)
    with torch.no_grad():
        expected = layer(x).view(6, 3, 4) * normaliser.deviation + normaliser.mean
        normaliser.fold_into(layer)
        torch.testing.assert_close(layer(x).view(6, 3, 4), expected)
