"""A run in Markdown: `report.md`, the page that `results/tables` holds of a run, and the extract in the README.

Percent, milliseconds and "24×" exist here, in `harness.cells`, in `harness.terminal` and in the figures alone. Every
number is read from the result model or from the published claims by `harness.tables`; only shares of a total are
computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness import anatomy, caption
from harness.cells import Notes, by_method, escaped, headline_cells, in_brackets, rounded, status, table
from harness.claims import Claim
from harness.published import published, published_beside
from harness.tables import (
    MethodRow,
    Row,
    Summary,
    fitted_as,
    headline,
    methods,
    notices,
    per_class,
    proposals,
    ratios,
    sizes,
    stages,
    training,
)
from harness.terminal import terminal

__all__ = ["excerpt", "markdown", "page", "terminal"]

_COVERS = {
    "prepare": "mean subtraction, resizing, cropping, warping, copying the input to the device",
    "propose": "boxes made inside the detector",
    "conv": "the convolutional layers alone",
    "pool": "spatial pyramid or RoI pooling of each box; choosing its scale and mapping it to the feature map",
    "fc": "the fully connected layers",
    "decode": "class scores and box regression",
    "suppress": "threshold, top k, non-maximum suppression",
    "unattributed": "what lies between the stages; stages + unattributed = total",
    "total": "from decoded image and boxes in host memory to detections in host memory; proposals excluded",
    "features": "prepare + conv + pool + fc",
    "full_system": "total plus making the proposals",
}

_SETTINGS = {
    "dataset": "data set",
    "train_split": "training split",
    "split": "evaluated split",
    "backbone": "backbone",
    "weights": "weights",
    "precision": "precision",
    "policy": "detection policy",
    "proposals": "proposals",
    "max_proposals": "proposals per image, at most",
    "seed": "seed",
    "iterations": "fine-tuning iterations",
    "repeats": "repeats",
    "processes": "processes",
}

_MEANS = ("mAP VOC07 (11 points)", "mAP VOC10+ (area)")

_SIZES = {"model_bytes": "bytes on disk", "detections": "detections made", "chunk": "boxes computed at a time"}

_IMAGES_NAMED = 3
"""Of those that a notice is about."""

_PROPOSALS = {
    "mean": "per image, mean",
    "min": "per image, fewest",
    "max": "per image, most",
    "recall 0.5": "objects covered at IoU 0.5 (%)",
    "recall 0.7": "objects covered at IoU 0.7 (%)",
    "seconds": "seconds per image",
}

_ACCURACY, _TIME = "Accuracy against time per image", "Time per image by stage"

_INTERVAL_PROCESSES = 3
"""From so many processes on an interval is over process means, below it is over the images of one process."""


def markdown(summary: Summary, claims: Iterable[Claim] = ()) -> str:
    """The whole report. `claims` are the published numbers to set beside it, as of `read_claims`."""
    claims, notes = tuple(claims), Notes()
    blocks = [
        _title(summary),
        *_settings(summary),
        *_trust(summary),
        *_headline(summary, claims, notes, "figures/"),
        *_stages(summary, notes, "figures/"),
        *anatomy.section(summary, notes),
        *_notices(summary),
        *_training(summary, notes),
        *_accuracy(summary, notes),
        *_proposals(summary, notes),
        *_machine(summary),
        *_sources(summary, claims),
        *notes.lines(),
    ]
    return "\n\n".join(blocks) + "\n"


def page(summary: Summary, claims: Iterable[Claim] = (), *, figures: str) -> str:
    """The headline and the stages of a run, with its command. `figures` is what stands before a figure's name."""
    notes = Notes()
    blocks = [
        _title(summary),
        _command(summary),
        _ran_on(summary),
        *_trust(summary),
        *_headline(summary, tuple(claims), notes, figures),
        *_stages(summary, notes, figures),
        *anatomy.section(summary, notes),
        *_notices(summary),
        *notes.lines(),
    ]
    return "\n\n".join(blocks) + "\n"


