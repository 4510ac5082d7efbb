"""A run that never happened, with all that figures show: three methods, two processes, four scenes that were drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.coco import detection_rows, truth_file
from harness.datasets.shapes import CLASSES, Shapes
from harness.quantities.observations import Observed, observe
from harness.quantities.series import series
from harness.record import Sample
from harness.runs import RunFolder
from recorded import METHODS, simulate_records

IMAGES = 4


def samples_and_truth(images: int = IMAGES, processes: int = 2) -> tuple[list[Sample], dict[str, Any]]:
    """Of a simulated run on the first scenes of the test split."""
    truth = truth_file(Shapes("test", images))
    samples, _, _ = simulate_records(3, images=images, repeats=1, processes=processes, device="cpu")
    ids = [image["id"] for image in truth["images"]]
    return [replace(one, image=ids[one.index]) for one in samples], truth


def observed(samples: list[Sample], truth: dict[str, Any]) -> Observed:
    """What makes its figures."""
    by_method = {
        method: [one for one in samples if one.method == method and one.role == "measured"] for method in METHODS
    }
    return observe(by_method, [image["id"] for image in truth["images"]])


def claim(quantity: str, printed: str, verdict: str, value: float | None, **changes: Any) -> dict[str, Any]:
    """One published number as it stands in a summary."""
    spread = None if value is None else 0.05 * value
    of = {
        "source": "SPP",
        "version": "1406.4729v4",
        "locator": "Table 9",
        "method": "spp",
        "variant": "",
        "backbone": "ZF-5",
        "quantity": quantity,
        "part": "",
        "printed": printed,
        "unit": "%" if quantity in ("map", "share") else "x",
        "stages": ["conv"],
        "relative_to": "rcnn@ZF-5",
        "measured": {
            "value": value,
            "low": None if value is None or spread is None else value - spread,
            "high": None if value is None or spread is None else value + spread,
        },
        "verdict": verdict,
        "reason": "network mini, ZF-5 there" if verdict == "not comparable" else None,
    }
    return {**of, **changes}


def full_summary() -> dict[str, Any]:
    """A summary with every figure's numbers."""
    samples, truth = samples_and_truth()
    of = observed(samples, truth)
    methods, lines = {}, {}
    for at, method in enumerate(METHODS):
        seconds = {}
        for name in of.by_method[method].stages:
            mean = float(of.by_method[method].values(name).mean())
            seconds[name] = {"mean": mean, "low": 0.97 * mean, "high": 1.03 * mean, "reason": None}
        score = {"value": 0.6 - 0.05 * at, "low": 0.5, "high": 0.7, "reason": None}
        methods[method] = {
            "status": "ok",
            "reason": None,
            "trained": True,
            "map": {"voc07": score, "voc10": score},
            "ap": {name: 0.9 - 0.1 * number - 0.02 * at for number, name in enumerate(CLASSES)},
            "seconds": seconds,
        }
        slope = {"value": 1e-4, "low": 5e-5, "high": 2e-4}
        flat = {"value": 1e-3, "low": -1.0, "high": 1.0}
        lines[method] = {
            "proposals": {"intercept": {"value": 0.01}, "slope": slope},
            "megapixels": {"intercept": {"value": 0.05}, "slope": flat},
        }
    return {
        "schema_version": 2,
        "baseline": "rcnn",
        "plan": {"methods": list(METHODS), "dataset": "shapes", "split": "test", "backbone": "mini", "device": "cpu"},
        "machine": {"cpu": "a $5 processor_x"},
        "dataset": {"images": IMAGES, "classes": list(CLASSES)},
        "methods": methods,
        "lines": lines,
        "claims": [
            claim("speedup_total", "38", "met", 41.0),
            claim("speedup_conv", "270", "not comparable", 30.0, locator="Section 4.3"),
            claim("map", "59.2", "not met", 51.0),
            claim("total", "0.14", "not comparable", 0.05, unit="s"),
        ],
        "series": series(of, samples, truth),
    }


def write_run(folder: Path) -> RunFolder:
    """A run folder with truth and detections alone: each object found but the last, and a box at the corner."""
    run, scenes = RunFolder(folder), Shapes("test", IMAGES)
    run.write_truth(truth_file(scenes))
    for method in METHODS:
        for index, image in enumerate(scenes.ids):
            truth = scenes.truth(index)
            boxes = np.concatenate([truth.boxes[:-1], np.float32([[0, 0, 9, 9]])])
            labels = np.concatenate([truth.labels[:-1], truth.labels[-1:]])
            scores = np.linspace(0.9, 0.5, len(boxes), dtype=np.float32)
            run.append_detections(method, image, detection_rows(image, boxes, scores, labels))
        run.finish_detections(method)
    return run
