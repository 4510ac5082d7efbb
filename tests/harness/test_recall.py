"""How good boxes are: recall against their number, with intervals, and boxes beside other boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou

from harness.datasets import Truth
from harness.proposals import ProposalError
from harness.proposals.beside import by_image, neighbours, share_as_long, shortest_side_px
from harness.proposals.curves import Draws, curve, sized
from harness.proposals.overlap import best_iou, iou
from harness.proposals.recall import FIRSTS, cover, reaching
from harness.resampling import draw

Boxes = npt.NDArray[np.float32]


def drawn(rng: np.random.Generator, count: int, side: int = 60) -> Boxes:
    """Boxes with whole corners."""
    low = rng.integers(0, side, (count, 2))
    return np.concatenate([low, low + rng.integers(1, side, (count, 2))], axis=1).astype(np.float32)


def truth(boxes: Any, labels: Any = None, difficult: Any = None) -> Truth:
    count = len(boxes)
    return Truth(
        np.asarray(boxes, np.float32).reshape(-1, 4),
        np.asarray(np.ones(count) if labels is None else labels, np.int64),
        np.asarray(np.zeros(count) if difficult is None else difficult, np.bool_),
    )


@pytest.fixture
def split() -> tuple[list[Boxes], list[Truth]]:
    """Twelve images with none to four objects of three classes, some difficult, and none to 30 boxes."""
    rng = np.random.default_rng(3)
    boxes, truths = [], []
    for index in range(12):
        count = int(rng.integers(0, 5))
        boxes.append(drawn(rng, int(rng.integers(0, 30)) if index else 0))
        truths.append(truth(drawn(rng, count), rng.integers(1, 4, count), rng.random(count) < 0.2))
    return boxes, truths


# Overlaps


@given(seed=st.integers(0, 10_000), counts=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_overlap_is_that_of_torchvision(seed: int, counts: tuple[int, int]) -> None:
    """Another library's intersection over union of the same half-open boxes."""
    rng = np.random.default_rng(seed)
    a, b = (drawn(rng, count) for count in counts)
    expected = box_iou(torch.from_numpy(a).double(), torch.from_numpy(b).double()).numpy()
    assert iou(a, b) == pytest.approx(expected, abs=1e-12)


