"""One part of a preset, carried out: what it says of the published numbers, and what must be told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from harness.claims import Claim
from harness.compare import compare
from harness.datasets import DatasetError
from harness.flops import ImageShape
from harness.journal import Failure
from harness.operating_point import IMAGE
from harness.plan import Plan, PlanError
from harness.presets import Kind, Part, Training
from harness.progress import Reporter
from harness.proposals import ProposalError
from harness.quantities.judged import Judged, judge
from harness.quantities.observations import Observed
from harness.rendering import caption
from harness.reproduce.counts import compared, counted, judge_pixels
from harness.reproduce.fits import measure_fits, schedules
from harness.runs import RunFolder
from harness.storage import StorageError, write_json, write_text
from harness.training_time import judge_training

__all__ = ["Outcome", "Task", "carry_out"]

_NOT_TIMED = Observed((), (), {}, {})


@dataclass(frozen=True, slots=True)
class Task:
    """A part with all that carrying it out takes."""

    part: Part
    plan: Plan
    training: Training
    folder: Path
    claims: Sequence[Claim]
    """All that is published."""
    resume: bool
    command: str
    argv: list[str] | None
    reporter: Reporter


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    status: str
    """``ok``; ``partial``, a method or a process failed; ``error``, nothing was measured."""
    reason: str | None
    judged: Sequence[Judged] = ()
    device: str | None = None
    """What timed it, such as ``CPU (AMD EPYC)``; None where nothing was timed."""
    images: int | None = None
    trust: str | None = None
    """Of a run: ``ok`` or ``inconclusive``."""
    data: str | None = None
    """What was timed on, such as ``drawn scenes of 500x375, 2,000 random boxes each``."""
    boxes: int | None = None
    """Of an image, on average."""
    counted: dict[str, Any] | None = None
    """Where a part counts instead of timing: the ``image``, and the ``methods`` as `compared` gives them."""


def carry_out(task: Task) -> Outcome:
    """Measure what is not measured yet. What keeps this part from being measured costs this part alone.

    Raises:
        KeyboardInterrupt: what was measured is kept.
    """
    try:
        return _KINDS[task.part.kind](task)
    except (PlanError, DatasetError, ProposalError, StorageError) as error:
        reason = " ".join(str(error).split())
        task.reporter.note(f"{task.part.name} failed: {reason}")
    except Exception as error:  # noqa: BLE001  (whatever goes wrong in one part must not cost the hours of the others)
        failure, log = Failure.of(error), task.folder.with_name(f"{task.part.name}.error.txt")
        write_text(log, failure.traceback)
        reason = failure.reason
        task.reporter.note(f"{task.part.name} failed: {reason} (traceback in {log})")
    return Outcome("error", reason)


def _comparison(task: Task) -> Outcome:
    summary = _summary(task)
    found: list[Judged] = list(summary.get("claims") or ())
    if task.part.kind == "accuracy":
        found += _at_this_many_boxes(task, summary)
    failed = {name: about for name, about in summary["methods"].items() if about["status"] != "ok"}
    reasons = [f"{name}: {about['status']}: {about['reason']}" for name, about in failed.items()]
    reasons += [str(each["reason"]) for each in summary.get("processes") or () if each["status"] != "ok"]
    return Outcome(
        "partial" if reasons else "ok",
        "; ".join(reasons) or None,
        found,
        device=caption.hardware(summary),
        images=summary["dataset"]["images"],
        trust=summary["trust"]["verdict"],
        **_data(task.plan, summary["dataset"], task.plan.split),
    )


def _summary(task: Task) -> dict[str, Any]:
    run = RunFolder(task.folder)
    resume = task.resume and run.exists
    if resume and run.read_manifest()["status"] == "complete":
        return run.read_summary()
    return compare(
        task.plan,
        task.folder,
        resume=resume,
        overwrite=False,
        command=task.command,
        argv=task.argv,
        reporter=task.reporter,
    )


def _at_this_many_boxes(task: Task, summary: dict[str, Any]) -> list[Judged]:
    """Accuracies that are published by the number of boxes: those at the number that this run was given."""
    part = f"{task.plan.max_proposals} proposals"
    whole = [replace(claim, part="") for claim in task.claims if claim.part == part and claim.quantity == "map"]
    return [{**one, "part": part} for one in judge(whole, summary, _NOT_TIMED)]


def _fits(task: Task) -> Outcome:
    task.folder.mkdir(parents=True, exist_ok=True)
    fits = measure_fits(task.plan, task.training, task.folder, task.reporter)
    published = schedules(task.plan, task.training)
    found = judge_training(task.claims, fits.finished, published, fits.about, task.training.stands_for)
    reasons = [f"{name}: {reason}" for name, reason in fits.failed.items()]
    return Outcome(
        "partial" if reasons else "ok",
        "; ".join(reasons) or None,
        found,
        device=caption.hardware(fits.about),
        **_data(task.plan, fits.about["dataset"], task.plan.train_split),
    )


def _data(plan: Plan, dataset: Mapping[str, Any], split: str) -> dict[str, Any]:
    """``data`` and ``boxes`` of an outcome."""
    kind, _, argument = plan.dataset.partition(":")
    images = {"shapes": f"drawn scenes of {argument}" if argument else "drawn scenes"}.get(kind, f"{kind} {split}")
    if kind == "voc":
        images = f"{PurePath(argument).name} {split}"
    of = dataset["proposals_per_image"]
    boxes = round(of["mean"])
    about = "" if of["min"] == of["max"] else "about "
    proposals, _, _ = plan.proposals.partition(":")
    source = {"uniform": "random boxes", "selective-search": "boxes of selective search"}.get(proposals, "given boxes")
    return {"data": f"{images}, {about}{boxes:,} {source} each", "boxes": boxes}


def _counts(task: Task) -> Outcome:
    shape = ImageShape(IMAGE.height, IMAGE.width, task.plan.max_proposals)
    found = counted(task.plan.backbone, task.plan.methods, shape)
    image = {"height": shape.height, "width": shape.width, "proposals": shape.proposals}
    write_json(task.folder / "counts.json", {"schema_version": 1, "image": image, "methods": found})
    about = {
        "plan": task.plan.model_dump(mode="json"),
        "dataset": {"proposals_per_image": {"mean": float(shape.proposals)}},
    }
    told = {"image": image, "methods": compared(found)}
    return Outcome("ok", None, judge_pixels(task.claims, found, about), counted=told)


_KINDS: dict[Kind, Callable[[Task], Outcome]] = {
    "speed": _comparison,
    "accuracy": _comparison,
    "training": _fits,
    "count": _counts,
}
