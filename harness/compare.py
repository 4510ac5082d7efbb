"""The experiment: every method fitted, run, timed and judged on the same images and the same boxes. Read this first.

1. `prepare` opens all that the plan names, so that a mistake costs a second and not an hour.
2. Boxes are made once for all methods, in one order, and hashed.
3. Each method is fitted and saved; a fit that stands in the run folder is taken from there, and methods that differ in
   how they detect alone share one. With ``--models`` all are taken from another run folder. Where the backbone's
   weights are random, nothing is fitted.
4. Floating-point operations are counted, on shapes alone.
5. `harness.measuring` goes through the images in blocks, every method on each, in an order that puts each method in
   each position equally often, in a fresh process or several: a process that has fitted is slower afterwards. The
   detections of this timed pass are those that are scored.
6. The summary, the report and the figures are derived from what the run folder holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from detectors.contract import Detector, Example
from harness.clocks import clock_for
from harness.coco import truth_file
from harness.examples import Examples, Images
from harness.fitting import Fitting, Ready
from harness.flops import ImageShape, count
from harness.instruments import instruments_for
from harness.itinerary import Itinerary
from harness.journal import Journal
from harness.manifest import check_same_plan, new_manifest, resumed_manifest
from harness.measuring import TimedPass
from harness.plan import Plan, PlanError
from harness.precision import arithmetic
from harness.preparation import Prepared, box_workers, prepare
from harness.progress import Reporter
from harness.provided import adopted
from harness.replicate import replicate
from harness.reports import write_reports
from harness.residence import Residence, release_memory
from harness.runs import RunFolder
from harness.summary import summarise

__all__ = ["compare"]


def compare(
    plan: Plan,
    out: Path,
    *,
    resume: bool,
    overwrite: bool,
    command: str,
    reporter: Reporter,
    argv: list[str] | None = None,
    here: bool = False,
) -> dict[str, Any]:
    """Carry out a plan and return its summary; everything is in `out` as soon as it is measured.

    With `here` the timed pass is carried out in this process and not in a fresh one: for a debugger, and for detectors
    that only this process knows.

    Raises:
        PlanError, DatasetError, ProposalError, StorageError: the plan cannot be carried out; nothing was measured.
        KeyboardInterrupt: what was measured so far is kept; go on with `resume`.
    """
    folder = RunFolder(out)
    folder.check_free(resume=resume, overwrite=overwrite)
    if plan.models is not None and overwrite and Path(plan.models).resolve().is_relative_to(out.resolve()):
        raise PlanError(f"--models: {plan.models} lies in --out, which --overwrite empties; choose another --out")
    plan = adopted(plan)
    before = folder.read_manifest() if resume else None
    if before is not None:
        check_same_plan(before, plan)
    prepared = prepare(plan)
    train_boxes = prepared.boxes(prepared.train, partial(reporter.step, "boxes (train)"))
    test_boxes = prepared.boxes(prepared.test, partial(reporter.step, "boxes (test)"))
    manifest = new_manifest(prepared, train_boxes, test_boxes, command=command, workers=box_workers(), argv=argv)
    with folder.held():
        folder.check_still(before, overwrite=overwrite)
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
            images = Images.of(prepared.test, test_boxes, folder.read_truth())
            with arithmetic(plan.precision):
                run.measure(fitted, images, here=here)
            return run.finish()
        except KeyboardInterrupt:
            folder.write_manifest({**manifest, "status": "interrupted"})
            raise


class _Run:
    """The steps of one run and what they share."""

    def __init__(self, prepared: Prepared, journal: Journal) -> None:
        self._prepared, self._journal = prepared, journal
        self._folder, self._reporter = journal.folder, journal.reporter
        self._fitting = Fitting(
            journal,
            clock_for(prepared.device),
            prepared.detector,
            prepared.stream,
            images=prepared.train.ids,
            provided=prepared.provided.cards if prepared.provided is not None else None,
        )
        self._planned = {method.name: Ready(method, prepared.config(method)) for method in prepared.methods}

    def fit(self, examples: Sequence[Example]) -> dict[str, Detector]:
        """Every method ready to detect. One that fails is left out, with its reason on record."""
        planned = list(self._planned.values())
        return self._fitting.detectors(planned, examples if self._prepared.plan.trained else None)

    def measure(self, fitted: dict[str, Detector], images: Images, *, here: bool) -> None:
        """Time every method on every image, and count its operations."""
        if here:
            residence = Residence(fitted, lambda name: self._fitting.restored(self._planned[name]))
            timed = TimedPass(self._prepared, self._journal, instruments_for(self._prepared.device))
            timed.run(residence, images)
            # Last, since a detector may keep what it computed from shapes alone.
            self._count({name: residence.enter(name)[0] for name in residence.names}, images)
            return
        self._count(fitted, images)
        names = list(fitted)
        fitted.clear()
        release_memory()  # it is for those who measure
        there = {sample.key for sample in self._folder.read_samples() if sample.status == "ok"}
        for process in range(self._prepared.plan.processes) if names else ():
            if Itinerary(self._prepared.plan, names, images, process).missing(there.__contains__):
                replicate(self._journal, process)

    def _count(self, fitted: Mapping[str, Detector], images: Images) -> None:
        """Count floating-point operations."""
        counted = self._folder.read_flops()
        missing = {name: detector for name, detector in fitted.items() if name not in counted}
        shapes = {name: ImageShape(*shape) for name, shape in zip(images.ids, images.shapes, strict=True)}
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
        parts = (*summary["methods"].values(), *manifest.get("processes", ()))
        complete = all(about["status"] == "ok" for about in parts)
        manifest = {**manifest, "status": "complete" if complete else "partial"}
        write_reports(self._folder, summary, manifest)  # before the manifest says on disk that all is done
        self._folder.write_manifest(manifest)
        return summary
