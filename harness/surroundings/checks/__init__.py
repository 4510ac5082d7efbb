"""What is asked of a machine before its timings are trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Check", "Verdict"]

Verdict = Literal["ok", "warn", "bad", "unknown"]
"""``bad``: runs made now are likely to be judged inconclusive; ``warn``: times are noisier, or less like those of
another day, than they need be, which the order of a run and its intervals take care of; ``unknown``: nothing here
tells."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    found: str
    """What was seen, with its number."""
    advice: str = ""
    """One command or sentence; empty where there is nothing to do."""
