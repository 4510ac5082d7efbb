"""Does the interval of a change between two runs hold the truth as often as it says? Simulated pairs of runs.

Both runs see the same images; each has a machine of its own that drifts, favours who runs first and gives each method
1 % of luck in each process. In two thousand pairs a share of 95 % has a standard error of 0.5 %, so 93 to 97 % is four
of them to either side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.gates.change import PROCESS_LUCK, Ratio, joint_blocks, over_images, over_processes, with_luck
from harness.gates.outcome import Change, held_against
from harness.intervals import Estimate, Ints, StatisticsError
from harness.order import schedule
from simulation import METHODS, Calls, Floats, Machine, Runs, balanced, simulate

SEEDS = range(10)
RUNS = 200
"""Of each seed."""
IMAGES = 96

MACHINES = {
    "as described": Machine(),
    "a state that changes fast": Machine(memory=0.5),
    "a state that hardly changes": Machine(memory=0.995),
    "images unlike for the methods": Machine(image=0.5, own=0.3),
    "quiet": Machine(own=0.02, state=0.003, call=0.002),
}

Orders = Callable[[int], tuple[Calls, Calls]]
"""From a seed to the calls of the base run and of the head run."""


@dataclass(frozen=True)
class Pairs:
    """What came out of simulated pairs, beside what should have; all (pairs,)."""

    low: Floats
    high: Floats
    truth: Floats

    @property
    def coverage(self) -> float:
        return float(np.mean((self.low <= self.truth) & (self.truth <= self.high)))

    @property
    def width(self) -> float:
        return float(np.mean(self.high - self.low))

    def share(self, outcome: str, tolerance: float = 0.05) -> float:
        """Of pairs that a gate answers so."""
        every = [Change(low, low, high, "") for low, high in zip(self.low, self.high, strict=True)]
        return float(np.mean([held_against(each, tolerance) == outcome for each in every]))

    def __repr__(self) -> str:
        return f"{self.coverage:.2%} of {len(self.low)}, width {self.width:.2%}"


def same_order(seed: int) -> tuple[Calls, Calls]:
    """One plan, carried out twice."""
    return balanced(IMAGES, seed=seed), balanced(IMAGES, seed=seed)


def other_seed(seed: int) -> tuple[Calls, Calls]:
    """The same blocks in another order, with other turns."""
    return balanced(IMAGES, seed=seed), balanced(IMAGES, seed=seed + 1000)


def with_blocks(seed: int, size: int) -> Calls:
    """As `balanced`, with so many images a block."""
    rows, blocks = [], np.zeros(IMAGES, dtype=np.int64)
    for block in schedule(IMAGES, METHODS[:2], repeats=1, process=0, seed=seed, block_images=size):
        blocks[list(block.images)] = block.number
        rows += [(METHODS.index(name), at, place) for place, name in enumerate(block.order) for at in block.images]
    method, image, place = np.array(rows, dtype=np.int64).T
    return Calls(method, image, place, blocks)


def ratio(seconds: Floats, calls: Calls) -> Ratio:
    """From (M, N) of one process."""
    return Ratio(seconds[0], seconds[1], calls.lag(0, 1))


@cache
def carried_out(machine: Machine, orders: Orders, seed: int) -> tuple[Calls, Calls, Runs]:
    base, head = orders(seed)
    return base, head, simulate(machine, [base, head], runs=RUNS, seed=seed)


def pairs(machine: Machine, orders: Orders = same_order, kept: float = 1.0) -> Pairs:
    """Single processes against what these processes give the methods; `kept` is the share of the ratio that is left."""
    rows = []
    for seed in SEEDS:
        base, head, runs = carried_out(machine, orders, seed)
        groups = joint_blocks(head.blocks, base.blocks, IMAGES)
        slower = np.array([1.0, 1 / kept])[:, None]
        for seconds, cost in zip(runs.seconds, runs.of_process, strict=True):
            found = over_images(ratio(seconds[1] * slower, head), ratio(seconds[0], base), groups)
            truth = kept * (cost[1, 0] / cost[1, 1]) / (cost[0, 0] / cost[0, 1]) - 1
            rows.append((found.low, found.high, truth))
    return Pairs(*np.array(rows, dtype=np.float64).T)


@pytest.mark.parametrize("kept", [1.0, 0.8])
@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_the_change_between_two_processes_is_covered(machine: Machine, kept: float) -> None:
    """The nominal 95 % interval holds what the two processes give the methods in 93 to 97 % of 2,000 pairs."""
    found = pairs(machine, kept=kept)
    assert len(found.low) == 2000
    assert 0.93 <= found.coverage <= 0.97, found


@pytest.mark.parametrize("place", [0.01, 0.05])
def test_runs_in_another_order_are_covered(place: float) -> None:
    """Where a later place in the block costs time, and fell to other images in the other run."""
    found = pairs(Machine(state=0.003, call=0.002, place=place), other_seed)
    assert 0.92 <= found.coverage <= 0.99, found


def test_runs_with_other_blocks_are_covered() -> None:
    """Blocks of 4 and of 6 images: what ties images together in either run ties them in the pair."""
    found = pairs(Machine(), lambda seed: (with_blocks(seed, 4), with_blocks(seed, 6)))
    assert 0.92 <= found.coverage <= 0.99, found


def test_pairing_takes_out_how_unlike_images_are() -> None:
    """Where images differ in the ratio, the interval is a small part of one from two runs that are not paired."""
    machine = MACHINES["images unlike for the methods"]
    base, head = same_order(0)
    seconds = simulate(machine, [base, head], runs=1, seed=0).seconds[0]
    found = over_images(
        ratio(seconds[1], head), ratio(seconds[0], base), joint_blocks(head.blocks, base.blocks, IMAGES)
    )
    logs = np.log(seconds[:, 0] / seconds[:, 1])
    unpaired = stats.ttest_ind(logs[1], logs[0], equal_var=False).confidence_interval()
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low < (unpaired.high - unpaired.low) / 4


def test_no_change_is_no_alarm_and_a_tenth_lost_is_found() -> None:
    """At 5 % allowed: fewer than 2.5 % false alarms on two runs of one program, most of which pass; 10 % lost fails."""
    still, lost = pairs(Machine()), pairs(Machine(), kept=0.9)
    assert still.share("fail") < 0.025
    assert still.share("pass") > 0.8
    assert lost.share("fail") > 0.8
    assert lost.share("pass") < 0.025


def test_at_the_edge_of_what_is_allowed_either_error_is_rare() -> None:
    """Without luck of processes, a ratio that lost just what is allowed passes or fails in 2.5 % of pairs each."""
    found = pairs(Machine(process=0.0), kept=0.95)
    assert 0.01 < found.share("fail") < 0.04
    assert 0.01 < found.share("pass") < 0.04


@pytest.mark.parametrize(("n_base", "n_head"), [(3, 3), (3, 5), (8, 4)])
def test_the_change_over_processes_is_covered(n_base: int, n_head: int) -> None:
    """Luck of processes is covered, too, from three of each run on: in 93 to 98 %, as few of them err to that side."""
    hits, pairs_seen = 0, 0
    for seed in SEEDS:
        calls = [balanced(24, seed=seed, process=number) for number in range(n_base + n_head)]
        means = simulate(Machine(), calls, runs=RUNS, seed=seed).seconds.mean(axis=3)
        for each in means[:, :, 0] / means[:, :, 1]:
            found = over_processes(0.9 * each[n_base:], each[:n_base])
            assert found.low is not None
            assert found.high is not None
            hits += found.low <= -0.1 <= found.high
            pairs_seen += 1
    assert pairs_seen == 2000
    assert 0.93 <= hits / pairs_seen <= 0.98


@cache
def lucky(luck: float, n_base: int, n_head: int, seed: int) -> tuple[list[Calls], Runs]:
    """Two runs of one program with this luck, of so many processes: the base's, then the head's."""
    calls = [balanced(IMAGES // 2, seed=seed, process=at) for at in (*range(n_base), *range(n_head))]
    return calls, simulate(Machine(process=luck), calls, runs=RUNS, seed=seed)


def mean_ratio(seconds: Floats, calls: list[Calls]) -> Ratio:
    """From (P, M, N): the means over processes, as an entry keeps them."""
    above, below = seconds.mean(axis=0)
    return Ratio(above, below, np.mean([each.lag(0, 1) for each in calls], axis=0))


def fresh(luck: float, n_base: int, n_head: int, kept: float) -> Pairs:
    """The change as a gate has it, against the programs' own: what fresh processes would give."""
    rows = []
    for seed in SEEDS:
        calls, runs = lucky(luck, n_base, n_head, seed)
        for seconds in runs.seconds:
            base, head = seconds[:n_base], seconds[n_base:] * np.array([1.0, 1 / kept])[:, None]
            if min(n_base, n_head) >= 3:
                found = over_processes(*((of[:, 0].mean(axis=1) / of[:, 1].mean(axis=1)) for of in (head, base)))
            else:
                ratios = mean_ratio(head, calls[n_base:]), mean_ratio(base, calls[:n_base])
                found = with_luck(over_images(*ratios, calls[0].blocks), n_head, n_base)
            rows.append((found.low, found.high, kept - 1))
    return Pairs(*np.array(rows, dtype=np.float64).T)