def excerpt(summary: Summary, claims: Iterable[Claim] = (), *, figures: str) -> str:
    """The least that shows what a run gives: command, table, machine, the papers' rows and two figures."""
    notes = Notes()
    own = [[f"**{escaped(row.method)}**", *headline_cells(row, notes)] for row in headline(summary)]
    # Seconds of a shared CPU say little a week later; what holds is their ratio within one run.
    shown = [i for i, name in enumerate(_COLUMNS) if caption.on_gpu(summary) or "s/image" not in name]
    papers = [
        [escaped(row.method), *headline_cells(row, notes), escaped(f"{row.backbone}, {row.source}")]
        for row in published_beside(claims, summary)
    ]
    blocks = [
        _command(summary),
        table([_COLUMNS[i] for i in shown], [[cells[i] for i in shown] for cells in own]),
        _ran_on(summary),
        f"In brackets: 95 % interval over {_interval_over(summary)}. Total excludes proposals.",
        *_trust(summary),
    ]
    if papers:
        blocks += ["What the papers print, on their own data and GPUs:"]
        blocks += [table((*_COLUMNS, "network, source"), papers, words=(0, len(_COLUMNS)))]
    blocks += [_image(_ACCURACY, f"{figures}speed_accuracy.svg"), _image(_TIME, f"{figures}stages.svg"), *notes.lines()]
    return "\n\n".join(blocks) + "\n"


def _image(words: str, path: str) -> str:
    return f"![{words}]({path})"


def _title(summary: Summary) -> str:
    names = " vs ".join(map(escaped, methods(summary)))
    return f"# {names} on {escaped(caption.plan(summary).get('dataset', 'unknown data'))}"


def _command(summary: Summary) -> str:
    command = str(summary.get("command") or "not recorded")
    fence = "`" * (3 + command.count("```"))
    return f"{fence}sh\n{command}\n{fence}"


def _ran_on(summary: Summary) -> str:
    """What ran it and when, in one line."""
    machine, dataset = summary.get("machine") or {}, summary.get("dataset") or {}
    software = [f"{name} {machine[name]}" for name in ("python", "torch", "opencv") if machine.get(name)]
    parts = [caption.device(summary) + caption.precision(summary), *software]
    if caption.untrained(summary):
        parts.append(f"{dataset.get('images', 'unknown')} images, untrained")
    elif dataset.get("images") is not None:
        parts.append(f"{dataset['images']} images after training on {dataset.get('train_images', 'unknown')}")
    parts += [str(summary["created"])[:10]] if summary.get("created") else []
    return f"Measured on: {escaped(', '.join(parts))}."


def _settings(summary: Summary) -> list[str]:
    plan, dataset = caption.plan(summary), summary.get("dataset") or {}
    known = {label: plan[key] for key, label in _SETTINGS.items() if plan.get(key) is not None}
    images = {
        "training images": dataset.get("train_images", plan.get("train_images")),
        "evaluated images": dataset.get("images", plan.get("images")),
        "device": caption.device(summary),
        "created": summary.get("created"),
        "source": _changing_source(summary),
    }
    shown = {*_SETTINGS, "methods", "device", "images", "train_images"}
    others = ", ".join(f"{key} = {value}" for key, value in plan.items() if key not in shown and value is not None)
    settings = {**known, **images, **({"other settings": others} if others else {})}
    rows = [(label, escaped(value)) for label, value in settings.items() if value is not None]
    return ["## Settings", table(("setting", "value"), rows, words=(0, 1)), _command(summary)]


def _changing_source(summary: Summary) -> str | None:
    """The commit that began the run and those that went on with it; None where it is one and the same."""
    others = [f"resumed {each['at']} with {_commit(each['source'])}" for each in summary.get("other_sources") or ()]
    return "; ".join([f"begun with {_commit(summary.get('source') or {})}", *others]) if others else None


def _commit(source: Mapping[str, Any]) -> str:
    if source.get("commit") is None:
        return f"no commit ({source.get('reason') or 'not recorded'})"
    return f"commit {str(source['commit'])[:12]}" + (" and uncommitted changes" if source.get("dirty") else "")


def _trust(summary: Summary) -> list[str]:
    verdict, reasons = caption.verdict(summary)
    lines = [f"**Trust: {escaped(verdict)}.** {escaped('; '.join(reasons))}".strip()]
    if not caption.on_gpu(summary):
        lines.append(
            "Measured on a CPU. Its absolute times are not comparable with the papers' times on a GPU; ratios are "
            "shown, and they too depend on the hardware."
        )
    return lines


_COLUMNS = (
    "method",
    "mAP VOC07 (%)",
    "conv (s/image)",
    "fc (s/image)",
    "total (s/image)",
    "speed-up conv",
    "speed-up total",
)


def _interval_over(summary: Summary) -> str:
    processes = caption.plan(summary).get("processes") or 1
    return "processes" if processes >= _INTERVAL_PROCESSES else "images within one process"


