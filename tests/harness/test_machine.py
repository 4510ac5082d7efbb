"""What a run says of its machine is true of it, and names nobody."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from harness.machine import ENVIRONMENT, describe_flags, describe_machine, describe_software, describe_source
from harness.manifest import check_same_plan, resumed_manifest
from harness.plan import Plan, PlanError
from harness.precision import arithmetic
from harness.surroundings.cores import find_cores
from harness.surroundings.processor import processor_name

GIB = 2**30


def system(root: Path, files: dict[str, str]) -> Path:
    """A root with these files of the kernel."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_every_field_that_is_none_says_why(tmp_path: Path) -> None:
    """Also where nothing of Linux is there."""
    for root in (Path("/"), tmp_path):
        machine = describe_machine("cpu", root)
        unknown = [name for name, value in machine.items() if value is None and not name.endswith("_reason")]
        assert "gpu" in unknown
        assert all(isinstance(machine[f"{name}_reason"], str) for name in unknown)
        assert machine["device"] == "cpu"
        json.dumps(machine, allow_nan=False)


def test_the_tightest_limit_of_all_groups_counts(tmp_path: Path) -> None:
    """Version 2: a group may take what each group above it may take, too; ``max`` is no limit.

    How much of a limit is in use at the moment makes it no tighter.
    """
    base = "sys/fs/cgroup"
    root = system(
        tmp_path,
        {
            "proc/self/cgroup": "0::/outer/inner\n",
            f"{base}/outer/inner/cpu.max": "400000 100000\n",
            f"{base}/outer/cpu.max": "150000 100000\n",
            f"{base}/cpu.max": "max 100000\n",
            f"{base}/outer/inner/memory.max": "max\n",
            f"{base}/outer/memory.max": "1048576\n",
            f"{base}/outer/memory.current": "4096\n",
            f"{base}/memory.max": "2097152\n",
            f"{base}/memory.current": "2097152\n",
        },
    )
    machine = describe_machine("cpu", root)
    assert machine["cpu_quota"] == 1.5
    assert machine["memory_limit_bytes"] == 2**20


def test_limits_of_the_first_version_of_cgroups_are_read(tmp_path: Path) -> None:
    """-1 is no quota; a memory limit beyond the machine's memory is none."""
    base = "sys/fs/cgroup"
    files = {
        "proc/self/cgroup": "5:cpu,cpuacct:/box\n4:memory:/box\n0::/\n",
        f"{base}/cpu/box/cpu.cfs_quota_us": "50000\n",
        f"{base}/cpu/box/cpu.cfs_period_us": "100000\n",
        f"{base}/cpu/cpu.cfs_quota_us": "-1\n",
        f"{base}/cpu/cpu.cfs_period_us": "100000\n",
        f"{base}/memory/box/memory.limit_in_bytes": f"{2**63 - 4096}\n",
        f"{base}/memory/box/memory.usage_in_bytes": "4096\n",
        f"{base}/memory/memory.limit_in_bytes": f"{2**59}\n",
        f"{base}/memory/memory.usage_in_bytes": "4096\n",
    }
    machine = describe_machine("cpu", system(tmp_path, files))
    assert machine["cpu_quota"] == 0.5
    assert machine["memory_limit_bytes"] is None
    assert machine["memory_limit_bytes_reason"] == "no limit was found"


