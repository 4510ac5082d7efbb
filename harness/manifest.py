"""What a run says of itself: its plan, what it works on, and what ran it. `harness.runs` keeps it as manifest.json."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import detectors
from harness.examples import describe_data
from harness.machine import describe_machine, describe_software, describe_source
from harness.plan import Plan, PlanError
from harness.preparation import Prepared
from harness.proposals import ProposalSet
from harness.record import SCHEMA_VERSION

__all__ = ["check_same_plan", "new_manifest", "resumed_manifest"]


def new_manifest(
    prepared: Prepared, train: ProposalSet, test: ProposalSet, *, command: str, workers: int
) -> dict[str, Any]:
    """What is known before the first fit. `workers` is how many processes missing boxes are shared out to."""
    plan, settings = prepared.plan, dict(prepared.source.settings)
    return {
        "schema_version": SCHEMA_VERSION,
        "status": "running",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "plan": plan.model_dump(mode="json"),
        "plan_digest": plan.digest,
        "machine": describe_machine(prepared.device),
        "software": describe_software(),
        "source": describe_source(),
        "dataset": {
            **describe_data(prepared.train, prepared.test, train, test, settings),
            "proposal_workers": workers,
        },
        "weights_sha256": prepared.backbone.weights,
        "input": str(prepared.backbone.convention),
        "methods": {method.name: {"origin": _origin(method)} for method in prepared.methods},
        "notices": [],
        "warm_up_seconds": {},
    }


def _origin(method: detectors.Method) -> str:
    """Where a method comes from; of a combination, where its members do."""
    parts = method.members or (method,)
    return ", ".join(dict.fromkeys(detectors.origin(part.name) for part in parts))


def check_same_plan(before: dict[str, Any], plan: Plan) -> None:
    """See that a run was planned as `plan`, field by field.

    Raises:
        PlanError: it was not; names the options with both values.
    """
    planned = Plan.of(before["plan"])
    differing = []
    for name in planned.differences(plan):
        option, old, new = name.replace("_", "-"), *(_as_given(getattr(each, name)) for each in (planned, plan))
        differing.append(f"--{option}: the run was planned with {old}, not {new}")
    if differing:
        raise PlanError(f"{'; '.join(differing)}; --resume keeps the run's plan: leave those options out")


def _as_given(value: object) -> str:
    """A value of a plan as the command line takes it."""
    if value is None:
        return "the default"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def resumed_manifest(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The manifest of a run that goes on; ``source`` stays that of its start, ``resumed`` gains that of this resume.

    Raises:
        PlanError: images, boxes, weights, machine, software or a plug-in are not what the run began with.
    """
    inputs = ("train_sha256", "test_sha256", "train_boxes_sha256", "test_boxes_sha256")
    changed = [name for name in inputs if before["dataset"][name] != now["dataset"][name]]
    changed += [name for name in ("weights_sha256", "machine", "software") if before[name] != now[name]]
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
    resumed = [*before.get("resumed", ()), {"source": now["source"], "at": now["created"]}]
    return {**before, "methods": methods, "resumed": resumed, "status": "running"}
