"""What ran a measurement: processor, device, libraries, and the state of the source."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

__all__ = ["describe_machine", "describe_software", "describe_source"]

_PACKAGES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "numpy": "numpy",
    "opencv": "opencv-contrib-python-headless",
    "scikit-learn": "scikit-learn",
    "rcnn-harness": "rcnn-harness",
}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def describe_machine(device: str) -> dict[str, Any]:
    """Processor, memory and, where `device` is ``cuda``, the GPU. Sizes in bytes."""
    import torch

    machine: dict[str, Any] = {
        "cpu": _processor(),
        "cores": psutil.cpu_count(logical=False),
        "threads": torch.get_num_threads(),
        "logical_cpus": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "os": platform.platform(),
        "device": device,
        "gpu": None,
        "gpu_reason": None,
    }
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        machine["gpu"] = properties.name
        machine["gpu_memory_bytes"] = properties.total_memory
        machine["cuda"] = torch.version.cuda
        machine["cudnn"] = torch.backends.cudnn.version()
    else:
        machine["gpu_reason"] = "ran on the CPU"
    return machine


def describe_software() -> dict[str, str | None]:
    """Version of Python and of each library that can change a result; None where it is not installed."""
    versions: dict[str, str | None] = {"python": platform.python_version()}
    for name, package in _PACKAGES.items():
        try:
            versions[name] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def describe_source() -> dict[str, Any]:
    """Commit of the checkout that this package runs from, and whether it was changed since; None outside a checkout."""
    folder = Path(__file__).resolve().parents[1]

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "HEAD") if (folder / ".git").exists() else None
    if commit is None:
        return {"commit": None, "dirty": None, "reason": "not run from a git checkout"}
    return {"commit": commit, "dirty": bool(git("status", "--porcelain")), "reason": None}
