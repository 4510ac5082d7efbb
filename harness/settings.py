"""The settings that a plan gives a method, and those of them that decide its fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import detectors
from detectors.contract import Detector, fit_settings
from harness.plan import Plan, PlanError

__all__ = ["as_json", "deciding_fit", "fitted_with", "settings"]

_QUICK_IMAGES = 100
"""A quick schedule is as long as for this many training images at least: fc layers that start random must learn
something from a handful of images, too."""


def settings(plan: Plan, method: detectors.Method, train_images: int) -> Any:
    """The settings of a method with what the plan changes in them; of a combination, those of each member, too.

    `train_images` is the number of images that it is or was fitted on.

    Raises:
        PlanError: the method cannot compute in the plan's precision.
    """
    changes: dict[str, Any] = {}
    if method.members:
        changes["members"] = tuple(settings(plan, member, train_images) for member in method.members)
    else:
        changes |= _fitting(plan, method, train_images) | _arithmetic(plan, method)
    if plan.policy == "paper":
        changes["policy"] = method.detector.paper_policy
    return replace(method.config, **changes)


def _fitting(plan: Plan, method: detectors.Method, train_images: int) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if plan.fc_width is not None and hasattr(method.config, "fc_width"):
        changes["fc_width"] = plan.fc_width
    if plan.trained and plan.iterations in (None, "quick"):
        wanted = method.detector.quick_per_image * max(_QUICK_IMAGES, train_images)
        changes["iterations"] = min(wanted, method.config.iterations)  # never more than published
    elif plan.trained and plan.iterations != "paper":
        changes["iterations"] = plan.iterations
    return changes


def _arithmetic(plan: Plan, method: detectors.Method) -> dict[str, Any]:
    if plan.precision != "bf16":
        return {}
    if not hasattr(method.config, "bf16"):
        raise PlanError(f"--precision bf16: {method.name} has no bf16 form; use fp32, or leave {method.name} out")
    return {"bf16": True}


def deciding_fit(method: detectors.Method, config: Any) -> dict[str, Any]:
    """By name, the settings on which the fit of a method depends; of a combination, of each member."""
    found = fit_settings(config)
    if method.members:
        found["members"] = [
            deciding_fit(member, own) for member, own in zip(method.members, found["members"], strict=True)
        ]
    return found


def fitted_with(method: detectors.Method, config: Any, detector: Detector) -> dict[str, Any]:
    """The same as JSON has them, with what a detector of this `config` resolved of those that were left open.

    Two fits are of one recipe where these are equal, whatever each was asked for.
    """
    found: dict[str, Any] = _laid_over(
        as_json(deciding_fit(method, config)), as_json(getattr(detector, "resolved", {}))
    )
    return found


def _laid_over(settings: Any, resolved: Any) -> Any:
    """Of objects key by key; of lists of objects, as members of a combination are, item by item."""
    if isinstance(settings, dict) and isinstance(resolved, dict):
        return settings | {key: _laid_over(settings.get(key), value) for key, value in resolved.items()}
    if isinstance(settings, list) and isinstance(resolved, list) and len(settings) == len(resolved):
        return [_laid_over(*pair) for pair in zip(settings, resolved, strict=True)]
    return resolved


def as_json(value: Any) -> Any:
    """Settings as a JSON file gives them back: two are equal in this form where they are equal."""
    return json.loads(json.dumps(_plain(value)))


def _plain(value: Any) -> Any:
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if is_dataclass(value):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | None) else repr(value)
