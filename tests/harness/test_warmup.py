"""Warm-up on simulated costs: how many calls it takes, and how far from the truth it ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.warmup import BucketWarmUp, bucket, buckets, call_budget, steady_seconds, warm_up

FIRST = {"first": [0]}
"""The first bucket of a method, which needs two calls in a row that are no faster."""
SHAPES = st.tuples(st.integers(1, 2000), st.integers(1, 2000), st.integers(0, 5000))


def warmed(costs: Sequence[float | None], *, later: bool = False, most_calls: int = 100) -> BucketWarmUp:
    """One bucket with these costs, the last one for ever; a later bucket comes after one that is steady at once."""
    told: list[float | None] = []

    def detect(index: int) -> float | None:
        if index == 1:
            return 1.0
        told.append(costs[min(len(told), len(costs) - 1)])
        return told[-1]

    return warm_up(detect, {"before": [1], "this": [0]} if later else FIRST, most_calls=most_calls)[-1]


# The rule, to the call


@pytest.mark.parametrize(
    ("costs", "later", "calls"),
    [
        ([1.0], False, 3),
        ([1.0], True, 2),
        ([5.0, 1.0], False, 4),
        ([5.0, 1.0], True, 3),
        ([2.0, 2.0, 1.0], False, 5),  # what is compiled after the second call is found by the first bucket
        ([1.0, 0.96, 0.93], False, 3),  # less than 5 % is not faster
        ([1.0, 0.94], False, 4),
        ([1.0, 2.0, 0.94], False, 5),  # faster than the fastest before, not than the newest
        ([5.0, 2.2, 1.36, 1.108, 1.0324, 1.0], False, 7),  # 1 + 4 x 0.3^k
    ],
)
def test_a_bucket_is_steady_when_it_gets_no_faster(costs: list[float], later: bool, calls: int) -> None:
    """Counted by hand: the newest call is not more than 5 % faster than all before, twice in a row in the first."""
    found = warmed(costs, later=later)
    assert found.steady
    assert len(found.seconds) == calls
    assert found.seconds[0] == costs[0]


def test_a_cost_that_keeps_falling_is_given_up_after_eight_calls() -> None:
    """And said to be unsteady, in the first bucket and later ones."""
    falling = [0.9**call for call in range(20)]
    for later in (False, True):
        found = warmed(falling, later=later)
        assert not found.steady
        assert found.seconds == tuple(falling[:8])


def test_what_the_rule_does_not_see() -> None:
    """A step after the third call, after the first one of a later bucket, or a cost that falls by 4 % a call."""
    for costs, later, calls in (([2.0, 2.0, 2.0, 1.0], False, 3), ([2.0, 2.0, 1.0], True, 2), ([2.0, 1.92], True, 2)):
        assert warmed(costs, later=later) == BucketWarmUp("this" if later else "first", 0, tuple(costs[:calls]), True)


@pytest.mark.parametrize(("calls", "steady"), [(1, False), (2, False), (3, True)])
def test_a_bucket_that_calls_run_out_in_is_not_steady(calls: int, steady: bool) -> None:
    """One call is a first touch, not a steady cost."""
    assert warmed([1.0], most_calls=calls) == BucketWarmUp("first", 0, (1.0,) * calls, steady)


def test_a_failing_call_ends_its_bucket_and_no_other() -> None:
    """What it took before stays on record; the next bucket is tried, and held to the rule of a first one."""
    costs = iter([None, 3.0, 3.0, 3.0, 4.0, None, 2.0, 2.0])
    found = warm_up(lambda _: next(costs), {"a": [4, 5], "b": [6], "c": [7], "d": [8]}, most_calls=8)
    assert found == [
        BucketWarmUp("a", 4, (), False),
        BucketWarmUp("b", 6, (3.0, 3.0, 3.0), True),
        BucketWarmUp("c", 7, (4.0,), False),
        BucketWarmUp("d", 8, (2.0, 2.0), True),
    ]
    assert next(costs, "all taken") == "all taken"


# Under noise

Cost = Callable[[int], float]


def simulated(cost: Cost, noise: float, *, later: bool) -> tuple[np.ndarray, np.ndarray, float]:
    """Calls (N,), relative errors of the steady cost (n,) of those that got steady, and their share, of N = 2,000."""
    scatter = np.random.default_rng(4).normal(0, noise, (2000, 8))
    costs = np.array([cost(call) for call in range(8)]) * np.exp(scatter)
    found = [warmed(row.tolist(), later=later) for row in costs]
    accepted = np.array([steady_seconds(one.seconds) for one in found if one.steady], dtype=float)
    return np.array([len(one.seconds) for one in found]), accepted - 1, len(accepted) / len(found)


def flat(call: int) -> float:
    return 1.0


def first_touch(call: int) -> float:
    return 5.0 if call == 0 else 1.0


def falling(call: int) -> float:
    return float(1 + 4 * 0.3**call)


def step(call: int) -> float:
    return 2.0 if call < 2 else 1.0


@pytest.mark.parametrize(
    ("cost", "noise", "calls", "bias", "spread"),
    [
        (flat, 0.03, 3.2, 0.005, 0.021),
        (first_touch, 0.03, 4.2, 0.005, 0.021),
        (falling, 0.03, 7.1, 0.015, 0.025),
        (step, 0.03, 5.2, 0.005, 0.022),
        (flat, 0.10, 3.9, 0.035, 0.07),
        (first_touch, 0.10, 4.9, 0.035, 0.07),
        (falling, 0.10, 7.1, 0.055, 0.075),
        (step, 0.10, 5.9, 0.035, 0.07),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_the_first_bucket_ends_near_the_truth(
    cost: Cost, noise: float, calls: float, bias: float, spread: float
) -> None:
    """Calls on average, the mean error and its standard deviation, as shares of the true steady cost of 1.

    The error is above 0, since a call that chance made fast asks for another one.
    """
    taken, errors, steady = simulated(cost, noise, later=False)
    assert taken.mean() == pytest.approx(calls, abs=0.1)
    assert abs(errors.mean()) <= bias
    assert errors.std() <= spread
    assert steady > (0.8 if cost is falling else 0.97)


@pytest.mark.parametrize(
    ("cost", "noise", "calls", "bias", "spread"),
    [
        (flat, 0.03, 2.1, 0.004, 0.03),
        (first_touch, 0.03, 3.1, 0.004, 0.023),
        (falling, 0.03, 5.8, 0.035, 0.04),
        (flat, 0.10, 2.4, 0.025, 0.095),
        (first_touch, 0.10, 3.45, 0.015, 0.075),
        (falling, 0.10, 5.4, 0.07, 0.12),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_later_bucket_ends_near_the_truth(cost: Cost, noise: float, calls: float, bias: float, spread: float) -> None:
    """It costs one call less and errs more; a later bucket's measured samples are many, its warm-up is not."""
    taken, errors, steady = simulated(cost, noise, later=True)
    assert taken.mean() == pytest.approx(calls, abs=0.1)
    assert abs(errors.mean()) <= bias
    assert errors.std() <= spread
    assert steady > 0.99