def _headline(summary: Summary, claims: Sequence[Claim], notes: Notes, figures: str) -> list[str]:
    own, papers = headline(summary), published(claims, caption.base_names(summary))
    header = (*_COLUMNS, "backbone", "status", "source")
    rows = []
    for row in (*own, *papers):
        name = f"**{escaped(row.method)}**" if row.source is None else escaped(row.method)
        words = (row.backbone, status(row), row.source or "this run")
        rows.append([name, *headline_cells(row, notes), *map(escaped, words)])
    faster = [
        (row.name, [in_brackets(cell, notes, "×", interval=True) for cell in row.cells]) for row in ratios(summary)
    ]
    baseline = escaped(summary.get("baseline"))
    return [
        "## Speed and accuracy",
        table(header, rows, words=(0, 7, 8, 9)),
        f"Speed-up is the ratio of mean times per image, baseline {baseline}; in published rows the baseline is the "
        f"R-CNN of the same source. In brackets: 95 % interval over {_interval_over(summary)}. Total excludes "
        "proposals.",
        *_tied(own, summary),
        _image(_ACCURACY, f"{figures}speed_accuracy.svg"),
        by_method(summary, f"speed-up over {baseline}", faster),
    ]


def _tied(rows: Sequence[MethodRow], summary: Summary) -> list[str]:
    """Equal scores can be ranked either way; where that moves the mAP, say how far."""
    lines = []
    for row in rows:
        node = ((methods(summary)[row.method].get("map") or {}).get("voc07")) or {}
        low, high = node.get("tie_low"), node.get("tie_high")
        if low is not None and high is not None and low != high:
            span = " to ".join(rounded(100 * end, 2) for end in (low, high))
            lines.append(f"Equal scores of {escaped(row.method)} may be ranked either way: mAP {span} %.")
    return lines


def _stages(summary: Summary, notes: Notes, figures: str) -> list[str]:
    def cells(row: Row) -> list[str]:
        texts = [in_brackets(cell.shifted(3), notes, interval=not row.shares) for cell in row.cells]
        if not row.shares:
            return texts
        return [
            text if share.value is None else f"{text} ({rounded(100 * share.value, 1)} %)"
            for text, share in zip(texts, row.shares, strict=True)
        ]

    rows = stages(summary)
    return [
        "## Where the time goes",
        by_method(summary, "ms per image", [(row.name, cells(row)) for row in rows]),
        "In parentheses: share of the total.",
        "\n".join(f"- **{row.name}**: {_COVERS[row.name]}" for row in rows),
        _image(_TIME, f"{figures}stages.svg"),
    ]


def _notices(summary: Summary) -> list[str]:
    """What the methods said while they ran, under their names."""
    lines = []
    for (method, text), images in notices(summary).items():
        named = ", ".join(map(escaped, images[:_IMAGES_NAMED])) + (", …" if len(images) > _IMAGES_NAMED else "")
        count = f"{len(images)} image{'s' if len(images) > 1 else ''}: {named}" if images else "while fitting"
        lines.append(f"- **{escaped(method)}**: {escaped(text)} ({count})")
    return ["## Notices", "\n".join(lines)] if lines else []


def _training(summary: Summary, notes: Notes) -> list[str]:
    if caption.untrained(summary):
        return ["## Training", "Nothing was trained: times hold, detections mean nothing."]
    rows = [(row.name, [in_brackets(cell, notes) for cell in row.cells]) for row in training(summary)]
    weighs = [(_SIZES[row.name], [in_brackets(cell, notes) for cell in row.cells]) for row in sizes(summary)]
    shared = [
        f"{escaped(name)} detects with the model that was fitted as {escaped(other)}, which is counted once."
        for name, other in fitted_as(summary).items()
    ]
    return ["## Training", by_method(summary, "seconds", rows), *shared, by_method(summary, "fitted model", weighs)]


def _accuracy(summary: Summary, notes: Notes) -> list[str]:
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
        text = f"– ({machine.get(f'{key}_reason') or 'not recorded'})" if value is None else value
        if key.endswith("_bytes") and value is not None:
            key, text = key.removesuffix("_bytes"), f"{value / 2**30:.1f} GiB"
        rows.append((escaped(key), escaped(text)))
    return ["## Machine", table(("machine", "value"), rows, words=(0, 1))]


def _sources(summary: Summary, claims: Sequence[Claim]) -> list[str]:
    """What the published times cover and what ran them; verdicts."""
    names = caption.base_names(summary)
    times: dict[tuple[str, ...], list[str]] = {}
    for claim in claims:
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
