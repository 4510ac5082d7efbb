"""Intervals of mean average precision, against a bootstrap that copies images and matches them again, and SciPy's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bounded import ends
from harness import accuracy
from harness.accuracy import AccuracyError, ClassMatches, DetectionTable, Metric, TruthTable, average_precision, match
from harness.resampling import map_intervals
from harness.statistics import Estimate

METRICS: tuple[Metric, ...] = ("voc07", "voc10")
CLASSES = 3

Matches = dict[str, tuple[ClassMatches, ...]]


def scene(seed: int, n_images: int) -> tuple[TruthTable, dict[str, DetectionTable]]:
    """A few objects an image, some difficult, and two methods that find some of them; scores have ties."""
    rng = np.random.default_rng(seed)
    image = np.repeat(np.arange(n_images), rng.integers(0, 4, n_images))
    corner = rng.integers(0, 60, (len(image), 2)).astype(np.float64)
    boxes = np.concatenate([corner, corner + rng.integers(10, 40, corner.shape)], axis=1)
    labels = rng.integers(1, CLASSES + 1, len(image))
    truth = TruthTable(image, boxes, labels, rng.random(len(image)) < 0.15)
    found = {}
    for name, share in (("first", 0.5), ("second", 0.8)):
        rows = np.flatnonzero(np.tile(rng.random(len(image)) < share, 2))[: 2 * len(image)] % max(len(image), 1)
        stray = rng.integers(0, n_images, 3 * n_images)
        low = rng.integers(0, 60, (len(stray), 2)).astype(np.float64)
        found[name] = DetectionTable(
            np.concatenate([image[rows], stray]),
            np.concatenate(
                [boxes[rows] + rng.integers(-2, 3, (len(rows), 1)), np.concatenate([low, low + 20], axis=1)]
            ),
            np.concatenate([rng.integers(3, 12, len(rows)), rng.integers(0, 8, len(stray))]) / 10,
            np.concatenate([labels[rows], rng.integers(1, CLASSES + 1, len(stray))]),
        )
    return truth, found


def matched(seed: int, n_images: int) -> Matches:
    truth, found = scene(seed, n_images)
    return {name: match(table, truth, n_classes=CLASSES) for name, table in found.items()}


def mean_ap(matches: tuple[ClassMatches, ...], metric: Metric, counts: npt.NDArray[np.int64]) -> float:
    """One draw, the way `harness.accuracy` weighs images; not a number without positives."""
    found = [average_precision(one, metric, image_counts=counts) for one in matches]
    known = [ap for ap in found if ap is not None]
    return sum(known) / len(known) if known else float("nan")


def copied(truth: TruthTable, table: DetectionTable, drawn: list[int]) -> tuple[TruthTable, DetectionTable]:
    """A split that consists of the drawn images, each copy an image of its own.

    Detections keep the order of their rows, and copies stand next to each other, so that equal scores come as before.
    """
    objects = [(new, row) for new, old in enumerate(drawn) for row in np.flatnonzero(truth.image == old)]
    found = [(new, row) for row in range(len(table.image)) for new, old in enumerate(drawn) if table.image[row] == old]
    new, rows = np.array(objects, dtype=np.int64).reshape(-1, 2).T
    new_truth = TruthTable(new, truth.boxes[rows], truth.labels[rows], truth.difficult[rows])
    new, rows = np.array(found, dtype=np.int64).reshape(-1, 2).T
    return new_truth, DetectionTable(new, table.boxes[rows], table.scores[rows], table.labels[rows])


def expected_ends(value: float, drawn: list[float], with_objects: int) -> tuple[float, float, float]:
    """What Student's t asks for of the draws, put around the value; never without it, and never beyond all draws."""
    out = stats.norm.cdf(-stats.t.ppf(0.975, with_objects - 1) * np.sqrt(with_objects / (with_objects - 1)))
    about = np.asarray(drawn) - np.nanmean(drawn) + value
    low, high = np.nanquantile(about, [out, 1 - out])
    return value, min(max(low, np.nanmin(drawn)), value), max(min(high, np.nanmax(drawn)), value)


def images_with_objects(matches: Matches) -> int:
    return len({int(image) for one in matches["first"] for image in one.positives})


@pytest.mark.parametrize("seed", range(4))
def test_a_draw_is_a_split_of_the_drawn_images(seed: int) -> None:
    """Copying the drawn images, matching and averaging them anew gives the same ends."""
    n_images, draws = 10, 20
    truth, found = scene(seed, n_images)
    result = map_intervals(matched(seed, n_images), n_images, baseline="first", seed=seed, draws=draws)
    rng = np.random.default_rng(seed)
    splits = [rng.integers(n_images, size=n_images).tolist() for _ in range(draws)]
    for name, table in found.items():
        copies = [copied(truth, table, split) for split in splits]
        for metric in METRICS:
            values = [
                accuracy.evaluate(found, objects, n_classes=CLASSES, metric=metric).map for objects, found in copies
            ]
            value = accuracy.evaluate(table, truth, n_classes=CLASSES, metric=metric).map
            drawn = [one for one in values if one is not None]
            assert value is not None
            expected = expected_ends(value, drawn, images_with_objects(matched(seed, n_images)))
            assert ends(result.map[name][metric]) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(12, 20))