def test_noise_alone_is_rarely_taken_for_falling() -> None:
    """A steady cost that scatters by 10 % is given up in less than one case of 200, one of 3 % in none of 2,000."""
    assert simulated(flat, 0.10, later=False)[2] > 0.995
    assert simulated(flat, 0.03, later=False)[2] == 1


def test_the_fastest_call_would_be_too_low() -> None:
    """Why the steady cost is a mean: with 10 % noise the fastest of the calls is 7 to 10 % below the truth."""
    scatter = np.exp(np.random.default_rng(4).normal(0, 0.1, (2000, 8)))
    fastest = np.mean([min(warmed(row.tolist()).seconds) for row in scatter])
    assert 0.90 < fastest < 0.93


def test_the_steady_cost_leaves_the_first_call_out() -> None:
    """The mean of the last two calls after it; with one call alone nobody knows."""
    assert steady_seconds([9.0, 4.0, 2.0, 1.0]) == 1.5
    assert steady_seconds([9.0, 4.0]) == 4.0
    assert steady_seconds([9.0]) is None
    assert steady_seconds([]) is None


# Which calls, and how many


@given(
    st.dictionaries(st.text(max_size=3), st.lists(st.integers(0, 99), min_size=1, max_size=3), max_size=6),
    st.lists(st.none() | st.floats(1e-6, 1e3), min_size=1),
    st.integers(-1, 40),
)
def test_never_more_calls_than_allowed(
    given_buckets: dict[str, list[int]], costs: list[float | None], most_calls: int
) -> None:
    """In all and of one bucket, whatever the calls cost; buckets in their order, each on its first image."""
    made: list[int] = []

    def detect(index: int) -> float | None:
        made.append(index)
        return costs[len(made) % len(costs)]

    found = warm_up(detect, given_buckets, most_calls=most_calls)
    assert len(made) <= max(0, most_calls)
    assert [(one.bucket, one.index) for one in found] == [
        (name, images[0]) for name, images in list(given_buckets.items())[: len(found)]
    ]
    assert all(len(one.seconds) <= 8 for one in found)
    assert Counter(made) <= Counter([one.index for one in found for _ in range(8)])
    # A bucket is left out only where the calls are used up.
    assert len(found) == len(given_buckets) or len(made) == max(0, most_calls)


