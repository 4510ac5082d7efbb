"""Finished runs of a made-up detector, as much of them as a scoreboard reads."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.plan import Plan
from harness.record import Sample
from harness.runs import RunFolder
from harness.storage import write_json, write_text

CLASSES = ("cat", "dog", "emu")

Rows = list[dict[str, Any]]


def ids(count: int) -> list[str]:
    """Of the first images of the split."""
    return [f"{index:06}" for index in range(count)]


def objects(images: Sequence[str]) -> dict[str, Any]:
    """None to three objects an image, some difficult; those of an image depend on its id alone."""
    rows: Rows = []
    for image in images:
        rng = np.random.default_rng(int(image))
        for place in range(int(rng.integers(0, 4))):
            box = [float(70 * place), float(rng.integers(0, 40)), 50.0, float(rng.integers(30, 60))]
            about = {"area": box[2] * box[3], "iscrowd": 0, "ignore": int(rng.random() < 0.15)}
            label = int(rng.integers(1, len(CLASSES) + 1))
            rows.append({"id": len(rows) + 1, "image_id": image, "category_id": label, "bbox": box, **about})
    return {
        "images": [{"id": image, "file_name": image, "width": 220, "height": 100} for image in images],
        "annotations": rows,
        "categories": [{"id": at + 1, "name": name} for at, name in enumerate(CLASSES)],
    }


def detected(truth: Mapping[str, Any], method: str, skill: float) -> Rows:
    """Objects found with the chance `skill`, and false ones; those of an image depend on it and the method alone."""
    rows: Rows = []
    for image in truth["images"]:
        rng = np.random.default_rng([int(image["id"]), zlib.crc32(method.encode())])
        for one in truth["annotations"]:
            if one["image_id"] == image["id"] and rng.random() < skill:
                x, y, width, height = one["bbox"]
                shifted = [x + float(rng.integers(0, 9)), y, width, height]
                rows.append(_row(image, one["category_id"], shifted, 0.3 + 0.7 * rng.random()))
        for _ in range(int(rng.integers(0, 4))):
            label = int(rng.integers(1, len(CLASSES) + 1))
            rows.append(_row(image, label, [float(rng.integers(0, 150)), 5.0, 40.0, 40.0], 0.8 * rng.random()))
    return rows


def _row(image: Mapping[str, Any], label: int, bbox: list[float], score: float) -> dict[str, Any]:
    return {"image_id": image["id"], "category_id": label, "bbox": bbox, "score": round(score, 3)}


def plant(
    path: Path,
    skills: Mapping[str, float],
    *,
    images: Sequence[str],
    plan: Mapping[str, Any] | None = None,
    dataset: Mapping[str, Any] | None = None,
    methods: Mapping[str, Mapping[str, Any]] | None = None,
    detections: Mapping[str, Rows] | None = None,
    status: str = "complete",
    commit: str = "d" * 40,
) -> Path:
    """Write a run whose methods find objects with the chances `skills`; the rest is laid over what is usual.

    What `methods` says of one goes into the manifest, and what it says under ``summary`` into the summary.
    """
    folder, truth = RunFolder(path), objects(images)
    planned = Plan.of({"methods": tuple(skills), "dataset": "voc:VOCdevkit/VOC2007", "split": "val", **(plan or {})})
    data = {
        "images": len(images),
        "train_images": 300,
        "train_sha256": "a" * 64,
        "train_boxes_sha256": "b" * 64,
        "test_boxes_sha256": f"of {len(images)}",
        "proposals": {"name": "selective-search"},
        "proposal_seconds_by_image": {},
        **(dataset or {}),
    }
    about = {name: dict((methods or {}).get(name, {})) for name in skills}
    said = {name: dict(one.pop("summary", {})) for name, one in about.items()}
    summarised = {name: one if "status" in one else _succeeded() | one for name, one in said.items()}
    own = planned.model_dump(mode="json")
    folder.start(
        {"schema_version": 2, "status": status, "created": "2026-01-02T03:04:05+00:00", "command": "harness compare"}
        | {"plan": own, "dataset": data, "weights_sha256": "c" * 64, "methods": about, "software": {}}
        | {"machine": {"device": "cpu"}, "source": {"commit": commit, "dirty": False, "diff_sha256": None}}
    )
    folder.write_truth(truth)
    for name, skill in skills.items():
        write_json(folder.detections_path(name), (detections or {}).get(name) or detected(truth, name, skill))
    measured = [name for name, one in summarised.items() if one["status"] == "ok"]
    lines = [Sample(0, 0, name, images[0], 0, at, "ok", seconds=_SECONDS).as_line() for at, name in enumerate(measured)]
    write_text(path / "samples.jsonl", "\n".join(lines) + "\n")
    ratio = dict.fromkeys(("value", "low", "high", "flop_ratio", "utilisation_ratio"), 1.0)
    folder.write_summary(
        {"schema_version": 2, "plan": own, "dataset": data, "methods": summarised}
        | {"trust": {"verdict": "ok", "reasons": []}, "claims": [], "machine": {}}
        | {"speedup": {name: dict.fromkeys(("conv", "features", "total"), ratio) for name in measured[1:]}}
    )
    return path


_STAGES = ("prepare", "propose", "conv", "pool", "fc", "decode", "suppress", "features", "total", "full_system")
_SECONDS = {"conv": 0.1, "features": 0.2, "total": 0.3}


def _succeeded() -> dict[str, Any]:
    """What a summary says of a method that was measured; no scoreboard reads these numbers."""
    nothing = {"value": 0.0, "low": 0.0, "high": 0.0}
    mean = {"mean": 0.0, "low": 0.0, "high": 0.0}
    numbers = {"map": {"voc07": nothing, "voc10": nothing}, "seconds": dict.fromkeys(_STAGES, mean)}
    return {"status": "ok", "trained": True, "ap": {}, **numbers}
