"""How far the times can be trusted, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.rendering import caption
from harness.tables import Summary

__all__ = ["Check", "Reservations", "reservations"]

_ASKED = {
    "images": "Were there images enough?",
    "interval": "Is the speed-up known closely?",
    "synchronisation": "Did the clock wait for the device?",
    "closure": "Do the steps add up to the whole?",
    "overhead": "Did measuring slow things down?",
    "first-touch": "Does a first call take longer?",
    "warm-up": "Was every method warmed up?",
    "drift": "Did the machine get slower or faster?",
    "noise": "Did the same work take the same time?",
    "position": "Did the order of the methods matter?",
    "load": "Were other programs running?",
    "throttling": "Did the device slow itself down?",
    "clock": "Did the device keep its speed?",
    "foreign-processes": "Did others use the device?",
    "out-of-memory": "Did the memory suffice?",
    "repeats": "Does a repeat find the same objects?",
    "proof": "Were the objects that are scored found by the runs that were timed?",
    "resident": "Were all methods in memory at once?",
    "parts": "Was it measured in one go?",
    "failed": "Has every image a time?",
}
_WORST_FIRST = ("inconclusive", "note", "ok")


@dataclass(frozen=True, slots=True)
class Check:
    """One finding with the question that it answers."""

    question: str
    verdict: str
    answer: str


@dataclass(frozen=True, slots=True)
class Reservations:
    """The verdict, why, and all that was looked at, the worst first."""

    ok: bool
    verdict: str
    reasons: list[tuple[str | None, str]]
    """What speaks against the times, behind the question that it answers where that is known."""
    checks: list[Check]
    on_gpu: bool

    def count(self, verdict: str) -> int:
        """How many findings came out so."""
        return sum(check.verdict == verdict for check in self.checks)


def reservations(summary: Summary) -> Reservations:
    """Of a run of schema 1 there are reasons and no checks."""
    verdict, reasons = caption.verdict(summary)
    checks = [_check(each) for each in caption.findings(summary)]
    asked = {check.answer: check.question for check in checks}
    rank = {name: place for place, name in enumerate(_WORST_FIRST)}
    checks.sort(key=lambda check: rank.get(check.verdict, 0))
    return Reservations(
        verdict == "ok", verdict, [(asked.get(reason), reason) for reason in reasons], checks, caption.on_gpu(summary)
    )


def _check(finding: Mapping[str, object]) -> Check:
    name = str(finding["name"])
    return Check(_ASKED.get(name, name), str(finding["verdict"]), str(finding["text"]))