@pytest.mark.parametrize(("n_base", "n_head"), [(1, 1), (2, 2), (1, 3), (3, 3)])
@pytest.mark.parametrize("luck", [0.02, 0.03])
def test_luck_of_processes_makes_no_false_answer(luck: float, n_base: int, n_head: int) -> None:
    """At 5 % allowed, where processes differ by 2 or 3 %: unchanged code fails, and a tenth lost passes, in 2.5 % at
    most. At the 2 % that are assumed the interval holds the truth in 93 % or more."""
    still, lost = fresh(luck, n_base, n_head, 1.0), fresh(luck, n_base, n_head, 0.9)
    assert len(still.low) == 2000
    assert still.share("fail") <= 0.025, still
    assert lost.share("pass") <= 0.025, lost
    if luck == PROCESS_LUCK or min(n_base, n_head) >= 3:
        assert 0.93 <= still.coverage <= 0.99, still
        assert 0.93 <= lost.coverage <= 0.99, lost


def test_one_process_finds_large_losses_alone() -> None:
    """Most unchanged code does not pass at the default tolerance, for it may be luck; a fifth lost is found."""
    assert fresh(0.02, 1, 1, 1.0).share("inconclusive") > 0.6
    assert fresh(0.02, 1, 1, 0.8).share("fail") > 0.9


