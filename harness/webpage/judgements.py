"""The papers' claims beside what was measured, in words: what was decided, and what could not be and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.claims import Claim
from harness.rendering import verdicts
from harness.rendering.cells import headline_cells, in_brackets
from harness.rendering.published import published_beside
from harness.tables import Summary, headline
from harness.verdicts import VERDICTS
from harness.webpage.introductions import plain

__all__ = ["MEANINGS", "Difference", "Judgement", "Judgements", "Printed", "judgements"]

MEANINGS = {
    "met": "what was measured is as good as what was printed, or nearly so",
    "not met": "all of the interval is below what was printed",
    "inconclusive": "what was measured allows both, or the times are in doubt",
    "not comparable": "something else was measured: another network, other data, other hardware",
}

_QUANTITIES = {
    "map": "accuracy (mAP)",
    "ap": "accuracy (AP)",
    "conv": "time of the convolutions",
    "pool": "time of pooling",
    "fc": "time of the fully connected layers",
    "total": "time of an image, without proposals",
    "full_system": "time of an image, with proposals",
    "proposals": "time of the proposals",
    "share": "share of the time",
    "train": "time of training",
    "speedup_conv": "speed-up of the convolutions",
    "speedup_total": "speed-up of an image",
    "speedup_train": "speed-up of training",
    "flop_ratio_conv": "fewer operations in the convolutions",
}
_IN_PARTS = {"conv", "pool", "fc"}
"""Times of which a part is a layer, whose name says it all."""
_MOST_NAMED = 3
_NO_REASON = "no reason was recorded"


@dataclass(frozen=True, slots=True)
class Judgement:
    """One claim."""

    about: str
    """Method, network and quantity."""
    source: str
    printed: str
    measured: str
    verdict: str
    delta: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Printed:
    """One row of a paper's table of times, beside which nothing need be measured."""

    method: str
    network: str
    accuracy: str
    seconds: str
    speedup: str
    source: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is other here than in the papers."""

    here: str
    there: str | None
    """What the papers have in its place."""


@dataclass(frozen=True, slots=True)
class Judgements:
    """All claims about the methods of a run."""

    counts: list[tuple[str, int, str]]
    """Verdict, how many, and what it means."""
    decided: list[Judgement]
    not_comparable: list[tuple[str, list[Judgement]]]
    """By the paper's table."""
    differences: list[Difference]
    """What keeps them from being compared, the most frequent first."""
    printed: list[Printed]
    in_short: str | None
    """The speed-ups of an image that the papers print and those measured here, in a sentence each."""
    missing: str | None
    """Why nothing was judged; None where it was."""


def judgements(summary: Summary, claims: Iterable[Claim]) -> Judgements:
    """Of a summary that knows no verdicts, only what the papers print."""
    judged: Sequence[Mapping[str, Any]] = summary.get("claims") or ()
    found = [_judgement(one) for one in judged]
    counts: list[tuple[str, int, str]] = [
        (name, sum(one.verdict == name for one in found), MEANINGS[name]) for name in VERDICTS
    ]
    apart = [one for one in found if one.verdict == "not comparable"]
    by_source: dict[str, list[Judgement]] = {}
    for one in apart:
        by_source.setdefault(one.source, []).append(one)
    printed = _printed(summary, claims)
    missing = None if judged else str(summary.get("claims_reason") or "the run has none of the papers' methods")
    return Judgements(
        counts=counts if judged else [],
        decided=[one for name in VERDICTS[:-1] for one in found if one.verdict == name],
        not_comparable=sorted(by_source.items()),
        differences=_differences(apart),
        printed=printed,
        in_short=_in_short(summary, printed),
        missing=missing,
    )


def _differences(apart: Iterable[Judgement]) -> list[Difference]:
    """Reasons taken apart at ``;``, those with the same side here put together."""
    there: dict[str, dict[str, None]] = {}
    counts = Counter[str]()
    for one in apart:
        for part in (one.reason or _NO_REASON).split("; "):
            here, other = _sides(part)
            counts[here] += 1
            there.setdefault(here, {}).update({other: None} if other else {})
    return [Difference(here, _some(list(there[here]))) for here, _ in counts.most_common()]


def _some(names: Sequence[str]) -> str | None:
    """The first few; a semicolon between them, since what a paper says of its hardware has a comma."""
    more = len(names) - _MOST_NAMED
    return "; ".join([*names[:_MOST_NAMED], *([f"and {more} more"] if more > 0 else [])]) or None


def _sides(part: str) -> tuple[str, str | None]:
    """What is here and what is there, of ``NAME ours, theirs there`` or ``WHAT: theirs there, ours here``."""
    if part.endswith(" here") and " there, " in part:
        theirs, _, ours = part.rpartition(" there, ")
        what, _, theirs = theirs.rpartition(": ")
        here = ours.removesuffix(" here")
        return f"{what.removeprefix('other ')}: {here}" if what else here, theirs
    ours, comma, theirs = part.rpartition(", ")
    return (ours, theirs.removesuffix(" there")) if comma and theirs.endswith(" there") else (part, None)


def _judgement(one: Mapping[str, Any]) -> Judgement:
    return Judgement(
        about=_about(one),
        source=f"{one['source']} {one['locator']} ({one['version']})",
        printed=verdicts.published(one),
        measured=verdicts.measured(one, lambda _: ""),
        verdict=str(one["verdict"]),
        delta=verdicts.difference(one) or None,
        reason=one["reason"] or (one["measured"]["reason"] if one["measured"]["value"] is None else None),
    )


def _about(one: Mapping[str, Any]) -> str:
    name = f"{one['method']}:{one['variant']}" if one["variant"] else str(one["method"])
    what = _QUANTITIES.get(one["quantity"], str(one["quantity"]))
    if one["part"] and one["quantity"] in _IN_PARTS:
        what = "time"
    part = f" of {one['part']}" if one["part"] else ""
    over = ""
    if one["relative_to"]:
        other, _, network = str(one["relative_to"]).partition("@")
        over = f" over {plain(other)}" + (f" with {network}" if network and network != one["backbone"] else "")
    return f"{plain(name)} with {one['backbone']}: {what}{part}{over}"


def _printed(summary: Summary, claims: Iterable[Claim]) -> list[Printed]:
    rows = []
    for row in published_beside(claims, summary):
        accuracy, _, _, seconds, _, speedup = headline_cells(row, lambda _: "")
        rows.append(
            Printed(plain(row.method), row.backbone, accuracy, seconds, speedup, (row.source or "").partition(";")[0])
        )
    return rows


def _in_short(summary: Summary, printed: Sequence[Printed]) -> str | None:
    baseline = plain(str(summary.get("baseline")))
    by_method: dict[str, list[str]] = {}
    for row in printed:
        if row.method != baseline and not row.speedup.startswith("–"):
            by_method.setdefault(row.method, []).append(row.speedup)
    here = [row for row in headline(summary) if row.speedup_total.value is not None]
    if not by_method or not here:
        return None
    theirs = ", ".join(f"{method} {_and(list(dict.fromkeys(ratios)))}" for method, ratios in by_method.items())
    ours = ", ".join(f"{plain(row.method)} {in_brackets(row.speedup_total, str, '×')}" for row in here)
    question = f"How many times as fast as {baseline} is an image done?"
    return f"{question} The papers print {theirs}. Measured here: {ours}."


def _and(texts: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(texts[:-1]), texts[-1]) if part)
