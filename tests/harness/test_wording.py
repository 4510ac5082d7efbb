"""Numbers within the sentences of findings."""

from __future__ import annotations

import pytest

from harness.findings.wording import counted, listed, percent, seconds_text


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (0.0002, "0.02 %"), (0.0312, "3.1 %"), (0.5, "50.0 %"), (12.3, "1230 %")]
)
def test_percent_has_two_or_three_digits(share: float, text: str) -> None:
    """Small shares keep a digit that says something."""
    assert percent(share) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "0 µs"), (2e-5, "20.0 µs"), (0.0312, "31.2 ms"), (150.0, "150 s")])
def test_seconds_come_in_the_unit_that_fits(seconds: float, text: str) -> None:
    """Microseconds, milliseconds or seconds."""
    assert seconds_text(seconds) == text


def test_names_and_numbers_are_listed() -> None:
    """One is not plural, and a long list is cut and counted."""
    assert (counted(1, "image"), counted(2000, "image")) == ("1 image", "2,000 images")
    assert counted(2, "process", "processes") == "2 processes"
    assert listed("abcde") == "a, b, c and 2 more"
    assert listed("abc") == "a, b, c"
