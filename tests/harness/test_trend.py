"""Trends and the cost of a place, against least squares by matrices and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from harness.findings.trend import PlacedTime, position_effect, trend
from harness.order import williams


def _autoregression(rng: np.random.Generator, n: int, correlation: float, deviation: float) -> list[float]:
    """Times about 1 whose logs are a stationary first-order autoregression."""
    steps = rng.normal(0, deviation * (1 - correlation**2) ** 0.5, n)
    steps[0] = rng.normal(0, deviation)
    for place in range(1, n):
        steps[place] += correlation * steps[place - 1]
    return [float(each) for each in np.exp(steps)]


def test_a_line_is_told_to_the_digit() -> None:
    """Times that grow evenly by 3 % over the run; without noise there is no doubt."""
    found = trend([float(each) for each in np.exp(np.linspace(0, np.log(1.03), 25))], 0.95)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((0.03, 0.03, 0.03), rel=1e-9)
    steady = trend([0.01] * 25, 0.95)
    assert steady is not None
    assert not steady.certain


def test_uncorrelated_times_give_the_interval_of_a_regression() -> None:
    """SciPy's `linregress` on the logs, over a run of length 1."""
    from scipy import stats

    times = _autoregression(np.random.default_rng(2), 40, 0.0, 0.05)
    fitted = stats.linregress(np.linspace(0, 1, 40), np.log(times))
    half = stats.t.ppf(0.975, 38) * fitted.stderr
    found = trend(times, 0.95, correlated=False)
    assert found is not None
    expected = np.expm1([fitted.slope, fitted.slope - half, fitted.slope + half])
    assert (found.value, found.low, found.high) == pytest.approx(tuple(expected), rel=1e-9)


@pytest.mark.parametrize("n", [25, 49])
def test_a_machine_that_wanders_is_not_said_to_drift(n: int) -> None:
    """Neighbours correlate by a half: 5 % of runs without a trend look like one; by plain regression, 24 % do."""
    rng = np.random.default_rng(n)
    runs = [_autoregression(rng, n, 0.5, 0.02) for _ in range(600)]
    alarms = [found.certain for times in runs if (found := trend(times, 0.95)) is not None]
    plain = [found.certain for times in runs if (found := trend(times, 0.95, correlated=False)) is not None]
    assert np.mean(alarms) < 0.09
    assert np.mean(plain) > 0.18


def test_four_times_have_no_trend() -> None:
    """Nor has a run of one block a cost of a place."""
    assert trend([1.0, 1.1, 1.2, 1.3], 0.95) is None
    assert position_effect([], 0.95) is None
    one = [PlacedTime((0, 0, 0), 0, "a", name, place, 1.0) for place, name in enumerate("xy")]
    assert position_effect(one, 0.95) is None


def _times(repeats: int, effect: float, own: float, seed: int = 0, blocks: int = 24) -> list[PlacedTime]:
    """Three methods in Williams order on two images a block; `own` is how much a method's cost varies by image."""
    rng, names = np.random.default_rng(seed), ("a", "b", "c")
    cost = {(name, image): rng.normal(0, own) for name in names for image in range(2 * blocks)}
    found = []
    for repeat in range(repeats):
        for block in range(blocks):
            state = rng.normal(0, 0.1)
            for position, name in enumerate(williams(names, repeat * blocks + block + repeat)):
                for image in (2 * block, 2 * block + 1):
                    logs = cost[name, image] + state + effect * position + rng.normal(0, 0.002)
                    unit = (0, repeat, block)
                    found.append(PlacedTime(unit, block, str(image), name, position, float(np.exp(logs))))
    return found


@pytest.mark.parametrize(("repeats", "own"), [(1, 0.001), (2, 0.3), (3, 0.3)])
def test_the_cost_of_a_place_is_told_in_spite_of_state_and_images(repeats: int, own: float) -> None:
    """1 % a place, where blocks differ by 10 %; with repeats, also where methods like images differently by 30 %."""
    found = position_effect(_times(repeats, np.log(1.01), own), 0.95)
    assert found is not None
    assert found.low < 0.01 < found.high
    assert found.high - found.low < 0.004


@pytest.mark.parametrize(("repeats", "by_group"), [(1, False), (2, True)])
def test_the_cost_of_a_place_is_least_squares(repeats: int, by_group: bool) -> None:
    """The slope of the regression with a column for each unit and each method, of the group where there are repeats."""
    times = _times(repeats, 0.01, 0.1, seed=5, blocks=7)
    cells = {(one.unit, one.method): one for one in times}
    logs = [np.mean([np.log(one.seconds) for one in times if (one.unit, one.method) == cell]) for cell in cells]
    units = [one.unit for one in cells.values()]
    methods = [(one.method, one.group if by_group else 0) for one in cells.values()]
    columns = [[float(key == one) for key in units] for one in dict.fromkeys(units)]
    columns += [[float(key == one) for key in methods] for one in dict.fromkeys(methods)]
    design = np.array([[one.position for one in cells.values()], *columns]).T
    slope = np.linalg.lstsq(design, np.array(logs), rcond=None)[0][0]
    found = position_effect(times, 0.95)
    assert found is not None
    assert found.value == pytest.approx(np.expm1(slope), rel=1e-6)


def test_an_interval_for_no_cost_of_a_place_contains_none() -> None:
    """At 95 %, about one in twenty is certain of something that is not there."""
    found = [position_effect(_times(2, 0.0, 0.2, seed=seed), 0.95) for seed in range(100)]
    assert sum(one is not None and one.certain for one in found) <= 11
