"""In what two runs differ, and whether that hinders one number made from both.

A plan, a machine or a setting that differs does: nobody could say to what such a number owes itself. What differs from
run to run as a matter of course, when it was begun or by which command, is only said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from harness.plan import Plan

__all__ = ["NOT_RECORDED", "VOLATILE", "Difference", "alike", "differences", "unlike_fields", "unrecorded"]

Group = Literal["plan", "data", "weights", "methods", "machine", "software", "flags", "source"]

NOT_RECORDED = "not recorded"
"""In place of a value that a run does not tell; it is like no value."""

_MEMORY_TOLERANCE = 0.01
"""The same machine reports a little more or less memory after each boot or update of its kernel."""

VOLATILE = frozenset(
    {
        "boot_id_sha256",
        "gpu_application_clock_mhz",
        "gpu_persistence_mode",
    }
)
"""Fields of the machine that may change while it stays the same machine: a run can be resumed over them."""

_SAID: Mapping[Group, frozenset[str]] = {
    # How much was measured and by which draws; and names of what is compared by its digest or by what it came to. The
    # data set is not among them: the digest of a split covers its images' names and objects, not their pixels.
    "plan": frozenset(
        {"seed", "repeats", "processes", "block", "sweep", "images", "train_images"}
        | {"train_split", "split", "weights", "proposals", "device", "models"}
    ),
    "data": frozenset({"proposal_workers"}),
    "methods": frozenset({"status"}),
    # Clocks that were set by hand are not among them: they make the machine another one for a stopwatch.
    "machine": VOLATILE - {"gpu_application_clock_mhz"},
}

_DATA = ("images", "train_images", "test_sha256", "train_sha256", "test_boxes_sha256", "train_boxes_sha256")
_OF_METHOD = ": "
_METHOD = ("origin", "trained", "iterations", "fitted_as", "chunk", "status")


@dataclass(frozen=True, slots=True)
class Difference:
    """A field in which runs differ."""

    group: Group
    field: str
    values: tuple[Any, ...]
    """One a run, in their order."""

    @property
    def hinders(self) -> bool:
        """Whether no number may be made from runs that differ in this."""
        if self.group == "source":
            return False
        name = self.field.rpartition(_OF_METHOD)[2] if self.group == "methods" else self.field
        return name not in _SAID.get(self.group, ())


def differences(manifests: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """All fields in which manifests differ, those that hinder first. Manifests of schema 1 know fewer fields.

    Raises:
        harness.plan.PlanError: a plan is none.
    """
    runs = [_fields(manifest) for manifest in manifests]
    found = [
        Difference(group, field, values)
        for group in get_args(Group)
        for field, values in _unlike(group, [run[group] for run in runs])
    ]
    return sorted(found, key=lambda one: not one.hinders)


def alike(found: Iterable[Difference]) -> bool:
    """Whether nothing hinders one number made from the runs."""
    return not any(difference.hinders for difference in found)


def unrecorded(manifests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Groups of which none of the runs tells anything, so that nobody knows whether they are alike in them."""
    runs = [_fields(manifest) for manifest in manifests]
    return [group for group in get_args(Group) if not any(run[group] for run in runs)]


def unlike_fields(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Names of what changed between two descriptions of one thing; what an older one did not know does not count."""
    then, later = _flat(before), _flat(now)
    return [field for field in then if field in later and not _equal(field, (then[field], later[field]))]


def _unlike(group: Group, runs: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    if not all(runs) and any(runs):
        yield "all", tuple("recorded" if run else NOT_RECORDED for run in runs)
        return
    two_devices = group == "machine" and len({run.get("device") for run in runs}) > 1
    for field in dict.fromkeys(field for run in runs for field in run):
        told_by_all = all(field in run for run in runs)
        if not told_by_all and (two_devices or _absent_method(field, runs)):
            continue  # a CPU has no driver, and that the methods are others stands in the plan
        values = tuple(run.get(field, NOT_RECORDED) for run in runs)
        if not _equal(field, values):
            yield field, values


def _absent_method(field: str, runs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether this is about a method that not every run has."""
    method = field.rpartition(_OF_METHOD)[0]
    return bool(method) and not all(any(name.startswith(method + _OF_METHOD) for name in run) for run in runs)


def _equal(field: str, values: Sequence[Any]) -> bool:
    numbers = [value for value in values if isinstance(value, int | float)]
    if field.endswith("_bytes") and len(numbers) == len(values):
        return max(numbers) - min(numbers) <= _MEMORY_TOLERANCE * max(numbers)
    return all(value == values[0] for value in values[1:])


def _flat(about: Mapping[str, Any]) -> dict[str, Any]:
    """Without reasons, which only explain a None; fields of a field are named ``field.inner``."""
    found: dict[str, Any] = {}
    for name, value in about.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": one for inner, one in value.items()}
        elif name != "reason" and not name.endswith("_reason"):
            found[name] = value
    return found


def _fields(manifest: Mapping[str, Any]) -> dict[Group, dict[str, Any]]:
    """What is compared, by group."""
    dataset = manifest.get("dataset") or {}
    flags = _flat(manifest.get("flags") or {})
    return {
        "plan": _plan(manifest),
        "data": {field: dataset[field] for field in (*_DATA, "proposal_workers") if field in dataset},
        "weights": _weights(manifest),
        "methods": _methods(manifest),
        "machine": _flat(manifest.get("machine") or {}),
        "software": _flat(manifest.get("software") or {}),
        "flags": flags | _processes(manifest, "threads", "process_threads"),
        "source": _source(manifest),
    }


def _plan(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """With the defaults of what an older plan did not have, and what was left open as it came out."""
    plan = Plan.of(dict(manifest["plan"]))
    came_to = {"iterations": "quick" if plan.trained else 0} if plan.iterations is None else {}
    return {**plan.model_dump(mode="json"), **came_to}


def _weights(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Of the plan's own network by field, of others by ``network: field``."""
    fields, own = ("weights_sha256", "input"), manifest["plan"].get("backbone")
    others = {name: about for name, about in (manifest.get("networks") or {}).items() if name != own}
    found = {f"{name}: {field}": about[field] for name, about in others.items() for field in fields if field in about}
    return {field: manifest[field] for field in fields if field in manifest} | found


def _methods(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """By ``method: field``."""
    found = {
        f"{method}{_OF_METHOD}{field}": about[field]
        for method, about in (manifest.get("methods") or {}).items()
        for field in _METHOD
        if field in about
    }
    return found | _processes(manifest, "resident", "all resident")


def _processes(manifest: Mapping[str, Any], field: str, name: str) -> dict[str, Any]:
    """What the processes of a run have in common; a list where they differ among themselves."""
    values = [process[field] for process in manifest.get("processes") or () if field in process]
    distinct = sorted(set(values))
    return {name: distinct[0] if len(distinct) == 1 else distinct} if distinct else {}


def _source(manifest: Mapping[str, Any]) -> dict[str, Any]:
    source = manifest.get("source") or {}
    resumed = [(each.get("source") or {}).get("commit") for each in manifest.get("resumed") or ()]
    others = list(dict.fromkeys(commit for commit in resumed if commit != source.get("commit")))
    return {
        **{field: source[field] for field in ("commit", "dirty", "diff_sha256") if field in source},
        **({"resumed_with": others} if others else {}),
        "created": manifest.get("created"),
        "argv": manifest.get("argv") or manifest.get("command"),
        "schema_version": manifest.get("schema_version"),
    }
