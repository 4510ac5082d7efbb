"""Hours of training follow from short fits, and are never taken for measured ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.claims import read_claims
from harness.quantities.judged import Judged
from harness.training_time import (
    FitTime,
    Schedule,
    extrapolated,
    images_taken,
    judge_training,
    training_hours,
    training_speedup,
)

SIZES = ((20, 8), (60, 8), (60, 32))
COSTS = st.floats(1e-3, 10)


def fit(method: str, repeat: int, size: tuple[int, int], costs: Sequence[float], regions: int | None) -> FitTime:
    """As a machine times it that takes exactly these seconds: fixed, by mini-batch, by image read; fixed, by image."""
    fixed, batch, read, rest, image = costs
    iterations, images = size
    reads = images_taken(images, regions) if regions else 2.0
    return FitTime(
        method, repeat, iterations, images, fixed + iterations * (batch + read * reads), rest + image * images
    )


def truth(costs: Sequence[float], iterations: int, images: int, regions: int | None) -> float:
    one = fit("", 0, (iterations, images), costs, regions)
    return one.finetune_seconds + one.rest_seconds


@given(images=st.integers(1, 6), regions=st.integers(1, 6))
def test_images_taken_are_the_mean_over_all_draws(images: int, regions: int) -> None:
    """Gone through one by one, all draws of B regions from n images are of that many different images on average."""
    grid = np.indices((images,) * regions).reshape(regions, -1).T
    assert images_taken(images, regions) == pytest.approx(np.mean([len(set(row)) for row in grid.tolist()]))


@given(costs=st.tuples(COSTS, COSTS, COSTS, COSTS, COSTS), regions=st.sampled_from([None, 24, 128]))
def test_the_whole_follows_from_parts(costs: tuple[float, ...], regions: int | None) -> None:
    """Of a machine whose costs are exactly linear, short fits tell what the published training takes."""
    fits = [fit("rcnn", 0, size, costs, regions) for size in SIZES]
    found = extrapolated(fits, Schedule(70_000, 5011, regions))
    assert found == pytest.approx(truth(costs, 70_000, 5011, regions), rel=1e-6)


def test_no_cost_is_below_zero() -> None:
    """Noise that makes a longer fit the shorter one does not make training take less than the fits themselves."""
    fits = [
        FitTime("rcnn", 0, 20, 8, 3.0, 1.0),
        FitTime("rcnn", 0, 60, 8, 2.0, 1.0),
        FitTime("rcnn", 0, 60, 32, 2.5, 0.5),
    ]
    assert extrapolated(fits, Schedule(70_000, 5011, 128)) >= 3.0


def repeated(method: str, factors: Sequence[float], costs: Sequence[float], regions: int | None) -> list[FitTime]:
    return [
        fit(method, repeat, size, [factor * cost for cost in costs], regions)
        for repeat, factor in enumerate(factors)
        for size in SIZES
    ]


COST = (1.0, 0.2, 0.01, 2.0, 0.5)


def test_the_interval_is_students() -> None:
    """Three repeats give the t interval of the logarithm, taken from scipy; two give none and say why."""
    factors = np.array([1.0, 1.1, 1.3])
    found = training_hours(repeated("fast", factors, COST, None), Schedule(40_000, 5011))
    logs = np.log(factors * truth(COST, 40_000, 5011, None) / 3600)
    low, high = stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs))
    assert found.value == pytest.approx(np.exp(logs.mean()), rel=1e-6)
    assert (found.low, found.high) == pytest.approx((np.exp(low), np.exp(high)), rel=1e-6)
    few = training_hours(repeated("fast", factors[:2], COST, None), Schedule(40_000, 5011))
    assert (few.low, few.high, few.reason) == (None, None, "an interval needs 3 fits of each size, there are 2")


def test_a_repeat_that_broke_off_is_left_out() -> None:
    """A repeat without its last size would be extrapolated from less than the others."""
    fits = repeated("fast", [1.0, 1.0], COST, None)[:-1]
    found = training_hours(fits, Schedule(40_000, 5011))
    assert found.reason == "an interval needs 3 fits of each size, there are 1"
    assert training_hours([], Schedule(40_000, 5011)).reason == "no fit was finished"


def test_a_ratio_is_that_of_its_repeats() -> None:
    """What slows one repeat of both methods does not widen the interval of their ratio."""
    factors = [1.0, 2.0, 4.0]
    slow, quick = (5 * np.array(COST)).tolist(), list(COST)
    schedule = Schedule(40_000, 5011)
    found = training_speedup(
        repeated("rcnn", factors, slow, None), repeated("fast", factors, quick, None), schedule, schedule
    )
    assert [found.value, found.low, found.high] == pytest.approx([5.0, 5.0, 5.0], rel=1e-6)


ABOUT = {
    "plan": {"backbone": "vgg16", "precision": "fp32"},
    "machine": {"device": "cpu", "cpu": "Some CPU"},
    "dataset": {"proposals_per_image": {"mean": 2000.0}},
}
SCHEDULES = {"rcnn:batch24": Schedule(70_000, 5011, 24), "fast": Schedule(40_000, 5011)}


def judged(about: dict[str, Any], factors: Sequence[float] = (1.0, 1.0, 1.0)) -> dict[tuple[str, str], Judged]:
    fits = repeated("rcnn:batch24", factors, (10 * np.array(COST)).tolist(), 24) + repeated("fast", factors, COST, None)
    found = judge_training(read_claims(), fits, SCHEDULES, about, {"rcnn:batch24": "rcnn"})
    return {(one["method"], one["quantity"]): one for one in found if one["locator"] == "Table 4"}


def test_what_is_extrapolated_decides_nothing() -> None:
    """Fast R-CNN's Table 4: hours are of their hardware, and their ratio is inconclusive however narrow it is."""
    found = judged(ABOUT)
    assert set(found) == {("rcnn", "train"), ("fast", "train"), ("fast", "speedup_train")}
    assert found["fast", "train"]["verdict"] == "not comparable"
    assert found["fast", "train"]["measured"]["value"] == pytest.approx(truth(COST, 40_000, 5011, None) / 3600)
    ratio = found["fast", "speedup_train"]
    assert ratio["verdict"] == "inconclusive"
    assert ratio["reason"].startswith("extrapolated from short fits, beyond what was fitted; ")
    assert ratio["measured"]["low"] == pytest.approx(ratio["measured"]["value"])
    assert ratio["delta"] == pytest.approx(ratio["measured"]["value"] / 8.8 - 1)
    assert ratio["measured_as"] == {"method": "fast", "baseline": "rcnn:batch24", "stages": []}
    sizes = "the fits had 20 to 60 mini-batches on 8 to 32 images, reading and decoding images left out"
    assert all(
        one["reason"].endswith(sizes) and "extrapolated from short fits" in one["reason"] for one in found.values()
    )


def test_a_part_of_training_is_no_training() -> None:
    """SPP-net's 2 hours are of its fine-tuning alone [SPP 4.1]: the whole fit is not held against them."""
    alone = [claim for claim in read_claims() if claim.quantity == "train" and claim.part]
    assert {claim.name for claim in alone} == {"rcnn", "spp"}
    about = {**ABOUT, "plan": {"backbone": "zf5"}}
    assert judge_training(alone, repeated("spp", [1.0], COST, None), {"spp": Schedule(250, 5011)}, about, {}) == []


def test_one_repeat_decides_nothing() -> None:
    """Without an interval a ratio of hours is inconclusive."""
    assert judged(ABOUT, [1.0])["fast", "speedup_train"]["verdict"] == "inconclusive"


def test_another_network_or_fewer_boxes_is_another_training() -> None:
    """Claims of other networks are not touched; with few boxes nothing is comparable."""
    assert judged({**ABOUT, "plan": {"backbone": "mini"}}) == {}
    few = judged({**ABOUT, "dataset": {"proposals_per_image": {"mean": 16.0}}})["fast", "speedup_train"]
    assert few["verdict"] == "not comparable"
    assert "16 boxes an image" in few["reason"]
