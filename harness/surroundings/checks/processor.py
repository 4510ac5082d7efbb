"""What the system says of processors and memory: looked up, not measured."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

from harness.surroundings.checks import Check
from harness.surroundings.cores import Cores, find_cores, memory_limit_bytes
from harness.surroundings.processor import hypervisor, processor_name
from harness.wording import counted, gibibytes

__all__ = ["examine_processor"]

_CPU = Path("sys/devices/system/cpu")

_LEAST_MEMORY_BYTES = 2 * 2**30
"""Weights, features of 2,000 boxes and an image pyramid want about this much; below it the disk is timed."""


def examine_processor(root: Path) -> Iterator[Check]:
    """Looks under `root` for ``/sys`` and ``/proc``."""
    cores = find_cores(root)
    virtual = hypervisor(root) is not None
    many = counted(len(cores.online), "logical processor")
    yield Check("processor", "ok", f"{processor_name(root)}, {many}" + ", virtual machine" * virtual)
    yield _cores(root, cores)
    yield _threads(cores)
    yield _governor(root, cores, virtual)
    yield _turbo(root, cores, virtual)
    yield _smt(root, virtual)
    yield from _power(root)
    yield _memory(root)


def _cores(root: Path, cores: Cores) -> Check:
    allowed = len(cores.allowed)
    physical = "an unknown number of cores" if cores.physical is None else counted(cores.physical, "core")
    found = f"{allowed} of {len(cores.online)} usable, on {physical}"
    if cores.quota is not None and cores.quota < allowed:
        return Check(
            "cores",
            "warn",
            f"{found}, under a quota of {cores.quota:g}",
            "A quota stops all threads for parts of every 0.1 s. Give whole processors instead, such as "
            f"docker run --cpuset-cpus=0-{max(1, int(cores.quota)) - 1}",
        )
    fastest = {_number(root / _CPU / f"cpu{number}/cpufreq/cpuinfo_max_freq") for number in cores.allowed} - {None}
    if len(fastest) > 1 and min(filter(None, fastest)) < 0.8 * max(filter(None, fastest)):
        advice = "Keep to the fast ones: taskset -c NUMBERS harness ... (lscpu --extended lists them)"
        return Check("cores", "warn", f"{found}, fast and slow ones", advice)
    return Check("cores", "ok", found)


def _threads(cores: Cores) -> Check:
    import torch

    threads, usable = torch.get_num_threads(), cores.usable
    wish = os.environ.get("OMP_NUM_THREADS")
    set_by = f"; OMP_NUM_THREADS={wish}" if wish else ""
    found = f"torch computes with {counted(threads, 'thread')}, usable are {usable:g}{set_by}"
    whole = max(1, int(usable))
    if threads > whole:
        advice = f"They wait for each other: OMP_NUM_THREADS={whole} harness ..."
        return Check("threads", "bad", found, advice)
    if cores.physical is not None and threads > cores.physical:
        advice = f"Two of them share a core: OMP_NUM_THREADS={cores.physical} harness ..."
        return Check("threads", "warn", found, advice)
    if threads < min(whole, cores.physical or whole):
        return Check("threads", "ok", found, "Fewer than there could be: steadier, and slower.")
    return Check("threads", "ok", found)


def _governor(root: Path, cores: Cores, virtual: bool) -> Check:
    found = {_text(root / _CPU / f"cpu{number}/cpufreq/scaling_governor").strip() for number in cores.allowed} - {""}
    if not found:
        if virtual:
            advice = "Nothing to do from inside; steadiness below shows what comes of it."
            return Check("governor", "unknown", "not told: the host of this virtual machine decides", advice)
        return Check("governor", "unknown", "not told")
    if found == {"performance"}:
        return Check("governor", "ok", "performance")
    return Check(
        "governor",
        "warn",
        f"{', '.join(sorted(found))}: the clock follows the load",
        "sudo cpupower frequency-set --governor performance",
    )


def _turbo(root: Path, cores: Cores, virtual: bool) -> Check:
    one = f"cpu{cores.allowed[0]}"
    switches = (
        (_CPU / "intel_pstate/no_turbo", "0", "1"),
        (_CPU / "cpufreq/boost", "1", "0"),
        (_CPU / one / "cpufreq/boost", "1", "0"),
    )
    for path, on, off in switches:
        value = _text(root / path).strip()
        if value == on:
            advice = f"echo {off} | sudo tee /{path}".replace(f"/{one}/", "/cpu*/")
            return Check("turbo", "warn", "on: the clock falls as the processor warms up", advice)
        if value == off:
            return Check("turbo", "ok", "off")
    return Check("turbo", "unknown", "not told" + ": the host of this virtual machine decides" * virtual)


def _smt(root: Path, virtual: bool) -> Check:
    active = _text(root / _CPU / "smt/active").strip()
    if not active:
        return Check("SMT", "unknown", "not told")
    if active == "0":
        return Check("SMT", "ok", "off" + ", as far as a virtual machine can see" * virtual)
    return Check("SMT", "ok", "on; no harm while there are no more threads than cores")


def _power(root: Path) -> Iterator[Check]:
    """Of machines with a mains plug that can be pulled."""
    folder = root / "sys/class/power_supply"
    supplies = sorted(folder.iterdir()) if folder.is_dir() else []
    mains = [supply for supply in supplies if _text(supply / "type").strip() == "Mains"]
    if mains and all(_text(supply / "online").strip() == "0" for supply in mains):
        yield Check("power", "warn", "on battery: the firmware holds the clock down", "Plug it in.")


def _memory(root: Path) -> Check:
    memory = psutil.virtual_memory()
    free, total, whose = memory.available, memory.total, ""
    limited = memory_limit_bytes(root)
    if limited is not None and limited[0] - limited[1] < free:
        free, total, whose = max(0, limited[0] - limited[1]), limited[0], " that the control group grants"
    found = f"{gibibytes(free)} free of {gibibytes(total)}{whose}"
    if free < _LEAST_MEMORY_BYTES:
        return Check("memory", "bad", found, "A machine that swaps times its disk: end other programs.")
    return Check("memory", "ok", found)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _number(path: Path) -> float | None:
    text = _text(path).strip()
    return float(text) if text.isdigit() else None
