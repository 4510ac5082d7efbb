"""One thing that was looked at, and what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Verdict", "not_recorded", "note", "ok"]

Verdict = Literal["ok", "note", "inconclusive"]
"""``note``: a reader should know, and the figures stand. ``inconclusive``: the figures may not be what they seem."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer of one rule."""

    name: str
    verdict: Verdict
    text: str
    """One plain line: the number that was seen and, where something is wrong, what to do about it."""


def ok(name: str, text: str) -> Finding:
    """Nothing wrong."""
    return Finding(name, "ok", text)


def note(name: str, text: str) -> Finding:
    """Something to know."""
    return Finding(name, "note", text)


def not_recorded(name: str, why: str | None) -> Finding:
    """The run did not keep what the rule looks at."""
    return note(name, f"not recorded: {why or 'the run does not say why'}")
