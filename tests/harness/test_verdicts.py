"""Verdicts: exactly one for every pair of intervals, in the right direction, and decided by narrow intervals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.claims import Claim, read_claims
from harness.statistics import over_processes, ratio_of_means
from harness.verdicts import MARGIN, MARGIN_POINTS, VERDICTS, Range, as_large, at_least, delta, verdict

CLAIMS = read_claims()
NUMBERS = st.floats(0.01, 1000, allow_nan=False)
RANGES = st.tuples(NUMBERS, NUMBERS).map(lambda ends: Range(min(ends), max(ends)))
RULES = pytest.mark.parametrize("rule", [at_least, as_large])


def claim(quantity: str, printed: str, unit: str = "x") -> Claim:
    """A made-up one."""
    return replace(CLAIMS[0], quantity=quantity, printed=printed, reading="printed", unit=unit)


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (99.0, 105.0, "met"),  # above
        (95.0, 100.0, "met"),  # reaches it, within a tenth below
        (95.0, 96.0, "met"),  # does not reach it, within a tenth below: a quiet run is not punished
        (300.0, 400.0, "met"),  # far above
        (80.0, 87.7, "not met"),  # all more than a tenth below
        (80.0, 97.0, "inconclusive"),  # a part more than a tenth below
        (80.0, 200.0, "inconclusive"),
    ],
)
def test_a_speedup_is_an_achievement(low: float, high: float, found: str) -> None:
    """98x, which is 97.5 to 98.5, is met from 87.75 on, a tenth below, and missed below that."""
    assert verdict(claim("speedup_total", "98"), low, high) == found


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (148.0, 170.0, "met"),  # within 159.5 - 16 and 160.5 + 16
        (163.3, 163.3, "met"),  # a count has no width
        (180.0, 190.0, "not met"),
        (100.0, 140.0, "not met"),
        (170.0, 190.0, "inconclusive"),
        (100.0, 300.0, "inconclusive"),
    ],
)
def test_a_ratio_of_pixels_is_a_description(low: float, high: float, found: str) -> None:
    """160x is met by what lies within a tenth of it, and missed by more as by less."""
    assert verdict(claim("pixel_ratio_conv", "160"), low, high) == found


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (56.2, 58.0, "met"),
        (56.1, 56.5, "met"),
        (56.0, 57.04, "inconclusive"),
        (55.0, 58.0, "inconclusive"),
        (55.0, 56.0, "not met"),
        (60.0, 61.0, "met"),
    ],
)
def test_an_accuracy_may_be_a_point_below(low: float, high: float, found: str) -> None:
    """57.1 %, which is 57.05 to 57.15, is met by what is all above 56.05, and missed by what is all below."""
    assert verdict(claim("map", "57.1", "%"), low, high) == found


@RULES
@given(printed=RANGES, low=NUMBERS, wide=NUMBERS, margin=NUMBERS)
def test_exactly_one_verdict_holds(rule, printed: Range, low: float, wide: float, margin: float) -> None:
    """Each verdict's own condition, written out here a second time, is true for the one that was given alone."""
    measured = Range(low, low + wide)
    if rule is at_least:
        missed = printed.low - margin > measured.high
        met = printed.low - margin <= measured.low
    else:
        inside = [printed.low - margin <= end <= printed.high + margin for end in measured]
        missed = measured.high < printed.low - margin or measured.low > printed.high + margin
        met = all(inside)
    found = rule(printed, measured, margin)
    assert (met, missed) in [(True, False), (False, True), (False, False)]
    assert found == ("met" if met else "not met" if missed else "inconclusive")


@RULES
@given(printed=RANGES, at=NUMBERS, margin=NUMBERS)
def test_an_exact_number_is_always_decided(rule, printed: Range, at: float, margin: float) -> None:
    """Inconclusive is of the interval's width, never of the number."""
    assert rule(printed, Range(at, at), margin) in ("met", "not met")


@RULES
@given(printed=RANGES, low=NUMBERS, wide=NUMBERS, share=st.floats(0, 1), more=st.floats(0, 1), margin=NUMBERS)
def test_a_narrower_interval_never_turns_not_met_round(
    rule, printed: Range, low: float, wide: float, share: float, more: float, margin: float
) -> None:
    """What was missed with a wide interval is missed with each that lies within it."""
    measured = Range(low, low + wide)
    start = low + share * wide
    within = Range(start, min(start + more * (measured.high - start), measured.high))
    if rule(printed, measured, margin) == "not met":
        assert rule(printed, within, margin) == "not met"


