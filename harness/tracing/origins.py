"""Where a number of a report may come from: all numbers of a summary, by their keys, and the few that follow by a rule.

The rules, by name:

- *share of the total*: a stage's mean seconds over those of the total, of each method;
- *per 100 proposals*: a line's slope, a hundred times;
- *longer arm*: of an interval, from its value to the end that is farther away;
- *the other way round*: one over a ratio below 1;
- *count*: how many entries a list or an object has; of how many images a method said the same; how many findings and
  claims came to each verdict; how many claims have the same reason for theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

__all__ = ["BULK", "Interval", "Origin", "Origins"]

BULK = frozenset({"series"})
"""Image by image, for figures. Among so many numbers there is one for every rounding, so they explain none."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A number and the keys that lead to it."""

    path: tuple[str, ...]
    value: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with the ends of its interval."""

    path: tuple[str, ...]
    value: float
    low: float | None
    high: float | None


class Origins:
    """All that a report of one summary may show."""

    def __init__(self, summary: Mapping[str, Any]) -> None:
        self.methods = frozenset(map(str, (summary.get("plan") or {}).get("methods") or ()))
        self.numbers: list[Origin] = []
        self.intervals: list[Interval] = []
        shown = {key: value for key, value in summary.items() if key not in BULK}
        self._add(shown, ())
        for path, node in _by_rule(shown):
            self._add(node, path)

    def _add(self, node: object, path: tuple[str, ...]) -> None:
        if isinstance(node, bool):
            return
        if isinstance(node, int | float):
            self.numbers.append(Origin(path, float(node)))
        elif isinstance(node, Mapping):
            self._add_interval(node, path)
            self._add_each(node.items(), path, len(node))
        elif isinstance(node, Sequence) and not isinstance(node, str):
            self._add_each(enumerate(node), path, len(node))

    def _add_each(self, items: Any, path: tuple[str, ...], count: int) -> None:
        self.numbers.append(Origin((*path, "count"), float(count)))
        for key, each in items:
            self._add(each, (*path, str(key)))

    def _add_interval(self, node: Mapping[str, Any], path: tuple[str, ...]) -> None:
        value = next((node[key] for key in ("value", "mean") if _is_number(node.get(key))), None)
        low, high = ((end if _is_number(end) else None) for end in (node.get("low"), node.get("high")))
        if value is None or (low is None and high is None):
            return
        self.intervals.append(Interval(path, value, low, high))
        if low is not None and high is not None:
            self.numbers.append(Origin((*path, "longer arm"), max(value - low, high - value)))

    def about(self, keys: frozenset[str]) -> list[Origin]:
        """Numbers under all of these keys. A number of no method at all is anyone's, whose method is asked for."""
        return [one for one in self.numbers if self._fits(one.path, keys)]

    def intervals_about(self, keys: frozenset[str]) -> list[Interval]:
        """The same of intervals."""
        return [one for one in self.intervals if self._fits(one.path, keys)]

    def _fits(self, path: tuple[str, ...], keys: frozenset[str]) -> bool:
        missing = keys.difference(path)
        return not missing or (missing <= self.methods and self.methods.isdisjoint(path))


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _by_rule(summary: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What stands in no summary and follows from it, under the keys of what it follows from and the rule's name."""
    for method, about in (summary.get("methods") or {}).items():
        means = {
            name: of["mean"]
            for name, of in (about.get("seconds") or {}).items()
            if isinstance(of, Mapping) and _is_number(of.get("mean"))
        }
        if total := means.get("total"):
            shares = {name: mean / total for name, mean in means.items()}
            yield ("methods", method, "share of the total"), shares
    yield from _the_other_way_round(summary)
    for method, of in (summary.get("lines") or {}).items():
        slope = (of.get("proposals") or {}).get("slope") or {}
        per_hundred = {key: 100 * slope[key] for key in ("value", "low", "high") if _is_number(slope.get(key))}
        yield ("lines", method, "per 100 proposals"), per_hundred
    said = Counter((str(one.get("method")), str(one.get("text"))) for one in summary.get("notices") or ())
    for (method, _), images in said.items():
        yield ("notices", method, "count"), images
    findings = (summary.get("trust") or {}).get("findings") or ()
    for name, of in (("trust", findings), ("verdicts", summary.get("claims") or ())):
        yield (name, "count"), Counter(str(one.get("verdict")) for one in of)
    reasons = Counter((str(one.get("verdict")), str(one.get("reason"))) for one in summary.get("claims") or ())
    yield ("reasons", "count"), list(reasons.values())
    yield ("reasons", "count", "parts"), list(Counter(p for _, each in reasons for p in each.split("; ")).values())
    yield ("reasons", "count", "network"), sum(n for (_, each), n in reasons.items() if _of_another_network(each))


def _the_other_way_round(summary: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Ratios below 1 are told as what they are over 1: a method that is slower took so many times as long."""
    for method, of in (summary.get("speedup") or {}).items():
        for name, node in (of or {}).items():
            if isinstance(node, Mapping):
                found = {key: node.get(key) for key in ("value", "low", "high", "flop_ratio")}
                inverse = {key: 1 / value for key, value in found.items() if _is_number(value) and 0 < value < 1}
                yield ("speedup", method, name, "the other way round"), inverse
    for at, claim in enumerate(summary.get("claims") or ()):
        value = (claim.get("measured") or {}).get("value")
        if claim.get("unit") == "x" and _is_number(value) and 0 < value < 1:
            yield ("claims", str(at), "the other way round"), {"value": 1 / value}


def _of_another_network(reason: str) -> bool:
    return any(part.startswith("network ") for part in reason.split("; "))
