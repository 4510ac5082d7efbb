"""Which of a summary's numbers a table speaks of, by the names in its rows and columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.accuracy import METRICS
from harness.claims import DETECTING
from harness.tracing.passages import Passage

__all__ = ["Labels"]

_SUMS = ("unattributed", "total", "features", "full_system", "finetune", "svm", "regress")
_PERCENTILE = re.compile(r"p\d+")


class Labels:
    """The names that a label may have in common with the keys of a summary."""

    def __init__(self, summary: Mapping[str, Any]) -> None:
        self._methods = frozenset(map(str, (summary.get("plan") or {}).get("methods") or ()))
        classes = (summary.get("dataset") or {}).get("classes") or ()
        about = {**(summary.get("machine") or {}), **(summary.get("flags") or {})}
        self._described = frozenset(key for key, value in about.items() if isinstance(value, int | float))
        self._named = frozenset((*DETECTING, *_SUMS, *map(str, classes)))

    def keys(self, passage: Passage) -> frozenset[str]:
        """Keys that lead to every number of this cell, such as its method and its stage; none outside of tables.

        Where no method is named, a table may show anything, but for a row about the machine.
        """
        method = next((label for label in (passage.column, *passage.row) if label in self._methods), None)
        if method is None:
            return frozenset(self._described.intersection(passage.row[:1]))
        return frozenset((method, *self._words(passage.row[0]), *self._words(passage.column)))

    def _words(self, label: str) -> Iterator[str]:
        """Of a label such as ``conv, geometric mean``, ``speed-up conv`` or ``mAP VOC07 (%)``, its key.

        A label that goes on in words, such as a sentence that begins with the name of a stage, has none.
        """
        name = re.split(r"[,:(]", label)[0].strip().removeprefix("speed-up ")
        if name in self._named or _PERCENTILE.fullmatch(name):
            yield name
        yield from (metric for metric in METRICS if metric.upper() in re.findall(r"\w+", name))
