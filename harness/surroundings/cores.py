"""Which processors this process may use, and how much of them and of the memory: affinity and control groups."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Cores", "find_cores", "memory_limit_bytes", "memory_limits_bytes"]

_UNLIMITED_BYTES = 1 << 60  # what version 1 says instead of "max" is a number of about 2**63


@dataclass(frozen=True, slots=True)
class Cores:
    """What there is and what of it is ours."""

    online: tuple[int, ...]
    """Numbers of the logical processors of the whole machine that are switched on."""
    physical: int | None
    """Among `allowed`: logical ones that share a core count once. None where the system does not tell."""
    allowed: tuple[int, ...]
    """Numbers of the logical processors that this process may run on."""
    quota: float | None
    """Processors' worth of time that control groups grant; None for no limit."""

    @property
    def usable(self) -> float:
        """How many threads can run all the time."""
        return min(float(len(self.allowed)), self.quota or float("inf"))


def find_cores(root: Path = Path("/")) -> Cores:
    """Those of this machine. `root` is where ``/sys`` and ``/proc`` are looked for."""
    online = _online(root)
    # Windows and macOS have no affinity that could be asked for.
    allowed = tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else online
    siblings = {_siblings(root, number) for number in allowed}
    physical = len(siblings) if None not in siblings else psutil.cpu_count(logical=False)
    return Cores(online, physical, allowed, _quota(root))


def memory_limit_bytes(root: Path = Path("/")) -> tuple[int, int] | None:
    """Of `memory_limits_bytes` the one that leaves least now; None for no limit."""
    return min(memory_limits_bytes(root), key=lambda pair: pair[0] - pair[1], default=None)


def memory_limits_bytes(root: Path = Path("/")) -> list[tuple[int, int]]:
    """Each limit of a control group on memory, and what is in use under it.

    Cached files that the kernel would drop do not count as used.
    """
    found = []
    for folder in _groups(root, "memory"):
        for limit, usage, file_key in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            words = _words(folder / limit)
            used = _words(folder / usage)
            if words and used and words[0].isdigit() and int(words[0]) < _UNLIMITED_BYTES:
                stat = _words(folder / "memory.stat")
                cached = int(stat[stat.index(file_key) + 1]) if file_key in stat else 0
                found.append((int(words[0]), max(0, int(used[0]) - cached)))
    return found


def _online(root: Path) -> tuple[int, ...]:
    numbers: list[int] = []
    for span in ",".join(_words(root / "sys/devices/system/cpu/online")).split(","):
        first, _dash, last = span.partition("-")
        if first:
            numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers) or tuple(range(os.cpu_count() or 1))


def _siblings(root: Path, number: int) -> tuple[str, ...] | None:
    listed = _words(root / f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list")
    return tuple(listed) or None


def _quota(root: Path) -> float | None:
    quotas = []
    for folder in _groups(root, "cpu"):
        version_2 = _words(folder / "cpu.max")
        version_1 = _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
        for words in (version_2, version_1):
            if len(words) == 2 and words[0] not in ("max", "-1"):
                quotas.append(int(words[0]) / int(words[1]))
    return min(quotas, default=None)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups that this process is in, up to the outermost that can be seen from here.

    Inside a container the path may be told as the host sees it; then only the outermost exists, and that is ours.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return  # not Linux
    for line in lines:
        _number, controllers, path = line.split(":", 2)
        names = controllers.split(",")
        if controllers and controller not in names:
            continue
        base = root / "sys/fs/cgroup"
        # Where both versions are mounted, the second has a folder beside those of the first.
        mounts = (base / controllers, base / controller) if controllers else (base / "unified", base)
        mount = next((place for place in mounts if place.is_dir()), None)
        if mount is None:
            continue
        group = mount / path.strip("/")
        yield group
        while group != mount:
            group = group.parent
            yield group


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except OSError:
        return []