def test_ends_are_those_of_a_literal_bootstrap(seed: int, n_images: int) -> None:
    """Draw by draw with `average_precision` and its counts; the difference within each draw."""
    matches = matched(seed, n_images)
    result = map_intervals(matches, n_images, baseline="first", seed=seed, draws=70)
    rng = np.random.default_rng(seed)
    counts = [np.bincount(rng.integers(n_images, size=n_images), minlength=n_images) for _ in range(70)]
    with_objects, every = images_with_objects(matches), np.ones(n_images, dtype=np.int64)
    for metric in METRICS:
        first, second = ([mean_ap(matches[name], metric, one) for one in (every, *counts)] for name in matches)
        difference = [b - a for a, b in zip(first, second, strict=True)]
        estimates = result.map["first"], result.map["second"], result.difference["second"]
        for estimate, (value, *drawn) in zip(estimates, (first, second, difference), strict=True):
            assert ends(estimate[metric]) == pytest.approx(expected_ends(value, drawn, with_objects), abs=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_interval_is_near_that_of_scipy(metric: Metric) -> None:
    """SciPy's percentile bootstrap over indices of images, put around the value; chance and the tails part them."""
    n_images = 150
    matches = matched(5, n_images)

    def statistic(images: npt.NDArray[np.int64]) -> float:
        return mean_ap(matches["second"], metric, np.bincount(images, minlength=n_images))

    found = stats.bootstrap(
        (np.arange(n_images),), statistic, vectorized=False, n_resamples=1500, method="percentile", rng=1
    )
    off = statistic(np.arange(n_images)) - float(np.mean(found.bootstrap_distribution))
    reference = np.array(found.confidence_interval) + off
    _, low, high = ends(map_intervals(matches, n_images, baseline="first", seed=0, draws=1500).map["second"][metric])
    assert (low, high) == pytest.approx(tuple(reference), abs=0.1 * np.ptp(reference))


def test_the_same_seed_gives_the_same_intervals() -> None:
    """And another seed others; how many methods there are does not matter to any of them."""
    matches = matched(1, 30)
    first = map_intervals(matches, 30, baseline="first", seed=7, draws=100)
    assert first == map_intervals(matches, 30, baseline="first", seed=7, draws=100)
    assert first != map_intervals(matches, 30, baseline="first", seed=8, draws=100)
    alone = map_intervals({"second": matches["second"]}, 30, baseline="second", seed=7, draws=100)
    assert alone.map["second"] == first.map["second"]
    assert alone.difference == {}


def test_swapping_the_baseline_turns_the_difference_round() -> None:
    """Both see the same draws."""
    matches = matched(2, 30)
    one = map_intervals(matches, 30, baseline="first", seed=7, draws=200).difference["second"]
    other = map_intervals(matches, 30, baseline="second", seed=7, draws=200).difference["first"]
    for metric in METRICS:
        value, low, high = ends(other[metric])
        assert ends(one[metric]) == pytest.approx((-value, -high, -low), abs=1e-12)


def test_a_difference_is_surer_than_its_parts() -> None:
    """Two methods that differ in a few detections: what a drawn set of images makes easy is easy for both."""
    truth, found = scene(3, 120)
    table = found["second"]
    keep = np.random.default_rng(0).random(len(table.image)) < 0.95
    fewer = DetectionTable(table.image[keep], table.boxes[keep], table.scores[keep], table.labels[keep])
    matches = {name: match(one, truth, n_classes=CLASSES) for name, one in (("all", table), ("fewer", fewer))}
    result = map_intervals(matches, 120, baseline="all", seed=1, draws=400)
    for metric in METRICS:
        _, low, high = ends(result.difference["fewer"][metric])
        _, whole_low, whole_high = ends(result.map["all"][metric])
        assert high - low < 0.5 * (whole_high - whole_low)


def test_equal_detections_differ_by_nothing() -> None:
    """For certain, as far as images go: no draw tells two copies of one method apart, though each changes."""
    matches = matched(4, 20)
    result = map_intervals({"a": matches["first"], "b": matches["first"]}, 20, baseline="a", seed=1, draws=50)
    for found in result.difference["b"].values():
        assert found == Estimate(0.0, 0.0, 0.0)


def test_intervals_cover_the_map_of_all_images() -> None:
    """Splits of 80 out of 4,000 images: their intervals hold what all images give, the difference too."""
    everything = matched(6, 4000)
    truth = {
        (name, metric): mean_ap(found, metric, np.ones(4000, dtype=np.int64))
        for name, found in everything.items()
        for metric in METRICS
    }
    covered, rng = [], np.random.default_rng(1)
    for _ in range(100):
        images = np.sort(rng.choice(4000, 80, replace=False))
        matches = {name: tuple(_part(one, images) for one in found) for name, found in everything.items()}
        result = map_intervals(matches, 80, baseline="first", seed=0, draws=200)
        for metric in METRICS:
            _, low, high = ends(result.map["second"][metric])
            difference = ends(result.difference["second"][metric])
            gap = truth["second", metric] - truth["first", metric]
            covered.append((low <= truth["second", metric] <= high, difference[1] <= gap <= difference[2]))
    assert np.mean(covered) == pytest.approx(0.94, abs=0.04)


def _like_voc(rng: np.random.Generator, n_images: int) -> tuple[ClassMatches, ...]:
    """Twenty classes, some rare, of which three quarters of the objects are found, among two false ones an image."""
    found = []
    for rate in np.geomspace(0.02, 0.25, 20):
        positives = np.repeat(np.arange(n_images), rng.poisson(rate, n_images))
        true = positives[rng.random(len(positives)) < 0.75]
        false = np.repeat(np.arange(n_images), rng.poisson(2, n_images))
        scores = np.concatenate([rng.normal(2.5, 1, len(true)), rng.normal(0, 1, len(false))])
        outcomes = np.repeat(np.array([1, -1], np.int8), (len(true), len(false)))
        falling = np.argsort(-scores)
        image = np.concatenate([true, false])[falling]
        found.append(ClassMatches(scores[falling], outcomes[falling], image, positives))
    return tuple(found)


def test_intervals_hold_what_other_sets_of_as_many_images_give() -> None:
    """Classes of some ten objects, as in VOC: 300 images give too high an mAP, and draws of them a higher one yet."""
    rng = np.random.default_rng(2)
    everything = mean_ap(_like_voc(rng, 50_000), "voc07", np.ones(50_000, dtype=np.int64))
    rows = []
    for _ in range(80):
        matches = {"one": _like_voc(rng, 300)}
        rows.append(ends(map_intervals(matches, 300, baseline="one", seed=0, draws=200).map["one"]["voc07"]))
    value, low, high = np.array(rows).T
    expected = np.mean(value)
    assert expected - everything > 0.01
    assert 0.9 <= np.mean((low <= expected) & (expected <= high)) < 1
    assert np.mean((low <= everything) & (everything <= high)) >= 0.84
    assert np.mean(high - value) < 1.2 * np.mean(value - low)


def _part(matches: ClassMatches, images: npt.NDArray[np.int64]) -> ClassMatches:
    """Of these images alone, numbered anew; `images` rise."""
    keep, positives = np.isin(matches.image, images), matches.positives[np.isin(matches.positives, images)]
    found = np.searchsorted(images, matches.image[keep])
    return ClassMatches(matches.scores[keep], matches.outcomes[keep], found, np.searchsorted(images, positives))


def _class(outcomes: list[int], images: list[int], positives: list[int]) -> ClassMatches:
    scores = np.linspace(1, 0, len(outcomes))
    return ClassMatches(scores, np.array(outcomes, np.int8), np.array(images, np.int64), np.array(positives, np.int64))


def test_objects_in_one_image_give_no_interval() -> None:
    """That image alone decides; the others can only add false detections."""
    matches = {"a": (_class([1, -1], [0, 1], [0, 0]),)}
    found = map_intervals(matches, 5, baseline="a", seed=0, draws=50).map["a"]["voc10"]
    assert found == Estimate(0.5, None, None, "an interval needs objects in at least two images")


def test_nothing_to_find_has_no_map() -> None:
    """Neither has a split without classes."""
    for classes in ((), (_class([-1, 0], [0, 1], []),)):
        result = map_intervals({"a": classes, "b": classes}, 3, baseline="a", seed=0, draws=20)
        for found in (result.map["a"]["voc07"], result.difference["b"]["voc07"]):
            assert found == Estimate(None, None, None, "no class has an object that is not difficult")


def test_a_method_that_finds_nothing_is_at_0_without_an_interval() -> None:
    """Every draw gives 0, which does not make it certain; the difference to it is as uncertain as the other one."""
    nothing, some = _class([], [], [0, 1, 2]), _class([1, -1, 1], [0, 1, 2], [0, 1, 2])
    result = map_intervals({"a": (nothing,), "b": (some,)}, 3, baseline="a", seed=0, draws=200)
    assert result.map["a"]["voc07"] == Estimate(0.0, None, None, "every draw of images gives the same value")
    assert result.difference["b"] == result.map["b"]


def test_what_does_not_belong_together_is_refused() -> None:
    """In one line each."""
    one, other = (_class([1], [0], [0, 1]),), (_class([1], [0], [0]),)
    with pytest.raises(AccuracyError, match="expected one of a, got 'b'"):
        map_intervals({"a": one}, 3, baseline="b", seed=0)
    with pytest.raises(AccuracyError, match="expected images below 1, got 1"):
        map_intervals({"a": one}, 1, baseline="a", seed=0)
    with pytest.raises(AccuracyError, match="expected the objects that a was matched with"):
        map_intervals({"a": one, "b": other}, 3, baseline="a", seed=0)
    with pytest.raises(AccuracyError, match="expected the objects that a was matched with"):
        map_intervals({"a": one, "b": one + one}, 3, baseline="a", seed=0)
    with pytest.raises(AccuracyError, match="at least 1"):
        map_intervals({"a": one}, 3, baseline="a", seed=0, draws=0)
