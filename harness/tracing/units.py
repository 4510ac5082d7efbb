"""In which unit a number of a report stands, and how many of it make one of the summary's.

The summary holds seconds, bytes, operations and fractions; a report shows ms, GiB, 10^9 and percent.
"""

from __future__ import annotations

import re

from harness.tracing.passages import Passage

__all__ = ["SUFFIX", "scales_of", "scales_within"]

_PREFIX = {"": 0, "k": 3, "M": 6, "G": 9, "T": 12}

_UNITS: tuple[tuple[str, str, tuple[float, ...]], ...] = (
    # as it stands behind a number, as a heading says it, how many make one of the summary's
    ("×|x\\b|times\\b", "×", (1.0,)),
    ("%", "%", (100.0,)),
    ("points?\\b", "\\bpoints\\b", (100.0,)),
    ("ms\\b|milliseconds?\\b", "\\bms\\b|milliseconds", (1e3,)),
    ("µs\\b|microseconds?\\b", "µs|microseconds", (1e6,)),
    ("s\\b|seconds?\\b", "\\(s[/)]|\\bs per\\b|(?<!milli)(?<!micro)seconds", (1.0,)),
    ("h\\b|hours?\\b", "\\(h\\)|hours", (1.0, 1 / 3600)),
    ("GiB", "GiB", (2.0**-30,)),
    ("MiB", "MiB", (2.0**-20,)),
)
_RATE = re.compile(r"([kMGT]?)(?:FLOPs?|B|bytes?)(?:/s)?\b")
_POWER = re.compile(r"10\^(\d+)")

SUFFIX = re.compile(
    rf"\s?(?:(?P<unit>{'|'.join(behind for behind, _, _ in _UNITS)})|(?P<rate>[kMGT](?:FLOPs?|B)(?:/s)?\b)|"
    r"(?:·|×)\s?10\^(?P<power>\d+))"
)
"""A unit right behind a number."""


def scales_of(suffix: re.Match[str]) -> tuple[float, ...]:
    """What a number of the summary may have been multiplied by to stand before this unit."""
    if suffix["power"]:
        return (10.0 ** -int(suffix["power"]),)
    if suffix["rate"]:
        return (10.0 ** -_PREFIX[suffix["rate"][0]],)
    return next(scales for behind, _, scales in _UNITS if re.fullmatch(behind, suffix["unit"]))


def scales_within(passage: Passage) -> tuple[float, ...]:
    """The same of a number without a unit behind it: as its row says, else its column, its table, its heading.

    In a sentence it may be any unit that the sentence names, as in ``3 to 4 ms``; a count has none.
    """
    if not passage.row:
        return (1.0, *_named(passage.text))
    for label in (passage.row[0], passage.column, passage.corner, passage.heading):
        if found := _named(label):
            return found
    return (1.0,)


def _named(label: str) -> tuple[float, ...]:
    """Of all units that a text names."""
    found = [10.0 ** -int(power[1]) for power in _POWER.finditer(label)]
    found += [10.0 ** -_PREFIX[rate[1]] for rate in _RATE.finditer(label) if rate[1]]
    found += [scale for _, named, scales in _UNITS if re.search(named, label) for scale in scales]
    return tuple(dict.fromkeys(found))
