"""Which published numbers may stand in a passage, and which of the summary's beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.claims import Claim
from harness.tracing.passages import Passage

__all__ = ["Citations", "Cited"]

_OF_PAPERS = re.compile(r"\b(publish|paper|print|claim|verdict)", re.IGNORECASE)
_JUDGED = "claims"
_OF_CLAIMS = (_JUDGED, "published_anatomy")
"""Keys of a summary that hold a list with an entry a published number."""
_PUBLISHED = "published"
_PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class Cited:
    """What a passage cites."""

    sources: frozenset[str] = frozenset()
    """Whose numbers may stand there; none where papers are no matter."""
    printed: frozenset[str] = frozenset()
    """The digits that these sources print."""
    only_printed: bool = False
    """Whether nothing else may stand there: a row that calls itself published, a line that begins with its source."""
    only_judged: bool = False
    """Whether of the summary only what belongs to these sources may: a row of a table that names its source."""


class Citations:
    """All published numbers, and what a summary has beside them."""

    def __init__(self, claims: Sequence[Claim], summary: Mapping[str, Any]) -> None:
        self._versions = frozenset(claim.version for claim in claims)
        self._printed: dict[str, frozenset[str]] = {}
        for claim in claims:
            self._printed[claim.citation] = self._printed.get(claim.citation, frozenset()) | {claim.printed}
        self._sources = {
            (key, str(at)): f"{one.get('source')} {one.get('locator')} ({one.get('version')})"
            for key in _OF_CLAIMS
            for at, one in enumerate(summary.get(key) or ())
        }

    def of(self, passage: Passage) -> Cited:
        """What a passage cites: the sources that it names, or all where it speaks of papers and names none."""
        labels = (passage.text, passage.heading, passage.column, *passage.row)
        if not any(_OF_PAPERS.search(one) or any(version in one for version in self._versions) for one in labels):
            return Cited()
        named = frozenset(source for source in self._printed if any(source in one for one in labels))
        sources = named or frozenset(self._printed)
        return Cited(
            sources=sources,
            printed=frozenset[str]().union(*(self._printed[source] for source in sources)),
            only_printed=_PUBLISHED in passage.row or any(passage.text.startswith(source) for source in sources),
            only_judged=bool(named and passage.row),
        )

    def scales(self, path: tuple[str, ...], scales: tuple[float, ...], cited: Cited) -> tuple[float, ...]:
        """How many of a number's unit may make one of the summary's at `path`; none where it may not stand there.

        Judged claims are in the unit that is printed, and their deltas are shares.
        """
        source = self._sources.get((path[0], path[1])) if len(path) > 1 else None
        if cited.only_printed or (source is None and cited.only_judged):
            return ()
        if source is None:
            return scales
        if source not in cited.sources:
            return ()
        return (1.0, _PERCENT) if path[0] == _JUDGED else scales