@given(seed=st.integers(0, 10_000), count=st.integers(0, 40), firsts=st.lists(st.integers(1, 50), max_size=4))
def test_the_best_of_the_first_boxes_is_the_best_of_those_alone(seed: int, count: int, firsts: list[int]) -> None:
    """Whatever stands behind them, and in however many pieces it is computed."""
    rng = np.random.default_rng(seed)
    boxes, among = drawn(rng, 5), drawn(rng, count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.proposals.overlap._PAIRS_AT_ONCE", 64)
        found = best_iou(boxes, among, [*firsts, None])
    for row, first in zip(found, [*firsts, count], strict=True):
        alone = [max((float(iou(box[None], one[None])[0, 0]) for one in among[:first]), default=0.0) for box in boxes]
        assert row.tolist() == alone


def test_only_numbers_that_leave_a_box_out_are_told() -> None:
    """All boxes stand for every number beyond them."""
    assert reaching([np.zeros((500, 4), np.float32), np.zeros((90, 4), np.float32)]) == [50, 100, 200, None]
    assert reaching([]) == [None]
    assert reaching([np.zeros((2001, 4), np.float32)]) == [*FIRSTS, None]


# Recall


def test_a_curve_is_what_loops_over_objects_count(split: tuple[list[Boxes], list[Truth]]) -> None:
    """Recall at both levels, average recall as a numeric integral, MABO class by class; difficult ones left out."""
    boxes, truths = split
    firsts = [3, 10, None]
    group = curve(cover(boxes, truths, firsts), boxes, firsts, Draws(len(boxes), seed=0, draws=20))
    levels = np.linspace(0.5, 1, 20_001)
    for first, point in zip(firsts, group.points, strict=True):
        best: dict[int, list[float]] = {}
        for proposals, found in zip(boxes, truths, strict=True):
            for box, label, difficult in zip(found.boxes, found.labels, found.difficult, strict=True):
                if not difficult:
                    every = [float(iou(box[None], one[None])[0, 0]) for one in proposals[:first]]
                    best.setdefault(int(label), []).append(max(every, default=0.0))
        overlaps = np.concatenate(list(best.values()))
        assert group.objects == len(overlaps)
        assert point.recall_50.value == pytest.approx(np.mean(overlaps >= 0.5), abs=1e-6)
        assert point.recall_70.value == pytest.approx(np.mean(overlaps >= 0.7), abs=1e-6)
        integral = np.trapezoid([np.mean(overlaps >= level) for level in levels], levels)
        assert point.average_recall.value == pytest.approx(2 * integral, abs=1e-4)
        assert point.best_overlap.value == pytest.approx(np.mean([np.mean(each) for each in best.values()]), abs=1e-6)
        assert point.boxes == pytest.approx(np.mean([len(each[:first]) for each in boxes]), abs=0.05)


def test_chosen_objects_have_a_curve_of_their_own(split: tuple[list[Boxes], list[Truth]]) -> None:
    """That of a data set without the others; their best overlap is a mean over objects."""
    boxes, truths = split
    covered = cover(boxes, truths, [None])
    own = [truth(each.boxes[each.labels == 2], None, each.difficult[each.labels == 2]) for each in truths]
    draws = Draws(len(boxes), seed=0, draws=50)
    found = curve(covered, boxes, [None], draws, chosen=covered.label == 2)
    assert found.points == curve(cover(boxes, own, [None]), boxes, [None], draws).points
    assert found.objects < len(covered.image)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_more_boxes_never_find_less(seed: int) -> None:
    """The first boxes are among the first of a larger number."""
    rng = np.random.default_rng(seed)
    boxes = [drawn(rng, int(rng.integers(0, 30))) for _ in range(4)]
    truths = [truth(drawn(rng, 2)) for _ in boxes]
    firsts = [1, 2, 5, 10, None]
    points = curve(cover(boxes, truths, firsts), boxes, firsts, Draws(4, seed=0, draws=5)).points
    for name in ("recall_50", "recall_70", "average_recall", "best_overlap"):
        values = [getattr(point, name).value for point in points]
        assert values == sorted(values)
    assert all(point.recall_70.value <= point.recall_50.value for point in points)


def test_without_objects_there_is_no_recall_but_a_reason() -> None:
    """Not 0, and not 1."""
    boxes, truths = [drawn(np.random.default_rng(0), 5)], [truth([[0, 0, 9, 9]], difficult=[True])]
    (point,) = curve(cover(boxes, truths, [None]), boxes, [None], Draws(1, seed=0, draws=5)).points
    assert point.recall_50.value is None
    assert point.recall_50.reason == "there is no object that is not difficult"
    assert point.best_overlap.value is None


def test_each_size_begins_where_the_one_below_ends() -> None:
    """Every object is of exactly one size; a square of 32 px is medium, one of 96 px large."""
    areas = np.array([1, 32**2 - 1, 32**2, 96**2 - 1, 96**2, 1e6])
    found = sized(areas)
    assert {name: chosen.tolist() for name, chosen in found.items()} == {
        "small": [True, True, False, False, False, False],
        "medium": [False, False, True, True, False, False],
        "large": [False, False, False, False, True, True],
    }


# Intervals


def test_draws_are_those_of_a_loop_over_drawn_images() -> None:
    """An image that is drawn twice counts twice, with all of its objects; absent classes are left out of a mean."""
    rng = np.random.default_rng(1)
    image, label = np.sort(rng.integers(0, 6, 14)), rng.integers(1, 4, 14)
    values = rng.random((2, 14))
    draws = Draws(6, seed=5, draws=40)
    counts = draw(6, 40, np.random.default_rng(5))
    expected: list[list[float]] = [[], []]
    for times in counts.T:
        rows = [row for one in range(6) for _ in range(times[one]) for row in np.flatnonzero(image == one)]
        for line, value in enumerate(values):
            classes = [np.mean([value[row] for row in rows if label[row] == one]) for one in {*label[rows]}]
            expected[line].append(float(np.mean(classes)) if classes else np.nan)
    for estimate, drawn_means in zip(draws.mean_over_classes(image, label, values), expected, strict=True):
        # Of few images the outermost draws are the ends; see `harness.resampling`.
        low, high = np.nanmin(drawn_means), np.nanmax(drawn_means)
        assert low - 1e-12 <= (estimate.low or 0) < (estimate.value or 0) < (estimate.high or 0) <= high + 1e-12
    plain = draws._drawn_mean(image, values)
    for line, value in enumerate(values):
        for at, times in enumerate(counts.T):
            rows = [row for one in range(6) for _ in range(times[one]) for row in np.flatnonzero(image == one)]
            assert plain[line, at] == pytest.approx(np.mean(value[rows])) if rows else np.isnan(plain[line, at])


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Objects of an image share their luck: simulated splits of which the recall is known, 0.7.

    In 600 intervals a share of 95 % has a standard error of 0.9 %; three of them to either side. Intervals that take
    objects for independent hold the truth in fewer cases than that.
    """
    rng = np.random.default_rng(11)
    held, naive, runs, n_images = 0, 0, 600, 80
    for run in range(runs):
        image = np.repeat(np.arange(n_images), rng.integers(1, 6, n_images))
        found = rng.random(len(image)) < rng.beta(1.4, 0.6, n_images)[image]
        (estimate,) = Draws(n_images, seed=run, draws=400).mean(image, found[None])
        held += (estimate.low or 0) <= 0.7 <= (estimate.high or 0)
        share = float(found.mean())
        naive += abs(share - 0.7) <= 1.96 * (share * (1 - share) / len(found)) ** 0.5
    assert 0.923 <= held / runs <= 0.977
    assert naive / runs < 0.9


def test_the_same_seed_gives_the_same_interval(split: tuple[list[Boxes], list[Truth]]) -> None:
    """And another seed another one around the same value."""
    boxes, truths = split
    covered = cover(boxes, truths, [None])
    first, again, other = (curve(covered, boxes, [None], Draws(12, seed=seed)).points[0] for seed in (0, 0, 1))
    assert first == again
    assert (first.average_recall.low, first.average_recall.high) != (
        other.average_recall.low,
        other.average_recall.high,
    )
    assert first.average_recall.value == other.average_recall.value


# Boxes beside boxes


def test_boxes_beside_boxes_are_what_loops_count() -> None:
    """Each of the others with the first of ours, and each of these with all others; over all boxes alike."""
    rng = np.random.default_rng(8)
    ours, theirs = [drawn(rng, 55), drawn(rng, 70)], [drawn(rng, 9), drawn(rng, 4)]
    points = neighbours(ours, theirs, 20)
    assert [point.first for point in points] == [50, "all"]
    for first, point in zip((50, None), points, strict=True):
        pairs = list(zip(ours, theirs, strict=True))
        near = [max(iou(box[None], own[:first])[0]) for own, other in pairs for box in other]
        long = [min(box[2] - box[0], box[3] - box[1]) >= 20 for _, other in pairs for box in other]
        back = [max(iou(box[None], other)[0]) for own, other in pairs for box in own[:first]]
        told = (point.theirs, near), (point.theirs_as_long, np.array(near)[long]), (point.ours, back)
        for likeness, best in told:
            assert likeness.mean == pytest.approx(np.mean(best), abs=1e-6)
            assert likeness.at_50 == pytest.approx(np.mean(np.array(best) >= 0.5), abs=1e-6)
            assert likeness.at_70 == pytest.approx(np.mean(np.array(best) >= 0.7), abs=1e-6)


def test_boxes_beside_themselves_are_all_found() -> None:
    """However they are ordered."""
    rng = np.random.default_rng(2)
    boxes = [drawn(rng, 40), drawn(rng, 30)]
    shuffled = [rng.permutation(each) for each in boxes]
    (last,) = neighbours(boxes, shuffled, shortest_side_px(boxes))
    assert last.theirs == last.theirs_as_long == last.ours
    assert last.ours.mean == last.ours.at_70 == 1
    assert share_as_long(shuffled, shortest_side_px(boxes)) == 1
    assert [one.id for one in by_image(["a", "b"], boxes, shuffled, 1)] == ["a", "b"]


def test_an_image_without_boxes_of_one_kind_is_not_listed() -> None:
    """There is no nearest box, and no 0 stands for it."""
    rng = np.random.default_rng(2)
    none = np.zeros((0, 4), np.float32)
    assert (
        by_image(["a", "b", "c"], [none, drawn(rng, 3), drawn(rng, 3)], [drawn(rng, 3), none, drawn(rng, 2)], 1)[0].id
        == "c"
    )


def test_nothing_to_compare_is_said() -> None:
    """In one line, with what instead."""
    none, some = np.zeros((0, 4), np.float32), drawn(np.random.default_rng(0), 5)
    with pytest.raises(ProposalError, match="no box to compare in any of 2 images; take others than --proposals"):
        shortest_side_px([none, none])
    with pytest.raises(ProposalError, match="no box of --against has sides of 500 px and more"):
        share_as_long([none, some], 500)
