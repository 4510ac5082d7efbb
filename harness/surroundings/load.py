"""Who uses the processors: we, others, or the host of a virtual machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from harness.surroundings.cores import find_cores

__all__ = ["LoadMeter", "busiest_others"]

_SHORTEST_SECONDS = 0.2
"""The kernel counts in ticks of 10 ms; over less than twenty of them a share says nothing."""

_BUSY = ("user", "nice", "system", "irq", "softirq")  # guests are part of user and nice


class LoadMeter:
    """Shares of the processors' time between one look and the next."""

    def __init__(
        self,
        root: Path = Path("/"),
        *,
        processors: Callable[[], Sequence[Any]] | None = None,
        own_seconds: Callable[[], float] | None = None,
    ) -> None:
        """`processors` tells the counted seconds of each, `own_seconds` those of this process and its children."""
        self._root = root
        self._cores = find_cores(root)
        self._processors = processors or (lambda: psutil.cpu_times(percpu=True))
        self._own_seconds = own_seconds or _own_seconds
        self._last: tuple[float, float, float, float] | None = None

    def shares(self) -> tuple[dict[str, float] | None, str | None]:
        """``own``, ``others`` and ``steal``, 0..1, since the last look; None and why at the first and where unknown.

        ``others`` and ``steal`` are shares of the time of all processors that this process may run on, ``own`` of what
        it may use of that, which is less under a quota. Time that the kernel spends for nobody in particular, such as
        interrupts, is among ``others``.
        """
        now = self._look()
        if now is None:
            return None, "the system does not count its processors' time"
        if self._last is None:
            self._last = now
            return None, "first look"
        total, busy, steal, own = (new - old for new, old in zip(now, self._last, strict=True))
        allowed = len(self._cores.allowed)
        if total < _SHORTEST_SECONDS * allowed:
            return None, f"less than {_SHORTEST_SECONDS} s since the last look"
        self._last = now
        own = max(0.0, own)
        shares = {
            "own": min(1.0, own / (total * self._cores.usable / allowed)),
            "others": max(0.0, busy - own) / total,
            "steal": max(0.0, steal) / total,
        }
        return {name: round(share, 4) for name, share in shares.items()}, None

    def cpu_mhz(self) -> float | None:
        """Mean clock of the processors that this process may run on; None where only a nominal one is told."""
        folder = self._root / "sys/devices/system/cpu"
        found = [_number(folder / f"cpu{number}/cpufreq/scaling_cur_freq") for number in self._cores.allowed]
        known = [khz / 1e3 for khz in found if khz is not None]
        return sum(known) / len(known) if known else self._counted_mhz()

    def _counted_mhz(self) -> float | None:
        """From /proc/cpuinfo, which measures the clock where the processor counts its cycles, and else invents it."""
        try:
            text = (self._root / "proc/cpuinfo").read_text(encoding="utf-8")
        except OSError:
            return None  # not Linux
        if " aperfmperf " not in text.replace("\n", " "):
            return None
        lines = [line.partition(":")[2] for line in text.splitlines() if line.startswith("cpu MHz")]
        mhz = [float(value) for number, value in zip(self._cores.online, lines, strict=False) if self._is_ours(number)]
        return sum(mhz) / len(mhz) if mhz else None

    def _is_ours(self, number: int) -> bool:
        return number in self._cores.allowed

    def _look(self) -> tuple[float, float, float, float] | None:
        """All counted time of the allowed processors, the busy and the stolen part of it, and our own; in seconds."""
        # The system lists those that are switched on, without their numbers.
        listed = zip(self._cores.online, self._processors(), strict=False)
        ours = [times for number, times in listed if self._is_ours(number)]
        busy = sum(getattr(times, name, 0.0) for times in ours for name in _BUSY)
        # Elsewhere than on Linux nobody steals, or nobody says so.
        steal = sum(getattr(times, "steal", 0.0) for times in ours)
        rest = sum(getattr(times, name, 0.0) for times in ours for name in ("idle", "iowait"))
        total = busy + steal + rest
        return (total, busy, steal, self._own_seconds()) if total > 0 else None


def busiest_others(seconds: float, *, at_least: float = 0.02) -> list[tuple[str, int, float]]:
    """Wait, and tell who else used a processor meanwhile: name, process id, share of one processor; the busiest first.

    `at_least` is the share from which on a process is told of.
    """
    ours = {os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))}
    before = {process: used for process in psutil.process_iter() if (used := _used(process)) is not None}
    start = time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - start
    found = []
    for process, used in before.items():
        after = _used(process)
        if after is not None and process.pid not in ours and (after - used) / elapsed >= at_least:
            found.append((_name(process), process.pid, (after - used) / elapsed))
    return sorted(found, key=lambda one: -one[2])


def _own_seconds() -> float:
    """Of this process, its living descendants, and the children that it has seen end."""
    me = psutil.Process()
    return sum(_used(process) or 0.0 for process in (me, *me.children(recursive=True)))


def _used(process: psutil.Process) -> float | None:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return None  # gone, or not ours to ask
    # Children that have ended are in their parent's account.
    return float(times.user + times.system + times.children_user + times.children_system)


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return "a process that has ended"


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
