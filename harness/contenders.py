"""The methods of finished runs: their detections, and all that their scores rest on besides the method.

Two scores may stand side by side although they rest on different things; whether their difference is one of methods is
asked of `harness.grounds`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

import numpy as np

from harness.accuracy import DetectionTable, TruthTable
from harness.coco import detection_table, truth_table
from harness.gates.manifests import damage_of_run, states_of_source
from harness.gates.promises import broken_promise
from harness.gates.records import check_records
from harness.networks import network_of
from harness.relations import Same
from harness.runs import RunError, RunFolder
from harness.wording import one_line

__all__ = ["Contender", "Given", "Run", "read_run", "restricted"]

_OWN_WIDTHS: Mapping[str, int] = MappingProxyType(
    {"alexnet": 4096, "caffenet": 4096, "mini": 1024, "squeezenet1_1": 1024, "vgg16": 4096, "zf5": 4096}
)
"""By backbone, the fc width that a plan without one stands for, where fc6 and fc7 have the same."""


@dataclass(frozen=True, slots=True)
class Given:
    """One thing that a score rests on."""

    id: str
    """The same for the same thing."""
    shown: str
    """In words; two things may have the same."""


@dataclass(frozen=True, slots=True, eq=False)
class Contender:
    """One method of one run."""

    method: str
    run: str
    given: Mapping[Same, Given]
    settings: Mapping[str, Any] | None
    """By dotted name, all that decided the fit; None where the run does not say."""
    images: tuple[str, ...]
    """Ids of the images that it was tested on."""
    boxes_sha256: str
    """Of the proposals on these."""
    detections: DetectionTable
    """Images numbered as in `images`."""
    about: Mapping[str, Any]
    """``plan``, ``dataset`` and ``methods`` of the run's summary, as `harness.quantities.comparability` takes them."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """One finished run."""

    name: str
    command: str
    source: str
    """The state of the source that measured it."""
    images: tuple[str, ...]
    classes: tuple[str, ...]
    truth: TruthTable
    """Images numbered as in `images`."""
    truth_sha256: Mapping[str, str]
    """Of the objects of each image."""
    contenders: tuple[Contender, ...]
    left_out: Mapping[str, str]
    """Methods of the plan without a score, and why."""


def read_run(path: Path, name: str) -> Run:
    """Read one run; `name` is what it is called.

    Raises:
        RunError: the folder holds no finished run, or a damaged one.
        harness.storage.StorageError: a file of it is no JSON.
    """
    folder = RunFolder(path)
    manifest, summary = _whole(folder)
    truth = folder.read_truth()
    images = tuple(image["id"] for image in truth["images"])
    left_out = {method: why for method in manifest["plan"]["methods"] if (why := _no_score(summary, method))}
    contenders = tuple(
        _contender(folder, name, method, manifest, summary, images)
        for method in manifest["plan"]["methods"]
        if method not in left_out
    )
    return Run(
        name,
        str(manifest.get("command") or "not recorded"),
        ", then ".join(states_of_source(manifest)),
        images,
        tuple(category["name"] for category in truth["categories"]),
        truth_table(truth),
        _digests(truth),
        contenders,
        left_out,
    )


def _whole(folder: RunFolder) -> tuple[dict[str, Any], dict[str, Any]]:
    """Manifest and summary of a finished run whose files are what they should be."""
    manifest = folder.read_finished()
    if wrong := damage_of_run(manifest):
        raise RunError(f"{folder.path / 'manifest.json'} is damaged at {wrong}")
    check_records(folder, manifest)
    summary = folder.read_summary()
    if wrong := broken_promise(summary):
        raise RunError(f"{folder.path / 'summary.json'} breaks its promise: {wrong}; make it anew with harness report")
    return manifest, summary


def _no_score(summary: Mapping[str, Any], method: str) -> str | None:
    """Why a method has no accuracy; None where it has one."""
    about = summary["methods"].get(method) or {"status": "skipped", "reason": "the run ended before this method"}
    if about["status"] != "ok":
        return one_line(f"{about['status']}: {about.get('reason')}")
    return None if about.get("ap") is not None else str(about.get("ap_reason") or "no accuracy was computed")


