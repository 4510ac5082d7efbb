"""From scores to detections, against nested loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.contract import SHARED_POLICY, Detections, Policy
from detectors.parts import decide as module
from detectors.parts.decide import decide

Row = tuple[float, int, int]  # score, box, class


def _iou(a: list[float], b: list[float]) -> Fraction:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    high = min(a[3], b[3]) - max(a[1], b[1])
    shared = int(max(wide, 0)) * int(max(high, 0))
    union = int((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])) - shared
    return Fraction(shared, union) if union else Fraction(0)


def _loops(boxes: list[list[list[float]]], scores: list[list[float]], policy: Policy) -> list[Row]:
    """The policy word by word; `boxes` are one per box and class."""
    found: list[Row] = []
    for k in range(len(scores[0])):
        rows = [(scores[p][k], p, k) for p in range(len(scores)) if math.isfinite(scores[p][k])]
        if policy.min_score is not None:
            rows = [row for row in rows if row[0] > policy.min_score]
        rows.sort(key=lambda row: (-row[0], row[1]))
        kept: list[Row] = []
        for row in rows[: policy.per_class_before]:
            if all(_iou(boxes[row[1]][k], boxes[other[1]][k]) <= Fraction(str(policy.iou)) for other in kept):
                kept.append(row)
        found += kept[: policy.per_class_after]
    found.sort(key=lambda row: (-row[0], row[1], row[2]))
    return found[: policy.per_image]


_SCORES = st.sampled_from([-math.inf, math.nan, -2.0, -1.0, 0.0, 0.25, 0.5, 1.0])


@st.composite
def _cases(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    count, classes = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    per_class = draw(st.booleans())
    corners = draw(
        st.lists(
            st.tuples(*[st.integers(0, 10)] * 4),
            min_size=count * classes if per_class else count,
            max_size=count * classes if per_class else count,
        )
    )
    boxes = torch.tensor([[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d in corners]).float()
    scores = draw(st.lists(_SCORES, min_size=count * classes, max_size=count * classes))
    return boxes.view(count, classes, 4) if per_class else boxes, torch.tensor(scores).view(count, classes)


_LIMITS = st.one_of(st.none(), st.integers(0, 4))
_POLICIES = st.builds(
    Policy,
    min_score=st.sampled_from([None, -1.5, 0.0]),
    per_class_before=_LIMITS,
    iou=st.sampled_from([0.0, 0.3, 0.5, 0.7]),
    per_class_after=_LIMITS,
    per_image=_LIMITS,
)


@settings(max_examples=300, deadline=None)
@given(_cases(), _POLICIES)
def test_equals_nested_loops(case: tuple[torch.Tensor, torch.Tensor], policy: Policy) -> None:
    """Ties, boxes without area, infinities and every limit come out as the policy says word by word."""
    boxes, scores = case
    per_class = boxes if boxes.ndim == 3 else boxes[:, None].expand(-1, scores.shape[1], -1)
    expected = _loops(per_class.tolist(), scores.tolist(), policy)
    found = decide(boxes, scores, policy)
    assert found.scores.tolist() == [score for score, _, _ in expected]
    assert found.labels.tolist() == [k + 1 for _, _, k in expected]
    assert found.boxes.tolist() == [per_class[p, k].tolist() for _, p, k in expected]


def test_no_boxes() -> None:
    """No boxes or no finite score mean no detections."""
    assert len(decide(torch.zeros(0, 4), torch.zeros(0, 5), SHARED_POLICY).boxes) == 0
    assert len(decide(torch.zeros(0, 5, 4), torch.zeros(0, 5), SHARED_POLICY).boxes) == 0
    assert len(decide(torch.ones(2, 4), torch.full((2, 1), -math.inf), SHARED_POLICY).boxes) == 0


def test_iou_at_the_threshold_is_kept() -> None:
    """Only more than the threshold suppresses: 3 of 10 shared pixels survive 0.3, 4 of 10 do not."""
    boxes = torch.tensor([[0.0, 0.0, 10.0, 1.0], [0.0, 0.0, 3.0, 1.0], [0.0, 0.0, 4.0, 1.0]])
    found = decide(boxes, torch.tensor([[3.0], [2.0], [1.0]]), Policy(iou=0.3))
    assert found.scores.tolist() == [3, 2]


@pytest.mark.parametrize("n_classes", [1, 80])
def test_far_classes_suppress_exactly_as_the_first(n_classes: int) -> None:
    """Moving a class out of the way of others changes no IoU, however large the image and whatever the fraction."""
    generator = torch.Generator().manual_seed(1)
    low = torch.rand(300, 2, generator=generator) * 4000
    boxes = torch.cat([low, low + torch.rand(300, 2, generator=generator) * 900], dim=1)
    scores = torch.rand(300, 1, generator=generator)
    policy = Policy(per_class_before=None, per_image=None)
    alone = decide(boxes, scores, policy)
    repeated = decide(boxes, scores.expand(-1, n_classes), policy)
    for k in range(n_classes):
        assert torch.equal(repeated.boxes[repeated.labels == k + 1], alone.boxes)


def _literal(boxes: np.ndarray, scores: np.ndarray, policy: Policy) -> tuple[list[list[float]], list[float], list[int]]:
    """Class by class in NumPy: boxes (P, K, 4), scores (P, K) to corners, scores and labels, falling."""
    rows = []
    for k in range(scores.shape[1]):
        ok = np.isfinite(scores[:, k])
        if policy.min_score is not None:
            ok &= scores[:, k] > policy.min_score
        order = np.flatnonzero(ok)[np.argsort(-scores[ok, k], kind="stable")][: policy.per_class_before]
        kept: list[int] = []
        for p in order:
            x1, y1, x2, y2 = boxes[p, k].astype(np.float64)
            overlaps = False
            for q in kept:
                a1, b1, a2, b2 = boxes[q, k].astype(np.float64)
                shared = max(min(x2, a2) - max(x1, a1), 0) * max(min(y2, b2) - max(y1, b1), 0)
                union = (x2 - x1) * (y2 - y1) + (a2 - a1) * (b2 - b1) - shared
                overlaps |= bool(shared / union > policy.iou) if union > 0 else False
            if not overlaps:
                kept.append(int(p))
        rows += [(-scores[p, k], p, k) for p in kept[: policy.per_class_after]]
    rows = sorted(rows)[: policy.per_image]
    return [boxes[p, k].tolist() for _, p, k in rows], [-float(s) for s, _, _ in rows], [k + 1 for _, _, k in rows]


def _random(rng: np.random.Generator, count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    low = rng.uniform(-30, 400, (count, classes, 2))
    boxes = np.concatenate([low, low + rng.uniform(0, 150, (count, classes, 2))], axis=2)
    return boxes.astype(np.float32), rng.standard_normal((count, classes)).astype(np.float32)


def _hard(rng: np.random.Generator, count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Few different scores, of both zeros, both infinities and NaN; boxes that repeat, have no area or are NaN."""
    low = rng.integers(0, 3, (count, classes, 2)) * 8
    boxes = np.concatenate([low, low + rng.integers(0, 3, (count, classes, 2)) * 8], axis=2).astype(np.float32)
    boxes[rng.random((count, classes)) < 0.02] = np.nan
    values = [-0.0, 0.0, 1e-45, -1e-45, 0.5, 0.5, -2.0, 3e38, -3e38, np.nan, np.inf, -np.inf]
    return boxes, rng.choice(np.array(values, np.float32), (count, classes))


