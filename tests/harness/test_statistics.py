"""Intervals, against SciPy, NumPy and slow literal forms; how often they hold the truth is in a file of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from bounded import ends
from harness.regression import line
from harness.statistics import (
    PROCESSES_FOR_INTERVAL,
    Estimate,
    StatisticsError,
    geometric_mean_ratio,
    mean,
    over_processes,
    percentile,
    ratio_of_means,
    t_quantile,
)

Floats = npt.NDArray[np.float64]


def none(found: Estimate) -> tuple[float | None, str]:
    assert (found.low, found.high) == (None, None)
    assert found.reason
    return found.value, found.reason


def log_half(found: Estimate) -> float:
    """Half the interval of the logarithm, which must lie evenly around the value."""
    value, low, high = ends(found)
    assert high / value == pytest.approx(value / low, rel=1e-9)
    return float(np.log(high / value))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Floats, Floats, npt.NDArray[np.int64], Floats]:
    """Times of two methods, blocks of at least two kinds, and places."""
    n = draw(st.integers(4, 12))
    seconds = st.floats(1e-3, 1e3)
    above, below = (draw(hnp.arrays(np.float64, n, elements=seconds)) for _ in range(2))
    blocks = np.sort(draw(hnp.arrays(np.int64, n, elements=st.integers(0, 4))))
    blocks[0], blocks[-1] = -1, 9
    return above, below, blocks, draw(hnp.arrays(np.float64, n, elements=st.sampled_from([-1.0, 0.0, 1.0])))


def test_interval_of_a_mean_is_students_on_a_log_scale() -> None:
    """Its half width, as a share of the mean, is that of SciPy's one-sample t test."""
    values = np.random.default_rng(1).lognormal(size=17)
    reference = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = mean(values)
    assert found.value == pytest.approx(np.mean(values), rel=1e-15)
    assert log_half(found) == pytest.approx((reference.high - reference.low) / 2 / values.mean(), rel=1e-12)


def test_interval_of_a_mean_over_blocks_is_that_of_the_blocks_means() -> None:
    """With blocks of one size, they could have been averaged beforehand."""
    values = np.random.default_rng(2).lognormal(size=(9, 4))
    values *= np.random.default_rng(3).lognormal(size=(9, 1))
    shuffled = np.random.default_rng(4).permutation(36)
    blocks = np.repeat(np.arange(9) * 7, 4)
    found, reference = mean(values.ravel()[shuffled], blocks[shuffled]), mean(values.mean(axis=1))
    assert ends(found) == pytest.approx(ends(reference), rel=1e-12)
    assert log_half(found) > log_half(mean(values.ravel()))


def test_mean_of_values_that_may_be_negative_has_a_plain_interval() -> None:
    """The unattributed rest lies around 0, where a logarithm means nothing."""
    values = np.random.default_rng(1).normal(1e-6, 1e-5, size=17)
    reference = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert ends(mean(values))[1:] == pytest.approx((reference.low, reference.high), rel=1e-12)


@pytest.mark.parametrize("values", [[3.0], [0.0, 0.0, 3.0]])
def test_one_image_gives_a_value_and_no_interval(values: list[float]) -> None:
    """One image says nothing of the spread, also where it is the only one that has the stage at all."""
    one = np.array(values)
    assert none(mean(one)) == (one.mean(), "an interval needs at least two images, there is 1")
    assert none(ratio_of_means(one, one / 2))[0] == 2
    assert none(ratio_of_means(one, np.ones(len(one))))[0] == one.mean()


def test_one_block_gives_a_value_and_no_interval() -> None:
    """However many images it has."""
    values, blocks = np.random.default_rng(1).lognormal(size=8), np.zeros(8, dtype=np.int64)
    for found in (mean(values, blocks), ratio_of_means(values, 1 / values, blocks)):
        assert none(found)[1] == "an interval needs at least two blocks of images, there is 1"
    assert none(geometric_mean_ratio(values, 1 / values, blocks))[0] == pytest.approx(np.exp(2 * np.log(values).mean()))


def test_nothing_measured_is_no_value() -> None:
    """Neither an error nor a 0."""
    empty = np.zeros(0)
    for found in (mean(empty), ratio_of_means(empty, empty), geometric_mean_ratio(empty, empty), over_processes(())):
        assert none(found)[0] is None
    assert none(percentile(empty, 0.5)) == (None, "p50 needs 5 images, there are none")