def _digests(truth: Mapping[str, Any]) -> dict[str, str]:
    """Of the objects of each image; their order, and what does not enter a score, left aside."""
    objects: dict[str, list[str]] = {image["id"]: [] for image in truth["images"]}
    for row in truth["annotations"]:
        known = (row["category_id"], *map(float, row["bbox"]), bool(row["ignore"]))
        objects[row["image_id"]].append(repr(known))
    return {image: hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest() for image, rows in objects.items()}


def _contender(
    folder: RunFolder,
    run: str,
    method: str,
    manifest: Mapping[str, Any],
    summary: Mapping[str, Any],
    images: tuple[str, ...],
) -> Contender:
    about = {key: summary.get(key) for key in ("plan", "dataset", "methods")}
    detections = detection_table(folder.read_detections(method), images)
    boxes = str(manifest["dataset"].get("test_boxes_sha256"))
    found = (manifest["methods"][method].get("fit") or {}).get("settings")
    settings = None if found is None else dict(_flat(found))
    return Contender(method, run, _given(manifest, method), settings, images, boxes, detections, about)


def _flat(settings: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting by its dotted name, such as ``sgd.lr``."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{where}{name}.")
        else:
            yield where + name, value


def _given(manifest: Mapping[str, Any], method: str) -> dict[Same, Given]:
    plan, dataset = manifest["plan"], manifest["dataset"]
    network, fit = network_of(plan, method), _fit(manifest, method)
    networks = manifest.get("networks") or {plan["backbone"]: manifest}
    # A score is of what was fitted; a plan that says nothing of it stands for these.
    iterations, own_width = plan.get("iterations"), _OWN_WIDTHS.get(network)
    schedule = {
        "iterations": "quick" if iterations is None else iterations,
        "fc_width": own_width if plan.get("fc_width") is None else plan["fc_width"],
    }
    policy, precision = str(plan.get("policy")), str(plan.get("precision") or "fp32")
    tested_on = json.dumps([dataset.get("proposals"), plan["max_proposals"]], sort_keys=True)
    return {
        "network": Given(network, network),
        "weights": Given(str((networks.get(network) or {}).get("weights_sha256")), _file(plan["weights"])),
        "training images": Given(str(fit["sha256"]), f"{fit['images']:,} of {fit['split']}"),
        "training boxes": Given(str(fit["boxes_sha256"]), _boxes(fit["proposals"], fit["max_proposals"])),
        "schedule": Given(json.dumps(schedule), _schedule(schedule, own_width)),
        "test boxes": Given(tested_on, _boxes(plan["proposals"], plan["max_proposals"])),
        "policy": Given(policy, policy),
        "precision": Given(precision, precision),
    }


def _fit(manifest: Mapping[str, Any], method: str) -> Mapping[str, Any]:
    """What a method was fitted on; in runs that do not say it of each method, on what the whole run was."""
    plan, dataset = manifest["plan"], manifest["dataset"]
    found: Mapping[str, Any] | None = manifest["methods"][method].get("fit")
    return found or {
        "split": plan["train_split"],
        "images": dataset.get("train_images", 0),
        "sha256": dataset.get("train_sha256"),
        "boxes_sha256": dataset.get("train_boxes_sha256"),
        "proposals": plan["proposals"],
        "max_proposals": plan["max_proposals"],
    }


def _file(text: object) -> str:
    """A path by its last part, since its folders are of one machine."""
    return PurePath(str(text)).name


def _boxes(source: object, most: int) -> str:
    return f"{_file(source)}, at most {most:,}"


def _schedule(schedule: Mapping[str, Any], own_width: int | None) -> str:
    iterations, width = schedule["iterations"], schedule["fc_width"]
    told = f"{iterations:,} mini-batches" if isinstance(iterations, int) else str(iterations)
    return told if width == own_width else f"{told}, fc width {width:,}"


def restricted(contender: Contender, number: Mapping[str, int]) -> DetectionTable:
    """Detections on the images of a board alone, numbered and ordered as it has them."""
    of_board = np.array([number.get(image, -1) for image in contender.images], dtype=np.int64)
    table = contender.detections
    image = of_board[table.image]
    # Rows of an image keep their order, which decides between equal scores.
    rows = np.argsort(image, kind="stable")[int((image < 0).sum()) :]
    return DetectionTable(image[rows], table.boxes[rows], table.scores[rows], table.labels[rows])
