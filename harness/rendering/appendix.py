"""What stands at the end of a report: training, average precision by class, proposals, machine, sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.accuracy import METRICS
from harness.claims import Claim
from harness.rendering import caption
from harness.rendering.cells import Notes, by_method, escaped, in_brackets, table
from harness.rendering.published import main
from harness.tables import Estimate, Row, Summary, estimate, mean_ap, methods, why_not
from harness.wording import gibibytes

__all__ = [
    "FITTING",
    "fitted_as",
    "fitted_before",
    "per_class",
    "proposals",
    "sections",
    "sizes",
    "taken_over",
    "training",
]

FITTING = ("finetune", "features", "svm", "regress")

_MEANS = ("mAP VOC07 (11 points)", "mAP VOC10+ (area)")

_SIZES = {"model_bytes": "bytes on disk", "detections": "detections made", "chunk": "boxes computed at a time"}

_PROPOSALS = {
    "mean": "per image, mean",
    "min": "per image, fewest",
    "max": "per image, most",
    "recall 0.5": "objects covered at IoU 0.5 (%)",
    "recall 0.7": "objects covered at IoU 0.7 (%)",
    "seconds": "seconds per image",
}


def fitted_as(summary: Summary) -> dict[str, str]:
    """The methods whose fit stands with another method of the run, and under which name it was fitted.

    It stands with the method of that name, or with the first that detects with it where the run has none of that name.
    """
    results, first = methods(summary), dict[str, str]()
    found = {}
    for name, result in results.items():
        fit = result.get("fitted_as")
        if fit is not None and (fit if fit in results else first.setdefault(fit, name)) != name:
            found[name] = str(fit)
    return found


def fitted_before(summary: Summary) -> list[str]:
    """Of the models of another run, where and how they were fitted, a line for all of one fit: their seconds are of
    that machine."""
    told: dict[str, list[str]] = {}
    for name, about in (summary.get("models") or {}).items():
        seed = "not recorded" if about.get("seed") is None else about["seed"]
        where = _place(about.get("machine") or {})
        date = str(about.get("created") or "").partition("T")[0]
        other = about.get("fitted_as", name)
        line = f"fitted before{'' if other == name else f' as {other}'}, in {about.get('folder')}, on {where}"
        line += f", seed {seed}" + (f", {date}" if date else "")
        told.setdefault(line, []).append(name)
    return [f"{', '.join(map(escaped, names))}: {escaped(line)}." for line, names in told.items()]


def _place(machine: Mapping[str, Any]) -> str:
    """A GPU or a processor, by its name."""
    if machine.get("device") is None:
        return "a machine that was not recorded"
    kind = "gpu" if machine["device"] == "cuda" else "cpu"
    return f"{kind.upper()} ({machine.get(kind) or 'name not known'})"


def taken_over(summary: Summary) -> dict[str, list[str]]:
    """By method, the others whose fine-tuned network its fit began with: their seconds are not in its own."""
    found = {name: (result.get("begun_with") or {}).values() for name, result in methods(summary).items()}
    return {name: list(dict.fromkeys(makers)) for name, makers in found.items() if makers}


def training(summary: Summary) -> list[Row]:
    """Seconds of each stage of fitting, and of all; a fit that serves several methods stands with the first alone."""
    shared = fitted_as(summary)
    rows = []
    for name in (*FITTING, "unattributed", "total"):
        cells = []
        for method, result in methods(summary).items():
            if method in shared:
                cells.append(Estimate(None, reason=f"fitted as {shared[method]}"))
                continue
            fallback = "this method has no such stage"
            if not result.get("fit_seconds"):
                fallback = result.get("fit_seconds_reason") or "no fit was timed"
            cells.append(estimate(result.get("fit_seconds") or {}, name, why_not(result, fallback)))
        rows.append(Row(name, tuple(cells)))
    return rows


def sizes(summary: Summary) -> list[Row]:
    """What each fitted model weighs, and the boxes that it computes at a time: counts and bytes."""
    rows = []
    chunked = any(result.get("chunk") is not None for result in methods(summary).values())
    for name in ("model_bytes", "detections", *(("chunk",) if chunked else ())):
        cells = [estimate(result, name, why_not(result, "not recorded")) for result in methods(summary).values()]
        rows.append(Row(name, tuple(replace(cell, fixed_decimals=0) for cell in cells)))
    return rows


def proposals(summary: Summary) -> list[Row]:
    """Boxes per image, the share of objects that they cover by IoU, and the seconds that they cost; one column."""
    dataset, reason = summary.get("dataset") or {}, "not recorded"
    counts, recall = dataset.get("proposals_per_image") or {}, dataset.get("recall") or {}
    digits = {"mean": 1, "min": 0, "max": 0}
    rows = [
        Row(name, (replace(estimate(counts, name, reason), fixed_decimals=decimals),))
        for name, decimals in digits.items()
    ]
    rows += [Row(f"recall {iou}", (estimate(recall, iou, reason),)) for iou in ("0.5", "0.7")]
    return [*rows, Row("seconds", (estimate(dataset, "proposal_seconds", reason),))]


def per_class(summary: Summary) -> list[Row]:
    """VOC07 average precision of each class as a fraction, then the mean in both definitions."""
    results = methods(summary)
    named = {name: None for result in results.values() for name in result.get("ap") or {}}
    untrained = bool(results) and all(result.get("trained") is False for result in results.values())
    classes = () if untrained else (*((summary.get("dataset") or {}).get("classes") or ()), *named)
    rows = []
    for name in dict.fromkeys(classes):
        cells = []
        for result in results.values():
            no_map = ((result.get("map") or {}).get("voc07") or {}).get("reason")
            fallback = no_map or "no object of this class counts in the evaluated images"
            cells.append(estimate(result.get("ap") or {}, name, why_not(result, fallback)))
        rows.append(Row(name, tuple(cells)))
    for metric in METRICS:
        rows.append(Row(metric, tuple(mean_ap(result, metric) for result in results.values())))
    return rows


def sections(summary: Summary, claims: Sequence[Claim], notes: Notes) -> list[str]:
    """All of them, as blocks of Markdown."""
    return [
        *_training(summary, notes),
        *_accuracy(summary, notes),
        *_proposals(summary, notes),
        *_machine(summary),
        *_sources(summary, claims),
    ]


def _training(summary: Summary, notes: Notes) -> list[str]:
    if caption.untrained(summary):
        return ["## Training", "Nothing was trained: times hold, detections mean nothing."]
    rows = [(row.name, [in_brackets(cell, notes) for cell in row.cells]) for row in training(summary)]
    weighs = [(_SIZES[row.name], [in_brackets(cell, notes) for cell in row.cells]) for row in sizes(summary)]
    shared = [
        f"{escaped(name)} detects with the model that was fitted as {escaped(other)}, which is counted once."
        for name, other in fitted_as(summary).items()
    ]
    begun = [
        f"{escaped(name)}: fine-tuning taken over from {escaped(', '.join(makers))}, whose seconds are not in its own."
        for name, makers in taken_over(summary).items()
        if name not in fitted_as(summary)
    ]
    told = [*shared, *begun, *fitted_before(summary)]
    return ["## Training", by_method(summary, "seconds", rows), *told, by_method(summary, "fitted model", weighs)]


def _accuracy(summary: Summary, notes: Notes) -> list[str]:
    if caption.untrained(summary):
        return []
    *classes, voc07, voc10 = per_class(summary)
    labelled = [*((row.name, row) for row in classes), *zip(_MEANS, (voc07, voc10), strict=True)]
    rows = [(label, [in_brackets(cell.shifted(2), notes) for cell in row.cells]) for label, row in labelled]
    return ["## Average precision (VOC07, %)", by_method(summary, "class", rows)]


def _proposals(summary: Summary, notes: Notes) -> list[str]:
    rows = [
        (_PROPOSALS[row.name], in_brackets(row.cells[0].shifted(2 if row.name.startswith("recall") else 0), notes))
        for row in proposals(summary)
    ]
    return ["## Proposals", table(("proposals", "value"), rows)]


def _machine(summary: Summary) -> list[str]:
    machine = summary.get("machine") or {}
    rows = []
    for key, value in machine.items():
        if key.endswith("_reason"):
            continue
        text = gibibytes(value) if key.endswith("_bytes") and value is not None else value
        if value is None:
            text = f"– ({machine.get(f'{key}_reason') or 'not recorded'})"
        rows.append((escaped(key.removesuffix("_bytes")), escaped(text)))
    return ["## Machine", table(("machine", "value"), rows, words=(0, 1)), *_flags(summary)]


def _flags(summary: Summary) -> list[str]:
    """How libraries were set; of the environment, the variables that were."""
    flags = dict(summary.get("flags") or {})
    environment = flags.pop("environment", None) or {}
    told = {**flags, **{name: value for name, value in environment.items() if value is not None}}
    rows = [(escaped(name), escaped(value)) for name, value in told.items() if value is not None]
    return [table(("flag", "value"), rows, words=(0, 1))] if rows else []


def _sources(summary: Summary, claims: Sequence[Claim]) -> list[str]:
    """What the published times cover and what ran them; verdicts."""
    names = caption.base_names(summary)
    times: dict[tuple[str, ...], list[str]] = {}
    for claim in main(claims):
        if claim.unit == "s" and claim.quantity in ("total", "full_system") and claim.method in names:
            covers = f"covers {' + '.join(claim.stages)}" if claim.stages else "stages not stated"
            about = (claim.citation, covers, claim.hardware or "hardware not stated", claim.note)
            times.setdefault(about, []).append(f"{claim.name} with {claim.backbone} {claim.printed} s")
    lines = []
    for (citation, *details), what in sorted(times.items(), key=lambda item: item[0]):
        lines.append(f"- {escaped(citation)}: {escaped(', '.join(what))} ({escaped('; '.join(details))})")
    blocks = ["\n".join(lines)] if lines else []
    if summary.get("claims") is None:
        blocks.append(f"Verdicts on these figures: none, {escaped(summary.get('claims_reason') or 'not computed')}.")
    return ["## Published figures", *blocks]
