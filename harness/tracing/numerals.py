"""Numbers as they stand in a text, and which numbers they are roundings of."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NUMBER", "Numeral"]

NUMBER = r"(?<![\w.])(?<!\w[-−])[-−+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?=x\b|(?:ms|s|h|µs)\b|(?!\w))(?!\.\d)"
"""A number that stands by itself: neither that of ``VOC07``, nor those of a version or of a date."""

_SLACK = 1e-9
"""Relative to the last digit: what lies on the middle between two roundings may go either way."""


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number as it is written."""

    text: str

    @property
    def value(self) -> float:
        """As a float."""
        return float(self.text.replace(",", "").replace("−", "-"))

    @property
    def zeros(self) -> int:
        """At the end of an integer: so many digits may have been rounded away."""
        digits = self.text.lstrip("+-−").replace(",", "")
        return 0 if "." in digits else min(len(digits) - len(digits.rstrip("0")), len(digits) - 1)

    def rounds(self, number: float, zeros: int = 0) -> bool:
        """Whether `number`, rounded to some digit, is written like this.

        `zeros`, where more, are digits that were rounded away of what stands beside it: then 400 is written as 0.
        """
        decimals = len(self.text.partition(".")[2])
        away = abs(number - self.value)
        return any(away <= (0.5 + _SLACK) * 10.0 ** (zero - decimals) for zero in range(max(zeros, self.zeros) + 1))