@pytest.mark.parametrize(("n_head", "n_base", "variances"), [(1, 1, 4.0), (2, 1, 3.0), (2, 2, 2.0), (1, 10, 2.2)])
def test_assumed_luck_adds_in_quadrature(n_head: int, n_base: int, variances: float) -> None:
    """To each end, on the logarithm: two methods in each run, a P-th of the variance in the mean of P processes."""
    assumed = stats.norm.ppf(0.975) * PROCESS_LUCK * np.sqrt(variances)
    point = with_luck(Estimate(-0.1, -0.1, -0.1), n_head, n_base)
    assert np.log1p(np.array([point.low, point.high], dtype=np.float64)) == pytest.approx(
        np.log(0.9) + np.array([-assumed, assumed])
    )
    wide = with_luck(Estimate(0.0, -0.2, 0.1), n_head, n_base)
    ends = np.sqrt(np.log([0.8, 1.1]) ** 2 + assumed**2)
    assert np.log1p(np.array([wide.low, wide.high], dtype=np.float64)) == pytest.approx([-ends[0], ends[1]])
    for none in (Estimate(None, None, None, "no value"), Estimate(0.1, None, None, "no interval")):
        assert with_luck(none, n_head, n_base) == none


def test_welch_is_as_scipy_has_it() -> None:
    """The interval of the difference of two means of logarithms, unequal variances."""
    rng = np.random.default_rng(3)
    head, base = np.exp(rng.normal(1, 0.02, 4)), np.exp(rng.normal(1.1, 0.005, 7))
    found = over_processes(head, base)
    expected = stats.ttest_ind(np.log(head), np.log(base), equal_var=False).confidence_interval()
    assert found.low == pytest.approx(np.exp(expected.low) - 1)
    assert found.high == pytest.approx(np.exp(expected.high) - 1)
    assert found.value == pytest.approx(stats.gmean(head) / stats.gmean(base) - 1)


