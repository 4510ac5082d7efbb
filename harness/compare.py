"""The experiment: every method fitted, run, timed and judged on the same images and the same boxes. Read this first.

1. `prepare` opens all that the plan names, so that a mistake costs a second and not an hour.
2. Boxes are made once for all methods, in one order, and hashed.
3. Each method is fitted and saved; a fit that stands in the run folder is taken from there.
4. Images are gone through one by one, every method on each, in an order that puts each method in each position equally
   often. The detections of this timed pass are those that are scored.
5. The summary, the report and the figures are derived from what the run folder holds.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import detectors
from detectors.contract import SHARED_POLICY, Detections, Detector, Example, Stage
from harness.coco import truth_file
from harness.datasets import Dataset
from harness.examples import Examples
from harness.manifest import check_same_plan, new_manifest, resumed_manifest
from harness.output import check_output, digest_of, rows_of
from harness.plan import Plan
from harness.preparation import Prepared, prepare, random_stream
from harness.progress import Reporter
from harness.proposals import ProposalSet
from harness.proposals.cache import default_cache_dir, gather
from harness.record import Sample, Status
from harness.reports import write_reports
from harness.runs import RunFolder
from harness.summary import summarise
from harness.timing import Clock, FitWatch, Timing, clock_for, measure, order

__all__ = ["compare"]

_WARM_UP_IMAGES = 3
"""Images on which every method detects before anything is recorded: first calls allocate, choose algorithms and fill
caches."""

_REASON_CHARACTERS = 300
"""Of a failure in a sample; its traceback is kept whole."""


def _strict_arithmetic() -> None:
    # fp32 means fp32: without this cuDNN may round the inputs of convolutions to TF32. Autotuning would choose per
    # shape by a race, and SPP-net and Fast R-CNN see many shapes.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False


def compare(
    plan: Plan,
    out: Path,
    *,
    resume: bool,
    overwrite: bool,
    command: str,
    reporter: Reporter,
) -> dict[str, Any]:
    """Carry out a plan and return its summary; everything is in `out` as soon as it is measured.

    Raises:
        PlanError, DatasetError, ProposalError, RunError: the plan cannot be carried out; nothing was measured.
        KeyboardInterrupt: what was measured so far is kept; go on with `resume`.
    """
    folder = RunFolder(out)
    folder.check_free(resume=resume, overwrite=overwrite)
    before = folder.read_manifest() if resume else None
    if before is not None:
        check_same_plan(before, plan)
    prepared = prepare(plan)
    _strict_arithmetic()
    train_boxes = _boxes(prepared, prepared.train, "boxes (train)", reporter)
    test_boxes = _boxes(prepared, prepared.test, "boxes (test)", reporter)
    manifest = new_manifest(prepared, train_boxes, test_boxes, command=command, workers=_workers())
    if before is None:
        folder.start(manifest)
    else:
        manifest = resumed_manifest(before, manifest)
    folder.write_truth(truth_file(prepared.test))
    run = _Run(prepared, folder, manifest, reporter)
    try:
        fitted = run.fit(Examples(prepared.train, train_boxes))
        run.measure(fitted, Examples(prepared.test, test_boxes))
        return run.finish()
    except KeyboardInterrupt:
        folder.write_manifest({**manifest, "status": "interrupted"})
        raise


def _workers() -> int:
    return os.cpu_count() or 1


def _boxes(prepared: Prepared, dataset: Dataset, task: str, reporter: Reporter) -> ProposalSet:
    return gather(
        dataset,
        prepared.source,
        max_proposals=prepared.plan.max_proposals,
        cache_dir=default_cache_dir(),
        workers=_workers(),
        on_progress=lambda done, total: reporter.step(task, done, total),
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a run a sample stands."""

    repeat: int
    index: int
    position: int