@RULES
@given(printed=RANGES, low=NUMBERS, wide=NUMBERS, share=st.floats(0, 1), more=st.floats(0, 1), margin=NUMBERS)
def test_a_quieter_run_is_never_punished(
    rule, printed: Range, low: float, wide: float, share: float, more: float, margin: float
) -> None:
    """What was met with a wide interval is met with each that lies within it."""
    measured = Range(low, low + wide)
    start = low + share * wide
    within = Range(start, min(start + more * (measured.high - start), measured.high))
    if rule(printed, measured, margin) == "met":
        assert rule(printed, within, margin) == "met"


@given(printed=RANGES, measured=RANGES, margin=NUMBERS, factor=st.floats(1, 10))
def test_more_is_never_worse_for_an_achievement(printed: Range, measured: Range, margin: float, factor: float) -> None:
    """A method that is faster in both ends has at least as good a verdict."""
    order = {"not met": 0, "inconclusive": 1, "met": 2}
    faster = Range(measured.low * factor, measured.high * factor)
    assert order[at_least(printed, faster, margin)] >= order[at_least(printed, measured, margin)]


def test_what_was_printed_meets_itself() -> None:
    """Each published number that is judged at all is met by itself as measured; seconds, hours and days never are."""
    for one in CLAIMS:
        found = verdict(one, one.low, one.high)
        assert found in VERDICTS
        assert found == ("not comparable" if one.unit in ("s", "h", "d") else "met"), one


def _runs(truth: float, *, processes: int, spread: float, runs: int = 300) -> dict[str, float]:
    """How often each verdict comes of a printed 98x, where a method is `truth` times as fast.

    Images differ by 30 % and their times by 5 %, and a process adds what all of its ratios have in common, of which
    its own intervals over images know nothing.
    """
    random = np.random.default_rng(20)
    images, printed = 40, claim("speedup_total", "98")
    blocks = np.repeat(np.arange(10), 4)
    found = dict.fromkeys(VERDICTS, 0.0)
    for _ in range(runs):
        ratios = []
        for _ in range(processes):
            own = random.lognormal(0, 0.3, images)
            above = truth * own * random.lognormal(0, 0.05, images) * random.lognormal(0, spread)
            ratios.append(ratio_of_means(above, own * random.lognormal(0, 0.05, images), blocks))
        over = ratios[0] if processes == 1 else over_processes([float(one.value or 0) for one in ratios])
        found[verdict(printed, over.low, over.high)] += 1 / runs
    return found


@pytest.mark.parametrize("processes", [1, 5])
def test_a_faithful_reproduction_is_not_found_wanting(processes: int) -> None:
    """As fast as printed, with a spread of 2 % between processes: all but always met."""
    found = _runs(98.0, processes=processes, spread=0.02)
    assert found["not met"] == 0
    assert found["met"] > 0.95


@pytest.mark.parametrize("processes", [1, 5])
def test_a_method_that_is_30_percent_slower_is_found_wanting(processes: int) -> None:
    """Of the printed 98x there are 69x: never met, and all but always not met."""
    found = _runs(0.7 * 98.0, processes=processes, spread=0.02)
    assert found["met"] == 0
    assert found["not met"] > 0.95


def test_what_is_at_the_threshold_is_seldom_called_met() -> None:
    """Exactly a tenth below the least that was printed, in five processes: met by chance alone, in 2.5 %."""
    assert _runs(0.9 * 97.5, processes=5, spread=0.02, runs=600)["met"] < 0.05


@pytest.mark.parametrize(("low", "high"), [(None, None), (90.0, None), (None, 200.0)])
def test_nothing_is_decided_without_an_interval(low: float | None, high: float | None) -> None:
    """One known end is no interval."""
    assert verdict(claim("speedup_conv", "98"), low, high) == "inconclusive"


def test_the_margin_is_of_the_kind_of_number() -> None:
    """A tenth of a ratio, a point of an accuracy."""
    assert verdict(claim("speedup_total", "100"), (1 - MARGIN) * 99.5 + 1e-9, 120) == "met"
    assert verdict(claim("speedup_total", "100"), (1 - MARGIN) * 99.5 - 1e-9, 120) == "inconclusive"
    assert verdict(claim("map", "50.0", "%"), 49.95 - MARGIN_POINTS + 1e-9, 60) == "met"
    assert verdict(claim("map", "50.0", "%"), 49.95 - MARGIN_POINTS - 1e-9, 60) == "inconclusive"


def test_the_difference_is_in_the_unit_that_readers_expect() -> None:
    """A share of seconds and ratios, points of percent; none where nothing was measured."""
    assert delta(claim("speedup_total", "98"), 49.0) == pytest.approx(-0.5)
    assert delta(claim("total", "0.10", "s"), 0.12) == pytest.approx(0.2)
    assert delta(claim("map", "57.1", "%"), 58.6) == pytest.approx(1.5)
    assert delta(claim("map", "57.1", "%"), None) is None
    assert delta(claim("speedup_total", "0"), 1.0) is None
