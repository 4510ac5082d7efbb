"""The experiment: every method fitted, run, timed and judged on the same images and the same boxes. Read this first.

1. `prepare` opens all that the plan names, so that a mistake costs a second and not an hour.
2. Boxes are made once for all methods, in one order, and hashed.
3. Each method is fitted and saved; a fit that stands in the run folder is taken from there, and methods that differ in
   how they detect alone share one. Where the backbone's weights are random, nothing is fitted.
4. Images are gone through one by one, every method on each, in an order that puts each method in each position equally
   often. The detections of this timed pass are those that are scored.
5. Floating-point operations are counted apart from that, on shapes alone.
6. The summary, the report and the figures are derived from what the run folder holds.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectors.contract import SHARED_POLICY, Detections, Detector, Example
from harness.coco import truth_file
from harness.datasets import Dataset
from harness.examples import Examples
from harness.fitting import Fitting, Ready
from harness.flops import ImageShape, count
from harness.journal import Journal
from harness.manifest import check_same_plan, new_manifest, resumed_manifest
from harness.output import check_output, digest_of, rows_of
from harness.plan import Plan
from harness.precision import arithmetic
from harness.preparation import Prepared, prepare
from harness.progress import Reporter
from harness.proposals import ProposalSet
from harness.proposals.cache import default_cache_dir, gather
from harness.record import Sample
from harness.reports import write_reports
from harness.runs import RunFolder
from harness.summary import summarise
from harness.timing import Clock, Timing, clock_for, measure, order

__all__ = ["compare"]

_WARM_UP_IMAGES = 3
"""Images on which every method detects before anything is recorded: first calls allocate, choose algorithms and fill
caches."""


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
    train_boxes = _boxes(prepared, prepared.train, "boxes (train)", reporter)
    test_boxes = _boxes(prepared, prepared.test, "boxes (test)", reporter)
    manifest = new_manifest(prepared, train_boxes, test_boxes, command=command, workers=_workers())
    if before is None:
        folder.start(manifest)
    else:
        manifest = resumed_manifest(before, manifest)
    folder.write_truth(truth_file(prepared.test))
    run = _Run(prepared, Journal(folder, manifest, reporter))
    try:
        # Fitting is float32 whatever the precision: another one would fit another model.
        with arithmetic("fp32"):
            fitted = run.fit(Examples(prepared.train, train_boxes))
        with arithmetic(plan.precision):
            run.measure(fitted, Examples(prepared.test, test_boxes))
            run.count(fitted, test_boxes)
        return run.finish()
    except KeyboardInterrupt:
        folder.write_manifest({**manifest, "status": "interrupted"})
        raise


def _workers() -> int:
    return os.cpu_count() or 1


def _boxes(prepared: Prepared, dataset: Dataset, task: str, reporter: Reporter) -> ProposalSet:
    if not dataset.ids:
        return ProposalSet((), (), ())
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

    def __init__(self, prepared: Prepared, journal: Journal) -> None:
        self._prepared, self._journal = prepared, journal
        self._folder, self._reporter = journal.folder, journal.reporter
        self._clock: Clock = clock_for(prepared.device)
        self._at_most = SHARED_POLICY.per_image if prepared.plan.policy == "shared" else None

    def fit(self, examples: Sequence[Example]) -> dict[str, Detector]:
        """Every method ready to detect. One that fails is left out, with its reason on record."""
        prepared = self._prepared
        planned = [Ready(method, prepared.config(method)) for method in prepared.methods]
        fitting = Fitting(self._journal, self._clock, prepared.detector, prepared.stream)
        return fitting.detectors(planned, examples if prepared.plan.trained else None)

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
            timings = [self._detect(name, detector, example) for example in examples]
            seconds = [timing.total_seconds for timing in timings if isinstance(timing, Timing)]
            self._journal.manifest["warm_up_seconds"].setdefault(name, []).extend(seconds)
        self._journal.save()

    def _detect(self, name: str, detector: Detector, example: Example) -> Timing[Detections] | Exception:
        # Copies, so that no detector can change what the next one is given.
        image, boxes = example.image.clone(), example.proposals.clone()
        notices: list[str] = []
        found: Timing[Detections] | Exception
        try:
            found = measure(lambda: detector.detect(image, boxes), self._clock, notices.append)
            classes = len(self._prepared.test.classes)
            check_output(found.result, example, n_classes=classes, at_most=self._at_most)
            self._journal.chunk(name, getattr(detector, "chunk", None))
        except Exception as error:  # noqa: BLE001  (one image of many may fail in any way; the rest must be measured)
            found = error
        # Afterwards, since nothing is written inside a timed block.
        for text in notices:
            self._journal.notice(name, example.id, text)
        return found

    def _sample(self, name: str, detector: Detector, example: Example, place: _Place) -> None:
        timing = self._detect(name, detector, example)
        where: dict[str, Any] = {"process": 0, "repeat": place.repeat, "method": name, "image": example.id}
        where |= {"index": place.index, "position": place.position}
        if isinstance(timing, Exception):
            status, reason = self._journal.failure(name, timing)
            self._folder.append_sample(Sample(**where, status=status, reason=reason))
            return
        found = timing.result
        if place.repeat == 0:
            # Before the sample: a sample on disk promises that its detections are there, too.
            self._folder.append_detections(name, example.id, rows_of(example.id, found))
        what: dict[str, Any] = {"seconds": timing.as_seconds(), "detections": len(found.scores)}
        self._folder.append_sample(Sample(**where, status="ok", digest=digest_of(found), **what))

    def count(self, fitted: dict[str, Detector], boxes: ProposalSet) -> None:
        """Count floating-point operations. Last, since a detector may keep what it computed from shapes alone."""
        counted = self._folder.read_flops()
        missing = {name: detector for name, detector in fitted.items() if name not in counted}
        if not missing:
            return
        sizes = {image["id"]: (image["height"], image["width"]) for image in self._folder.read_truth()["images"]}
        shapes = {
            name: ImageShape(*sizes[name], len(found)) for name, found in zip(boxes.ids, boxes.boxes, strict=True)
        }
        for done, (name, detector) in enumerate(missing.items(), start=1):
            counted[name] = count(detector, shapes)
            self._folder.write_flops(counted)
            self._reporter.step("counting operations", done, len(missing))

    def finish(self) -> dict[str, Any]:
        """Close the logs, derive the summary and write the reports."""
        manifest = self._journal.manifest
        for name, about in manifest["methods"].items():
            if about["status"] == "ok":
                self._folder.finish_detections(name)
        summary = summarise(self._folder)
        complete = all(about["status"] == "ok" for about in summary["methods"].values())
        write_reports(self._folder, summary)
        self._folder.write_manifest({**manifest, "status": "complete" if complete else "partial"})
        return summary
