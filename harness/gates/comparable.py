"""Are the two runs alike in all that is not gated?

Software, source and what the methods chose for themselves may differ: whether a new torch or another chunk is as fast
is what a gate is for. Whatever else differs, nobody could say to what a change owes itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.baseline import Entry
from harness.gates.outcome import Gate
from harness.likeness import NOT_RECORDED, Difference, differences
from harness.wording import listed

__all__ = ["Likeness"]

_MUST = ("plan", "data", "weights", "machine", "flags")
_MUST_FOR_SCORES = ("plan", "data", "weights")
"""Another machine, or other settings of its libraries, may detect otherwise; that it does not is gated."""
_OF_LIBRARIES = frozenset({"cuda", "cudnn"})
"""Fields of the machine that come with torch, and change with it."""
_WHOLE_GROUP = "all"
_SAID_OF_SOURCE = frozenset({"commit", "dirty", "diff_sha256"})
_MOST = 4
_DIGESTS = ("commit", "sha256")
_DIGITS = 12
"""Of a digest, that are shown."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """In what a run differs from its baseline."""

    hindering: tuple[Difference, ...]
    said: tuple[Difference, ...]
    """What is gated, or was not recorded by one of the two versions of this program."""

    @classmethod
    def of(cls, base: Entry, head: Entry) -> Likeness:
        """Compare what is kept of both.

        Raises:
            harness.plan.PlanError: a plan is none.
        """
        found = differences([base.manifest, head.manifest])
        hindering = tuple(one for one in found if _hinders(one))
        return cls(hindering, tuple(one for one in found if one not in hindering and _worth_saying(one)))

    @property
    def doubt(self) -> str | None:
        """Why times are not compared; None where they are."""
        return "the runs are not comparable" if self.hindering else None

    @property
    def doubt_of_scores(self) -> str | None:
        """The same of mAP."""
        groups = {one.group for one in self.hindering}
        return "the runs are not comparable" if groups.intersection(_MUST_FOR_SCORES) else None

    def gate(self) -> Gate:
        """The answer."""
        if self.hindering:
            advice = "measure again as the baseline was, or take this run for the new one with --update-baseline"
            return Gate("comparable", "inconclusive", f"{_told(self.hindering)}; {advice}")
        told = "plan, data, weights, machine and flags are those of the baseline"
        return Gate("comparable", "pass", f"{told}; {_told(self.said)}" if self.said else told)


def _hinders(one: Difference) -> bool:
    if one.group not in _MUST or not one.hinders:
        return False
    if one.group == "machine" and one.field in _OF_LIBRARIES:
        return False
    # Base and head may be measured by two versions of this program, one of which records more.
    return one.field == _WHOLE_GROUP or NOT_RECORDED not in one.values


def _worth_saying(one: Difference) -> bool:
    if one.group == "source":
        return one.field in _SAID_OF_SOURCE
    if one.group == "methods":
        return NOT_RECORDED not in one.values  # as of one that failed, which its own gate tells
    return one.group == "software" or one.field in _OF_LIBRARIES


def _told(found: Iterable[Difference]) -> str:
    return listed(map(_one_told, found), _MOST)


def _one_told(one: Difference) -> str:
    base, head = ("nothing" if value is None else str(value) for value in one.values)
    if one.field.endswith(_DIGESTS):
        base, head = base[:_DIGITS], head[:_DIGITS]
    return f"{one.group} {one.field}: {head}, was {base}"
