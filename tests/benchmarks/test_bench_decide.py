"""From scores to detections: fixed sizes for all classes at once, against the same done class by class."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torchvision import ops

from detectors.contract import SHARED_POLICY, Detections, Policy
from detectors.parts.decide import decide

N_BOXES = 2000  # of one image at most [SPP 4.1, FRCN 2.3]
FROM_ALL = Policy(min_score=-1.5, per_class_before=None, per_class_after=100, per_image=None)  # as SPP-net's release


def class_by_class(boxes: torch.Tensor, scores: torch.Tensor, policy: Policy) -> Detections:
    rows = []
    for k in range(scores.shape[1]):
        passed = torch.arange(len(scores))
        if policy.min_score is not None:
            passed = (scores[:, k] > policy.min_score).nonzero()[:, 0]
        score, order = scores[passed, k].sort(descending=True, stable=True)
        index, score = passed[order][: policy.per_class_before], score[: policy.per_class_before]
        kept = ops.nms(boxes[index, k].double(), score.double(), policy.iou)[: policy.per_class_after]
        label = torch.full((len(kept), 1), k + 1.0)
        rows.append(torch.cat([boxes[index[kept], k], score[kept, None], label], dim=1))
    found = torch.cat(rows)
    found = found[found[:, 4].argsort(descending=True, stable=True)][: policy.per_image]
    return Detections(found[:, :4], found[:, 4], found[:, 5].long())


@pytest.mark.parametrize("way", [decide, class_by_class])
@pytest.mark.parametrize("policy", [SHARED_POLICY, FROM_ALL], ids=["shared", "from_all"])
@pytest.mark.parametrize("n_classes", [8, 20, 80])
def test_decide(
    benchmark: BenchmarkFixture,
    n_classes: int,
    policy: Policy,
    way: Callable[[torch.Tensor, torch.Tensor, Policy], Detections],
) -> None:
    """Both give the same detections to the bit (no two scores are equal here)."""
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(N_BOXES, 1, 2, generator=generator) * torch.tensor([400.0, 300.0])
    sides = 20 + 150 * torch.rand(N_BOXES, 1, 2, generator=generator)
    boxes = torch.cat([low, low + sides], dim=2) + torch.randn(N_BOXES, n_classes, 4, generator=generator)
    scores = torch.randperm(N_BOXES * n_classes, generator=generator).view(N_BOXES, n_classes) / (N_BOXES * n_classes)
    scores = -3 + 2 * scores.logit(1e-6) / 3  # as SVM scores lie: most of them below -1.5
    found, expected = way(boxes, scores, policy), decide(boxes, scores, policy)
    assert torch.equal(found.boxes, expected.boxes)
    assert torch.equal(found.scores, expected.scores)
    assert torch.equal(found.labels, expected.labels)
    benchmark.group = f"suppress, {n_classes} classes, {'shared' if policy is SHARED_POLICY else 'from all'}"
    benchmark(way, boxes, scores, policy)
