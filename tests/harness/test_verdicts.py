"""Verdicts: exactly one for every pair of intervals, in the right direction, and decided by narrow intervals."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.claims import Claim, read_claims
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
        (300.0, 400.0, "met"),  # far above
        (80.0, 97.0, "not met"),  # all below
        (97.4, 97.4, "not met"),  # below, however near: more measuring finds no more
        (80.0, 98.0, "inconclusive"),  # reaches it, and more than a tenth below
        (80.0, 200.0, "inconclusive"),
    ],
)
def test_a_speedup_is_an_achievement(low: float, high: float, found: str) -> None:
    """98x, which is 97.5 to 98.5, is met from 97.5 on; what may lie more than a tenth below decides nothing."""
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
def test_a_ratio_of_operations_is_a_description(low: float, high: float, found: str) -> None:
    """160x is met by what lies within a tenth of it, and missed by more as by less."""
    assert verdict(claim("flop_ratio_conv", "160"), low, high) == found


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [(56.2, 58.0, "met"), (56.0, 57.04, "not met"), (55.0, 58.0, "inconclusive"), (60.0, 61.0, "met")],
)
def test_an_accuracy_may_be_a_point_below(low: float, high: float, found: str) -> None:
    """57.1 %, which is 57.05 to 57.15, is met where the interval reaches it and ends no more than a point below."""
    assert verdict(claim("map", "57.1", "%"), low, high) == found


@RULES
@given(printed=RANGES, low=NUMBERS, wide=NUMBERS, margin=NUMBERS)
def test_exactly_one_verdict_holds(rule, printed: Range, low: float, wide: float, margin: float) -> None:
    """Each verdict's own condition, written out here a second time, is true for the one that was given alone."""
    measured = Range(low, low + wide)
    if rule is at_least:
        missed = measured.high < printed.low
        met = measured.high >= printed.low and printed.low - measured.low <= margin
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
