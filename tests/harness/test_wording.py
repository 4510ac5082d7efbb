"""Numbers within sentences, and texts within lines."""

from __future__ import annotations

import pytest

from harness.wording import counted, gibibytes, listed, one_line, percent, seconds_text


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


def test_a_text_becomes_one_line_and_bytes_become_gibibytes() -> None:
    """Whatever breaks the line; 2^30 bytes are one."""
    assert one_line(" no\r\nmemory \t left\n") == "no memory left"
    assert one_line("a\x1b[2J\u202eb\x00 \udc80") == "a�[2J�b� �"
    assert gibibytes(3 * 2**29) == "1.5 GiB"
