"""Runs are alike where nothing that makes a number differs; and a run is resumed by what began it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import manifest as module
from harness.likeness import NOT_RECORDED, Difference, alike, differences, unlike_fields, unrecorded
from harness.manifest import new_manifest, resumed_manifest
from harness.plan import Plan, PlanError
from harness.preparation import prepare
from harness.proposals import ProposalSet
from harness.record import SCHEMA_VERSION

MANIFEST: dict[str, Any] = {
    "schema_version": 2,
    "status": "complete",
    "created": "2026-11-20T10:00:00+00:00",
    "command": "harness compare",
    "argv": ["harness", "compare"],
    "plan": Plan.of({}).model_dump(mode="json"),
    "machine": {
        "cpu": "A CPU",
        "threads": 2,
        "memory_bytes": 16 * 2**30,
        "boot_id_sha256": "aa",
        "device": "cuda",
        "gpu": "Some GPU",
        "gpu_reason": None,
        "gpu_driver": "570.1",
        "gpu_persistence_mode": True,
        "gpu_application_clock_mhz": None,
        "gpu_application_clock_mhz_reason": "Not Supported",
        "gpu_uuid_sha256": "01" * 32,
    },
    "software": {"python": "3.11.7", "torch": "2.15.0"},
    "flags": {"matmul_allow_tf32": False, "threads": 2, "environment": {"OMP_NUM_THREADS": None}},
    "source": {"commit": "a" * 40, "dirty": False, "diff_sha256": None, "reason": None},
    "dataset": {
        "images": 60,
        "train_images": 300,
        "train_sha256": "1" * 64,
        "test_sha256": "2" * 64,
        "train_boxes_sha256": "3" * 64,
        "test_boxes_sha256": "4" * 64,
        "proposal_workers": 2,
        "proposal_seconds": 1.0,
    },
    "weights_sha256": "5" * 64,
    "input": "RGB",
    "methods": {
        name: {"origin": "built in", "status": "ok", "trained": True, "iterations": 40, "chunk": 16}
        for name in ("rcnn", "spp:5")
    },
    "processes": [{"process": 0, "resident": True, "threads": 2}, {"process": 1, "resident": True, "threads": 2}],
}

MISSING = object()


def changed(path: str, value: object) -> dict[str, Any]:
    """The manifest with another value at ``outer/inner``."""
    manifest = copy.deepcopy(MANIFEST)
    *outer, last = path.split("/")
    node: Any = manifest
    for name in outer:
        node = node[int(name) if isinstance(node, list) else name]
    if value is MISSING:
        del node[last]
    else:
        node[last] = value
    return manifest


HINDERS = [
    ("plan/precision", "bf16", "plan", "precision"),
    ("plan/methods", ["rcnn", "fast"], "plan", "methods"),
    ("plan/dataset", "voc:elsewhere", "plan", "dataset"),
    ("plan/backbone", "vgg16", "plan", "backbone"),
    ("plan/max_proposals", 100, "plan", "max_proposals"),
    ("plan/policy", "paper", "plan", "policy"),
    ("plan/iterations", 7, "plan", "iterations"),
    ("dataset/images", 20, "data", "images"),
    ("dataset/test_sha256", "f" * 64, "data", "test_sha256"),
    ("dataset/train_boxes_sha256", "f" * 64, "data", "train_boxes_sha256"),
    ("weights_sha256", "f" * 64, "weights", "weights_sha256"),
    ("input", "BGR", "weights", "input"),
    ("methods/spp:5/chunk", 8, "methods", "spp:5: chunk"),
    ("methods/rcnn/origin", "plug-in 1.0", "methods", "rcnn: origin"),
    ("processes/1/resident", False, "methods", "all resident"),
    ("processes/1/threads", 1, "flags", "process_threads"),
    ("machine/threads", 4, "machine", "threads"),
    ("machine/memory_bytes", 15 * 2**30, "machine", "memory_bytes"),
    ("machine/gpu_driver", "580.2", "machine", "gpu_driver"),
    ("machine/gpu_uuid_sha256", "02" * 32, "machine", "gpu_uuid_sha256"),
    ("machine/gpu_application_clock_mhz", 1200, "machine", "gpu_application_clock_mhz"),
    ("software/torch", "2.14.0", "software", "torch"),
    ("flags/matmul_allow_tf32", True, "flags", "matmul_allow_tf32"),
    ("flags/environment/OMP_NUM_THREADS", "1", "flags", "environment.OMP_NUM_THREADS"),
]

ONLY_SAID = [
    ("plan/seed", 1, "plan", "seed"),
    ("plan/repeats", 3, "plan", "repeats"),
    ("plan/processes", 5, "plan", "processes"),
    ("plan/block", 2, "plan", "block"),
    ("plan/sweep", "proposals=1,2", "plan", "sweep"),
    ("plan/device", "cpu", "plan", "device"),
    ("dataset/proposal_workers", 9, "data", "proposal_workers"),
    ("methods/rcnn/status", "oom", "methods", "rcnn: status"),
    ("machine/boot_id_sha256", "bb", "machine", "boot_id_sha256"),
    ("machine/gpu_persistence_mode", False, "machine", "gpu_persistence_mode"),
    ("source/commit", "b" * 40, "source", "commit"),
    ("source/diff_sha256", "c" * 64, "source", "diff_sha256"),
    ("created", "2026-11-21T10:00:00+00:00", "source", "created"),
    ("argv", ["harness", "compare", "--seed", "0"], "source", "argv"),
]

IS_NONE = [
    ("dataset/proposal_seconds", 2.0),
    ("machine/memory_bytes", 16 * 2**30 - 2**20),
    ("machine/gpu_application_clock_mhz_reason", "another wording"),
    ("plan/precision", MISSING),
    ("plan/iterations", "quick"),
    ("status", "partial"),
]


@pytest.mark.parametrize(("path", "value", "group", "field"), [*HINDERS, *ONLY_SAID])
def test_a_planted_difference_is_found_by_name(path: str, value: object, group: str, field: str) -> None:
    """It alone, and it hinders one number or is only said."""
    (found,) = differences([MANIFEST, changed(path, value), MANIFEST])
    assert (found.group, found.field) == (group, field)
    first, second, third = found.values
    assert first == third != second
    hinders = (path, value, group, field) in HINDERS
    assert found.hinders is hinders
    assert alike([found]) is not hinders


@pytest.mark.parametrize(("path", "value"), IS_NONE)
def test_what_means_the_same_is_no_difference(path: str, value: object) -> None:
    """What was measured, a reason's wording, memory that a kernel took, a default that was written out."""
    assert differences([MANIFEST, changed(path, value)]) == []


