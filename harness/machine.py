"""What ran a measurement: processor, device, libraries, how they are set, and the state of the source.

Whatever names a machine to others, its boot or its GPU, is kept as a digest: two runs can be told apart by it, and
nothing else can be done with it. Beside a field that is None stands ``<field>_reason``.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from harness.surroundings.cores import find_cores, memory_limits_bytes
from harness.surroundings.processor import hypervisor, processor_name

__all__ = ["ENVIRONMENT", "describe_flags", "describe_machine", "describe_software", "describe_source"]

_PACKAGES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "numpy": "numpy",
    "opencv": "opencv-contrib-python-headless",
    "scikit-learn": "scikit-learn",
    "rcnn-harness": "rcnn-harness",
}

ENVIRONMENT = (
    *("OMP_NUM_THREADS", "OMP_DYNAMIC", "OMP_PROC_BIND", "OMP_PLACES", "OMP_WAIT_POLICY", "GOMP_CPU_AFFINITY"),
    *("MKL_NUM_THREADS", "MKL_DYNAMIC", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "OPENBLAS_NUM_THREADS"),
    *("KMP_AFFINITY", "KMP_BLOCKTIME", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"),
    *("CUDA_LAUNCH_BLOCKING", "CUDA_MODULE_LOADING", "CUDA_DEVICE_MAX_CONNECTIONS", "CUBLAS_WORKSPACE_CONFIG"),
    *("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TORCH_CUDNN_V8_API_DISABLED"),
    *("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_NO_CUDA_MEMORY_CACHING", "MALLOC_ARENA_MAX"),
)
"""Variables that change how fast, or to which last bit, a library computes. No other is ever recorded."""

_ROOT = Path("/")
_CHECKOUT = Path(__file__).resolve().parents[1]
_CODE = (b"harness/", b"detectors/")
"""Folders whose untracked files can run."""


def describe_machine(device: str, root: Path = _ROOT) -> dict[str, Any]:
    """Processor, memory, limits of the container and, where `device` is ``cuda``, the GPU. Sizes in bytes.

    `root` is where ``proc`` and ``sys`` are found.
    """
    import torch

    cores, memory_bytes = find_cores(root), psutil.virtual_memory().total
    machine: dict[str, Any] = {
        "cpu": processor_name(root),
        # Of the whole machine: it stays the same one when a process is bound to a part of it.
        **_known("cores", psutil.cpu_count(logical=False), "the system does not tell"),
        "threads": torch.get_num_threads(),
        "logical_cpus": len(cores.online),
        "usable_cpus": len(cores.allowed),
        **_known("cpu_quota", cores.quota, "no limit was found"),
        "memory_bytes": memory_bytes,
        **_known("memory_limit_bytes", _memory_limit(root, memory_bytes), "no limit was found"),
        "os": platform.platform(),
        **_known("container", _container(root), "no sign of one"),
        **_known("virtualisation", hypervisor(root), "no sign of it"),
        **_known("boot_id_sha256", _boot_id(root), "this system has none"),
        "device": device,
    }
    return machine | (_describe_gpu(device) if device == "cuda" else {"gpu": None, "gpu_reason": "ran on the CPU"})


def _known(field: str, value: object, otherwise: str) -> dict[str, Any]:
    return {field: value, f"{field}_reason": otherwise if value is None else None}


def _describe_gpu(device: str) -> dict[str, Any]:
    import torch

    from harness.surroundings.sensors import sensors_for

    properties = torch.cuda.get_device_properties(0)
    about: dict[str, Any] = {
        "gpu": properties.name,
        "gpu_reason": None,
        "gpu_memory_bytes": properties.total_memory,
        "gpu_capability": f"{properties.major}.{properties.minor}",
        "gpu_multiprocessors": properties.multi_processor_count,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }
    told = sensors_for(device).describe()
    reasons = told.pop("reasons")
    told.pop("name")  # torch told it
    for field, value in told.items():
        about |= _known(f"gpu_{field}", value, reasons.get(field, "the driver does not say"))
    return about


def _read(path: Path) -> str:
    """What a file of the kernel says; nothing where there is no such file, as on other systems."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _memory_limit(root: Path, memory_bytes: int) -> int | None:
    """The tightest below what the machine has, whatever is in use under it; None without one."""
    return min((limit for limit, _used in memory_limits_bytes(root) if limit < memory_bytes), default=None)


def _container(root: Path) -> str | None:
    told = _read(root / "run/systemd/container")
    signs = {".dockerenv": "docker", "run/.containerenv": "podman"}
    return told or next((name for sign, name in signs.items() if (root / sign).exists()), None)


def _boot_id(root: Path) -> str | None:
    text = _read(root / "proc/sys/kernel/random/boot_id")
    return hashlib.sha256(text.encode()).hexdigest()[:16] if text else None


def describe_flags() -> dict[str, Any]:
    """How the libraries are set at this moment; call it in the arithmetic that is asked about.

    A variable of the environment that is not set is None.
    """
    import torch

    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    return {
        "matmul_allow_tf32": cuda.allow_tf32,
        "matmul_allow_fp16_reduced": cuda.allow_fp16_reduced_precision_reduction,
        "matmul_allow_bf16_reduced": cuda.allow_bf16_reduced_precision_reduction,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_allow_tf32": cudnn.allow_tf32,
        "cudnn_enabled": cudnn.enabled,
        "cudnn_benchmark": cudnn.benchmark,
        "cudnn_deterministic": cudnn.deterministic,
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "onednn": torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "environment": {name: os.environ.get(name) for name in ENVIRONMENT},
    }


def describe_software() -> dict[str, str | None]:
    """Version of Python and of each library that can change a result; None where it is not installed."""
    import torch

    # The package's own version does not say for which CUDA its torch was built.
    versions: dict[str, str | None] = {"python": platform.python_version(), "torch_build": str(torch.__version__)}
    for name, package in _PACKAGES.items():
        try:
            versions[name] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def describe_source(folder: Path = _CHECKOUT) -> dict[str, Any]:
    """Commit of the checkout that this package runs from, and what was changed since; None outside a checkout.

    ``diff_sha256`` is over names and contents of all tracked files that differ from the commit, and of the untracked
    ones among the code.
    """
    commit = _git(folder, "rev-parse", "HEAD") if (folder / ".git").exists() else None
    if commit is None:
        return {"commit": None, "dirty": None, "diff_sha256": None, "reason": "not run from a git checkout"}
    source = {"commit": commit.decode().strip(), "dirty": None, "diff_sha256": None, "reason": "git status failed"}
    # Not the text of a diff, which depends on how its user set up git.
    changes = _git(folder, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
    if changes is None:
        return source
    entries = [(entry[:2], entry[3:]) for entry in changes.split(b"\0") if entry]
    names = [name for status, name in entries if status != b"??" or name.startswith(_CODE)]
    digest = _digest(folder, names) if entries else None
    return source | {"dirty": bool(entries), "diff_sha256": digest, "reason": None}


def _digest(folder: Path, names: list[bytes]) -> str:
    digest = hashlib.sha256()
    for name in sorted(names):
        try:
            content = (folder / os.fsdecode(name)).read_bytes()
        except OSError:
            content = b"no file"  # removed, or a folder that is a repository of its own
        digest.update(b"%d:%b%d:%b" % (len(name), name, len(content), content))
    return digest.hexdigest()


def _git(folder: Path, *arguments: str) -> bytes | None:
    """What git prints; None where it fails or is not there."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
