"""Run folders of a made-up machine, whole enough for a gate: a run, and others of its images with planted changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.agreement import digest_of_rows
from harness.plan import Plan
from harness.record import Sample
from harness.runs import RunFolder
from harness.storage import write_json, write_text
from harness.summary import summarise
from recorded import METHODS, STAGES, Fault, simulate_records

IMAGES = 48
CLASSES = ("disc", "ring")
GPU = {"device": "cuda", "gpu": "Some GPU", "gpu_reason": None, "gpu_driver": "570.1", "cuda": "13.2", "cudnn": 91900}
CPU = {"device": "cpu", "gpu": None, "gpu_reason": "ran on the CPU"}


@dataclass(frozen=True)
class Change:
    """What is other in a run than in the plain one; by default only its noise."""

    slower: Mapping[str, float] = field(default_factory=dict)
    """Times as long, by method."""
    scale: float = 1.0
    """Times as long, of everything."""
    overlooked: Mapping[str, int] = field(default_factory=dict)
    """By method: every so many-th object is not found any more."""
    noise: float = 0.005
    """Of each time."""
    processes: int = 3
    device: str = "cpu"
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """Laid over the manifest, group by group."""
    fault: Fault = field(default_factory=Fault)
    failed: str | None = None
    """A method that has no model."""
    lost: tuple[str, ...] = ()
    """Methods whose convolutions take no time."""


def plant(path: Path, seed: int = 1, change: Change | None = None) -> Path:
    """Write a finished run: that of seed 1 but for noise drawn by `seed`, and for `change`."""
    change = change or Change()
    samples, conditions, recorded = simulate_records(
        1, change.fault, images=IMAGES, processes=change.processes, device=change.device
    )
    folder = RunFolder(path)
    manifest = _manifest(recorded, seed, change)
    folder.start(manifest)
    images = [f"{index:06}" for index in range(IMAGES)]
    truth = _truth(images)
    folder.write_truth(truth)
    rows = {method: _rows(truth, method, change.overlooked.get(method)) for method in METHODS}
    rng = np.random.default_rng(seed)
    measured = [method for method in manifest["plan"]["methods"] if method != change.failed]
    lines = [_measured(one, rows, rng, change).as_line() for one in samples if one.method in measured]
    # At once: a log that is safe from kills costs a second for each few hundred lines.
    write_text(path / "samples.jsonl", "\n".join(lines) + "\n")
    write_text(path / "conditions.jsonl", "\n".join(one.as_line() for one in conditions) + "\n")
    for method in measured:
        write_json(path / "detections" / f"{method}.json", rows[method])
    folder.write_summary(summarise(folder))
    folder.write_manifest({**manifest, "status": "partial" if change.failed else "complete"} | _status(change))
    return path


def _status(change: Change) -> dict[str, Any]:
    return {"status": change.manifest["status"]} if "status" in change.manifest else {}


def _measured(
    sample: Sample, rows: Mapping[str, list[dict[str, Any]]], rng: np.random.Generator, change: Change
) -> Sample:
    own = [row for row in rows[sample.method] if row["image_id"] == sample.image]
    return replace(_slower(sample, rng, change), digest=digest_of_rows(own))


def _slower(sample: Sample, rng: np.random.Generator, change: Change) -> Sample:
    factor = change.scale * change.slower.get(sample.method, 1.0) * float(rng.lognormal(0, change.noise))
    total = (sample.seconds or {})["total"] * factor
    if sample.role != "measured":
        return replace(sample, seconds={"total": total})
    seconds = dict.fromkeys(("propose", "decode", "suppress"), 0.0)
    seconds |= {stage: share * total for stage, share in STAGES.items()}
    seconds |= {"conv": 0.0} if sample.method in change.lost else {}
    seconds |= {"unattributed": total - sum(seconds.values()), "features": total * 0.95, "total": total}
    return replace(sample, seconds=seconds)


def _manifest(recorded: Mapping[str, Any], seed: int, change: Change) -> dict[str, Any]:
    plan = Plan.of({"methods": METHODS, "processes": change.processes, "images": IMAGES, "repeats": 2})
    ok = {"origin": "built in", "status": "ok", "reason": None, "paper": "P", "trained": True, "iterations": 40}
    manifest: dict[str, Any] = {
        **recorded,
        "status": "running",
        "created": f"2026-01-02T03:04:{seed % 60:02}+00:00",
        "command": "harness compare",
        "argv": ["harness", "compare"],
        "plan": plan.model_dump(mode="json"),
        "machine": {"cpu": "Some CPU", "threads": 2, **(GPU if change.device == "cuda" else CPU)},
        "software": {"python": "3.11.7", "torch": "2.15.0"},
        "flags": {"cudnn_benchmark": False, "environment": {"OMP_NUM_THREADS": None}},
        "source": {"commit": f"{seed:040x}", "dirty": False, "diff_sha256": None, "reason": None},
        "dataset": {
            "proposal_seconds_by_image": {f"{index:06}": 0.5 for index in range(IMAGES)},
            "images": IMAGES,
            "test_sha256": "2" * 64,
            "test_boxes_sha256": "4" * 64,
        },
        "weights_sha256": "5" * 64,
        "input": "RGB",
        "methods": {method: dict(ok) for method in METHODS},
        "notices": [],
    }
    if change.failed:
        manifest["methods"][change.failed] = {"origin": "built in", "status": "error", "reason": "planted: no model"}
    return manifest | {
        group: {**manifest[group], **values} if isinstance(values, Mapping) else values
        for group, values in change.manifest.items()
        if group != "status"
    }


def _truth(images: list[str]) -> dict[str, Any]:
    """One or two objects an image."""
    rows = [
        {
            "id": 0,
            "image_id": image,
            "category_id": 1 + (at + number) % 2,
            "bbox": [10.0 + 60 * number, 10.0, 40.0, 40.0],
        }
        for at, image in enumerate(images)
        for number in range(1 + at % 2)
    ]
    about = {"area": 1600.0, "iscrowd": 0, "ignore": 0}
    return {
        "images": [{"id": image, "file_name": image, "width": 200, "height": 100} for image in images],
        "annotations": [{**row, **about, "id": at + 1} for at, row in enumerate(rows)],
        "categories": [{"id": at + 1, "name": name} for at, name in enumerate(CLASSES)],
    }


def _rows(truth: Mapping[str, Any], method: str, overlooked: int | None) -> list[dict[str, Any]]:
    """Most objects found, with a false one here and there."""
    rng, rows = np.random.default_rng(METHODS.index(method)), []
    for at, one in enumerate(truth["annotations"]):
        score, false, found = float(rng.uniform(0.3, 1)), float(rng.uniform(0, 0.8)), rng.uniform() < 0.9
        about = {"image_id": one["image_id"], "category_id": one["category_id"]}
        if found and not (overlooked and at % overlooked == 0):
            rows.append({**about, "bbox": one["bbox"], "score": round(score, 4)})
        rows.append({**about, "bbox": [150.0, 60.0, 20.0, 20.0], "score": round(false, 4)})
    return rows
