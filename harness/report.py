"""A run in Markdown: `report.md`, the page that `results/tables` holds of a run, and the extract in the README.

Percent, milliseconds and "24×" exist here, in `harness.rendering`, in `harness.terminal` and in the figures alone.
Every number is read from the result model or from the published claims by `harness.tables`; only shares of a total are
computed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from harness.claims import Claim
from harness.rendering import anatomy, appendix, caption, confidence, growth, provenance, roofline, verdicts, waterfall
from harness.rendering.cells import Notes, by_method, escaped, headline_cells, in_brackets, rounded, status, table
from harness.rendering.published import published, published_beside
from harness.tables import (
    MethodRow,
    Row,
    Summary,
    differences,
    headline,
    methods,
    rated,
    ratios,
    stages,
)
from harness.terminal import terminal
from harness.wording import counted

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

_IMAGES_NAMED = 3
"""Of those that a notice is about."""

_DIFFERENCES = ("mAP VOC07", "mAP VOC10+")

_ACCURACY, _TIME = "Accuracy against time per image", "Time per image by stage"


_FIGURES = {
    "published": "Published and measured",
    "latency": "How the time is spread over the images",
    "cost": "What the time grows with",
    "progression": "Each time as it was measured",
    "class_ap": "Average precision of each class",
    "pictures": "What was found, what was found wrongly and what was missed",
}
"""Those without numbers beside them in the text."""


def markdown(summary: Summary, claims: Iterable[Claim] = (), figures: Collection[str] = ()) -> str:
    """The whole report.

    `claims` are the published numbers to set beside it, as of `read_claims`; `figures` names what was drawn.
    """
    claims, notes = tuple(claims), Notes()
    blocks = [
        _title(summary),
        *provenance.settings(summary),
        *confidence.findings(summary),
        *_headline(summary, claims, notes, "figures/"),
        *verdicts.section(summary, notes),
        *_stages(summary, notes, "figures/"),
        *anatomy.section(summary, notes),
        *waterfall.section(summary, notes, "figures/"),
        *roofline.section(summary, notes),
        *growth.section(summary, notes),
        *confidence.section(summary, notes),
        *_figures(figures),
        *_notices(summary),
        *appendix.sections(summary, claims, notes),
        *notes.lines(),
    ]
    return "\n\n".join(blocks) + "\n"


def page(summary: Summary, claims: Iterable[Claim] = (), *, figures: str) -> str:
    """The headline and the stages of a run, with its command. `figures` is what stands before a figure's name."""
    notes = Notes()
    blocks = [
        _title(summary),
        provenance.command(summary),
        provenance.ran_on(summary),
        *confidence.findings(summary),
        *_headline(summary, tuple(claims), notes, figures),
        *verdicts.section(summary, notes),
        *_stages(summary, notes, figures),
        *anatomy.section(summary, notes),
        *waterfall.section(summary, notes, figures),
        *roofline.section(summary, notes),
        *growth.section(summary, notes),
        *confidence.section(summary, notes),
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
        provenance.command(summary),
        table([_COLUMNS[i] for i in shown], [[cells[i] for i in shown] for cells in own]),
        provenance.ran_on(summary),
        f"In brackets: 95 % interval {caption.intervals(summary)}. Total excludes proposals.",
        *confidence.verdict(summary),
    ]
    if papers:
        blocks += ["What the papers print, on their own data and GPUs:"]
        blocks += [table((*_COLUMNS, "network, source"), papers, words=(0, len(_COLUMNS)))]
    blocks += [*_speed_accuracy(summary, figures), _image(_TIME, f"{figures}stages.svg"), *notes.lines()]
    return "\n\n".join(blocks) + "\n"


def _figures(drawn: Collection[str]) -> list[str]:
    images = [_image(words, f"figures/{name}.svg") for name, words in _FIGURES.items() if name in drawn]
    return ["## Figures", *images] if images else []


def _image(words: str, path: str) -> str:
    return f"![{words}]({path})"


def _speed_accuracy(summary: Summary, figures: str) -> list[str]:
    """The figure, which a run without an mAP does not have."""
    return [_image(_ACCURACY, f"{figures}speed_accuracy.svg")] if rated(summary) else []


def _title(summary: Summary) -> str:
    names = " vs ".join(map(escaped, methods(summary)))
    return f"# {names} on {escaped(caption.plan(summary).get('dataset', 'unknown data'))}"


_COLUMNS = (
    "method",
    "mAP VOC07 (%)",
    "conv (s/image)",
    "fc (s/image)",
    "total (s/image)",
    "speed-up conv",
    "speed-up total",
)


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
        f"R-CNN of the same source. In brackets: 95 % interval {caption.intervals(summary)}. "
        "Total excludes proposals.",
        *_tied(own, summary),
        *_speed_accuracy(summary, figures),
        by_method(summary, f"speed-up over {baseline}", faster),
        *_better(summary, notes),
    ]


def _better(summary: Summary, notes: Notes) -> list[str]:
    """How far each method's mAP is from the baseline's."""
    rows = [
        (label, [in_brackets(cell.shifted(2), notes, interval=True) for cell in row.cells])
        for label, row in zip(_DIFFERENCES, differences(summary), strict=False)
    ]
    baseline = escaped(summary.get("baseline"))
    return [by_method(summary, f"difference to {baseline} (points)", rows)] if rows else []


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


def _said(summary: Summary) -> dict[tuple[str, str], list[str]]:
    """What each method said, by method and text: the images of which it said so, none where it was its fit."""
    found: dict[tuple[str, str], list[str]] = {}
    for notice in summary.get("notices") or ():
        images = found.setdefault((str(notice["method"]), str(notice["text"])), [])
        if notice.get("image") is not None:
            images.append(str(notice["image"]))
    return found


def _notices(summary: Summary) -> list[str]:
    """What the methods said while they ran, under their names."""
    lines = []
    for (method, text), images in _said(summary).items():
        named = ", ".join(map(escaped, images[:_IMAGES_NAMED])) + (", …" if len(images) > _IMAGES_NAMED else "")
        count = f"{counted(len(images), 'image')}: {named}" if images else "while fitting"
        lines.append(f"- **{escaped(method)}**: {escaped(text)} ({count})")
    return ["## Notices", "\n".join(lines)] if lines else []
