"""What a run says of itself: its plan, what it works on, and what ran it. `harness.runs` keeps it as manifest.json."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import detectors
from harness.examples import describe_data
from harness.likeness import VOLATILE, unlike_fields
from harness.machine import describe_flags, describe_machine, describe_software, describe_source
from harness.networks import split
from harness.plan import Plan, PlanError
from harness.precision import arithmetic
from harness.preparation import Prepared
from harness.proposals import ProposalSet
from harness.provided import Provided
from harness.record import SCHEMA_VERSION

__all__ = ["check_same_plan", "new_manifest", "resumed_manifest", "weights_of"]

_SCHEMA_OF_BLOCKS = 2
"""The first whose samples tell their blocks. No interval can be made of samples with and without."""


def new_manifest(
    prepared: Prepared,
    train: ProposalSet,
    test: ProposalSet,
    *,
    command: str,
    workers: int,
    argv: list[str] | None = None,
) -> dict[str, Any]:
    """What is known before the first fit. `workers` is how many processes missing boxes are shared out to.

    `argv` are the words of the command line; None where the run was not begun from one.
    """
    plan, settings = prepared.plan, dict(prepared.source.settings)
    networks = {name: _network(backbone) for name, backbone in prepared.backbones.items()}
    with arithmetic(plan.precision):
        flags = describe_flags()
    return {
        "schema_version": SCHEMA_VERSION,
        "status": "running",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "argv": argv,
        "plan": plan.model_dump(mode="json"),
        "plan_digest": plan.digest,
        # All draws follow from the plan's seed and the name of what they are for.
        "seeds": {"plan": plan.seed, "proposals": settings.get("seed")},
        "machine": describe_machine(prepared.device),
        "software": describe_software(),
        "flags": flags,
        "source": describe_source(),
        "dataset": {
            **describe_data(prepared.train, prepared.test, train, test, settings),
            **_trained_before(prepared.provided),
            "proposal_workers": workers,
        },
        "models": None if prepared.provided is None else prepared.provided.described(),
        **networks[plan.networks[0]],
        "networks": networks,
        "methods": {method.name: {"origin": _origin(method)} for method in prepared.methods},
        "notices": [],
        "warm_up_seconds": {},
    }


def _trained_before(provided: Provided | None) -> dict[str, Any]:
    """In the place of the training images that this run has not: those of the fits that it takes over."""
    if provided is None:
        return {}
    data = provided.trained_on
    return {
        "train_images": len(data.images),
        "train_sha256": data.sha256,
        "train_boxes_sha256": data.boxes_sha256,
    }


def _network(backbone: detectors.Backbone) -> dict[str, str]:
    return {"weights_sha256": backbone.weights, "input": str(backbone.convention)}


def _origin(method: detectors.Method) -> str:
    """Where a method comes from; of a combination, where its members do."""
    parts = method.members or (method,)
    return ", ".join(dict.fromkeys(detectors.origin(split(part.name)[0]) for part in parts))


def check_same_plan(before: dict[str, Any], plan: Plan) -> None:
    """See that a run can go on as `plan`, field by field, before anything is prepared for it.

    Raises:
        PlanError: it was planned otherwise, which names the options with both values; or an earlier version of this
            program measured it in another way.
    """
    _check_same_schema(before)
    planned = Plan.of(before["plan"])
    differing = []
    for name in planned.differences(plan):
        option, old, new = name.replace("_", "-"), *(_as_given(getattr(each, name)) for each in (planned, plan))
        differing.append(f"--{option}: the run was planned with {old}, not {new}")
    if differing:
        raise PlanError(f"{'; '.join(differing)}; --resume keeps the run's plan: leave those options out")


def _check_same_schema(before: dict[str, Any]) -> None:
    version = before["schema_version"]
    if version < _SCHEMA_OF_BLOCKS:
        raise PlanError(
            f"--resume: the run in --out was measured by an earlier version (schema {version}); report it with "
            "`harness report`, or start a new run with another --out"
        )


def _as_given(value: object) -> str:
    """A value of a plan as the command line takes it."""
    if value is None:
        return "the default"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def resumed_manifest(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a run that goes on; ``source`` stays that of its start, ``resumed`` gains that of this resume.

    What a run of an earlier version did not record yet is not held against it.

    Raises:
        PlanError: images, boxes, weights, machine, software, flags or a plug-in are not what the run began with, or
            an earlier version of this program measured it in another way.
    """
    _check_same_schema(before)
    inputs = ("train_sha256", "test_sha256", "train_boxes_sha256", "test_boxes_sha256")
    changed = [name for name in inputs if before["dataset"][name] != now["dataset"][name]]
    changed += _changed_weights(before, now)
    changed += ["models"] if _other_models(before.get("models") or {}, now.get("models") or {}) else []
    changed += [each for name in ("machine", "software", "flags") for each in _changes(name, before, now)]
    methods = {}
    for name, about in now["methods"].items():
        then = before["methods"].get(name, {})
        origin = then.get("origin", about["origin"])  # runs of earlier versions have none
        if origin != about["origin"]:
            changed.append(f"{name} ({origin} then, {about['origin']} now)")
        # Methods are brought up anew; what each chose for itself stays as it was.
        methods[name] = about | ({"chunk": then["chunk"]} if "chunk" in then else {})
    if changed:
        what = ", ".join(changed)
        raise PlanError(f"--resume: {what} changed since the run began; start a new run with another --out")
    resumed = [*before.get("resumed", ()), _resume(before, now)]
    # Whoever reads this run must know the form of what is now added to it.
    version = max(before["schema_version"], now["schema_version"])
    return {**before, "schema_version": version, "methods": methods, "resumed": resumed, "status": "running"}


def weights_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """By network, the digest of its weights; runs of earlier versions have the plan's own network alone."""
    networks = manifest.get("networks") or {manifest["plan"]["backbone"]: manifest}
    return {name: about["weights_sha256"] for name, about in networks.items()}


def _changed_weights(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    then, later, own = weights_of(before), weights_of(now), now["plan"]["backbone"]
    changed = [name for name in later if then.get(name) != later[name]]
    return ["weights_sha256" if name == own else f"weights_sha256 of {name}" for name in changed]


def _other_models(then: Mapping[str, Mapping[str, Any]], later: Mapping[str, Mapping[str, Any]]) -> bool:
    return then.keys() != later.keys() or any(
        value != later[name].get(key) for name, about in then.items() for key, value in about.items()
    )


def _changes(name: str, before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What changed in a part of the manifest, apart from what changes by itself, with both values."""
    then, later = before.get(name) or {}, now[name]
    return [
        f"{name} {field} ({_value(then, field)} then, {_value(later, field)} now)"
        for field in unlike_fields(then, later)
        if name != "machine" or field not in VOLATILE
    ]


def _value(about: dict[str, Any], field: str) -> object:
    outer, _, inner = field.partition(".")
    value = about[outer][inner] if inner else about[field]
    return "nothing" if value is None else value


def _resume(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """When and with what a run goes on; of the machine, what changed by itself."""
    moved = [field for field in unlike_fields(before["machine"], now["machine"]) if field in VOLATILE]
    machine = {field: now["machine"][field] for field in moved}
    return {"source": now["source"], "at": now["created"], "argv": now["argv"], "machine": machine}
