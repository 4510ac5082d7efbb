"""What tests ask of a verdict, and of the runs that it is on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.gate import Gate, Verdict

CPU = "CPU (Some CPU)"
GPU = "GPU (Some GPU)"
ORDER = (
    *("schema", "comparable", "trust", "method of rcnn", "method of spp", "method of fast"),
    *("speed-up conv of spp", "speed-up total of spp", "speed-up conv of fast", "speed-up total of fast"),
    *("mAP voc07 of rcnn", "mAP voc07 of spp", "mAP voc07 of fast"),
)
SPEEDS = {title for title in ORDER if title.startswith("speed-up")}
SCORES = {title for title in ORDER if title.startswith("mAP")}

Planted = Callable[..., Path]
"""Gives the folder of a run by its seed and the fields of its `gated.Change`."""


def by_title(verdict: Verdict) -> dict[str, Gate]:
    """Gates under their titles."""
    return {one.title: one for one in verdict.gates}


def titles(verdict: Verdict, outcome: str) -> set[str]:
    """Of the gates with this outcome."""
    return {one.title for one in verdict.gates if one.outcome == outcome}


def edited(run: Path, to: Path, name: str, change: Callable[[Any], object]) -> Path:
    """A copy of a run, or the run itself where `to` is that, with one JSON file changed by `change`."""
    copy = run if run == to else Path(shutil.copytree(run, to))
    values = json.loads((copy / name).read_text(encoding="utf-8"))
    change(values)
    (copy / name).write_text(json.dumps(values), encoding="utf-8")
    return copy


def relogged(run: Path, to: Path, change: Callable[[dict[str, Any]], object], name: str = "samples.jsonl") -> Path:
    """The same with each line of a log changed; one for which `change` gives False is left out."""
    copy = run if run == to else Path(shutil.copytree(run, to))
    lines = [json.loads(line) for line in (copy / name).read_text(encoding="utf-8").splitlines()]
    kept = [line for line in lines if change(line) is not False]
    (copy / name).write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    return copy
