"""How accurate the methods are, and whether they lie as far apart as where the papers measured them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.claims import Claim
from harness.networks import AS_PRINTED, split
from harness.rendering import caption
from harness.rendering.cells import in_brackets
from harness.rendering.published import published
from harness.tables import Estimate, MethodRow, Summary, estimate, headline
from harness.webpage.differences import networks_that_ran
from harness.webpage.introductions import plain

__all__ = ["accuracies", "unlike_the_papers"]

_BASELINE = "rcnn"
_METRIC = "voc07"
_Pair = tuple[MethodRow, MethodRow]


def accuracies(summary: Summary) -> str | None:
    """How accurate each method was, in a sentence; None where no accuracy is known."""
    known = [(plain(row.method), row.map.shifted(2)) for row in headline(summary) if row.map.value is not None]
    if not known:
        return None
    told = ", ".join(f"{name} {in_brackets(of, str, ' %').partition(' [')[0]}" for name, of in known)
    return f"Accuracy, as mAP where more is better: {told}"


def unlike_the_papers(summary: Summary, claims: Iterable[Claim]) -> list[str]:
    """Where the methods lie apart otherwise than on any network of the papers, and why that may be; else nothing.

    Said of a method if all of the interval of its difference from R-CNN is above, or below, all that is printed.
    """
    if split(str(summary.get("baseline")))[0] != _BASELINE:
        return []
    rows = published(claims)
    told = []
    for method, of in (summary.get("map_difference") or {}).items():
        found, pairs = estimate(of or {}, _METRIC, "not measured"), _pairs(rows, split(method)[0])
        if pairs and _is_beyond(found, list(map(_difference, pairs))):
            told.append((method, found.shifted(2), max(pairs, key=lambda pair: abs(_difference(pair)))))
    if not told:
        return []
    here = ", ".join(f"{plain(method)} {in_brackets(of, str, ' points', interval=True)}" for method, of, _ in told)
    there = "; ".join(dict.fromkeys(_printed(*pair) for _, _, pair in told))
    return [
        f"Accuracies lie apart otherwise than in the papers. Here the difference to {plain(_BASELINE)} is: {here}. The "
        f"papers print, on one network and at their furthest apart: {there}.",
        f"Do not take this for a property of the methods: {_why(summary)}the intervals are over images and would not "
        "cover another training.",
    ]


def _pairs(rows: Iterable[MethodRow], name: str) -> list[_Pair]:
    """A method and R-CNN in one table on one network, both with an accuracy."""
    known = [row for row in rows if row.map.value is not None]
    own = [row for row in known if row.method == name]
    return [(row, base) for row in own for base in known if base.method == _BASELINE and _place(base) == _place(row)]


def _place(row: MethodRow) -> tuple[str, str]:
    return (row.source or "").partition(";")[0], row.backbone


def _difference(pair: _Pair) -> float:
    own, base = pair
    return (own.map.value or 0.0) - (base.map.value or 0.0)


def _is_beyond(found: Estimate, printed: list[float]) -> bool:
    if found.low is None or found.high is None:
        return False
    return found.high < min(printed) or found.low > max(printed)


def _printed(own: MethodRow, base: MethodRow) -> str:
    table, network = _place(own)
    first, second = (f"{plain(row.method)} {in_brackets(row.map.shifted(2), str, ' %')}" for row in (base, own))
    return f"{first} and {second} ({table.partition(' (')[0]}, {network})"


def _why(summary: Summary) -> str:
    """What of this run's training is other, as the beginning of a sentence."""
    plan: Mapping[str, Any] = caption.plan(summary)
    other = [name for name in networks_that_ran(summary) if name not in AS_PRINTED]
    parts = [f"the network is another ({', '.join(other)})"] if other else []
    parts += [] if plan.get("iterations") == "paper" else ["training was short"]
    return "".join(f"{part}, " for part in parts) + ("and " if parts else "")
