"""Short fits of each method of a plan, timed, from which `harness.training_time` extrapolates hours.

A fit is made with random weights, since what it takes does not depend on what it learns. Every method is fitted at
every size before the first is fitted again, so that what the machine does in the meantime falls on all. Images are in
memory before the watch starts: reading and decoding photographs would otherwise be timed, and of drawn scenes it would
not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import detectors
from detectors.contract import Stage
from harness.clocks import clock_for
from harness.examples import Examples
from harness.journal import Failure
from harness.machine import describe_machine, describe_software, describe_source
from harness.plan import Plan
from harness.precision import arithmetic
from harness.preparation import Prepared, prepare
from harness.presets import Size, Training
from harness.progress import Reporter
from harness.storage import append_line, read_lines, write_json
from harness.timing import FitWatch
from harness.training_time import FitTime, Schedule

__all__ = ["Fits", "measure_fits", "schedules"]

SCHEMA_VERSION = 1
"""Of training.json and fits.jsonl."""


@dataclass(frozen=True, slots=True)
class Fits:
    """What was fitted."""

    about: dict[str, Any]
    """``plan``, ``machine``, ``software``, ``source`` and ``dataset`` as in the result model of a run."""
    finished: tuple[FitTime, ...]
    failed: dict[str, str]
    """By method that failed, why."""


def schedules(plan: Plan, training: Training) -> dict[str, Schedule]:
    """By method, its training as published.

    Raises:
        detectors.MethodError: no such method.
    """
    return {
        name: Schedule(detectors.load(name).config.iterations, training.train_images, training.regions.get(name))
        for name in plan.methods
    }


def measure_fits(plan: Plan, training: Training, folder: Path, reporter: Reporter) -> Fits:
    """Fit every method at every size; what stands in the folder from before is not fitted again.

    Raises:
        PlanError, DatasetError, ProposalError: the plan cannot be carried out.
        KeyboardInterrupt: what was fitted is kept.
    """
    log = folder / "fits.jsonl"
    there = {(row["method"], row["repeat"], row["iterations"], row["images"]): row for row in read_lines(log)}
    largest = max(training.sizes, key=lambda size: size.images)
    about = _about(prepare(_sized(plan, largest)))
    write_json(folder / "training.json", {"schema_version": SCHEMA_VERSION, "status": "running", **about})
    planned = list(_planned(plan, training))
    failed: dict[str, str] = {}
    for done, (repeat, size, method) in enumerate(planned, start=1):
        key = (method, repeat, size.iterations, size.images)
        if method not in failed and (key not in there or there[key]["status"] != "ok"):
            there[key] = _fit(plan, size, method, repeat, folder, reporter)
            append_line(log, json.dumps(there[key], separators=(",", ":"), allow_nan=False))
        if key in there and there[key]["status"] != "ok":
            failed[method] = f"{there[key]['status']}: {there[key]['reason']}"
        reporter.step("short fits", done, len(planned), method)
    finished = tuple(FitTime(**row["fit"]) for row in there.values() if row["status"] == "ok")
    about["failed"] = failed
    status = "partial" if failed else "complete"
    write_json(folder / "training.json", {"schema_version": SCHEMA_VERSION, "status": status, **about})
    return Fits(about, finished, failed)


def _planned(plan: Plan, training: Training) -> Iterator[tuple[int, Size, str]]:
    for repeat in range(training.fits):
        for size in training.sizes:
            # Who is first alternates: the first fit after another method's finds other data in the caches.
            for method in plan.methods if repeat % 2 == 0 else reversed(plan.methods):
                yield repeat, size, method


def _sized(plan: Plan, size: Size) -> Plan:
    return plan.model_copy(update={"iterations": size.iterations, "train_images": size.images})


def _about(prepared: Prepared) -> dict[str, Any]:
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "plan": prepared.plan.model_dump(mode="json"),
        "machine": describe_machine(prepared.device),
        "software": describe_software(),
        "source": describe_source(),
        "dataset": {
            "name": prepared.train.name,
            "train_images": len(prepared.train.ids),
            "proposals_per_image": _box_counts(prepared),
        },
    }


def _box_counts(prepared: Prepared) -> dict[str, float]:
    counts = [len(boxes) for boxes in prepared.boxes(prepared.train).boxes]
    return {"mean": sum(counts) / len(counts), "min": min(counts), "max": max(counts)}


def _fit(plan: Plan, size: Size, name: str, repeat: int, folder: Path, reporter: Reporter) -> dict[str, Any]:
    """One fit: a line of the log."""
    row = {"method": name, "repeat": repeat, **size.model_dump(), "status": "ok", "reason": None}
    prepared = prepare(_sized(plan, size).model_copy(update={"methods": (name,)}))
    method = prepared.methods[0]
    examples = tuple(Examples(prepared.train, prepared.boxes(prepared.train)))

    def show(stage: Stage, done: int, total: int, text: str) -> None:
        reporter.step(f"{name} {stage}", done, total, text)

    watch = FitWatch(clock_for(prepared.device), show)
    try:
        with TemporaryDirectory(dir=folder, prefix="work-") as work, arithmetic("fp32"):
            detector = prepared.detector(method, prepared.config(method))
            generator = prepared.stream(f"training {repeat}")
            watch.time(lambda: detector.fit(examples, generator=generator, workdir=Path(work)))
    except Exception as error:  # noqa: BLE001  (a method may fail in any way; the others must be fitted)
        failure = Failure.of(error)
        reporter.note(f"{name} failed: {failure.reason}")
        return {**row, "status": failure.status, "reason": failure.reason}
    seconds = watch.as_seconds()
    fit = FitTime(
        method=name,
        repeat=repeat,
        iterations=size.iterations,
        images=size.images,
        finetune_seconds=seconds["finetune"],
        rest_seconds=seconds["total"] - seconds["finetune"],
    )
    return {**row, "seconds": seconds, "fit": asdict(fit)}
