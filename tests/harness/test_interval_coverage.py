"""Do the intervals hold the truth as often as they say? Simulated runs with a known ratio of 20.

The machine drifts by 3 %, favours who runs first by 1 %, has a state that lasts for some fifty calls, and gives each
method 1 % of luck in each process; images differ by 30 % in what they cost. In two thousand runs over ten seeds a share
of 95 % has a standard error of 0.5 %, so 93 to 97 % is four of them to either side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pytest
from scipy import stats

from harness.statistics import Estimate, geometric_mean_ratio, mean, over_processes, percentile, ratio_of_means
from simulation import Calls, Floats, Machine, Runs, always_first, balanced, sequential, simulate

SEEDS = range(10)
RUNS = 200
"""Of each seed."""
IMAGES = 96
TRUE = 20.0


class Tally:
    """How often the truth was inside, how wide intervals were and how far off on average, as shares of the ratio."""

    def __init__(self, found: Iterator[tuple[Estimate, float]]) -> None:
        rows = [(one.value, one.low, one.high, truth) for one, truth in found]
        value, low, high, truth = np.array(rows, dtype=np.float64).T
        self.runs = len(rows)
        self.coverage = float(np.mean((low <= truth) & (truth <= high)))
        self.width = float(np.mean((high - low) / truth))
        self.bias = float(np.mean(value / truth)) - 1

    def __repr__(self) -> str:
        return f"{self.coverage:.2%} of {self.runs}, width {self.width:.2%}, bias {self.bias:+.2%}"


Within = Callable[[Floats, Floats, Calls], Estimate]
Pair = tuple[int, int]


@cache
def _runs(seed: int, machine: Machine, processes: int = 1, methods: int = 2, images: int = IMAGES) -> Runs:
    calls = [balanced(images, seed=seed, process=number, methods=methods) for number in range(processes)]
    return simulate(machine, calls, runs=RUNS, seed=seed)


def _within(machine: Machine, estimate: Within, methods: int = 2, images: int = IMAGES, pair: Pair = (0, 1)) -> Tally:
    """Of single processes, against what that process gives the methods."""
    first, second = pair

    def found() -> Iterator[tuple[Estimate, float]]:
        for seed in SEEDS:
            runs, calls = _runs(seed, machine, 1, methods, images), balanced(images, seed=seed, methods=methods)
            for seconds, cost in zip(runs.seconds[:, 0], runs.of_process[:, 0], strict=True):
                yield estimate(seconds[first], seconds[second], calls), cost[first] / cost[second]

    return Tally(found())


def _with_lag(pair: Pair = (0, 1)) -> Within:
    return lambda above, below, calls: ratio_of_means(above, below, calls.blocks, calls.lag(*pair))


def _geometric(pair: Pair = (0, 1)) -> Within:
    return lambda above, below, calls: geometric_mean_ratio(above, below, calls.blocks, calls.lag(*pair))


def _without_lag(above: Floats, below: Floats, calls: Calls) -> Estimate:
    return ratio_of_means(above, below, calls.blocks)


def _by_image(above: Floats, below: Floats, calls: Calls) -> Estimate:
    return ratio_of_means(above, below)


MACHINES = {
    "as described": Machine(),
    "a state that changes fast": Machine(memory=0.5),
    "a state that hardly changes": Machine(memory=0.995),
    "methods alike on all images": Machine(own=0.0),
    "quiet": Machine(own=0.02, state=0.003, call=0.002),
}


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_one_process_covers_its_own_ratio(machine: Machine) -> None:
    """The nominal 95 % interval over images holds what this process gives the methods in 93 to 97 % of 2,000 runs."""
    tally = _within(machine, _with_lag())
    assert tally.runs == 2000
    assert 0.93 <= tally.coverage <= 0.97, tally
    assert abs(tally.bias) < 0.002, tally


@pytest.mark.parametrize("images", [24, 250])
def test_one_process_covers_with_few_and_with_many_images(images: int) -> None:
    """One image a block, or eight and more: the blocks that the stopwatch chooses serve both."""
    tally = _within(Machine(), _with_lag(), images=images)
    assert 0.93 <= tally.coverage <= 0.97, tally


def test_one_process_covers_with_three_methods() -> None:
    """The Williams design of three serves each pair of them."""
    tally = _within(Machine(own=0.03), _with_lag(), methods=3)
    assert 0.93 <= tally.coverage <= 0.97, tally


def test_geometric_mean_of_one_process_covers_too() -> None:
    """Images differ alike for both methods, so that both means estimate the same ratio."""
    tally = _within(Machine(), _geometric())
    assert 0.93 <= tally.coverage <= 0.97, tally


WHERE_PLACES_COST = {
    "5 % a place": Machine(own=0.02, state=0.003, call=0.002, place=0.05),
    "1 % a place on a quiet machine": Machine(own=0.002, state=0.001, call=0.001),
}
"""There a place left over by an odd number of blocks, or by dear images, weighs as much as all else."""


@pytest.mark.parametrize("images", [25, 48, 97])
@pytest.mark.parametrize(("methods", "pair"), [(2, (0, 1)), (3, (0, 1)), (5, (0, 3))])
@pytest.mark.parametrize("machine", WHERE_PLACES_COST.values(), ids=WHERE_PLACES_COST)
def test_places_that_do_not_even_out_are_covered(machine: Machine, methods: int, pair: Pair, images: int) -> None:
    """Numbers of blocks that are no multiple of a round: what is left over in the value is within the interval."""
    for estimate in (_with_lag(pair), _geometric(pair)):
        tally = _within(machine, estimate, methods, images, pair)
        assert tally.runs == 2000
        assert 0.92 <= tally.coverage <= 0.99, tally


def test_a_place_left_over_would_be_missed_without_the_correction() -> None:
    """By an interval that takes its cost out of the noise and leaves it in the value."""

    def uncorrected(above: Floats, below: Floats, calls: Calls) -> Estimate:
        found = _with_lag()(above, below, calls)
        assert found.value is not None
        assert found.low is not None
        assert found.high is not None
        half = float(np.log(found.high / found.low)) / 2
        return Estimate(found.value, found.value * float(np.exp(-half)), found.value * float(np.exp(half)))

    machine = WHERE_PLACES_COST["1 % a place on a quiet machine"]
    assert _within(machine, uncorrected, images=97).coverage < 0.8


@pytest.mark.parametrize("images", [24, 96])
def test_a_few_very_dear_images_are_covered(images: int) -> None:
    """Where costs vary by a factor of e, a few images make the ratio, and a t of all blocks would be too short."""
    tally = _within(Machine(image=1.0, own=0.3), _with_lag(), images=images)
    assert 0.92 <= tally.coverage <= 0.99, tally


@pytest.mark.parametrize("images", [4, 5, 8, 12])
def test_few_blocks_cover(images: int) -> None:
    """They tell little about what a place costs, and the interval knows it."""
    tally = _within(Machine(place=0.05), _with_lag(), images=images)
    assert 0.92 <= tally.coverage <= 0.99, tally


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_without_places_an_interval_is_wider_and_never_too_narrow(machine: Machine) -> None:
    """Who does not say which method ran second gets its cost as noise."""
    plain, exact = _within(machine, _without_lag), _within(machine, _with_lag())
    assert plain.coverage >= 0.93, plain
    assert plain.width > exact.width


@pytest.mark.parametrize("processes", [3, 5, 8])
def test_processes_cover_the_ratio_over_processes(processes: int) -> None:
    """The nominal 95 % interval over processes holds the ratio on these images in 93 to 97 % of 2,000 runs."""

    def found() -> Iterator[tuple[Estimate, float]]:
        for seed in SEEDS:
            runs = _runs(seed, Machine(), 8)
            blocks = balanced(IMAGES, seed=seed).blocks
            for seconds, cost in zip(runs.seconds, runs.of_images, strict=True):
                ratios = [ratio_of_means(each[0], each[1], blocks).value or 0.0 for each in seconds[:processes]]
                yield over_processes(ratios), cost[0] / cost[1]

    tally = Tally(found())
    assert tally.runs == 2000
    assert 0.93 <= tally.coverage <= 0.97, tally
    assert abs(tally.bias) < 0.002, tally


@pytest.mark.parametrize("processes", [3, 5, 8])
def test_processes_cover_where_places_cost(processes: int) -> None:
    """Each begins with another turn, so what an odd number of blocks leaves over differs between them."""
    machine = Machine(own=0.02, state=0.003, call=0.002, place=0.05, process=0.001)

    def found() -> Iterator[tuple[Estimate, float]]:
        for seed in SEEDS:
            runs = _runs(seed, machine, 8, 3, 25)
            for seconds, cost in zip(runs.seconds, runs.of_images, strict=True):
                means = seconds[:processes].mean(axis=2)
                yield over_processes(means[:, 0] / means[:, 1]), cost[0] / cost[1]

    tally = Tally(found())
    assert 0.92 <= tally.coverage <= 0.99, tally


def _naive(calls: Calls, estimate: Callable[[Floats, Floats], Estimate]) -> Tally:
    """A process without luck, where images cost both methods the same: only the order can be at fault."""

    def found() -> Iterator[tuple[Estimate, float]]:
        for seed in SEEDS:
            for seconds in simulate(Machine(own=0.0, process=0.0), [calls], runs=RUNS, seed=seed).seconds[:, 0]:
                yield estimate(seconds[0], seconds[1]), TRUE

    return Tally(found())


def _unpaired(above: Floats, below: Floats) -> Estimate:
    """The usual propagation of two standard errors."""
    ratio = float(above.mean() / below.mean())
    half = 1.96 * ratio * float(np.hypot(stats.sem(above) / above.mean(), stats.sem(below) / below.mean()))
    return Estimate(ratio, ratio - half, ratio + half)


def test_one_method_after_the_other_hides_its_bias_in_a_wide_interval() -> None:
    """Unpaired and in sequence: the drift makes the second method look slower, and the width lets nobody see it."""
    tally = _naive(sequential(IMAGES), _unpaired)
    assert tally.bias < -0.01, tally
    assert tally.width > 5 * _within(Machine(own=0.0), _with_lag()).width, tally


def test_pairs_measured_far_apart_miss_the_truth() -> None:
    """In sequence but paired by image: a narrow interval around the wrong place."""
    tally = _naive(sequential(IMAGES), ratio_of_means)
    assert tally.coverage < 0.5, tally


def test_always_the_same_first_misses_the_truth() -> None:
    """In turns, paired, but never the other way round: the cost of the second place is the bias."""
    tally = _naive(always_first(IMAGES), ratio_of_means)
    assert tally.bias == pytest.approx(1 / 1.01 - 1, abs=0.001), tally
    assert tally.coverage < 0.7, tally


def test_images_of_a_block_are_not_independent() -> None:
    """Intervals over single images are too narrow where a block shares the machine's state."""
    tally = _within(Machine(own=0.0, place=0.0), _by_image)
    assert tally.coverage < 0.9, tally