class _Run:
    """The steps of one run and what they share."""

    def __init__(self, prepared: Prepared, folder: RunFolder, manifest: dict[str, Any], reporter: Reporter) -> None:
        self._prepared, self._folder, self._manifest, self._reporter = prepared, folder, manifest, reporter
        self._clock: Clock = clock_for(prepared.device)
        self._at_most = SHARED_POLICY.per_image if prepared.plan.policy == "shared" else None

    def fit(self, examples: Sequence[Example]) -> dict[str, Detector]:
        """Every method fitted, or restored from the folder. One that fails is left out, with its reason on record."""
        fitted = {}
        for method in self._prepared.methods:
            about: dict[str, Any] = {"status": "ok", "reason": None, "paper": method.detector.paper}
            self._manifest["methods"][method.name] = about
            try:
                config = self._prepared.config(method)
                about["iterations"] = config.iterations
                fitted[method.name] = self._fit_one(method, config, examples)
            except Exception as error:  # noqa: BLE001  (a method may fail in any way; the others must be measured)
                about["status"], about["reason"] = self._failure(method.name, error)
            else:
                about["model_bytes"] = self._folder.model_path(method.name).stat().st_size
            self._folder.write_manifest(self._manifest)
        return fitted

    def _fit_one(self, method: detectors.Method, config: Any, examples: Sequence[Example]) -> Detector:
        make: Any = method.detector
        device = torch.device(self._prepared.device)
        detector: Detector = make(len(self._prepared.train.classes), config, self._prepared.backbone, device)
        path = self._folder.model_path(method.name)
        if self._folder.read_fit(method.name) is not None:
            detector.restore(path)
            return detector

        def show(stage: Stage, done: int, total: int, text: str) -> None:
            self._reporter.step(f"{method.name} {stage}", done, total, text)

        watch = FitWatch(self._clock, show)
        generator = random_stream(self._prepared.plan.seed, method.name)
        with self._folder.workdir(method.name) as workdir:
            watch.time(lambda: detector.fit(examples, generator=generator, workdir=workdir))
        path.parent.mkdir(exist_ok=True)
        detector.save(path)
        self._folder.write_fit(method.name, watch.as_seconds())
        return detector

    def _failure(self, name: str, error: Exception) -> tuple[Status, str]:
        log = self._folder.append_error(name, "".join(traceback.format_exception(error)))
        status: Status = "oom" if isinstance(error, torch.OutOfMemoryError | MemoryError) else "error"
        first_line = next(iter(str(error).splitlines()), "no message")
        reason = f"{type(error).__name__}: {first_line}"[:_REASON_CHARACTERS]
        self._reporter.note(f"{name} failed: {reason} (traceback in {log})")
        return status, reason

    def measure(self, fitted: dict[str, Detector], examples: Sequence[Example]) -> None:
        """Time every method on every image and keep each sample with its detections."""
        done = {sample.key for sample in self._folder.read_samples()}
        names, repeats = list(fitted), self._prepared.plan.repeats
        total = repeats * len(examples)
        if len(done) < total * len(names):
            self._warm_up(fitted, examples[:_WARM_UP_IMAGES])
        for repeat in range(repeats):
            for index, example in enumerate(examples):
                for position, name in enumerate(order(names, index + repeat)):
                    if (0, repeat, name, example.id) not in done:
                        self._sample(name, fitted[name], example, _Place(repeat, index, position))
                self._reporter.step("measuring", repeat * len(examples) + index + 1, total)

    def _warm_up(self, fitted: dict[str, Detector], examples: Sequence[Example]) -> None:
        for name, detector in fitted.items():
            timings = [self._detect(detector, example) for example in examples]
            seconds = [timing.total_seconds for timing in timings if isinstance(timing, Timing)]
            self._manifest["warm_up_seconds"].setdefault(name, []).extend(seconds)
        self._folder.write_manifest(self._manifest)

    def _detect(self, detector: Detector, example: Example) -> Timing[Detections] | Exception:
        # Copies, so that no detector can change what the next one is given.
        image, boxes = example.image.clone(), example.proposals.clone()
        try:
            timing = measure(lambda: detector.detect(image, boxes), self._clock)
            classes = len(self._prepared.train.classes)
            check_output(timing.result, example, n_classes=classes, at_most=self._at_most)
        except Exception as error:  # noqa: BLE001  (one image of many may fail in any way; the rest must be measured)
            return error
        return timing

    def _sample(self, name: str, detector: Detector, example: Example, place: _Place) -> None:
        timing = self._detect(detector, example)
        where: dict[str, Any] = {"process": 0, "repeat": place.repeat, "method": name, "image": example.id}
        where |= {"index": place.index, "position": place.position}
        if isinstance(timing, Exception):
            status, reason = self._failure(name, timing)
            self._folder.append_sample(Sample(**where, status=status, reason=reason))
            return
        found = timing.result
        if place.repeat == 0:
            # Before the sample: a sample on disk promises that its detections are there, too.
            self._folder.append_detections(name, example.id, rows_of(example.id, found))
        what: dict[str, Any] = {"seconds": timing.as_seconds(), "detections": len(found.scores)}
        self._folder.append_sample(Sample(**where, status="ok", digest=digest_of(found), **what))

    def finish(self) -> dict[str, Any]:
        """Close the logs, derive the summary and write the reports."""
        for name, about in self._manifest["methods"].items():
            if about["status"] == "ok":
                self._folder.finish_detections(name)
        summary = summarise(self._folder)
        complete = all(about["status"] == "ok" for about in summary["methods"].values())
        write_reports(self._folder, summary)
        self._folder.write_manifest({**self._manifest, "status": "complete" if complete else "partial"})
        return summary
