"""Does a summary keep what `harness.forms.summary` promises of it, and does it follow from what was recorded?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from harness.accuracy import METRICS
from harness.baseline import QUANTITIES
from harness.claims import RATIOS
from harness.forms.form import place_of
from harness.forms.summary import Summary
from harness.record import SCHEMA_VERSION

__all__ = ["broken_promise", "follows"]

_DIGITS = 1e-6
"""Relative: what another machine may add up otherwise, and more."""


def broken_promise(summary: Any) -> str | None:
    """The first promise that a summary does not keep: where, and what is wrong; None where it keeps all."""
    version = summary.get("schema_version") if isinstance(summary, dict) else None
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        return f"it has schema {version}; this version of harness reads up to {SCHEMA_VERSION}"
    try:
        Summary.model_validate(summary)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        # Behind a method's name stands which of two forms it was held against.
        steps = tuple(step for at, step in enumerate(first["loc"]) if at != 2 or first["loc"][0] != "methods")
        return f"{place_of(steps) or 'the summary'}: {first['msg'].removeprefix('Value error, ').lower()}"
    return None


def follows(kept: Mapping[str, Any], derived: Mapping[str, Any]) -> bool:
    """Whether a summary that keeps its promises holds what the same samples and detections give now.

    Asked of the number of samples, and of each method's status, mAP, mean times and speed-ups. Not of their intervals,
    which another version of this program may have drawn otherwise.
    """
    if kept.get("samples", derived["samples"]) != derived["samples"]:
        return False
    mine, theirs = dict(_numbers(kept)), dict(_numbers(derived))
    return mine.keys() == theirs.keys() and all(_equal(value, theirs[key]) for key, value in mine.items())


def _numbers(summary: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What is compared, under where it stands."""
    for method, about in summary["methods"].items():
        yield ("status", method), about["status"]
        if about["status"] == "ok":
            yield from ((("map", method, name), about["map"][name]["value"]) for name in METRICS)
            yield from ((("seconds", method, name), about["seconds"][name]["mean"]) for name in QUANTITIES)
    for method, of in summary["speedup"].items():
        yield from ((("speedup", method, name), of[name]["value"]) for name in RATIOS)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=_DIGITS, abs_tol=1e-12)
    return bool(one == other)
