"""Differences of accuracy in points, with their sign: measured, expected and published."""

from __future__ import annotations

from collections.abc import Iterable

from harness import statistics
from harness.estimate import Estimate
from harness.relating import Judged
from harness.relations import Expected
from harness.rendering.cells import Mark, rounded
from harness.verdicts import VERDICTS

__all__ = ["counts", "decimals", "expected", "percent", "points", "signed"]

_MINUS = "−"
_FINE_POINTS = 0.5
"""Half widths below have a second digit after the point."""


def percent(found: statistics.Estimate) -> Estimate:
    """A fraction as percent, or a difference of fractions as points."""
    return Estimate(found.value, found.low, found.high, found.reason).shifted(2)


def points(number: float, decimals: int = 1) -> str:
    """Such as ``+1.2``, ``−0.4`` or ``0.0``."""
    text = rounded(abs(number), decimals)
    if not float(text):
        return text
    return (_MINUS if number < 0 else "+") + text


def signed(found: statistics.Estimate, mark: Mark) -> str:
    """Such as ``+1.2 [−0.4, +2.9]``, of a difference of fractions.

    Its digits follow from the width alone: a difference near nothing is known no better than a large one.
    """
    one = percent(found)
    if one.value is None:
        return one.missing + mark(one.reason or "not recorded")
    if one.low is None or one.high is None:
        return points(one.value) + mark(one.reason or "no interval is known")
    digits = decimals((one.high - one.low) / 2)
    return f"{points(one.value, digits)} [{points(one.low, digits)}, {points(one.high, digits)}]"


def decimals(half_width_points: float) -> int:
    """Digits after the point that a difference with such an interval is worth; a certain one has as many as printed."""
    return 2 if 0 < half_width_points < _FINE_POINTS else 1


def expected(one: Expected) -> str:
    """Such as ``+2.0 to +6.0``, ``0.0 or more`` or ``above −1.0``."""
    if one.low is not None and one.high is not None:
        return f"{points(one.low)} to {points(one.high)}"
    if one.low is not None:
        return f"above {points(one.low)}" if one.above else f"{points(one.low)} or more"
    return "any" if one.high is None else f"{points(one.high)} or less"


def counts(judged: Iterable[Judged]) -> str:
    """Such as ``3 met, 1 not met, 5 inconclusive``."""
    verdicts = [one.verdict for one in judged]
    return ", ".join(f"{verdicts.count(each)} {each}" for each in VERDICTS if each in verdicts)
