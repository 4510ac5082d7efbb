"""What summary.json promises to those who read it, as types: each key is there, and null only beside a reason.

A summary may hold more. One that keeps these promises can be read by whoever relied on them before.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from harness.accuracy import METRICS
from harness.baseline import QUANTITIES
from harness.claims import RATIOS
from harness.gates.manifests import first_error
from harness.record import SCHEMA_VERSION

__all__ = ["broken_promise", "follows"]

_DIGITS = 1e-6
"""Relative: what another machine may add up otherwise, and more."""


class _Promised(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


def _need_reason(reason: str | None, **values: object) -> None:
    missing = [name for name, value in values.items() if value is None]
    if missing and not reason:
        raise ValueError(f"{missing[0]} is null without a reason")


class _Interval(_Promised):
    low: float | None
    high: float | None
    reason: str | None = None


class _Value(_Interval):
    value: float | None

    @model_validator(mode="after")
    def _reasoned(self) -> Self:
        _need_reason(self.reason, value=self.value, low=self.low, high=self.high)
        return self


class _Mean(_Interval):
    mean: float | None

    @model_validator(mode="after")
    def _reasoned(self) -> Self:
        _need_reason(self.reason, mean=self.mean, low=self.low, high=self.high)
        return self


class _Map(_Promised):
    voc07: _Value
    voc10: _Value


class _Seconds(_Promised):
    prepare: _Mean
    propose: _Mean
    conv: _Mean
    pool: _Mean
    fc: _Mean
    decode: _Mean
    suppress: _Mean
    features: _Mean
    total: _Mean
    full_system: _Mean | None
    full_system_reason: str | None = None

    @model_validator(mode="after")
    def _reasoned(self) -> Self:
        _need_reason(self.full_system_reason, full_system=self.full_system)
        return self


class _Succeeded(_Promised):
    status: Literal["ok"]
    map: _Map
    ap: dict[str, float | None] | None
    """A class is null where it has no object."""
    ap_reason: str | None = None
    seconds: _Seconds

    @model_validator(mode="after")
    def _reasoned(self) -> Self:
        _need_reason(self.ap_reason, ap=self.ap)
        return self


class _Failed(_Promised):
    status: Literal["oom", "error", "skipped"]
    reason: str


class _Ratio(_Value):
    flop_ratio: float | None
    utilisation_ratio: float | None
    flop_reason: str | None = None

    @model_validator(mode="after")
    def _counted(self) -> Self:
        _need_reason(self.flop_reason, flop_ratio=self.flop_ratio, utilisation_ratio=self.utilisation_ratio)
        return self


class _Ratios(_Promised):
    conv: _Ratio
    features: _Ratio
    total: _Ratio


class _Trust(_Promised):
    verdict: Literal["ok", "inconclusive"]
    reasons: list[str]


class _Plan(_Promised):
    methods: list[str]


class _Summary(_Promised):
    schema_version: int
    trust: _Trust
    methods: dict[str, dict[str, Any]]
    speedup: dict[str, _Ratios]
    claims: Any
    claims_reason: str | None = None
    machine: dict[str, Any]
    plan: _Plan

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _need_reason(self.claims_reason, claims=self.claims)
        names = self.plan.methods
        absent = [name for name in names if name not in self.methods]
        succeeded = [name for name in names if self.methods.get(name, {}).get("status") == "ok"]
        over = succeeded[1:] if succeeded[:1] == names[:1] else []
        absent += [f"speedup.{name}" for name in over if name not in self.speedup]
        if absent:
            raise ValueError(f"{absent[0]} is missing")
        return self


def broken_promise(summary: Any) -> str | None:
    """The first promise that a summary does not keep: where, and what is wrong; None where it keeps all."""
    version = summary.get("schema_version") if isinstance(summary, dict) else None
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        return f"it has schema {version}; this version of harness reads up to {SCHEMA_VERSION}"
    return _wrong(_Summary, summary, ()) or next(
        (
            wrong
            for name, about in summary["methods"].items()
            if (wrong := _wrong(_Succeeded if about.get("status") == "ok" else _Failed, about, ("methods", name)))
        ),
        None,
    )


def _wrong(model: type[_Promised], values: object, within: tuple[str, ...]) -> str | None:
    try:
        model.model_validate(values)
    except ValidationError as error:
        where, _, wrong = first_error(error, "the summary").partition(": ")
        return f"{'.'.join((*within, where))}: {wrong.lower()}"
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
