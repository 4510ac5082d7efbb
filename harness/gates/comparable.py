"""Are the two runs alike in all that is not gated?

Software, source and what the methods chose for themselves may differ: whether a new torch or another chunk is as fast
is what a gate is for. Whatever else differs, nobody could say to what a change owes itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.baseline import Entry
from harness.gates.outcome import Gate
from harness.likeness import NOT_RECORDED, VOLATILE, Difference, differences
from harness.plan import Plan

__all__ = ["Likeness"]

_MUST = ("plan", "data", "weights", "machine", "flags")
_MUST_FOR_SCORES = ("plan", "data", "weights")
"""Another machine, or other settings of its libraries, may detect otherwise; that it does not is gated."""
_WORK = ("plan", "data")
_MUST_BE_RECORDED = frozenset({"test_sha256", "test_boxes_sha256", "weights_sha256"})
"""Where one of the two runs does not tell these, nobody knows whether both worked on the same."""
_OF_LIBRARIES = frozenset({"cuda", "cudnn"})
"""Fields of the machine that come with torch, and change with it."""
_WHOLE_GROUP = "all"
_SAID_OF_SOURCE = frozenset({"commit", "dirty", "diff_sha256"})
_MOST = 6
_DIGESTS = ("commit", "sha256")
_DIGITS = 12
"""Of a digest, that are shown."""
_ADVICE = "measure again as the baseline was, or take this run for the new one with --update-baseline"


@dataclass(frozen=True, slots=True)
class Likeness:
    """In what a run differs from its baseline."""

    hindering: tuple[Difference, ...]
    said: tuple[Difference, ...]
    """What is gated, or changes no ratio, or was not recorded by one of the two versions of this program."""
    other_models: bool
    """Whether the methods were trained with another seed."""
    same_run: bool
    """Whether this is the run that the baseline was made from."""

    @classmethod
    def of(cls, base: Entry, head: Entry) -> Likeness:
        """Compare what is kept of both.

        Raises:
            harness.plan.PlanError: a plan is none.
        """
        found = differences([base.manifest, head.manifest])
        hindering = tuple(one for one in found if _hinders(one))
        succeeded = base.methods.keys() & head.methods.keys()
        said = tuple(one for one in found if one not in hindering and _worth_saying(one, succeeded))
        plans = [Plan.of(dict(each.manifest["plan"])) for each in (base, head)]
        other_models = plans[0].seed != plans[1].seed and any(plan.trained for plan in plans)
        same_run = base.origin.measured == head.origin.measured and base.methods == head.methods
        return cls(hindering, said, other_models, same_run)

    @property
    def doubt(self) -> str | None:
        """Why times are not compared; None where they are."""
        return "the runs are not comparable" if self.hindering else None

    @property
    def other_work(self) -> bool:
        """Whether something else was asked of the methods: what is not there then need not be lost."""
        return any(one.group in _WORK for one in self.hindering)

    @property
    def doubt_of_scores(self) -> str | None:
        """The same of mAP."""
        if {one.group for one in self.hindering}.intersection(_MUST_FOR_SCORES):
            return "the runs are not comparable"
        return "the seed is another one, so other models were trained" if self.other_models else None

    def gate(self) -> Gate:
        """The answer."""
        if self.hindering:
            besides = f"; besides, {_told(self.said)}" if self.said else ""
            return Gate("comparable", "inconclusive", f"{_told(self.hindering)}{besides}; {_ADVICE}")
        told = "alike in all that must be, which is plan, data, weights, machine and flags"
        if self.same_run:
            told = "this is the very run that the baseline was made from, so it says nothing new"
        return Gate("comparable", "pass", f"{told}; {_told(self.said)}" if self.said else told)


def _hinders(one: Difference) -> bool:
    if one.group not in _MUST or not one.hinders:
        return False
    if one.group == "machine" and one.field in _OF_LIBRARIES:
        return False
    # Base and head may be measured by two versions of this program, one of which records more.
    return one.field == _WHOLE_GROUP or one.field in _MUST_BE_RECORDED or NOT_RECORDED not in one.values


def _worth_saying(one: Difference, succeeded: Iterable[str]) -> bool:
    if one.group == "source":
        return one.field in _SAID_OF_SOURCE
    if one.group == "methods":
        # What one that failed did not record its own gate tells.
        return NOT_RECORDED not in one.values or one.field.rpartition(": ")[0] in succeeded
    if one.group in ("software", "plan") or one.field in _OF_LIBRARIES:
        return True
    return NOT_RECORDED in one.values and one.field not in VOLATILE


def _told(found: Iterable[Difference]) -> str:
    """What differs, with both values; then the names of what one of the two did not record, however many."""
    every = list(found)
    differing = [_one_told(one) for one in every if NOT_RECORDED not in one.values]
    more = len(differing) - _MOST
    parts = [*differing[:_MOST], *([f"{more} more"] if more > 0 else [])]
    for at, run in enumerate(("the baseline", "this run")):
        names = [f"{one.group} {one.field}" for one in every if one.values[at] == NOT_RECORDED]
        parts += [f"not recorded by {run}: {', '.join(names)}"] if names else []
    return "; ".join(parts)


def _one_told(one: Difference) -> str:
    base, head = ("nothing" if value is None else str(value) for value in one.values)
    if one.field.endswith(_DIGESTS):
        base, head = base[:_DIGITS], head[:_DIGITS]
    return f"{one.group} {one.field}: {head}, was {base}"
