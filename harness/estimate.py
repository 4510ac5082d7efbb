"""A number as reports show it: with its interval or the reason why it is missing, and the digits that it is worth."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Estimate"]

_SIGNIFICANT_DIGITS = 3
"""Shown where no interval says how exactly a number is known."""
_MOST_SIGNIFICANT_DIGITS = 4
"""Shown however narrow the interval is: that of few images may shrink to the rounding of a float."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with the interval that is known for it, or the reason why there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None
    """Why `value` is None; None where there is a value."""
    fixed_decimals: int | None = None
    """Digits after the point of a count or of a published number, which is shown as it was printed; else None."""
    missing: str = "–"
    """What stands where there is no value."""

    def shifted(self, power: int) -> Estimate:
        """The same number in a unit ``10 ** power`` times smaller: 3 turns seconds to ms, 2 fractions to percent."""

        def times(number: float | None) -> float | None:
            return None if number is None else number * 10.0**power

        fixed = None if self.fixed_decimals is None else self.fixed_decimals - power
        return Estimate(times(self.value), times(self.low), times(self.high), self.reason, fixed, self.missing)

    @property
    def relative_width(self) -> float | None:
        """The interval from end to end, as a share of the value; None where there is none."""
        if not self.value or self.low is None or self.high is None:
            return None
        return (self.high - self.low) / self.value

    @property
    def _half_width(self) -> float | None:
        """Of the interval; the one arm where the other end is not known."""
        ends = [end for end in (self.low, self.high) if end is not None]
        if len(ends) == 2:
            return (ends[1] - ends[0]) / 2
        return abs(ends[0] - self.value) if ends and self.value is not None else None

    @property
    def decimals(self) -> int:
        """Digits after the point that are worth showing; negative where even tens or hundreds are noise.

        One digit beyond the leading digit of the interval's half width, but from one to four significant digits; three
        without an interval.
        """
        if self.fixed_decimals is not None:
            return self.fixed_decimals
        half_width = self._half_width
        if half_width:
            supported = 1 - _leading(half_width)
            if not self.value:
                return supported
            leading = _leading(self.value)
            return min(max(supported, -leading), _MOST_SIGNIFICANT_DIGITS - 1 - leading)
        if not self.value:
            return 0
        return _SIGNIFICANT_DIGITS - 1 - _leading(self.value)


def _leading(number: float) -> int:
    """The power of ten of the leading digit, after rounding: the float just below 0.1 counts as 0.1."""
    return int(f"{number:.3e}".partition("e")[2])
