"""What scores rest on besides their methods: what two have in common, and what tells apart those of one method."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from harness.contenders import Contender
from harness.relations import Own, Same, of_one_method

__all__ = ["Named", "named", "unlike", "varying", "words"]

_SCHEDULE = ("iterations", "fc_width")
"""Fields of a plan that decide how a fit goes, besides its images, boxes and network; settings of the same names hold
what they come to for one method."""
_OF_DIGESTS = ("weights", "training images", "training boxes")
"""What has a digest for its `Given.id`."""
_DIGITS_SHOWN = 6
"""Of a digest, where words do not tell two things apart."""
_SETTINGS_SHOWN = 3
"""That differ, by name."""
_PLAIN = ("network", "training images")
"""What is understood without its word, as in ``spp (300 of train)``."""


def unlike(one: Contender, other: Contender, same: Iterable[Same], own: Own) -> list[str]:
    """What two contenders do not share of `same`, each with both sides; none where they share all.

    `own` are the settings of fits in which methods differ by what they are.
    """
    found = []
    for what in same:
        if what == "settings":
            found += _unlike_settings(one, other, own)
        elif not _alike(one, other, what):
            theirs, others = one.given[what].shown, other.given[what].shown
            found.append(f"{what}: {theirs} against {others}" if theirs != others else f"other {what}")
    return found


def _alike(one: Contender, other: Contender, what: Same) -> bool:
    # Digests of boxes cover all images, so they say something of boxes on the same images alone.
    if what == "training boxes" and one.given["training images"].id != other.given["training images"].id:
        return one.given[what].shown == other.given[what].shown
    if what == "test boxes" and one.images == other.images and one.boxes_sha256 != other.boxes_sha256:
        return False
    return one.given[what].id == other.given[what].id


def _unlike_settings(one: Contender, other: Contender, own: Own) -> list[str]:
    """Settings of the fits that both have and that neither method stands for; of older runs nothing is known."""
    if one.settings is None or other.settings is None:
        return []
    mine, theirs = one.settings, other.settings
    differing = [
        f"{name} {json.dumps(mine[name])} against {json.dumps(theirs[name])}"
        for name in mine
        if name in theirs
        and name not in _SCHEDULE
        and mine[name] != theirs[name]
        and not own.explains(name, one.method, other.method)
    ]
    more = f" and {len(differing) - _SETTINGS_SHOWN} more" if len(differing) > _SETTINGS_SHOWN else ""
    return [f"settings: {', '.join(differing[:_SETTINGS_SHOWN])}{more}"] if differing else []


def varying(contenders: Sequence[Contender]) -> list[Same]:
    """In which of the things that they rest on the contenders are not all alike."""
    given = contenders[0].given if contenders else {}
    pairs = list(combinations(contenders, 2))
    return [what for what in given if not all(_alike(one, other, what) for one, other in pairs)]


def words(contenders: Sequence[Contender]) -> list[dict[Same, str]]:
    """What each of them rests on, in words that differ wherever the things do."""
    return [{what: _told(one, contenders, what) for what in one.given} for one in contenders]


def _told(one: Contender, among: Sequence[Contender], what: Same) -> str:
    own = one.given[what]
    called_alike = [other for other in among if other.given[what].shown == own.shown]
    if all(_alike(one, other, what) for other in called_alike):
        return own.shown
    if what == "test boxes" and len({other.boxes_sha256 for other in called_alike}) > 1:
        digest = one.boxes_sha256
    else:
        digest = own.id if what in _OF_DIGESTS else hashlib.sha256(own.id.encode()).hexdigest()
    return f"{own.shown}, sha256 {digest[:_DIGITS_SHOWN]}"


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """A contender and what it is called beside others of its method."""

    contender: Contender
    suffix: str
    """What tells it apart; empty where nothing has to."""

    def stands_for(self, method: str) -> bool:
        """Whether it is that method, on whatever network."""
        return of_one_method(self.contender.method) == of_one_method(method)

    @property
    def key(self) -> str:
        """Method and what tells it apart."""
        return self.contender.method + self.suffix


def named(contenders: Sequence[Contender]) -> list[Named]:
    """Those of one method are told apart by what they rest on, and where that is alike by their runs."""
    found = []
    for one in contenders:
        others = [other for other in contenders if of_one_method(other.method) == of_one_method(one.method)]
        differing, shown = varying(others), words(others)
        own = shown[others.index(one)]
        told = [("" if what in _PLAIN else f"{what} ") + own[what] for what in differing]
        if sum(all(other[what] == own[what] for what in differing) for other in shown) > 1:
            told.append(f"run {one.run}")
        found.append(Named(one, f" ({', '.join(told)})" if told else ""))
    return found