@given(st.lists(st.sampled_from([*HINDERS, *ONLY_SAID]), unique_by=lambda case: case[0], max_size=5))
def test_differences_do_not_depend_on_the_order_of_runs(cases: list[tuple[str, Any, str, str]]) -> None:
    """The same fields with the values swapped; those that hinder come first."""
    other = copy.deepcopy(MANIFEST)
    for path, value, *_ in cases:
        *outer, last = path.split("/")
        node: Any = other
        for name in outer:
            node = node[int(name) if isinstance(node, list) else name]
        node[last] = value
    there, back = differences([MANIFEST, other]), differences([other, MANIFEST])
    assert sorted((one.group, one.field, repr(one.values)) for one in there) == sorted(
        (one.group, one.field, repr(one.values[::-1])) for one in back
    )
    assert {(one.group, one.field) for one in there} == {(group, field) for *_, group, field in cases}
    flags = [one.hinders for one in there]
    assert flags == sorted(flags, reverse=True)


def test_a_field_that_one_run_does_not_tell_hinders() -> None:
    """Nobody knows whether they are alike in it."""
    (found,) = differences([MANIFEST, changed("flags/matmul_allow_tf32", MISSING)])
    assert found == Difference("flags", "matmul_allow_tf32", (False, NOT_RECORDED))
    processes = {"processes": [{"process": 0, "resident": True}]}
    (found,) = differences([changed("flags", MISSING) | processes, MANIFEST | processes])
    assert (found.group, found.values, found.hinders) == ("flags", (NOT_RECORDED, "recorded"), True)


def test_what_no_run_tells_is_named() -> None:
    """Runs of the first schema kept no flags; they are alike as far as is known."""
    older = {key: value for key, value in MANIFEST.items() if key not in ("flags", "processes", "argv")}
    older |= {"schema_version": 1}
    assert differences([older, copy.deepcopy(older)]) == []
    assert unrecorded([older, older]) == ["flags"]
    assert unrecorded([older, MANIFEST]) == []


def test_committed_runs_can_be_set_side_by_side() -> None:
    """Of whichever schema they are; those on other images are not alike."""
    paths = sorted((Path(__file__).parents[2] / "results/runs").glob("*/manifest.json"))
    manifests = [json.loads(path.read_text()) for path in paths]
    for one in manifests:
        assert differences([one, one]) == []
    several = len({one["dataset"]["test_sha256"] for one in manifests}) > 1
    assert not (several and alike(differences(manifests)))


def test_a_cpu_and_a_gpu_differ_as_such() -> None:
    """Not in every field that only a GPU has; methods that only one run has are told by the plans."""
    cpu = changed("machine", {"cpu": "A CPU", "threads": 2, "device": "cpu", "gpu": None, "memory_bytes": 2**34})
    assert [one.field for one in differences([MANIFEST, cpu])] == ["device", "gpu"]
    fewer = changed("methods", {"rcnn": MANIFEST["methods"]["rcnn"]})
    assert differences([MANIFEST, fewer]) == []


def test_a_run_that_went_on_with_another_commit_is_not_of_one_source() -> None:
    """Even if it began with the same."""
    resumed = MANIFEST | {"resumed": [{"source": {"commit": "c" * 40}}, {"source": MANIFEST["source"]}]}
    (found,) = differences([MANIFEST, resumed])
    assert (found.field, found.values, found.hinders) == ("resumed_with", (NOT_RECORDED, ["c" * 40]), False)


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2)),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2)),
)
def test_unlike_fields_are_those_that_both_know_with_two_values(before: dict[str, int], now: dict[str, int]) -> None:
    """In any order of the fields."""
    expected = {field for field in before.keys() & now.keys() if before[field] != now[field]}
    assert set(unlike_fields(before, now)) == expected


