"""Trends and the cost of a place, against least squares by matrices and by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from harness.findings.levels import apart, step
from harness.findings.trend import PlacedTime, position_effect, trend, trends
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


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_a_known_correlation_gives_the_interval_of_generalised_least_squares(
    correlation: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the inverse of the dense covariance matrix; without correlation that is `scipy.stats.linregress`."""
    from scipy import stats

    monkeypatch.setattr("harness.findings.trend._CORRELATIONS", np.array([correlation]))
    times = _autoregression(np.random.default_rng(2), 40, 0.5, 0.05)
    place, logs = np.linspace(0, 1, 40), np.log(times)
    design = np.stack([np.ones(40), place], axis=1)
    inverse = np.linalg.inv(correlation ** np.abs(np.subtract.outer(np.arange(40), np.arange(40))))
    covariance = np.linalg.inv(design.T @ inverse @ design)
    beta = covariance @ design.T @ inverse @ logs
    left = logs - design @ beta
    slope, error = beta[1], (left @ inverse @ left / 38 * covariance[1, 1]) ** 0.5
    if correlation == 0:
        fitted = stats.linregress(place, logs)
        assert (slope, error) == pytest.approx((fitted.slope, fitted.stderr))
    half = stats.t.ppf(0.975, 38) * error
    found = trend(times, 0.95)
    assert found is not None
    expected = np.expm1([slope, slope - half, slope + half])
    assert (found.value, found.low, found.high) == pytest.approx(tuple(expected), rel=1e-9)


def test_processes_of_one_machine_tell_each_other_how_it_wanders() -> None:
    """With ten others beside it, a machine without memory is known for one, and the interval of each is narrower."""
    rng = np.random.default_rng(0)
    series = [_autoregression(rng, 12, 0.0, 0.01) for _ in range(11)]
    alone, together = trends(series[:1], 0.95)[0], trends(series, 0.95)[0]
    assert alone is not None
    assert together is not None
    assert together.high - together.low < 0.8 * (alone.high - alone.low)


def test_series_that_are_too_short_have_none_and_spoil_none() -> None:
    """A process that was interrupted early leaves a few looks."""
    rng = np.random.default_rng(0)
    long, short = _autoregression(rng, 12, 0.0, 0.01), [1.0, 1.1]
    assert trends([short, long, short], 0.9) == [None, trend(long, 0.9), None]
    assert trends([short], 0.9) == [None]


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


def test_a_step_is_told_with_its_place_and_size() -> None:
    """And a line, a single slow look and noise are none."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.002, 25)
    rise = np.where(np.arange(25) >= 8, np.log(1.06), 0)
    found = step(list(np.exp(noise + rise)))
    assert found is not None
    assert found[0] == 8
    assert found[1] == pytest.approx(0.06, abs=0.003)
    assert step(list(np.exp(noise + np.linspace(0, 0.3, 25)))) is None
    assert step(list(np.exp(noise + (np.arange(25) == 12)))) is None
    assert step(list(np.exp(noise))) is None
    assert step([1.0, 1.0, 2.0, 2.0, 2.0]) is None, "too few to tell"
    few = [1.0, 1.01, 0.99, 1.0, 1.07, 1.08, 1.06, 1.07]
    assert step(few) is None, "8 looks need a larger one"
    assert step([*few[:4], *(1.25 * one for one in few[:4])]) is not None


def test_processes_apart_are_told_by_place_and_share() -> None:
    """One of three takes 8 % longer; where each wanders by as much within itself, that proves nothing."""
    rng = np.random.default_rng(0)
    quiet = [list(np.exp(rng.normal(level, 0.002, 25))) for level in (0.0, np.log(1.08), 0.0)]
    found = apart(quiet, 0.98)
    assert found is not None
    assert (found.slowest, found.certain) == (1, True)
    assert found.share == pytest.approx(0.08, abs=0.004)
    wandering = apart([list(np.array(one) * np.linspace(1, 1.1, 25)) for one in quiet], 0.98)
    assert wandering is not None
    assert not wandering.certain
    assert apart(quiet[:1], 0.98) is None