def test_one_process_says_nothing_of_the_next() -> None:
    """The interval of one process misses the ratio over processes far more often than it says."""

    def found() -> Iterator[tuple[Estimate, float]]:
        machine = Machine(own=0.0)
        for seed in SEEDS:
            runs, calls = _runs(seed, machine), balanced(IMAGES, seed=seed)
            for seconds in runs.seconds[:, 0]:
                yield _with_lag()(seconds[0], seconds[1], calls), TRUE

    tally = Tally(found())
    assert tally.coverage < 0.5, tally


def test_resampling_three_processes_covers_too_little() -> None:
    """A percentile bootstrap of three values has their range for its interval: all three miss to one side in 2/8."""
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, (2000, 3))
    drawn = values[:, rng.integers(3, size=(1000, 3))].mean(axis=2)
    low, high = np.quantile(drawn, (0.025, 0.975), axis=1)
    assert np.mean((low <= 0) & (high >= 0)) == pytest.approx(0.75, abs=0.03)


def test_seconds_of_one_process_are_covered_but_for_its_drift() -> None:
    """The mean time of a method, over images, on a machine that does not drift."""

    def found() -> Iterator[tuple[Estimate, float]]:
        machine = Machine(drift=0.0, place=0.0, state=0.01)
        spread = np.exp((machine.image**2 + machine.own**2 + machine.state**2 + machine.call**2) / 2)
        for seed in SEEDS:
            runs, blocks = _runs(seed, machine), balanced(IMAGES, seed=seed).blocks
            for seconds, cost in zip(runs.seconds[:, 0, 0], runs.of_process[:, 0, 0], strict=True):
                yield mean(seconds, blocks), cost * spread

    tally = Tally(found())
    assert 0.93 <= tally.coverage <= 0.97, tally


@pytest.mark.parametrize(("images", "q"), [(6, 0.5), (100, 0.5), (36, 0.9), (72, 0.95), (368, 0.99), (1000, 0.9)])
def test_percentiles_are_covered_from_both_sides(images: int, q: float) -> None:
    """Never less than 95 % of samples, whatever the distribution; ranks are whole, so it may be more."""
    values = np.random.default_rng(1).lognormal(size=(2000, images))
    truth = float(np.exp(stats.norm.ppf(q)))
    tally = Tally((percentile(each, q), truth) for each in values)
    assert tally.coverage >= 0.945, tally