@pytest.mark.parametrize(
    ("path", "value"), [(path, value) for path, value, group, _ in ONLY_SAID if group == "machine"]
)
def test_a_run_is_resumed_after_what_changes_by_itself(path: str, value: object) -> None:
    """The boot, a clock; the manifest keeps those of the start, and of the resume what changed."""
    now = changed(path, value)
    resumed = resumed_manifest(MANIFEST, now)
    field = path.partition("/")[2]
    assert resumed["machine"] == MANIFEST["machine"]
    assert resumed["resumed"][-1]["machine"] == {field: value}
    assert resumed["resumed"][-1]["argv"] == MANIFEST["argv"]


def test_a_run_is_resumed_after_its_clocks_were_set() -> None:
    """It is told, and trust is judged by the samples; for another run's number it would hinder."""
    resumed = resumed_manifest(MANIFEST, changed("machine/gpu_application_clock_mhz", 1200))
    assert resumed["resumed"][-1]["machine"] == {"gpu_application_clock_mhz": 1200}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("machine/threads", 4, r"machine threads \(2 then, 4 now\) changed since the run began"),
        ("machine/gpu", None, r"machine gpu \(Some GPU then, nothing now\)"),
        ("software/torch", "2.14.0", r"software torch \(2.15.0 then, 2.14.0 now\)"),
        ("flags/matmul_allow_tf32", True, r"flags matmul_allow_tf32 \(False then, True now\)"),
        (
            "flags/environment/OMP_NUM_THREADS",
            "1",
            r"flags environment.OMP_NUM_THREADS \(nothing then, 1 now\) changed since the run began",
        ),
        ("weights_sha256", "f", "--resume: weights_sha256 changed"),
    ],
)
def test_a_run_is_not_resumed_on_what_is_another_machine(path: str, value: object, words: str) -> None:
    """By name of the field, with both values."""
    with pytest.raises(PlanError, match=words):
        resumed_manifest(MANIFEST, changed(path, value))


def beside(sha256: str) -> dict[str, Any]:
    """A manifest of a run with a method on a second network, whose weights have this digest."""
    own = {field: MANIFEST[field] for field in ("weights_sha256", "input")}
    return {**MANIFEST, "networks": {"mini": own, "zf5": {"weights_sha256": sha256, "input": "BGR"}}}


def test_weights_of_a_network_beside_the_plans_own_are_compared() -> None:
    """Others hinder one number, and a resume; a run of one network is like one that does not tell its networks yet."""
    (found,) = differences([beside("a" * 64), beside("b" * 64)])
    assert (found.group, found.field, found.hinders) == ("weights", "zf5: weights_sha256", True)
    with pytest.raises(PlanError, match="--resume: weights_sha256 of zf5 changed"):
        resumed_manifest(beside("a" * 64), beside("b" * 64))
    assert resumed_manifest(beside("a" * 64), beside("a" * 64))["status"] == "running"
    alone = {**MANIFEST, "networks": {"mini": beside("")["networks"]["mini"]}}
    assert differences([MANIFEST, alone]) == []
    assert resumed_manifest(MANIFEST, alone)["status"] == "running"


def test_a_run_of_the_first_schema_cannot_be_resumed() -> None:
    """Its methods took turns image by image, and what is added now would be measured in another way."""
    older = {key: value for key, value in MANIFEST.items() if key not in ("flags", "argv", "seeds", "processes")}
    older |= {"schema_version": 1, "machine": {"cpu": "A CPU", "threads": 2, "device": "cuda"}}
    with pytest.raises(PlanError, match="measured by an earlier version"):
        resumed_manifest(older, MANIFEST)
    resumed = resumed_manifest({**older, "schema_version": SCHEMA_VERSION}, MANIFEST)
    assert resumed["machine"] == older["machine"]
    with pytest.raises(PlanError, match="machine cpu"):
        resumed_manifest({**older, "schema_version": SCHEMA_VERSION}, changed("machine/cpu", "Another CPU"))


def test_a_new_manifest_has_what_likeness_reads(
    small_plan: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flags are those of the plan's arithmetic, whatever is in force while it is written."""
    monkeypatch.setattr(module, "describe_data", lambda *_: {"images": 3})
    prepared, none = prepare(small_plan(seed=5)), ProposalSet((), (), ())
    manifest = new_manifest(prepared, none, none, command="harness compare", workers=1, argv=["harness", "compare"])
    assert manifest["schema_version"] == SCHEMA_VERSION
    assert manifest["argv"] == ["harness", "compare"]
    assert manifest["seeds"]["plan"] == 5
    assert manifest["flags"]["cudnn_allow_tf32"] is False
    assert unrecorded([manifest]) == []
    again = json.loads(json.dumps(manifest, allow_nan=False))
    assert differences([manifest, again]) == []
    assert new_manifest(prepared, none, none, command="", workers=1)["argv"] is None
