"""The papers' relations held against measured accuracies: which pairs there are, how they differ, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.accuracy import ClassMatches, Metric
from harness.grounds import Named, unlike
from harness.relations import Expected, Own, Pair, Relation, holds
from harness.resampling import map_intervals
from harness.statistics import Estimate
from harness.verdicts import Verdict

__all__ = ["DECIDING", "SEED", "By", "Judged", "Matches", "relate"]

SEED = 0
"""Of the draws of images."""
DECIDING: Metric = "voc07"
"""What the papers print."""

Matches = Mapping[str, Sequence[ClassMatches]]
By = Mapping[Metric, Estimate]


@dataclass(frozen=True, slots=True)
class Judged:
    """One pair of a relation, measured."""

    relation: str
    sentence: str
    source: str
    left: str
    right: str
    """Keys of two entries."""
    expected: Expected
    published: Sequence[tuple[float, str]]
    """Differences in points, and where they stand."""
    difference: By
    """Left less right, fractions."""
    verdict: Verdict
    unlike: Sequence[str]
    """Why it is not one of methods; where there is any, nothing is decided."""
    half_width_points: float | None
    """Of the interval: about the least difference that these images tell from none."""
    out_of_reach: bool
    """Whether the interval is wider than the range that it would have to lie in."""


def relate(
    relations: Sequence[Relation], own: Own, there: Mapping[str, Named], matches: Matches, n_images: int
) -> tuple[tuple[Judged, ...], tuple[str, ...]]:
    """Every pair that was measured; and the relations of which none was."""
    chosen = [
        (relation, pair, *keys) for relation in relations for pair in relation.pairs for keys in _keys(pair, own, there)
    ]
    intervals = _intervals([(left, right) for _, _, left, right, _ in chosen], matches, n_images)
    judged = tuple(
        _judged(relation, pair, left, right, reasons, intervals[left, right])
        for relation, pair, left, right, reasons in chosen
    )
    measured = {one.relation for one in judged}
    return judged, tuple(one.id for one in relations if one.id not in measured)


def _keys(pair: Pair, own: Own, there: Mapping[str, Named]) -> list[tuple[str, str, list[str]]]:
    """Entries that stand for a pair, with what they do not share.

    All that share what the pair asks for; where none do, the two that come nearest.
    """
    lefts, rights = ([one for one in there.values() if one.stands_for(name)] for name in (pair.left, pair.right))
    every = [
        (left.key, right.key, unlike(left.contender, right.contender, pair.same, own))
        for left in lefts
        for right in rights
    ]
    fit = [one for one in every if not one[2]]
    return fit or sorted(every, key=lambda one: len(one[2]))[:1]


def _intervals(pairs: Sequence[tuple[str, str]], matches: Matches, n_images: int) -> dict[tuple[str, str], By]:
    """The difference of each pair, left less right; all over the same draws, since these depend on the seed alone."""
    found: dict[tuple[str, str], By] = {}
    for right in dict.fromkeys(right for _, right in pairs):
        names = [right, *dict.fromkeys(left for left, other in pairs if other == right)]
        drawn = map_intervals({name: matches[name] for name in names}, n_images, baseline=right, seed=SEED)
        for left in names[1:]:
            found[left, right] = drawn.difference[left]
    return found


def _judged(relation: Relation, pair: Pair, left: str, right: str, reasons: Sequence[str], difference: By) -> Judged:
    found = difference[DECIDING]
    low, high = (None if end is None else 100 * end for end in (found.low, found.high))
    width = None if low is None or high is None else high - low
    expected = relation.expected
    return Judged(
        relation.id,
        relation.sentence,
        relation.source,
        left,
        right,
        expected,
        [(one.points, one.citation) for one in pair.published],
        difference,
        "not comparable" if reasons else holds(expected, low, high),
        reasons,
        None if width is None else width / 2,
        width is not None and expected.width is not None and width > expected.width,
    )