Draw = Callable[[np.random.Generator, int, int], tuple[np.ndarray, np.ndarray]]
_ALL_POLICIES = [
    SHARED_POLICY,
    Policy(min_score=0.0),
    Policy(min_score=-1.5, per_class_before=None, per_class_after=9, per_image=None),
    Policy(min_score=99.0, per_class_before=None, per_class_after=1, per_image=None),
    Policy(per_class_before=7, iou=0.0, per_class_after=3, per_image=11),
    Policy(per_class_before=None, iou=1.0, per_image=None),
    Policy(per_class_before=0),
    Policy(per_image=0),
]


def _rows(found: Detections) -> tuple[list[list[float]], list[float], list[int]]:
    return found.boxes.tolist(), found.scores.tolist(), found.labels.tolist()


@pytest.mark.parametrize("suppress", ["_class_by_class", "_all_at_once"])
@pytest.mark.parametrize("policy", _ALL_POLICIES)
@pytest.mark.parametrize("draw", [_random, _hard])
def test_equals_a_literal_loop(monkeypatch: pytest.MonkeyPatch, suppress: str, policy: Policy, draw: Draw) -> None:
    """The way of a CPU and that of an accelerator both give what a loop over classes and boxes gives, tie by tie."""
    for name in ("_class_by_class", "_all_at_once"):
        monkeypatch.setattr(module, name, getattr(module, suppress))
    for count, classes in [(1, 1), (40, 1), (1, 6), (120, 4)]:
        boxes, scores = draw(np.random.default_rng(count), count, classes)
        for shared in (False, True):
            used = np.repeat(boxes[:, :1], classes, axis=1) if shared else boxes
            given_boxes = torch.from_numpy(boxes[:, 0] if shared else boxes)
            found = decide(given_boxes, torch.from_numpy(scores), policy)
            expected = _literal(used, scores, policy)
            np.testing.assert_equal(_rows(found), expected)


def test_inputs_stay_as_they_were() -> None:
    """One class or one box, where a transposed tensor is the tensor itself, are not written to either."""
    for shape in [(5, 1), (1, 5), (3, 4)]:
        scores, boxes = torch.full(shape, -0.0), torch.tensor([0.0, 0.0, 9.0, 9.0]).expand(shape[0], 4)
        decide(boxes, scores, SHARED_POLICY)
        assert torch.signbit(scores).all()


@pytest.mark.gpu
@pytest.mark.parametrize("policy", _ALL_POLICIES)
@pytest.mark.parametrize("draw", [_random, _hard])
def test_cuda_gives_the_same(policy: Policy, draw: Draw) -> None:
    """Detections do not depend on the device."""
    boxes, scores = (torch.from_numpy(array) for array in draw(np.random.default_rng(3), 500, 20))
    np.testing.assert_equal(_rows(decide(boxes.cuda(), scores.cuda(), policy)), _rows(decide(boxes, scores, policy)))
