"""What ``summary.json`` promises to those who read it: each key is there, and null only beside a reason.

Times are seconds per image, accuracy and shares are fractions, ratios are the baseline's over the method's own, and
intervals are of 95 %. A judged claim alone is in the unit that its source prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from harness.forms.form import Fields, Form

__all__ = ["JudgedClaim", "Summary"]


class Interval(Form):
    """The ends of an interval, or why there is none."""

    low: float | None
    high: float | None
    reason: str | None = None


class Value(Interval):
    """A number with its interval."""

    null_beside: ClassVar[Mapping[str, tuple[str, ...]]] = {"reason": ("value", "low", "high")}

    value: float | None


class Mean(Interval):
    """A mean with its interval."""

    null_beside: ClassVar[Mapping[str, tuple[str, ...]]] = {"reason": ("mean", "low", "high")}

    mean: float | None


class Accuracy(Form):
    """Mean average precision, fraction."""

    voc07: Value
    voc10: Value


class Seconds(Form):
    """Seconds per image by stage, and of the sums."""

    null_beside: ClassVar[Mapping[str, tuple[str, ...]]] = {"full_system_reason": ("full_system",)}

    prepare: Mean
    propose: Mean
    conv: Mean
    pool: Mean
    fc: Mean
    decode: Mean
    suppress: Mean
    features: Mean
    total: Mean
    full_system: Mean | None
    full_system_reason: str | None = None


class Succeeded(Form):
    """What was measured of a method."""

    null_beside: ClassVar[Mapping[str, tuple[str, ...]]] = {"ap_reason": ("ap",)}

    status: Literal["ok"]
    map: Accuracy
    ap: dict[str, float | None] | None
    """VOC07 average precision by class, fraction. A class is null where it has no object."""
    ap_reason: str | None = None
    seconds: Seconds


class Failed(Form):
    """Why nothing was measured of a method."""

    status: Literal["oom", "error", "skipped"]
    reason: str


class Ratio(Value):
    """A speed-up over the baseline, and what the counted operations explain of it."""

    null_beside: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **Value.null_beside,
        "flop_reason": ("flop_ratio", "utilisation_ratio"),
    }

    flop_ratio: float | None
    utilisation_ratio: float | None
    flop_reason: str | None = None


class Ratios(Form):
    """Of one method over the baseline."""

    conv: Ratio
    features: Ratio
    total: Ratio


class Trust(Form):
    """How far the times can be trusted."""

    verdict: Literal["ok", "inconclusive"]
    reasons: list[str]


class Plan(Form):
    """What was asked for, and what it came to."""

    methods: list[str]


class MeasuredAs(Form):
    """By what a claim is judged."""

    method: str
    baseline: str | None
    stages: list[str]


class JudgedClaim(Form):
    """One published number, what was measured in its place, and the verdict."""

    source: str
    version: str
    locator: str
    method: str
    variant: str
    backbone: str
    quantity: str
    printed: str
    """The digits as they stand in the source."""
    unit: str
    relative_to: str | None
    measured_as: MeasuredAs | None
    measured: Fields | None
    """``value``, ``low``, ``high``, ``reason`` and ``interval``, in `unit`."""
    verdict: Literal["met", "not met", "inconclusive", "not comparable"]
    delta: float | None
    """Relative to the printed value; in points where `unit` is ``%``."""
    reason: str | None


class Waterfall(Form):
    """From the baseline to the fastest method, step by step."""

    steps: list[Fields] | None
    reason: str | None = None


class Summary(Form):
    """``summary.json``: the one result model; every number of a report is in it, or follows by a division."""

    null_beside: ClassVar[Mapping[str, tuple[str, ...]]] = {"claims_reason": ("claims",)}

    schema_version: int
    trust: Trust
    methods: dict[str, Annotated[Succeeded | Failed, Field(discriminator="status")]]
    speedup: dict[str, Ratios]
    claims: list[JudgedClaim] | None
    claims_reason: str | None = None
    machine: Fields
    plan: Plan
    anatomy: dict[str, Fields] | None = None
    """By method and stage; none in a summary of an earlier version, as are those below."""
    published_anatomy: list[Fields] | None = None
    waterfall: Waterfall | None = None
    series: Fields | None = None
    """What figures show image by image."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names = self.plan.methods
        absent = [name for name in names if name not in self.methods]
        succeeded = [name for name in names if name in self.methods and self.methods[name].status == "ok"]
        over = succeeded[1:] if succeeded[:1] == names[:1] else []
        absent += [f"speedup.{name}" for name in over if name not in self.speedup]
        if absent:
            raise ValueError(f"{absent[0]} is missing")
        return self
