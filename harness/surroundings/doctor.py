"""Whether this machine can give trustworthy timings, and what to do about it, on one screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.surroundings.checks import Check, Verdict
from harness.surroundings.checks.gpu import cuda_is_usable, examine_absent_gpu, examine_gpu, examine_working_gpu
from harness.surroundings.checks.processor import examine_processor
from harness.surroundings.checks.steadiness import examine_load, examine_steadiness, examine_timer, watch
from harness.surroundings.load import LoadMeter
from harness.surroundings.sensors import NoSensors, sensors_for

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Check", "as_dict", "conclusion", "examine", "screen"]

_COLOURS: dict[Verdict, str] = {"ok": "green", "warn": "yellow", "bad": "red", "unknown": "dim"}


def examine(root: Path = Path("/"), *, waiting_seconds: float = 1.0, working_seconds: float = 2.5) -> list[Check]:
    """Look at everything; takes about a second more than `waiting_seconds` and `working_seconds`, the latter again for
    a GPU. `root` is where ``/sys`` and ``/proc`` are looked for.
    """
    checks = list(examine_processor(root))
    meter = LoadMeter(root)
    checks.append(examine_load(meter, waiting_seconds))
    checks.append(examine_timer(root))
    meter.shares()
    checks += examine_steadiness(meter, watch("cpu", working_seconds, NoSensors("a CPU")))
    checks += _examine_gpu(working_seconds)
    return checks


def _examine_gpu(working_seconds: float) -> Iterator[Check]:
    usable, complaint = cuda_is_usable()
    if not usable:
        yield examine_absent_gpu(complaint)
        return
    try:
        sensors = sensors_for("cuda")
        yield from examine_gpu(sensors)
        yield from examine_working_gpu(sensors, watch("cuda", working_seconds, sensors))
    except RuntimeError as error:  # how torch says that memory is out, or that it has no code for this device
        yield Check("GPU works", "bad", str(error).splitlines()[0], "nvidia-smi shows its state and who uses it.")


def conclusion(checks: Sequence[Check]) -> tuple[Verdict, str]:
    """The whole in one line: ``ok``, ``warn`` or ``bad``."""
    bad, warned = ([check.name for check in checks if check.verdict == verdict] for verdict in ("bad", "warn"))
    if bad:
        return "bad", f"This machine cannot give trustworthy ratios now: {', '.join(bad)}."
    if warned:
        return "warn", f"This machine can give trustworthy ratios; not all is at its best: {', '.join(warned)}."
    return "ok", "This machine can give trustworthy ratios."


def as_dict(checks: Sequence[Check]) -> dict[str, Any]:
    """What ``--json`` prints."""
    verdict, text = conclusion(checks)
    return {"verdict": verdict, "conclusion": text, "checks": [asdict(check) for check in checks]}


def screen(checks: Sequence[Check]) -> RenderableType:
    """For 80 columns: what was found, and under it, where it is not well, what to do."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in ("verdict", "name", "found"):
        table.add_column(no_wrap=column != "found")
    for check in checks:
        colour = _COLOURS[check.verdict]
        words = Text(check.found, "dim" if check.verdict == "unknown" else "")
        if check.advice:
            words.append(f"\n-> {check.advice}", "bold" if check.verdict in ("warn", "bad") else "dim")
        table.add_row(Text(check.verdict, colour), check.name, words)
    verdict, text = conclusion(checks)
    return Group(table, Text(f"\n{text}", f"bold {_COLOURS[verdict]}"))
