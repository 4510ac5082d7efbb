"""Which processor this is, and whether it is a virtual machine's, as far as the kernel tells."""

from __future__ import annotations

import platform
from pathlib import Path

__all__ = ["hypervisor", "processor_name"]


def processor_name(root: Path = Path("/")) -> str:
    """Its maker's name for it; the kind of machine where the kernel has none, as on ARM. `root` holds ``/proc``."""
    for line in _text(root / "proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def hypervisor(root: Path = Path("/")) -> str | None:
    """The kind of virtual machine and its maker, ``hypervisor`` where neither shows; None without sign of one.

    `root` is where ``/proc`` and ``/sys`` are looked for.
    """
    lines = _text(root / "proc/cpuinfo").splitlines()
    cpu_says = any(line.startswith("flags") and "hypervisor" in line.split() for line in lines)
    kind = _text(root / "sys/hypervisor/type")
    if not cpu_says and not kind:
        return None
    # Real boards have makers, too; alone they say nothing.
    board = [_text(root / "sys/class/dmi/id" / name) for name in ("sys_vendor", "product_name")]
    return " ".join(part for part in (kind, *board) if part) or "hypervisor"


def _text(path: Path) -> str:
    """What a file of the kernel says; nothing where there is no such file, as on other systems."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
