"""The papers' claims beside what was measured, in words: what was decided, and what could not be and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.claims import Claim
from harness.rendering import verdicts
from harness.rendering.cells import headline_cells
from harness.rendering.published import published_beside
from harness.rendering.span import WHOLE, span
from harness.tables import Estimate, Summary, headline
from harness.verdicts import MARGIN, MARGIN_POINTS, VERDICTS
from harness.webpage.differences import Difference, differences, of_its_own
from harness.webpage.introductions import plain
from harness.webpage.ratios import short
from harness.webpage.subjects import subjects

__all__ = ["MEANINGS", "Judgement", "Judgements", "Printed", "judgements"]

_NEAR, _NEAR_POINTS = f"{100 * MARGIN:g} %", f"{MARGIN_POINTS:g} point"
MEANINGS = {
    "met": f"all of the interval is good enough: no more than {_NEAR} below a printed speed-up or {_NEAR_POINTS} below "
    f"an accuracy, and within {_NEAR} of a share of the time or a ratio of pixels",
    "not met": "none of the interval is good enough: a speed-up or an accuracy is smaller than that, a share or a "
    "ratio of pixels is smaller or larger",
    "inconclusive": "part of the interval is good enough and part is not, or the times are in doubt",
    "not comparable": "something else was measured: another network, other data, other hardware",
}

_NO_REASON = "no reason was recorded"
_BASELINE = "baseline"
_NOT_SAID = "what is timed is not said"
_TIMED = ("speedup_total", "total")


@dataclass(frozen=True, slots=True)
class Judgement:
    """One claim."""

    about: str
    """Method, network, quantity, and which stages a time covers."""
    source: str
    printed: str
    measured: str
    verdict: str
    delta: str | None
    reason: str | None
    """Of what is not comparable only what concerns this number alone."""


@dataclass(frozen=True, slots=True)
class Printed:
    """One row of a paper's table of times, beside which nothing need be measured."""

    method: str
    network: str
    accuracy: str
    seconds: str
    speedup: str
    source: str
    covers: str | None
    """Which stages its times are of; None where the paper does not say."""


@dataclass(frozen=True, slots=True)
class Judgements:
    """All claims about the methods of a run."""

    counts: list[tuple[str, int, str]]
    """Verdict, how many, and what it means; empty where nothing is comparable."""
    total: int
    decided: list[Judgement]
    not_comparable: list[tuple[str, list[Judgement]]]
    """By the paper's table."""
    differences: list[Difference]
    """What keeps them from being compared, the most frequent first."""
    printed: list[Printed]
    in_short: str | None
    """The speed-ups of an image that the papers print and those measured here, in a sentence each."""
    spans: str | None
    """Why speed-ups of one method are several."""
    missing: str | None
    """Why nothing was judged; None where it was."""

    @property
    def numbers(self) -> list[tuple[str, str]]:
        """The blocks of the page that have the numbers, each by its identifier and what it holds."""
        blocks = (
            ("decided", "what was decided", self.decided),
            ("apart", "what cannot be compared", self.not_comparable),
        )
        return [(key, words) for key, words, held in blocks if held]


def judgements(summary: Summary, claims: Iterable[Claim]) -> Judgements:
    """Of a summary that knows no verdicts, only what the papers print."""
    judged: Sequence[Mapping[str, Any]] = summary.get("claims") or ()
    found = [_judgement(one, about) for one, about in zip(judged, subjects(judged), strict=True)]
    counts: list[tuple[str, int, str]] = [
        (name, sum(one.verdict == name for one in found), MEANINGS[name]) for name in VERDICTS
    ]
    by_source: dict[str, list[Judgement]] = {}
    for one in found:
        if one.verdict == VERDICTS[-1]:
            by_source.setdefault(one.source, []).append(one)
    printed = _printed(summary, tuple(claims))
    return Judgements(
        counts=counts if any(number for _, number, _ in counts[:-1]) else [],
        total=len(found),
        decided=[one for name in VERDICTS[:-1] for one in found if one.verdict == name],
        not_comparable=sorted(by_source.items()),
        differences=differences(
            summary, [str(one["reason"] or _NO_REASON) for one in judged if one["verdict"] == VERDICTS[-1]]
        ),
        printed=printed,
        in_short=_in_short(summary, printed),
        spans=_spans(summary, judged),
        missing=None if judged else str(summary.get("claims_reason") or "the run has none of the papers' methods"),
    )