def test_processes_without_any_spread_have_a_point() -> None:
    """And not NaN, as a quotient of two variances of 0 would be."""
    found = over_processes(np.full(3, 2.0), np.full(3, 2.0))
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def merged(first: Ints, second: Ints) -> list[set[int]]:
    """Groups of images by a literal loop: two that share an image are one."""
    groups = [set(np.flatnonzero(blocks == block).tolist()) for blocks in (first, second) for block in set(blocks)]
    while True:
        for group in groups:
            other = next((each for each in groups if each is not group and each & group), None)
            if other is not None:
                groups.remove(other)
                group |= other
                break
        else:
            return groups


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(-3, 6)), min_size=1, max_size=12))
def test_joint_blocks_are_those_that_no_block_ties(rows: list[tuple[int, int]]) -> None:
    """As merging groups that share an image, one after the other, finds them."""
    first, second = np.array(rows, dtype=np.int64).T
    found = joint_blocks(first, second, len(rows))
    expected = merged(first, second)
    assert {frozenset(np.flatnonzero(found == each).tolist()) for each in set(found.tolist())} == {
        frozenset(group) for group in expected
    }
    assert len(set(joint_blocks(None, second, len(rows)).tolist())) == len(set(second.tolist()))


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.integers(0, 100))
def test_no_absolute_time_matters(of_head: float, of_base: float, seed: int) -> None:
    """A machine that is so many times faster in one run than in the other has the same change and interval."""
    rng = np.random.default_rng(seed)
    head, base = (Ratio(*rng.lognormal(0, 0.3, (2, 12))) for _ in range(2))
    blocks = np.arange(12) // 2
    plain = over_images(head, base, blocks)
    scaled = over_images(
        Ratio(of_head * head.above, of_head * head.below), Ratio(of_base * base.above, of_base * base.below), blocks
    )
    for one, other in zip((plain.value, plain.low, plain.high), (scaled.value, scaled.low, scaled.high), strict=True):
        assert one == pytest.approx(other, rel=1e-6, abs=1e-9)


def test_a_run_against_itself_changed_by_nothing() -> None:
    """With an interval of no width: both runs are the same records."""
    own = Ratio(*np.random.default_rng(0).lognormal(0, 0.3, (2, 8)))
    found = over_images(own, own, np.arange(8))
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_what_has_no_interval_says_why() -> None:
    """One group of images, or a stage that takes no time; and arrays that do not belong together are refused."""
    own = Ratio(np.array([2.0, 3.0]), np.array([1.0, 1.0]))
    single = over_images(own, own, np.array([0, 0]))
    assert single.value == 0.0
    assert single.low is None
    assert single.reason == "an interval needs at least two separate blocks of images, there is 1"
    nothing = over_images(own, Ratio(np.zeros(2), np.ones(2)), np.array([0, 1]))
    assert nothing.value is None
    assert nothing.reason == "a time is 0 on every image"
    with pytest.raises(StatisticsError, match="expected runs of the same images, got 2 and 3"):
        over_images(own, Ratio(np.ones(3), np.ones(3)), np.arange(3))
    with pytest.raises(StatisticsError, match="finite"):
        Ratio(np.array([1.0, np.nan]), np.ones(2))
    assert over_processes(np.array([2.0]), np.array([2.0, 2.0])).value is None
