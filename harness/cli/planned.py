"""A plan from what the command line gives, a TOML file and a run that goes on: the first that says something wins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.plan import Plan

__all__ = ["planned"]


def planned(plan_file: Path | None, given: dict[str, Any], manifest: dict[str, Any] | None) -> Plan:
    """The plan; `manifest` is that of the run that goes on, None where a run begins.

    Raises:
        PlanError: a value is wrong, or the file cannot be read.
    """
    from harness.plan import Plan

    values: dict[str, Any] = {} if manifest is None else dict(manifest["plan"])
    if plan_file is not None:
        values |= Plan.values_in(plan_file)
    return Plan.of(values | given)
