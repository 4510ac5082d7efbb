"""A run as tidy tables: one row an observation, one column a variable, ready for pandas.

All times are seconds, and units are in the names of columns; what is missing is NA. Methods, stages and images are
ordered categories, in the order of the plan, of detecting and of the split, whatever the run has of them.

What each image costs, and where the time goes, from the run folder that the README shows::

    import harness

    run = harness.load_run("results/runs/shapes-default")
    measured = run.samples.query("role == 'measured' and status == 'ok'")
    per_image = measured.pivot_table(index="image", columns="method", values="total_seconds", observed=True)
    ratio = per_image["rcnn"] / per_image["fast"]
    print(ratio.describe())

    stages = run.stages.groupby(["method", "stage"], observed=True)["seconds"].mean().unstack("method")
    print(stages / stages.sum())
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from harness.runs import RunFolder
from harness.summary import summarise
from harness.tidy import records, results
from harness.tidy.columns import Names

__all__ = ["LoadedRun", "load_run"]


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """A run folder, read once. The tables are the reader's own: to change one changes nothing on disk."""

    path: Path
    manifest: Mapping[str, Any]
    summary: Mapping[str, Any]
    samples: pd.DataFrame
    """A row a sample: each method on each image, as often as it was measured."""
    stages: pd.DataFrame
    """A row a sample and stage, ``unattributed`` among them; `sample` is the row's number in `samples`. The seconds of
    one sample add up to its total."""
    detections: pd.DataFrame
    """A row a detection; boxes are ``x1 y1 x2 y2``, half-open."""
    truth: pd.DataFrame
    """A row a ground-truth box."""
    images: pd.DataFrame
    """A row a test image, those without an object among them."""
    conditions: pd.DataFrame
    """A row a look at the machine, between two blocks of images."""
    methods: pd.DataFrame
    """A row a planned method, whatever became of it."""
    speedups: pd.DataFrame
    """A row a method and what it is compared by; the baseline has none."""
    ap: pd.DataFrame
    """A row a method, metric and class; average precision is a fraction."""
    claims: pd.DataFrame
    """A row a published number that was judged, in the unit in which it is printed."""


def load_run(path: str | Path) -> LoadedRun:
    """Read a run folder into tables.

    The summary is the one on disk, or a new one of what was measured so far where there is none.

    Raises:
        harness.runs.RunError, harness.storage.StorageError: there is no run, or it is damaged.
    """
    folder = RunFolder(Path(path))
    manifest = folder.read_manifest()
    kept = (folder.path / "summary.json").exists()
    summary = folder.read_summary() if kept else summarise(folder)
    truth, samples = folder.read_truth(), folder.read_samples()
    names = Names.of(manifest, truth)
    detections = {name: folder.read_detections(name) for name in names.methods}
    return LoadedRun(
        path=folder.path,
        manifest=MappingProxyType(manifest),
        summary=MappingProxyType(summary),
        samples=records.samples(samples, names),
        stages=records.stages(samples, names),
        detections=records.boxes(_of_methods(detections), names, {"method": names.method, "score": "float64"}),
        truth=records.boxes(_objects(truth), names, {"difficult": "boolean"}),
        images=records.images(truth, names),
        conditions=records.conditions(folder.read_conditions()),
        methods=results.methods(summary, names),
        speedups=results.speedups(summary, names),
        ap=results.average_precision(summary, names),
        claims=results.claims(summary),
    )


def _of_methods(detections: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    return [{"method": method, **row} for method, rows in detections.items() for row in rows]


def _objects(truth: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{**one, "difficult": bool(one["ignore"])} for one in truth["annotations"]]
