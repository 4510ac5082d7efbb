"""Explains each number of a report, or says that nothing does."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from harness.claims import Claim
from harness.tracing.citations import Citations, Cited
from harness.tracing.labels import Labels
from harness.tracing.literals import Literals
from harness.tracing.numerals import NUMBER, Numeral
from harness.tracing.origins import Interval, Origins
from harness.tracing.passages import Passage
from harness.tracing.units import SUFFIX, scales_of, scales_within

__all__ = ["Tracer"]

_UNIT = rf"(?:{SUFFIX.pattern})?".replace("(?P<", "(?P<own_")
_END = rf"(?:{NUMBER}|–)"
_INTERVAL = re.compile(rf"(?P<value>{NUMBER})(?P<suffix>{_UNIT})\s?\[(?P<low>{_END}), (?P<high>{_END})\]")
_NUMBER = re.compile(NUMBER)


class Tracer:
    """Looks for the origin of each number: in the summary, in the claims, in the texts of the run."""

    def __init__(self, summary: Mapping[str, Any], manifest: Mapping[str, Any], claims: Sequence[Claim]) -> None:
        self._origins, self._labels = Origins(summary), Labels(summary)
        self._literals, self._citations = Literals((summary, manifest), claims), Citations(claims, summary)

    def unexplained(self, passage: Passage) -> list[str]:
        """The numbers of a passage that are roundings of nothing in the summary and stand literally nowhere."""
        text, keys, found = self._literals.hide(passage.text), self._labels.keys(passage), []
        cited = self._citations.of(passage)
        for one in _INTERVAL.finditer(text):
            if not self._is_interval(one, passage, keys, cited):
                found.append(one[0])
        text = _INTERVAL.sub(lambda one: " " * len(one[0]), text)
        for number in _NUMBER.finditer(text):
            known = number[0] in cited.printed or self._literals.tells(text, *number.span())
            if not known and not self._is_number(number, passage, keys, cited):
                found.append(number[0])
        return found

    def _is_number(self, number: re.Match[str], passage: Passage, keys: frozenset[str], cited: Cited) -> bool:
        numeral, suffix = Numeral(number[0]), SUFFIX.match(number.string, number.end())
        scales = scales_of(suffix) if suffix else scales_within(passage)
        return any(
            numeral.rounds(origin.value * scale)
            for origin in self._origins.about(keys)
            for scale in self._citations.scales(origin.path, scales, cited)
        )

    def _is_interval(self, found: re.Match[str], passage: Passage, keys: frozenset[str], cited: Cited) -> bool:
        """Whether all three belong together in the summary."""
        suffix = SUFFIX.match(found["suffix"]) or SUFFIX.match(found.string, found.end())
        scales = scales_of(suffix) if suffix else scales_within(passage)
        texts = (found["value"], found["low"], found["high"])
        return any(
            _all_round(texts, origin, scale)
            for origin in self._origins.intervals_about(keys)
            for scale in self._citations.scales(origin.path, scales, cited)
        )


def _all_round(texts: tuple[str, str, str], origin: Interval, scale: float) -> bool:
    """All three are rounded to the same digit, so that an end may be rounded away."""
    ends = (origin.value, origin.low, origin.high)
    zeros = min((Numeral(text).zeros for text in texts if text not in ("–", "0")), default=0)
    return all(
        text == "–" if end is None else text != "–" and Numeral(text).rounds(end * scale, zeros if text == "0" else 0)
        for text, end in zip(texts, ends, strict=True)
    )