def test_calls_may_take_a_tenth_of_the_measuring() -> None:
    """Eight at least."""
    assert [call_budget(n) for n in (0, 1, 80, 89, 90, 4952)] == [8, 8, 8, 8, 9, 495]


# Buckets


def test_inputs_are_put_together_by_their_shape() -> None:
    """Sides rounded up to 32 px, boxes to a power of two."""
    assert bucket(480, 640, 512) == "480x640 512"
    assert bucket(375, 500, 2000) == "384x512 2048"
    assert bucket(481, 1, 513) == "512x32 1024"
    assert [bucket(32, 32, boxes).split()[1] for boxes in (0, 1, 2, 3, 4, 5)] == ["0", "1", "2", "4", "4", "8"]


@given(*[SHAPES] * 2)
def test_a_bucket_is_a_range_of_shapes(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    """Its name names the largest: as near as 31 px and a factor of 2, and itself of that bucket."""
    height, width, boxes = (int(part) for part in bucket(*one).replace("x", " ").split())
    assert bucket(height, width, boxes) == bucket(*one)
    assert 0 <= height - one[0] < 32
    assert 0 <= width - one[1] < 32
    assert one[2] <= boxes <= max(0, 2 * one[2] - 1)
    larger = tuple(max(pair) for pair in zip(one, other, strict=True))
    between = bucket(*larger).replace("x", " ").split()
    assert all(int(part) >= least for part, least in zip(between, (height, width, boxes), strict=True))


@given(st.lists(st.tuples(st.sampled_from([300, 320, 500]), st.just(500), st.sampled_from([10, 16, 2000]))))
def test_buckets_come_most_frequent_first(shapes: list[tuple[int, int, int]]) -> None:
    """Each image is in one bucket, its own; equally frequent buckets stand by their first image."""
    found = buckets(shapes)
    assert sorted(index for images in found.values() for index in images) == list(range(len(shapes)))
    assert all(bucket(*shapes[index]) == name for name, images in found.items() for index in images)
    ranks = [(-len(images), images[0]) for images in found.values()]
    assert all(earlier < later for earlier, later in pairwise(ranks))


def test_quick_methods_get_through_all_shapes() -> None:
    """Buckets that begin within the free seconds cost no calls; then calls are counted, and a failure ends it."""
    many = {str(number): [number] for number in range(100)}
    assert len(warm_up(lambda _: 0.01, many, most_calls=8, free_seconds=10)) == 100
    found = warm_up(lambda _: 1.0, many, most_calls=8, free_seconds=10)
    # Three calls for the first and two for each of the next four are 11 s; then 8 calls are four buckets more.
    assert [len(one.seconds) for one in found] == [3, 2, 2, 2, 2, *[2] * 4]
    assert len(warm_up(lambda _: None, many, most_calls=3, free_seconds=10)) == 3
