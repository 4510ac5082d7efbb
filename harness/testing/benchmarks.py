"""A pytest plugin that makes pytest-benchmark's numbers those of one device: it waits, names it, keeps apart, compares.

1. `synchronised` is a timer that waits for the device, so that a launch is not taken for the work.
2. What is saved says which GPU and driver, or which processor and threads, it was measured on.
3. Files are kept in a folder for each device.
4. A comparison with a file of another device is refused with one line, and pytest's code for wrong usage, 4.

It needs pytest-benchmark, and is switched on by ``-p harness.testing.benchmarks`` with
``--benchmark-timer=harness.testing.benchmarks.synchronised``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from harness.machine import describe_machine
from harness.rendering import caption
from harness.surroundings.checks.gpu import cuda_is_usable

__all__ = ["device_name", "synchronised"]

IDENTITY = ("device", "gpu", "gpu_memory_bytes", "cpu", "threads", "usable_cpus", "cpu_quota")
"""Fields of `describe_machine` that make two machines different ones for a time in seconds."""

_VOLATILE = ("boot_id_sha256", "boot_id_sha256_reason")
"""Fields that a restart changes and that no time depends on."""


def synchronised() -> float:
    """Seconds of the host's monotonic clock, once the device has done all that it was given.

    Where nothing has been given to a CUDA device, there is nothing to wait for.
    """
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


def _described() -> dict[str, Any]:
    """The machine as a run's manifest has it, for the device that `harness compare` would choose."""
    usable, _ = cuda_is_usable()
    machine = describe_machine("cuda" if usable else "cpu")
    return {field: value for field, value in machine.items() if field not in _VOLATILE}


def device_name(described: Mapping[str, Any]) -> str:
    """Such as ``GPU (Some GPU)`` or ``CPU (Some CPU, 2 threads)``, as reports name it."""
    return caption.device({"machine": described})


def _folder_name(name: str) -> str:
    return re.sub(r"[^\w.]+", "-", name).strip("-")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the device's files in a folder of its own, before pytest-benchmark looks for those to compare with."""
    option = config.option
    storage = getattr(option, "benchmark_storage", None)
    # A worker of xdist is handed the options as they are after this. Where benchmarks are skipped nothing is stored,
    # and a GPU need not be woken for its name.
    if storage is None or hasattr(config, "workerinput") or (option.benchmark_skip and not option.benchmark_only):
        return
    if "://" not in storage or storage.startswith("file://"):
        option.benchmark_storage = f"{storage.rstrip('/')}/{_folder_name(device_name(_described()))}"


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Add the device, and leave out what changes from run to run or names the machine to others."""
    machine_info.pop("node", None)
    processor = machine_info.get("cpu") or {}
    machine_info["cpu"] = {field: value for field, value in processor.items() if not field.startswith("hz_")}
    described = _described()
    machine_info["device"] = device_name(described)
    machine_info["described"] = {**described, "torch": str(torch.__version__)}


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_benchmark_compare_machine_info(machine_info: dict[str, Any], compared_benchmark: dict[str, Any]) -> None:
    """Refuse a file of another device; of what else differs, such as a driver, pytest-benchmark warns.

    Raises:
        pytest.UsageError: the device is another one, or the file does not say which it was.
    """
    here, there = machine_info["described"], (compared_benchmark.get("machine_info") or {}).get("described")
    when = compared_benchmark.get("datetime", "an unknown time")
    if there is None:
        raise pytest.UsageError(
            f"--benchmark-compare: the file of {when} does not say on which device it was measured; measure anew with "
            "-p harness.testing.benchmarks --benchmark-autosave"
        )
    differ = [
        f"{field} ({there.get(field)} there, {here.get(field)} here)"
        for field in IDENTITY
        if there.get(field) != here.get(field)
    ]
    if differ:
        raise pytest.UsageError(
            f"--benchmark-compare: seconds of two devices are not compared; the file of {when} differs in "
            f"{', '.join(differ)}; measure both on one device with --benchmark-autosave"
        )