def _judgement(one: Mapping[str, Any], about: str) -> Judgement:
    reason, lacking = one["reason"], one["measured"]["reason"] if one["measured"]["value"] is None else None
    measured = verdicts.measured(one, lambda _: "")
    if one["verdict"] == VERDICTS[-1]:
        reason = of_its_own(reason or "")
    if lacking == measured:
        lacking = None
    return Judgement(
        about=about,
        source=f"{one['source']} {one['locator']} ({one['version']})",
        printed=verdicts.published(one),
        measured=measured,
        verdict=str(one["verdict"]),
        delta=verdicts.difference(one) or None,
        reason=reason or lacking,
    )


def _printed(summary: Summary, claims: Sequence[Claim]) -> list[Printed]:
    covered = {
        (claim.citation, claim.name, claim.backbone): span(claim.stages)
        for claim in claims
        if claim.quantity in _TIMED and claim.stages and not claim.part
    }
    rows = []
    for row in published_beside(claims, summary):
        accuracy, _, _, seconds, _, speedup = headline_cells(row, lambda _: "")
        source = (row.source or "").partition(";")[0]
        own = row.baseline in (None, f"{row.method}@{row.backbone}")
        covers = covered.get((source, row.method, row.backbone))
        rows.append(
            Printed(plain(row.method), row.backbone, accuracy, seconds, _BASELINE if own else speedup, source, covers)
        )
    return rows


def _in_short(summary: Summary, printed: Sequence[Printed]) -> str | None:
    """What is printed, all of it over R-CNN, and what was measured."""
    by_method: dict[str, dict[str | None, dict[str, None]]] = {}
    for row in printed:
        if row.speedup != _BASELINE and not row.speedup.startswith("–"):
            by_method.setdefault(row.method, {}).setdefault(row.covers, {})[row.speedup] = None
    here = [row for row in headline(summary) if row.speedup_total.value is not None]
    if not by_method or not here:
        return None
    theirs = ", ".join(
        f"{method} {_and([f'{_and(list(ratios))} ({covers or _NOT_SAID})' for covers, ratios in of.items()])}"
        for method, of in by_method.items()
    )
    ours = ", ".join(f"{plain(row.method)} {short(row.speedup_total)}" for row in here)
    baseline = plain(str(summary.get("baseline")))
    question = f"How many times as fast as {plain('rcnn')} is an image done?"
    return f"{question} The papers print {theirs}. Measured here, against {baseline} and for the {WHOLE}: {ours}."


def _spans(summary: Summary, judged: Sequence[Mapping[str, Any]]) -> str | None:
    """For each part of an image's time that a paper takes for all of it: its ratio here, and that of the whole."""
    whole = {row.method: row.speedup_total for row in headline(summary)}
    parts: dict[str, dict[str, str]] = {}
    for one in judged:
        about, found = one["measured_as"] or {}, one["measured"]
        covers, method = span(about.get("stages") or ()), str(about.get("method"))
        same = one["quantity"] == _TIMED[0] and about.get("baseline") == summary.get("baseline")
        if same and covers != WHOLE and found["value"] is not None and method in whole:
            part = short(Estimate(found["value"], found["low"], found["high"]))
            parts.setdefault(covers, {})[method] = f"{part} here and {short(whole[method])} above for {plain(method)}"
    told = [
        f"A paper that times {_timed(covers)} is set against {_timed(covers)}, hence "
        f"{', '.join(of[method] for method in whole if method in of)}."
        for covers, of in parts.items()
    ]
    return " ".join([*told, "Seconds likewise."]) if told else None


def _timed(covers: str) -> str:
    return f"{covers.replace(' + ', ' and ')} alone" if " + " in covers else f"an image {covers}"


def _and(texts: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(texts[:-1]), texts[-1]) if part)