def test_a_stage_that_a_method_lacks() -> None:
    """0 seconds are 0 seconds; a ratio to them is none."""
    some, nothing = np.array([1.0, 2.0, 3.0]), np.zeros(3)
    assert none(mean(nothing))[0] == 0
    assert none(ratio_of_means(nothing, some))[0] == 0
    assert none(ratio_of_means(some, nothing)) == (None, "what it would be divided by is 0")
    assert none(geometric_mean_ratio(some, nothing))[0] is None
    assert none(over_processes([0.0, 0.0, 0.0])) == (0, "it is 0 in every process")


def test_values_that_do_not_belong_together_are_refused() -> None:
    """In one line that says what was expected."""
    two, three = np.ones(2), np.ones(3)
    with pytest.raises(StatisticsError, match="one length, got \\(2,\\) and \\(3,\\)"):
        ratio_of_means(two, three)
    with pytest.raises(StatisticsError, match="one length"):
        mean(two, np.arange(3))
    with pytest.raises(StatisticsError, match="one length"):
        line(two, two, np.arange(3))
    with pytest.raises(StatisticsError, match="finite"):
        ratio_of_means(three, np.array([1.0, np.nan, 1.0]))
    with pytest.raises(StatisticsError, match="finite"):
        over_processes([1.0, float("inf"), 1.0])
    with pytest.raises(StatisticsError, match="one an image"):
        mean(np.ones((2, 2)))


def test_ratio_of_proportional_times_is_exact() -> None:
    """Where every image is 8 times slower, the speed-up is 8 without doubt, however much images differ."""
    below = np.random.default_rng(2).lognormal(size=12)
    for found in (ratio_of_means(8 * below, below), geometric_mean_ratio(8 * below, below)):
        assert ends(found) == pytest.approx((8, 8, 8), rel=1e-12)


def test_ratio_over_a_constant_is_a_mean() -> None:
    """With nothing to pair, the interval is that of the mean over the constant, but for unlike images' lost freedom."""
    above = np.random.default_rng(3).normal(5, 1, size=30)
    blocks = np.arange(30) // 4
    for of in (None, blocks):
        ratio, plain = ratio_of_means(above, np.full(30, 2.0), of), mean(above / 2, of)
        assert ratio.value == pytest.approx(plain.value, rel=1e-12)
        assert log_half(ratio) == pytest.approx(log_half(plain), rel=0.03)
        assert log_half(ratio) > log_half(plain)


def test_images_that_count_for_nothing_leave_no_freedom() -> None:
    """Five images make all of both times, and twenty hardly any: the interval is the one of the five alone."""
    rng = np.random.default_rng(4)
    above, below = rng.normal(20, 1, size=25), np.ones(25)
    above[5:] *= 1e-6
    below[5:] *= 1e-6
    # The sum of squares is scaled by 25 / 24 for all images and by 5 / 4 for five.
    five, all_of_them = ratio_of_means(above[:5], below[:5]), ratio_of_means(above, below)
    t = stats.t.ppf(0.975, 4) / stats.t.ppf(0.975, 4.8)
    assert log_half(five) / log_half(all_of_them) == pytest.approx(t * np.sqrt(5 / 4 * 24 / 25), rel=1e-2)


@pytest.mark.parametrize("images_of_a_block", [1, 5])
def test_ratio_interval_is_near_the_jackknifes(images_of_a_block: int) -> None:
    """Leaving out one block at a time gives the same standard error to first order."""
    rng = np.random.default_rng(4)
    blocks = np.arange(400) // images_of_a_block
    below = rng.lognormal(0, 0.3, size=400)
    above = 20 * below * rng.lognormal(0, 0.1, size=400) * rng.lognormal(0, 0.1, size=400)[blocks]
    n, found = int(blocks.max()) + 1, ratio_of_means(above, below, blocks)
    left_out = np.log([above[blocks != one].sum() / below[blocks != one].sum() for one in range(n)])
    error = np.sqrt((n - 1) / n * np.sum((left_out - left_out.mean()) ** 2))
    assert log_half(found) == pytest.approx(stats.t.ppf(0.975, n - 1) * error, rel=0.02)


def test_geometric_mean_interval_is_that_of_the_logarithms() -> None:
    """SciPy's paired t test on logarithms, and its geometric mean."""
    rng = np.random.default_rng(6)
    above, below = rng.lognormal(3, 0.3, size=25), rng.lognormal(0, 0.3, size=25)
    reference = stats.ttest_rel(np.log(above), np.log(below)).confidence_interval(0.95)
    found = ends(geometric_mean_ratio(above, below))
    assert found == pytest.approx(
        (stats.gmean(above / below), np.exp(reference.low), np.exp(reference.high)), rel=1e-12
    )


