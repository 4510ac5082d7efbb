"""Intervals, against SciPy and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.statistics import mean, ratio_of_means


def test_interval_of_a_mean_is_students() -> None:
    """SciPy's one-sample t test gives the same interval."""
    values = np.random.default_rng(1).lognormal(size=17)
    reference = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = mean(values)
    assert found.value == pytest.approx(np.mean(values), rel=1e-15)
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), rel=1e-12)


def test_one_image_gives_a_value_and_no_interval() -> None:
    """One value says nothing of its spread."""
    one = np.array([3.0])
    assert (mean(one).value, mean(one).low, mean(one).high) == (3.0, None, None)
    ratio = ratio_of_means(one, one / 2)
    assert (ratio.value, ratio.low, ratio.high) == (2.0, None, None)


def test_ratio_of_proportional_times_is_exact() -> None:
    """Where every image is 8 times slower, the speed-up is 8 without doubt, however much images differ."""
    below = np.random.default_rng(2).lognormal(size=12)
    found = ratio_of_means(8 * below, below)
    assert found.value == pytest.approx(8, rel=1e-14)
    assert (found.low, found.high) == pytest.approx((8, 8), rel=1e-12)


def test_ratio_over_a_constant_is_a_mean() -> None:
    """With nothing to pair, the interval is that of the mean divided by the constant."""
    above = np.random.default_rng(3).normal(5, 1, size=30)
    ratio, plain = ratio_of_means(above, np.full(30, 2.0)), mean(above / 2)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((plain.value, plain.low, plain.high), rel=1e-12)


def test_ratio_interval_is_near_the_jackknifes() -> None:
    """Leaving out one image at a time gives the same standard error to first order."""
    rng = np.random.default_rng(4)
    below = rng.lognormal(0, 0.3, size=400)
    above = 20 * below * rng.lognormal(0, 0.1, size=400)
    n, found = len(below), ratio_of_means(above, below)
    left_out = (above.sum() - above) / (below.sum() - below)
    error = np.sqrt((n - 1) / n * np.sum((left_out - left_out.mean()) ** 2))
    assert found.low is not None
    assert found.value - found.low == pytest.approx(stats.t.ppf(0.975, n - 1) * error, rel=0.01)


@pytest.mark.parametrize("images", [20, 60])
def test_ratio_interval_covers_the_true_ratio_95_times_in_100(images: int) -> None:
    """Skewed times of images that are dear for both methods, true ratio 20; 2,000 experiments."""
    rng = np.random.default_rng(5)
    experiments, true = 2000, 20.0
    shared = rng.lognormal(0, 0.3, size=(experiments, images))
    below = shared * rng.lognormal(0, 0.1, size=shared.shape)
    above = true * shared * rng.lognormal(0, 0.1, size=shared.shape)
    found = [ratio_of_means(a, b) for a, b in zip(above, below, strict=True)]
    covered = sum(one.low is not None and one.high is not None and one.low <= true <= one.high for one in found)
    # Four standard errors of a share of 2,000 are 0.02; the linearisation itself may cost a little.
    assert covered / experiments == pytest.approx(0.95, abs=0.02)
