"""Published beside measured, with a verdict: as texts of cells, as counts, and as a section of a run's report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.networks import is_printed_as
from harness.quantities.comparability import NOT_RUN, UNTRAINED, ran_on
from harness.rendering import caption
from harness.rendering.cells import Mark, Notes, escaped, in_brackets, table
from harness.tables import Estimate, Summary
from harness.verdicts import MARGIN, MARGIN_POINTS, VERDICTS
from harness.wording import counted

__all__ = [
    "NOT_STATED",
    "RULE",
    "counts",
    "difference",
    "hardware",
    "measured",
    "published",
    "section",
    "subject",
    "summary_lines",
    "verdict",
]

Judged = Mapping[str, Any]

_UNITS = {"x": "×", "%": " %", "s": " s", "h": " h", "d": " d"}

_SUBJECTS = {
    "map": "mAP",
    "ap": "AP",
    "conv": "time of conv",
    "pool": "time of pooling",
    "fc": "time of fc",
    "total": "time an image",
    "full_system": "time with proposals",
    "share": "share of the time",
    "train": "time of training",
    "speedup_conv": "speed-up of conv",
    "speedup_total": "speed-up",
    "speedup_train": "speed-up of training",
    "pixel_ratio_conv": "pixels convolved",
}

_SCORES = ("map", "ap")
_OF_TIME = ("speedup_conv", "speedup_total", "speedup_train", "share")
_DECIDED = ("met", "not met")

_BESIDE = " beside the table"
"""Where hardware is not named. The line below a table says so in full, and a cell has no room for it."""

NOT_STATED = "hardware not stated"
"""Of what a published number ran on."""

_HEADER = ("published in", "claim", "published", "measured", "verdict", "difference", "why")

_REASONS_NAMED = 4

_NEAR, _LEAST, _POINTS = f"{100 * MARGIN:g} %", f"{100 * (1 - MARGIN):g} %", f"{MARGIN_POINTS:g} point"

RULE = (
    f"A speed-up is met where all of its interval is above what lies {_NEAR} below the printed number (an mAP: "
    f"{_POINTS} below), and not met where all of it is below that: what is met has, by 95 % confidence, at least "
    f"{_LEAST} of what is printed. A share of the time or a ratio of pixels is met where all of its interval is within "
    f"{_NEAR} of the printed number, and not met where none of it is. In between it is inconclusive. Seconds of other "
    "hardware are not comparable, nor are ratios whose two times were taken on two machines. Ratios and shares of the "
    "time depend on hardware, too: that of what is published stands beside what is decided."
)


def published(one: Judged) -> str:
    """The digits as printed, with their unit; ``~`` before what is about so much, or read off a plot."""
    about = "~" if one["reading"] in ("about", "by eye") else ""
    return f"{about}{one['printed']}{_UNITS.get(one['unit'], ' ' + one['unit'])}"


def measured(one: Judged, mark: Mark) -> str:
    """Such as ``45.6× [44.4, 46.7]``.

    Where there is none ``untrained`` or ``not run``, else a dash with the `mark` of its reason.
    """
    of = one["measured"]
    if of["value"] is None and of["reason"] in (UNTRAINED, NOT_RUN):
        return str(of["reason"])
    number = Estimate(of["value"], of["low"], of["high"], of["reason"] if of["value"] is None else None)
    exact = of["low"] is not None and of["low"] == of["high"]
    return in_brackets(number, mark, _UNITS.get(one["unit"], " " + one["unit"]), interval=not exact)


def difference(one: Judged) -> str:
    """Such as ``-12 %`` or ``+0.5 points``; nothing where nothing was measured."""
    delta = one["delta"]
    if delta is None:
        return ""
    return f"{round(delta, 1) + 0.0:+.1f} points" if one["unit"] == "%" else f"{round(100 * delta):+d} %"


def verdict(one: Judged) -> str:
    """With how far off it is, where the two are comparable."""
    if one["verdict"] == "not comparable" or one["delta"] is None:
        return str(one["verdict"])
    return f"{one['verdict']}, {difference(one)}"


def hardware(one: Judged) -> str:
    """What the published number ran on, where a ratio or share of times was decided; else nothing."""
    if one["verdict"] not in _DECIDED or one["quantity"] not in _OF_TIME:
        return ""
    return f"there: {(one['hardware'] or NOT_STATED).removesuffix(_BESIDE)}"


def subject(one: Judged) -> str:
    """What a claim is about, such as ``spp:5 (ZF-5): speed-up over rcnn@Alex-5``."""
    name = f"{one['method']}:{one['variant']}" if one["variant"] else one["method"]
    network = f" ({one['backbone']})" if one["backbone"] else ""
    part = f" of {one['part']}" if one["part"] else ""
    over = f" over {one['relative_to']}" if one["relative_to"] else ""
    return f"{name}{network}: {_SUBJECTS.get(one['quantity'], one['quantity'])}{part}{over}"


def counts(judged: Iterable[Judged]) -> str:
    """Such as ``3 met, 1 not met, 20 not comparable``; what there is none of is not named."""
    found = Counter(str(one["verdict"]) for one in judged)
    return ", ".join(f"{found[each]:,} {each}" for each in VERDICTS if found[each]) or "no claim"


def summary_lines(judged: Iterable[Judged]) -> list[str]:
    """How many there are of each verdict, then a line for each thing that most often keeps them from a decision."""
    every = list(judged)
    lines = [counts(every)]
    for found in ("inconclusive", "not comparable"):
        hindered = [str(one["reason"]) for one in every if one["verdict"] == found and one["reason"]]
        parts = [part for reason in hindered for part in (_parts(reason) if found == "not comparable" else [reason])]
        common = _common(parts)
        lines += [f"{found}, {number:,}: {reason}" for reason, number in common[:_REASONS_NAMED]]
        more = len(common) - _REASONS_NAMED
        lines += [f"{found}: {counted(more, 'more reason')}"] if more > 0 else []
    return lines


def section(summary: Summary, notes: Notes) -> list[str]:
    """A table of what can be set beside the run, in blocks of Markdown; none for a summary without claims.

    What is of another network, and the seconds and accuracies that are not comparable, are told in a sentence each.
    """
    claims: Sequence[Judged] = summary.get("claims") or ()
    if not claims:
        return []
    elsewhere = [one for one in claims if _other_network(summary, one)]
    here = [one for one in claims if not _other_network(summary, one)]
    times = [one for one in here if one["unit"] == "s"]
    scores = [one for one in here if one["quantity"] in _SCORES and one["verdict"] == "not comparable"]
    others = [one for one in here if one not in times and one not in scores]
    lacking = [one for one in others if one["verdict"] == "not comparable" and one["measured"]["value"] is None]
    shown = [one for one in others if one not in lacking]
    covers = caption.brackets(one["measured"]["interval"] for one in shown)
    return [
        "## The papers' claims",
        f"Of {counted(len(claims), 'published number')} of these methods: {counts(claims)}.",
        *([table(_HEADER, _rows(shown, notes), words=(0, 1, 4, 6)), RULE] if shown else []),
        *([covers] if covers else []),
        *_of_other_networks(summary, elsewhere),
        *_not_comparable(times, "time"),
        *_not_comparable(scores, "average precision"),
        *_not_comparable(lacking, "ratio"),
    ]


def _rows(claims: Sequence[Judged], notes: Notes) -> list[list[str]]:
    """One for each thing that is claimed, however many places print it."""
    cited: dict[tuple[str, ...], dict[str, None]] = {}
    for one in claims:
        numbers = (published(one), measured(one, notes), str(one["verdict"]), difference(one))
        why = "; ".join(each for each in (one["reason"], hardware(one)) if each)
        row = (escaped(subject(one)), *numbers, escaped(why))
        cited.setdefault(row, {})[escaped(f"{one['source']} {one['locator']} ({one['version']})")] = None
    return [[", ".join(citations), *row] for row, citations in cited.items()]


def _other_network(summary: Summary, one: Judged) -> bool:
    """Whether the claim is of a network that the method did not run on; its baseline may still be on another."""
    method = (one["measured_as"] or {}).get("method")
    return method is not None and not is_printed_as(ran_on(summary, method), one["backbone"])


def _of_other_networks(summary: Summary, claims: Sequence[Judged]) -> list[str]:
    if not claims:
        return []
    own = dict.fromkeys(ran_on(summary, one["measured_as"]["method"]) for one in claims)
    theirs = dict.fromkeys(str(one["backbone"]) for one in claims)
    return [
        f"Not comparable because the network is another: {counted(len(claims), 'number')} "
        f"({escaped(', '.join(own))} here; {escaped(', '.join(theirs))} there)."
    ]


def _not_comparable(claims: Sequence[Judged], noun: str) -> list[str]:
    if not claims:
        return []
    reasons = [reason for reason, _number in _common(part for one in claims for part in _parts(str(one["reason"])))]
    more = len(reasons) - _REASONS_NAMED
    told = "; ".join(reasons[:_REASONS_NAMED]) + (f"; {counted(more, 'more reason')}" if more > 0 else "")
    return [f"Not comparable: {counted(len(claims), noun)} ({escaped(told)})."]


def _common(parts: Iterable[str]) -> list[tuple[str, int]]:
    """Each once with how often it is there, the most frequent first."""
    return Counter(parts).most_common()


def _parts(reason: str) -> list[str]:
    """Each thing that differs."""
    return reason.split("; ")
