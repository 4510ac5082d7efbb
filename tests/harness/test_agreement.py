"""Differences between outputs, against a literal greedy matching and the digest of the detections themselves."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.contract import Detections
from harness.agreement import MATCH_IOU, digest_of_rows, disagreement
from harness.output import digest_of, rows_of


def _found(rng: np.random.Generator, count: int, labels: int = 3) -> Detections:
    low = rng.uniform(0, 300, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(0, 200, (count, 2))], axis=1).astype(np.float32)
    scores, classes = rng.uniform(size=count).astype(np.float32), rng.integers(1, labels + 1, count)
    return _sorted(torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(classes))


def _sorted(boxes: torch.Tensor, scores: torch.Tensor, labels: torch.Tensor) -> Detections:
    scores, order = scores.sort(descending=True, stable=True)
    return Detections(boxes[order], scores, labels[order])


def _rows(found: Detections) -> list[dict[str, Any]]:
    """As they come back from the file."""
    rows: list[dict[str, Any]] = json.loads(json.dumps(rows_of("a", found)))
    return rows


def _row(box: tuple[float, ...], score: float, label: int = 1) -> dict[str, Any]:
    return {"image_id": "a", "category_id": label, "bbox": list(box), "score": score}


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 40))
def test_rows_have_the_digest_of_the_detections_that_they_came_from(seed: int, count: int) -> None:
    """Decimals in a file give every bit back, so a file proves which output it holds."""
    found = _found(np.random.default_rng(seed), count)
    assert digest_of_rows(_rows(found)) == digest_of(found)


def test_equal_outputs_do_not_disagree() -> None:
    """None, and not zeros: the same to the bit."""
    rows = _rows(_found(np.random.default_rng(0), 30))
    assert disagreement(rows, rows) is None
    assert disagreement([], []) is None


def test_another_order_of_the_same_detections_is_a_difference_of_zero() -> None:
    """The digests differ, and nothing else does."""
    rows = _rows(_found(np.random.default_rng(1), 30))
    zeros = {"unmatched": 0.0, "largest_box_px": 0.0, "largest_score": 0.0}
    assert disagreement(rows, rows[::-1]) == zeros


def test_a_moved_box_and_a_changed_score_are_told_by_how_much() -> None:
    """One corner by half a pixel, a score by an eighth, both exact in binary."""
    first = [_row((10, 10, 100, 50), 0.75), _row((10, 10, 100, 50), 0.5, label=2)]
    other = [_row((10.5, 10, 99.5, 50), 0.75), _row((10, 10, 100, 50), 0.375, label=2)]
    assert disagreement(first, other) == {"unmatched": 0.0, "largest_box_px": 0.5, "largest_score": 0.125}


@pytest.mark.parametrize(
    ("other", "unmatched"),
    [
        ([], 1.0),
        ([_row((0, 0, 10, 10), 0.5, label=2)], 2.0),
        ([_row((2, 0, 10, 10), 0.5)], 2.0),
        ([_row((0, 0, 10, 10), 0.5), _row((0, 0, 10, 10), 0.25)], 1.0),
        ([_row((0, 0, 10, 9), 0.5)], 0.0),
        ([_row((0, 0, 10, 8.9375), 0.5)], 2.0),
    ],
)
def test_detections_without_a_partner_are_counted_on_both_sides(other: list[dict[str, Any]], unmatched: float) -> None:
    """Missing, of another label, too far (8/12), there twice, IoU 0.9 exactly, and just below."""
    found = disagreement([_row((0, 0, 10, 10), 0.5)], other)
    assert found is not None
    assert found["unmatched"] == unmatched


def test_boxes_without_an_area_match_their_equals() -> None:
    """A box may be a line or a point; equal ones are the same."""
    found = disagreement([_row((5, 5, 0, 7), 0.5)], [_row((5, 5, 0, 7), 0.25)])
    assert found == {"unmatched": 0.0, "largest_box_px": 0.0, "largest_score": 0.25}


def _literal(first: list[dict[str, Any]], other: list[dict[str, Any]]) -> dict[str, float]:
    """One by one: by falling score, the free box of the same label with the highest IoU."""

    def corners(row: dict[str, Any]) -> list[float]:
        x, y, w, h = row["bbox"]
        return [float(np.float32(each)) for each in (x, y, x + w, y + h)]

    def iou(a: list[float], b: list[float]) -> float:
        width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        shared = max(width, 0) * max(height, 0)
        return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)

    free = sorted(other, key=lambda row: -row["score"])
    matched, box_px, score = 0, 0.0, 0.0
    for row in sorted(first, key=lambda row: -row["score"]):
        near = [(iou(corners(row), corners(one)), one) for one in free if one["category_id"] == row["category_id"]]
        overlap, best = max(near, key=lambda each: each[0], default=(0.0, None))
        if best is not None and overlap >= MATCH_IOU:
            free = [one for one in free if one is not best]
            matched += 1
            box_px = max(box_px, *(abs(a - b) for a, b in zip(corners(row), corners(best), strict=True)))
            score = max(score, abs(row["score"] - best["score"]))
    unmatched = float(len(first) + len(other) - 2 * matched)
    return {"unmatched": unmatched, "largest_box_px": box_px, "largest_score": score}


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 30), moved_px=st.sampled_from([0.01, 2.0, 10.0]))
def test_matching_is_greedy_by_score_and_then_by_overlap(seed: int, count: int, moved_px: float) -> None:
    """The same as a literal search through all boxes, however far boxes moved and however many are gone."""
    rng = np.random.default_rng(seed)
    found = _found(rng, count)
    keep = torch.from_numpy(rng.permutation(count)[: count - count // 5])
    moved = found.boxes[keep] + torch.from_numpy(rng.uniform(-moved_px, moved_px, (len(keep), 4)).astype(np.float32))
    moved[:, 2:] = torch.maximum(moved[:, 2:], moved[:, :2] + 0.5)
    scores = found.scores[keep] + torch.from_numpy(rng.uniform(0, 1e-3, len(keep)).astype(np.float32))
    first, other = _rows(found), _rows(_sorted(moved, scores, found.labels[keep]))
    assert disagreement(first, other) == pytest.approx(_literal(first, other), rel=1e-5, abs=1e-7)


def test_thousands_of_detections_take_a_moment() -> None:
    """A paper's own policy may keep some thousands an image."""
    rng = np.random.default_rng(3)
    found = _found(rng, 4000, labels=20)
    first = _rows(found)
    other = _rows(Detections(found.boxes + 0.001, found.scores, found.labels))
    start = time.perf_counter()
    differs = disagreement(first, other)
    assert differs is not None
    assert differs["largest_box_px"] == pytest.approx(0.001, abs=5e-5)
    assert time.perf_counter() - start < 10
