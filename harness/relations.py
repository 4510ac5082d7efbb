"""What the papers let one expect of two accuracies: relations between methods, and whether a measured one holds.

Absolute accuracies belong to their data and networks. That one method is as good as another, or better by so much, is
what the papers conclude, and can be looked for on other data. Differences are in points of mAP. Which relations
there are is read by `harness.relations_file`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from harness.claims import Claim
from harness.verdicts import Verdict

__all__ = ["SAME", "Expected", "Own", "Pair", "Published", "Relation", "Same", "holds", "of_one_method"]

Same = Literal[
    "network",
    "weights",
    "training images",
    "training boxes",
    "schedule",
    "settings",
    "test boxes",
    "policy",
    "precision",
]
SAME: tuple[Same, ...] = get_args(Same)
"""What two scores may have to share before their difference is one of methods. ``schedule`` is how long a fit goes and
how wide its fc layers are, ``settings`` all else that decides it and is not what the methods differ in, see `Own`."""


@dataclass(frozen=True, slots=True)
class Expected:
    """The differences that agree with a relation, in points."""

    low: float | None
    """None: open."""
    high: float | None
    above: bool = False
    """Whether `low` itself does not agree any more."""

    @property
    def width(self) -> float | None:
        """From end to end; None where an end is open."""
        return None if self.low is None or self.high is None else self.high - self.low

    def has(self, points: float) -> bool:
        """Whether one difference agrees."""
        over = self.low is None or (points > self.low if self.above else points >= self.low)
        return over and (self.high is None or points <= self.high)


@dataclass(frozen=True, slots=True)
class Published:
    """A difference that two rows of one table give."""

    left: Claim
    right: Claim

    @property
    def points(self) -> float:
        """Left less right, with as many digits as they are printed with."""
        return round(self.left.value - self.right.value, max(self.left.decimals, self.right.decimals))

    @property
    def citation(self) -> str:
        """Such as ``SPP Table 10, ZF-5``; both networks where they differ."""
        networks = dict.fromkeys((self.left.backbone, self.right.backbone))
        return f"{self.left.source} {self.left.locator}, {' against '.join(networks)}"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two methods that a relation is about."""

    left: str
    right: str
    same: tuple[Same, ...]
    """What both scores must share."""
    published: tuple[Published, ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """One sentence of the papers about differences of accuracy."""

    id: str
    sentence: str
    source: str
    expected: Expected
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Own:
    """In which settings of their fits methods differ by what they are: their papers' recipes, and what a variant is."""

    of: Mapping[str, tuple[str, ...]]
    """By method or ``METHOD:VARIANT``, dotted names of settings, or of groups of them such as ``sgd``."""

    def explains(self, setting: str, left: str, right: str) -> bool:
        """Whether two methods may differ in a setting and still be compared."""
        (one, variants), (other, others) = of_one_method(left), of_one_method(right)
        # Where both are the same variant, it explains nothing.
        alone = [one, other] if one != other else []
        alone += [f"{one}:{name}" for name in variants - (others if one == other else frozenset())]
        alone += [f"{other}:{name}" for name in others - (variants if one == other else frozenset())]
        known = {name for each in alone for name in self.of.get(each, ())}
        return any(setting == name or setting.startswith(f"{name}.") for name in known)


def holds(expected: Expected, low: float | None, high: float | None) -> Verdict:
    """Whether a difference with the interval from `low` to `high`, in points, agrees with what is expected.

    - met: the whole interval does;
    - not met: none of it does;
    - inconclusive: a part of it does; or it has no ends.

    No margin is added: whoever writes a relation down states it in its range, so that ``at or above`` is met by what is
    above with the confidence of the interval, and two methods that are equal stay inconclusive. An interval that is
    wider than a closed range cannot meet it.
    """
    if low is None or high is None:
        return "inconclusive"
    if expected.has(low) and expected.has(high):
        return "met"
    # Of a range without a gap, an interval has a part exactly where an end of the one lies in the other.
    beyond = expected.high is not None and low > expected.high
    short = expected.low is not None and (high <= expected.low if expected.above else high < expected.low)
    return "not met" if beyond or short else "inconclusive"


def of_one_method(name: str) -> tuple[str, frozenset[str]]:
    """The same for ``spp:5:ftfc7`` and ``spp:ftfc7:5``; without the network behind an ``@``."""
    method, *variants = name.partition("@")[0].split(":")
    return method, frozenset(variants)
