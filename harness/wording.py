"""Numbers within sentences, and texts within lines."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["counted", "gibibytes", "listed", "one_line", "percent", "printable", "seconds_text", "shortened"]

_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def _short(value: float) -> str:
    size = abs(value)
    if size < 0.005:
        return "0"
    return f"{value:.{0 if size >= 100 else 1 if size >= 1 else 2}f}"


def percent(share: float) -> str:
    """``0.0312`` is 3.1 %."""
    return f"{_short(100 * share)} %"


def seconds_text(seconds: float) -> str:
    """``0.0312`` is 31.2 ms."""
    size, unit = next((each for each in _UNITS if abs(seconds) >= each[0]), _UNITS[-1])
    return f"{_short(seconds / size)} {unit}"


def gibibytes(size_bytes: float) -> str:
    """``2**31`` is 2.0 GiB."""
    return f"{size_bytes / 2**30:.1f} GiB"


def one_line(text: str) -> str:
    """The same words without line breaks, and `printable`."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Names come from files of others: no character of theirs may move a cursor or turn a line round."""
    return "".join(char if char.isprintable() or char == "\n" else "�" for char in text)


def shortened(text: str, most: int = 1_000) -> str:
    """At most so many characters, with the first and the last of them."""
    return text if len(text) <= most else f"{text[: 2 * most // 3]} … {text[len(text) + 3 - most // 3 :]}"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """``1 image`` or ``2 images``; `plural` where an s is not all."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(names: Iterable[str], most: int = 3) -> str:
    """The first names, and how many there are besides."""
    every = list(names)
    more = len(every) - most
    return ", ".join(every[:most]) + (f" and {more} more" if more > 0 else "")
