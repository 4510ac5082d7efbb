"""Methods fitted and saved, and nothing measured: models for ``compare --models`` and ``detect --model``.

What is left is a run folder with models and their cards, and without samples. Each method is judged on some of the
images that it was fitted on: not how good it is, but a fit that went wrong is seen at once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from detectors.contract import Detector, Example
from harness import accuracy
from harness.clocks import clock_for
from harness.coco import detection_rows, detection_table, truth_file, truth_table
from harness.datasets import First
from harness.examples import Examples
from harness.fitting import Fitting, Ready
from harness.journal import Failure, Journal
from harness.manifest import check_same_plan, new_manifest, resumed_manifest
from harness.plan import Plan, PlanError
from harness.precision import arithmetic
from harness.preparation import Prepared, box_workers, prepare
from harness.progress import Reporter
from harness.residence import release_memory
from harness.runs import TRAINING, RunFolder

__all__ = ["lines", "train"]

_JUDGED_IMAGES = 100
"""Training images that a method is judged on, at most."""
_FEWEST_JUDGED = 10
_JUDGED_SECONDS = 60.0
"""After which no further image is judged, once there are `_FEWEST_JUDGED`: R-CNN may take half a minute an image."""


def train(
    plan: Plan,
    out: Path,
    *,
    resume: bool,
    overwrite: bool,
    command: str,
    reporter: Reporter,
    argv: list[str] | None = None,
) -> dict[str, Any]:
    """Fit the methods of a plan and return the manifest; every model is in `out` as soon as it is fitted.

    Raises:
        PlanError, DatasetError, ProposalError, StorageError: the plan cannot be carried out; nothing was fitted.
        KeyboardInterrupt: models and checkpoints are kept; go on with `resume`.
    """
    _check_trains(plan)
    folder = RunFolder(out)
    folder.check_free(resume=resume, overwrite=overwrite)
    before = folder.read_manifest(training=True) if resume else None
    if before is not None:
        check_same_plan(before, plan)
    prepared = prepare(plan, testing=False)
    boxes = prepared.boxes(prepared.train, partial(reporter.step, "boxes (train)"))
    none = prepared.boxes(prepared.test)
    manifest = new_manifest(prepared, boxes, none, command=command, workers=box_workers(), argv=argv)
    manifest |= {"kind": TRAINING, "training_ap": {}}
    with folder.held():
        folder.check_still(before, overwrite=overwrite)
        if before is None:
            folder.start(manifest)
        else:
            manifest = resumed_manifest(before, manifest)
        journal = Journal(folder, manifest, reporter)
        try:
            # Float32 whatever the plan's precision, which is that of detecting: another one would fit another model.
            with arithmetic("fp32"):
                _fit_each(prepared, journal, Examples(prepared.train, boxes))
        except KeyboardInterrupt:
            folder.write_manifest({**manifest, "status": "interrupted"})
            raise
        complete = all(about["status"] == "ok" for about in manifest["methods"].values())
        manifest["status"] = "complete" if complete else "partial"
        journal.save()
    return manifest


def _check_trains(plan: Plan) -> None:
    if plan.models is not None:
        raise PlanError("--models: those are fitted already; `harness compare --models` measures them")
    if not plan.trained:
        why = "--iterations 0" if plan.iterations == 0 else "--weights random without --iterations"
        raise PlanError(f"{why}: nothing would be fitted; give --iterations, such as quick")


def _fit_each(prepared: Prepared, journal: Journal, examples: Examples) -> None:
    """One after the other, and none kept in memory: each may fill it alone."""
    fitting = Fitting(
        journal, clock_for(prepared.device), prepared.detector, prepared.stream, images=prepared.train.ids
    )
    planned = [Ready(method, prepared.config(method)) for method in prepared.methods]
    known: dict[str, Any] = journal.manifest["training_ap"]
    for one in planned:
        detector = fitting.ready(one, planned, examples)
        if detector is not None and not known.get(one.name, {}).get("images"):  # not yet, or it failed
            known[one.name] = _judged(one.name, detector, prepared, examples, journal)
            journal.save()
        del detector
        release_memory()


def _judged(
    name: str, detector: Detector, prepared: Prepared, examples: Sequence[Example], journal: Journal
) -> dict[str, Any]:
    """mAP (VOC 07) on the first training images: `value`, a fraction or None with its `reason`, and `images`."""
    try:
        rows, count = _detected(name, detector, examples, journal)
    except Exception as error:  # noqa: BLE001  (a method may fail in any way; its model is there, others must be fitted)
        failure = Failure.of(error)
        journal.failure(name, failure)
        return {"value": None, "reason": failure.reason, "images": 0}
    some = First(prepared.train, count)
    found = accuracy.evaluate(
        detection_table(rows, some.ids), truth_table(truth_file(some)), n_classes=len(some.classes), metric="voc07"
    ).map
    reason = "the images hold no object that counts" if found is None else None
    return {"value": found, "reason": reason, "images": count}


def _detected(
    name: str, detector: Detector, examples: Sequence[Example], journal: Journal
) -> tuple[list[dict[str, Any]], int]:
    """Detections in the first images, in COCO results format, and how many images those are."""
    rows: list[dict[str, Any]] = []
    most, end = min(_JUDGED_IMAGES, len(examples)), time.monotonic() + _JUDGED_SECONDS
    for index in range(most):
        if index >= _FEWEST_JUDGED and time.monotonic() > end:
            return rows, index
        example = examples[index]
        found = detector.detect(example.image, example.proposals)
        rows += detection_rows(example.id, found.boxes.numpy(), found.scores.numpy(), found.labels.numpy())
        journal.reporter.step(f"{name} on training images", index + 1, most)
    return rows, most


def lines(manifest: dict[str, Any]) -> list[str]:
    """What became of each method, a line each."""
    known = manifest["training_ap"]
    return [f"{name}: {_line(name, about, known.get(name))}" for name, about in manifest["methods"].items()]


def _line(name: str, about: dict[str, Any], judged: dict[str, Any] | None) -> str:
    if about["status"] != "ok":
        return f"{about['status']}, {about['reason']}"
    seconds = about["fit_seconds"].get("total")
    took = "goes on from an interrupted fit, seconds not known" if seconds is None else f"{seconds:.1f} s"
    parts = [took if about["fitted_as"] == name else f"the model of {about['fitted_as']}"]
    makers = dict.fromkeys((about.get("begun_with") or {}).values())
    if makers and about["fitted_as"] == name:
        parts.append(f"fine-tuning taken over from {', '.join(makers)}")
    parts.append(f"{about['model_bytes'] / 1e6:.1f} MB")
    if judged is not None and judged["value"] is not None:
        images = f"{judged['images']} of the images that it was fitted on"
        parts.append(f"mAP (07) {100 * judged['value']:.1f} on {images}, which is no accuracy")
    elif judged is not None:
        parts.append(f"not judged: {judged['reason']}")
    return ", ".join(parts)