@settings(deadline=None)
@given(pairs(), st.floats(1e-3, 1e3))
def test_laws_of_a_ratio(values: tuple[Floats, Floats, npt.NDArray[np.int64], Floats], scale: float) -> None:
    """Positive; free of the unit; turned over when the methods are; the same for any order and naming of images."""
    above, below, blocks, lag = values
    order = np.random.default_rng(0).permutation(len(above))
    for ratio in (ratio_of_means, geometric_mean_ratio):
        value, low, high = ends(ratio(above, below, blocks, lag))
        assert 0 < low <= value <= high
        same = pytest.approx((value, low, high), rel=1e-6)
        assert ends(ratio(scale * above, scale * below, blocks, lag)) == same
        assert ends(ratio(above[order], below[order], 3 - blocks[order], lag[order])) == same
        assert ends(ratio(above, below, blocks, 3 * lag)) == same
        assert float(np.mean(above) / np.mean(below)) == pytest.approx(
            ratio_of_means(above, below, blocks, lag).value, rel=1e-12
        )
        turned = ends(ratio(below, above, blocks, -lag))
        assert (1 / turned[0], 1 / turned[2], 1 / turned[1]) == same


@settings(deadline=None)
@given(hnp.arrays(np.float64, st.integers(2, 12), elements=st.floats(1e-3, 1e3)), st.floats(1e-3, 1e3))
def test_laws_of_a_mean(values: Floats, scale: float) -> None:
    """Positive, and seconds or milliseconds are the same times."""
    value, low, high = ends(mean(values))
    assert 0 < low <= value <= high
    assert ends(mean(scale * values)) == pytest.approx((scale * value, scale * low, scale * high), rel=1e-6)


def test_what_the_second_place_costs_is_no_noise() -> None:
    """Exactly 20 times slower but for 1 % of whoever runs second: with the places known, nothing is left over."""
    cost, lag = np.random.default_rng(7).lognormal(0, 0.3, size=12), np.tile([1.0, -1.0, -1.0, 1.0], 3)
    above, below = 20 * cost * 1.01 ** (lag > 0), cost * 1.01 ** (lag < 0)
    above, below = np.append(above, above[::-1]), np.append(below, below[::-1])
    lag = np.append(lag, lag[::-1])
    assert log_half(geometric_mean_ratio(above, below, None, lag)) == pytest.approx(0, abs=1e-12)
    value, low, high = ends(ratio_of_means(above, below, None, lag))
    # The dearer images happened to have one method later more often: this is what the value may be off.
    assert high == value > 20
    assert low == pytest.approx(20, rel=1e-6)
    assert log_half(ratio_of_means(above, below)) > 4e-3


def test_interval_is_that_of_a_regression_at_lag_0() -> None:
    """On logarithms: NumPy's least squares, whose constant has this error where places are as often early as late."""
    rng = np.random.default_rng(8)
    lag = np.tile([1.0, -1.0], 10)
    logs = 0.5 + 0.02 * lag + rng.normal(0, 0.02, 20)
    design = np.stack([np.ones(20), lag], axis=1)
    coefficients, residual, *_ = np.linalg.lstsq(design, logs)
    error = np.sqrt(residual[0] / 18 / 20)
    found = geometric_mean_ratio(np.exp(logs), np.ones(20), None, lag)
    assert found.value == pytest.approx(np.exp(coefficients[0]))
    assert log_half(found) == pytest.approx(stats.t.ppf(0.975, 18) * error, rel=1e-9)


@pytest.mark.parametrize("odd", [1.0, 2.0, 3.0])
def test_interval_lies_around_the_ratio_in_equal_places(odd: float) -> None:
    """With places left over: least squares with the spread of White's HC1, written out with matrices."""
    rng = np.random.default_rng(8)
    lag = np.append(np.tile([1.0, -1.0], 10), odd)
    logs = 0.5 + 0.005 * lag + rng.normal(0, 0.02, 21)
    design = np.stack([np.ones(21), lag], axis=1)
    inverse = np.linalg.inv(design.T @ design)
    at_equal_places = inverse @ design.T @ logs
    left = logs - design @ at_equal_places
    error = np.sqrt(21 / 19 * (inverse @ (design.T * left**2) @ design @ inverse)[0, 0])
    counts = (inverse @ design.T)[0]
    freedom = 19 / 21 * np.sum(counts**2) ** 2 / np.sum(counts**4)
    value, low, high = ends(geometric_mean_ratio(np.exp(logs), np.ones(21), None, lag))
    half = stats.t.ppf(0.975, freedom) * error
    assert value == pytest.approx(np.exp(logs.mean()))
    assert (np.log(low), np.log(high)) == pytest.approx((at_equal_places[0] - half, at_equal_places[0] + half))