def test_processors_are_those_that_the_doctor_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Online, allowed and granted ones have one source."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {1, 2, 5}, raising=False)
    files = {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000\n"}
    root = system(tmp_path, files | {"sys/devices/system/cpu/online": "0-2,5\n"})
    machine, cores = describe_machine("cpu", root), find_cores(root)
    told = (machine["logical_cpus"], machine["usable_cpus"], machine["cpu_quota"])
    assert told == (len(cores.online), len(cores.allowed), cores.quota) == (4, 3, 2.5)


@pytest.mark.parametrize(
    ("files", "container", "virtualisation"),
    [
        ({}, None, None),
        ({".dockerenv": ""}, "docker", None),
        ({"run/.containerenv": ""}, "podman", None),
        ({"run/systemd/container": "lxc\n", ".dockerenv": ""}, "lxc", None),
        ({"proc/cpuinfo": "flags\t\t: fpu hypervisor lahf\n"}, None, "hypervisor"),
        ({"proc/cpuinfo": "model name\t: hypervisor\nflags\t\t: hypervisor_aware\n"}, None, None),
        ({"proc/cpuinfo": "flags\t\t: fpu lahf\n", "sys/class/dmi/id/sys_vendor": "Board maker\n"}, None, None),
        (
            {
                "proc/cpuinfo": "flags : hypervisor\n",
                "sys/class/dmi/id/sys_vendor": "Amazon EC2\n",
                "sys/class/dmi/id/product_name": "g5.xlarge\n",
            },
            None,
            "Amazon EC2 g5.xlarge",
        ),
        ({"sys/hypervisor/type": "xen\n"}, None, "xen"),
    ],
)
def test_containers_and_virtual_machines_are_told(
    files: dict[str, str], container: str | None, virtualisation: str | None, tmp_path: Path
) -> None:
    """By the signs that they leave; a board has a maker without being virtual."""
    machine = describe_machine("cpu", system(tmp_path, files))
    assert (machine["container"], machine["virtualisation"]) == (container, virtualisation)


def test_the_boot_is_told_apart_and_not_named(tmp_path: Path) -> None:
    """Its digest stands in the manifest, the id itself nowhere."""
    plain = "f6a4b1a0-3c55-4d31-9d0f-0123456789ab"
    root = system(tmp_path, {"proc/sys/kernel/random/boot_id": plain + "\n", "proc/cpuinfo": "model name\t: A CPU\n"})
    machine = describe_machine("cpu", root)
    assert machine["boot_id_sha256"] == hashlib.sha256(plain.encode()).hexdigest()[:16]
    assert plain not in json.dumps(machine)
    assert machine["cpu"] == "A CPU"


def test_a_processor_without_a_name_is_told_by_its_kind(tmp_path: Path) -> None:
    """As on ARM; the two that ask, a run and the doctor, get the same answer."""
    root = system(tmp_path, {"proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\n"})
    expected = platform.processor() or platform.machine()
    assert describe_machine("cpu", root)["cpu"] == processor_name(root) == expected


def test_a_gpu_is_described_by_torch_and_by_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the driver does not tell is None with its reason."""
    about = SimpleNamespace(name="Some GPU", total_memory=8 * GIB, major=9, minor=0, multi_processor_count=114)
    told = {"name": "again", "driver": "570.1", "ecc": None, "mig": None, "reasons": {"ecc": "Not Supported"}}
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: about)
    monkeypatch.setattr(
        "harness.surroundings.sensors.sensors_for", lambda _: SimpleNamespace(describe=lambda: dict(told))
    )
    machine = describe_machine("cuda")
    assert (machine["gpu"], machine["gpu_reason"], machine["gpu_memory_bytes"]) == ("Some GPU", None, 8 * GIB)
    assert (machine["gpu_capability"], machine["gpu_multiprocessors"]) == ("9.0", 114)
    assert (machine["gpu_driver"], machine["gpu_driver_reason"]) == ("570.1", None)
    assert (machine["gpu_ecc"], machine["gpu_ecc_reason"]) == (None, "Not Supported")
    assert machine["gpu_mig_reason"]
    assert "gpu_name" not in machine


def test_flags_are_those_of_the_moment() -> None:
    """In the arithmetic of a block they are that block's."""
    with arithmetic("fp32"):
        strict = describe_flags()
    with arithmetic("tf32"):
        loose = describe_flags()
    changed = {name for name in strict if strict[name] != loose[name]}
    assert (
        {"matmul_allow_tf32", "cudnn_allow_tf32"}
        <= changed
        <= {
            "matmul_allow_tf32",
            "cudnn_allow_tf32",
            "float32_matmul_precision",
        }
    )
    assert strict["matmul_allow_tf32"] is False
    assert strict["threads"] == torch.get_num_threads()
    torch.use_deterministic_algorithms(True)
    try:
        assert describe_flags()["deterministic_algorithms"] is True
    finally:
        torch.use_deterministic_algorithms(False)


def test_no_variable_is_recorded_but_those_that_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment holds secrets."""
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    monkeypatch.delenv("CUDA_LAUNCH_BLOCKING", raising=False)
    environment = describe_flags()["environment"]
    assert tuple(environment) == ENVIRONMENT
    assert environment["MKL_NUM_THREADS"] == "3"
    assert environment["CUDA_LAUNCH_BLOCKING"] is None
    assert "hunter2" not in json.dumps(environment)


def test_the_build_of_torch_is_part_of_the_software() -> None:
    """Builds for several versions of CUDA share one package version."""
    software = describe_software()
    assert software["torch_build"] == str(torch.__version__)
    assert software["torch_build"].startswith(str(software["torch"]))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository of one commit."""

    def git(*arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True, capture_output=True)

    system(tmp_path, {"harness/a.py": "one\n", "notes.txt": "one\n"})
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    return tmp_path


def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    """Nothing differs, so nothing is hashed."""
    source = describe_source(checkout)
    assert (source["dirty"], source["diff_sha256"], source["reason"]) == (False, None, None)
    assert len(source["commit"]) == 40


def test_the_digest_of_changes_tells_states_of_the_source_apart(checkout: Path) -> None:
    """The same change has the same digest again; untracked code counts, other untracked files do not."""

    def digest() -> Any:
        return describe_source(checkout)["diff_sha256"]

    (checkout / "harness/a.py").write_text("two\n")
    two = digest()
    (checkout / "harness/a.py").write_text("three\n")
    three = digest()
    (checkout / "scratch.txt").write_text("x")
    assert digest() == three
    (checkout / "harness/b.py").write_text("x")
    untracked = digest()
    (checkout / "harness/b.py").write_text("y")
    assert len({two, three, untracked, digest()}) == 4
    (checkout / "harness/b.py").unlink()
    (checkout / "harness/a.py").write_text("two\n")
    assert digest() == two
    subprocess.run(["git", "-C", str(checkout), "config", "color.ui", "always"], check=True)
    subprocess.run(["git", "-C", str(checkout), "config", "diff.noprefix", "true"], check=True)
    assert digest() == two


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path) -> None:
    """As where the package was installed."""
    expected = {"commit": None, "dirty": None, "diff_sha256": None, "reason": "not run from a git checkout"}
    assert describe_source(tmp_path) == expected


def test_a_run_that_was_measured_in_another_way_is_not_resumed() -> None:
    """Its samples know no blocks; one line, before anything is prepared, says what can be done with it."""
    older = {"schema_version": 1, "plan": Plan.of({}).model_dump(mode="json"), "methods": {}}
    told = (
        "^--resume: the run in --out was measured by an earlier version \\(schema 1\\); "
        "report it with `harness report`, or start a new run with another --out$"
    )
    with pytest.raises(PlanError, match=told):
        check_same_plan(older, Plan.of({}))
    with pytest.raises(PlanError, match=told):
        resumed_manifest(older, older | {"schema_version": 2})
