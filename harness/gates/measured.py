"""What a gate reads of a run, once: what the run says of itself, and what would be kept of it as a baseline.

The run that is judged and the one that it is held against are brought into the same form, `harness.baseline.Entry`, and
only such forms are compared: no second of either run is left by then.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness import accuracy
from harness.accuracy import ClassMatches
from harness.baseline import Cost, Entry, MethodEntry, Origin
from harness.coco import detection_table, truth_table
from harness.gates.manifests import damage_of_run
from harness.gates.records import check_records
from harness.intervals import StatisticsError
from harness.quantities.observations import Floats, Observations, observe
from harness.rendering import caption
from harness.runs import RunError, RunFolder
from harness.summary import summarise

__all__ = ["METRIC", "Measured", "without_idle"]

METRIC: accuracy.Metric = "voc07"
"""The headline of a run."""

_IOU_THRESHOLD = 0.5
"""[VOC07 VOCevaldet.m]"""
_DIGITS = 7
"""Significant ones of a relative cost. A stopwatch knows fewer, and a committed file is half as large."""

_LEFT_OUT = {
    "interval": "the width of its intervals (interval), which pairing by image takes out",
    "overhead": "what its marks cost (overhead), which like runs share",
}
"""Findings that are not asked. The first speaks of how unlike images are, the second of how short the times are."""

_KEPT = ("schema_version", "created", "command", "argv", "plan", "machine", "software", "flags", "source", "resumed")
_KEPT_OF_DATA = (
    *("images", "train_images", "test_sha256", "train_sha256", "test_boxes_sha256", "train_boxes_sha256"),
    "proposal_workers",
)
_KEPT_OF_METHODS = ("origin", "trained", "iterations", "fitted_as", "chunk", "status")
_KEPT_OF_PROCESSES = ("threads", "resident")


@dataclass(frozen=True)
class Measured:
    """A run, read."""

    folder: RunFolder
    manifest: Mapping[str, Any]
    summary: Mapping[str, Any]
    """Derived anew from what was recorded."""
    truth: Mapping[str, Any]
    entry: Entry

    @classmethod
    def of(cls, path: Path) -> Measured:
        """Read a run folder.

        Raises:
            harness.runs.RunError, harness.storage.StorageError: there is no run, or it is damaged.
        """
        folder = RunFolder(path)
        manifest = folder.read_manifest()
        if wrong := damage_of_run(manifest):
            raise RunError(f"{path / 'manifest.json'} is damaged at {wrong}; measure again, it cannot be judged")
        check_records(folder, manifest)
        truth = folder.read_truth()
        try:
            # A stage that takes no time in one process of several has no ratio there.
            with np.errstate(divide="ignore", invalid="ignore"):
                summary = summarise(folder)
        except StatisticsError as error:
            raise RunError(f"the times in {path} cannot be summarised: {error}") from None
        return cls(folder, manifest, summary, truth, _entry(folder, manifest, truth, summary))

    @property
    def device(self) -> str:
        """Under which name its entry is kept, such as ``CPU (Some CPU)``.

        How many threads were used is no part of it: it is compared, so that a run with others is not taken for the
        first on a device.
        """
        return caption.hardware(self.summary)

    @property
    def doubts(self) -> list[str]:
        """Findings that make its times untrustworthy for a comparison with a like run."""
        return [f"{one['name']}: {one['text']}" for one in self._against if one["name"] not in _LEFT_OUT]

    @property
    def left_out(self) -> list[str]:
        """Findings against its times that say nothing against such a comparison: what they are about, and why not."""
        return [_LEFT_OUT[one["name"]] for one in self._against if one["name"] in _LEFT_OUT]

    @property
    def _against(self) -> list[Mapping[str, str]]:
        return [one for one in self.summary["trust"]["findings"] if one["verdict"] == "inconclusive"]


def _entry(
    folder: RunFolder, manifest: Mapping[str, Any], truth: Mapping[str, Any], summary: Mapping[str, Any]
) -> Entry:
    images = [image["id"] for image in truth["images"]]
    names = [name for name in manifest["plan"]["methods"] if summary["methods"][name]["status"] == "ok"]
    samples = [one for one in folder.read_samples() if one.role == "measured"]
    observed = observe({name: [one for one in samples if one.method == name] for name in names}, images).by_method
    unit = float(observed[names[0]].values("total").mean()) if names else 1.0
    baseline = str(summary["baseline"])
    blocks = observed[names[0]].blocks if names else None
    source = manifest.get("source") or {}
    return Entry(
        origin=Origin(run=folder.path.name, measured=str(manifest["created"]), commit=source.get("commit")),
        manifest=_pruned(manifest),
        baseline=baseline,
        images=images,
        blocks=None if blocks is None else [int(block) for block in blocks],
        methods={
            name: MethodEntry(
                conv=_cost(observed[name].values("conv") / unit),
                total=_cost(observed[name].values("total") / unit),
                lag=_lag(observed, baseline, name),
                **_detected(folder, truth, name, summary["methods"][name]),
            )
            for name in names
        },
    )


def _pruned(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What `harness.likeness` compares, and nothing else."""

    def some(about: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
        return {field: about[field] for field in fields if field in about}

    processes = [some(each, _KEPT_OF_PROCESSES) for each in manifest.get("processes") or ()]
    return {
        **some(manifest, (*_KEPT, "weights_sha256", "input", "networks")),
        "dataset": some(manifest.get("dataset") or {}, _KEPT_OF_DATA),
        "methods": {name: some(about, _KEPT_OF_METHODS) for name, about in (manifest.get("methods") or {}).items()},
        "processes": [each for at, each in enumerate(processes) if each not in processes[:at]],
    }


def _short(values: Floats) -> list[float]:
    return [float(f"{value:.{_DIGITS}g}") for value in values]


def _cost(values: Floats) -> Cost:
    """From relative costs, (P, I)."""
    return Cost(images=_short(values.mean(axis=0)), processes=_short(values.mean(axis=1)))


def _lag(observed: Mapping[str, Observations], baseline: str, method: str) -> list[float] | None:
    return None if method == baseline or baseline not in observed else _short(observed[baseline].lag(observed[method]))


def _detected(folder: RunFolder, truth: Mapping[str, Any], method: str, about: Mapping[str, Any]) -> dict[str, Any]:
    rows = folder.read_detections(method)
    lines = "\n".join(json.dumps(row, sort_keys=True, separators=(",", ":")) for row in rows)
    value = about["map"][METRIC]
    reason = None if value["value"] is not None else value["reason"]
    return {
        "detections_sha256": hashlib.sha256(lines.encode()).hexdigest(),
        "ranked": _ranked(rows, truth) if reason is None else None,
        "ranked_reason": reason,
    }


def _ranked(rows: Sequence[dict[str, Any]], truth: Mapping[str, Any]) -> dict[str, list[int]]:
    """As `MethodEntry.ranked` keeps them."""
    classes = [category["name"] for category in truth["categories"]]
    table = detection_table(rows, [image["id"] for image in truth["images"]])
    matches = accuracy.match(table, truth_table(truth), n_classes=len(classes), iou_threshold=_IOU_THRESHOLD)
    return {name: without_idle(found) for name, found in zip(classes, matches, strict=True)}


def without_idle(matches: ClassMatches) -> list[int]:
    """One class's detections that count, by falling score, as `MethodEntry.ranked` writes them."""
    true = np.flatnonzero(matches.outcomes == 1)
    last = int(true[-1]) + 1 if len(true) else 0
    signed = (matches.outcomes[:last] * (matches.image[:last] + 1)).astype(np.int64)
    return [int(one) for one in signed[signed != 0]]