@settings(deadline=None)
@given(st.integers(2, 30), st.floats(0.001, 0.2), st.integers(0, 99))
def test_what_places_leave_over_is_within_the_interval(half: int, cost: float, seed: int) -> None:
    """Nothing but the place costs, and the first method was later once more: the interval ends at 20, or around it."""
    lag = np.append(np.tile([1.0, -1.0], half), 1.0)
    image = np.random.default_rng(seed).lognormal(0, 0.3, size=len(lag))
    above, below = 20 * image * (1 + cost * (lag > 0)), image * (1 + cost * (lag < 0))
    value, low, high = ends(geometric_mean_ratio(above, below, None, lag))
    assert (low, high) == pytest.approx((20, value), rel=1e-9)
    assert value > 20
    value, low, high = ends(ratio_of_means(above, below, None, lag))
    # The delta method is exact to first order in the cost.
    assert low < 20 * (1 + cost**2)
    assert high > 20 * (1 - cost**2)


def test_places_that_never_change_explain_nothing() -> None:
    """Nor do they where they hardly changed, or with fewer than four blocks."""
    rng = np.random.default_rng(9)
    above, below = rng.lognormal(size=12), rng.lognormal(size=12)
    some = np.where(np.arange(12) % 6 == 0, above, 0.0)
    assert ratio_of_means(some, below, None, np.tile([1.0, -1.0], 6)) == ratio_of_means(some, below)
    once = np.append(np.ones(11), 0.5)
    assert geometric_mean_ratio(above, below, None, once) == geometric_mean_ratio(above, below)
    assert ratio_of_means(above, below, None, np.ones(12)) == ratio_of_means(above, below)
    three = np.arange(12) // 4
    assert ratio_of_means(above, below, three, np.tile([1.0, -1.0], 6)) == ratio_of_means(above, below, three)


def test_processes_have_students_interval_on_logarithms() -> None:
    """SciPy's one-sample t test again."""
    values = [19.7, 20.4, 20.1, 19.9]
    reference = stats.ttest_1samp(np.log(values), 0).confidence_interval(0.95)
    expected = (stats.gmean(values), np.exp(reference.low), np.exp(reference.high))
    assert ends(over_processes(values)) == pytest.approx(expected, rel=1e-12)


def test_two_processes_are_too_few() -> None:
    """The value stands there without an interval."""
    assert PROCESSES_FOR_INTERVAL == 3
    value, reason = none(over_processes([2.0, 8.0]))
    assert value == pytest.approx(4)
    assert reason == "an interval over processes needs at least 3, there are 2"


def test_a_process_at_or_below_0_gives_a_plain_interval() -> None:
    """The unattributed rest of a device lies around 0: SciPy's one-sample t test of the values themselves."""
    for values in ([-1e-6, 2e-6, 3e-6], [0.0, 1.0, 2.0, 4.0], [-3.0, -2.0, -2.5]):
        reference = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        expected = (np.mean(values), reference.low, reference.high)
        assert ends(over_processes(values)) == pytest.approx(expected, rel=1e-9)
    assert none(over_processes([-1.0, 2.0]))[0] == 0.5


@pytest.mark.parametrize(("q", "needed", "both"), [(0.5, 5, 6), (0.9, 29, 36), (0.95, 59, 72), (0.99, 299, 368)])
def test_percentiles_need_so_many_images(q: float, needed: int, both: int) -> None:
    """The value as MLPerf's rules for early stopping have it; both ends of an interval only from more images on."""
    values = np.random.default_rng(10).lognormal(size=both)
    value, low, high = ends(percentile(values, q))
    assert low <= value <= high == values.max()
    few = percentile(values[1:], q)
    assert few.value == np.quantile(values[1:], q)
    assert few.high is None
    assert f"the upper end of its interval needs {both} images" in (few.reason or "")
    assert (few.reason or "").endswith(f", there are {both - 1}")
    assert percentile(values[:needed], q).value is not None
    plural = f"p{100 * q:g} needs {needed} images, there are {needed - 1}"
    assert none(percentile(values[: needed - 1], q)) == (None, plural)


def test_both_ends_of_a_median_can_be_missing() -> None:
    """Five images may all lie to one side of it, in 3 % of cases on each."""
    value, reason = none(percentile(np.arange(5.0), 0.5))
    assert value == 2
    assert reason == (
        "the upper end of its interval needs 6 images, the lower end of its interval needs 6 images, there are 5"
    )


