"""Texts that a report may repeat as they are, numbers and all: those of the run, of the claims, of the templates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple

from harness.claims import Claim
from harness.tracing.origins import BULK
from harness.tracing.template_wording import TEMPLATE_WORDING
from harness.wording import one_line

__all__ = ["Literals"]

_HIDDEN_BY = " … "
_WORD = r"[\w%×°+-]+(?:\.\w+)*"
_NUMBER = re.compile(r"[1-9][\d.]*|0(?:\.\d+)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?=T)")
_TOLD = frozenset({"plan", "machine", "software", "flags"})
"""Where a text that is but a number may be a version; elsewhere it is a printed number, or an image's name."""


class Literals:
    """What may stand as it is."""

    def __init__(self, documents: Iterable[object], claims: Sequence[Claim]) -> None:
        """`documents` are a run's summary and manifest, whose keys and texts count."""
        found = {(one_line(text), told) for document in documents for text, told in _texts(document)}
        texts = {text for text, _ in found}
        texts |= {date[0] for text in texts if (date := _DATE.match(text))}
        self._whole = frozenset(text for text, told in found if told or not _NUMBER.fullmatch(text))
        of_claims = {str(cell) for claim in claims for cell in (*astuple(claim), claim.citation, claim.name)}
        named = {text for text in texts | of_claims if re.search(r"\d", text) and re.search(r"[^\d.]", text)}
        self._texts = sorted(named, key=len, reverse=True)
        self._told = "\n".join(sorted(texts))

    def hide(self, text: str) -> str:
        """The text without what may stand as it is."""
        if text in self._whole:
            return ""
        for fixed in TEMPLATE_WORDING:
            text = fixed.sub(_HIDDEN_BY, text)
        for known in self._texts:
            if known in text:
                text = re.sub(rf"(?<!\w){re.escape(known)}(?!\w)", _HIDDEN_BY, text)
        return text

    def tells(self, text: str, start: int, end: int) -> bool:
        """Whether the number at ``text[start:end]`` stands between the same two words in a text of the run.

        That is so where a report cuts such a text, or puts two into one sentence.
        """
        before = re.search(rf"({_WORD}\s)$", text[:start])
        after = re.match(rf"\s?{_WORD}", text[end:])
        if before is None and after is None:
            return False
        phrase = (before[1] if before else "") + text[start:end] + (after[0] if after else "")
        return re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", self._told) is not None


def _texts(node: object, top: str = "") -> Iterator[tuple[str, bool]]:
    """Each key and text, and whether it may stand for itself where it is but a number, such as a version."""
    if isinstance(node, str):
        yield node, top in _TOLD
    elif isinstance(node, Mapping):
        for key, each in node.items():
            if key not in BULK:
                yield str(key), False
                yield from _texts(each, top or str(key))
    elif isinstance(node, Sequence):
        for each in node:
            yield from _texts(each, top)