@settings(deadline=None)
@given(st.integers(5, 400), st.floats(0.05, 0.95), st.integers(0, 99))
def test_bounds_of_a_percentile_are_those_of_scipy(n: int, q: float, seed: int) -> None:
    """SciPy's one-sided quantile tests at 97.5 % end at the same images."""
    values = np.random.default_rng(seed).lognormal(size=n)
    found = percentile(values, q)
    if found.value is None:
        assert max(q, 1 - q) ** n > 0.05
        return
    assert found.value == pytest.approx(np.quantile(values, q))
    from_below: Any = stats.quantile_test(values, p=q, alternative="greater").confidence_interval(0.975)
    from_above: Any = stats.quantile_test(values, p=q, alternative="less").confidence_interval(0.975)
    assert found.low == (None if np.isnan(from_below.low) else from_below.low)
    assert found.high == (None if np.isnan(from_above.high) else from_above.high)
    assert (found.reason is None) == (found.low is not None and found.high is not None)


@pytest.mark.parametrize(("freedom", "confidence"), [(2, 0.95), (7.5, 0.95), (20, 0.99)])
def test_t_quantile_is_scipys(freedom: float, confidence: float) -> None:
    """Half of what is left over is beyond it on either side."""
    assert t_quantile(freedom, confidence) == pytest.approx(stats.t.ppf((1 + confidence) / 2, freedom), rel=1e-9)
    assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-9)


@pytest.mark.parametrize("q", [0.0, 1.0, 95.0])
def test_a_share_is_no_per_cent(q: float) -> None:
    """Outside 0..1 there is no percentile."""
    with pytest.raises(StatisticsError, match="above 0 and below 1"):
        percentile(np.ones(3), q)


def test_line_is_least_squares_with_an_interval_from_leaving_blocks_out() -> None:
    """SciPy's regression has the same line; a literal loop over blocks has the same jackknife error."""
    rng = np.random.default_rng(11)
    blocks = np.repeat(np.arange(10), [1, 2, 3, 4, 5, 6, 1, 2, 3, 4])
    x = rng.uniform(500, 2000, size=31)
    y = 0.1 + 2e-3 * x + rng.normal(0, 0.2, size=31)
    found, reference = line(x, y, blocks), stats.linregress(x, y)
    left_out = np.array([np.polyfit(x[blocks != one], y[blocks != one], 1) for one in range(10)])
    for estimate, value, without in (
        (found.slope, reference.slope, left_out[:, 0]),
        (found.intercept, reference.intercept, left_out[:, 1]),
    ):
        half = stats.t.ppf(0.975, 9) * np.sqrt(0.9 * np.sum((without - value) ** 2))
        assert ends(estimate) == pytest.approx((value, value - half, value + half), rel=1e-8)
    assert found.points == 31


def test_line_covers_where_dear_images_scatter_more() -> None:
    """The textbook interval assumes one spread for all; times have not."""
    rng = np.random.default_rng(12)
    covered, textbook = [], []
    for _ in range(500):
        x = rng.lognormal(0, 0.3, size=40)
        y = 1 + 3 * x * rng.lognormal(-0.02, 0.2, size=40)
        _, low, high = ends(line(x, y).slope)
        covered.append(low <= 3 <= high)
        plain = stats.linregress(x, y)
        textbook.append(abs(plain.slope - 3) <= stats.t.ppf(0.975, 38) * plain.stderr)
    # A few large images carry the slope, so that 95 % are not quite reached.
    assert 0.9 <= np.mean(covered) <= 0.97
    assert np.mean(textbook) < np.mean(covered) - 0.02


def test_exact_line_is_found_exactly() -> None:
    """No scatter, no width."""
    x = np.array([1.0, 2.0, 4.0, 8.0])
    found = line(x, 3 + 2 * x)
    assert ends(found.slope) == pytest.approx((2, 2, 2))
    assert ends(found.intercept) == pytest.approx((3, 3, 3))


def test_line_through_one_place_is_none() -> None:
    """All images with as many boxes: nothing tells what a box costs."""
    found = line(np.full(5, 2000.0), np.arange(5.0))
    assert none(found.slope)[0] is None
    assert none(found.intercept)[0] is None
    assert found.points == 5


def test_line_that_hangs_on_one_block_has_no_interval() -> None:
    """Without that block there would be no line."""
    x, y = np.array([1.0, 1.0, 1.0, 2.0]), np.array([1.0, 1.1, 0.9, 3.0])
    assert none(line(x, y).slope)[0] == pytest.approx(2)
    assert none(line(np.arange(4.0), y, np.array([0, 0, 1, 1])).slope)[0] is not None
