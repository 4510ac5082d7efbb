"""How good boxes are, in words: the page of a study, and its gist on a terminal of 80 columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

from harness.estimate import Estimate
from harness.forms.summary import Value
from harness.gates.manifests import states_of_source
from harness.proposals.study import Beside, Group, Near, Neighbours, Part, Point, Study
from harness.rendering.cells import Mark, Notes, Style, escaped, in_brackets, plus_minus, rounded
from harness.rendering.cells import table as grid
from harness.wording import counted

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

__all__ = ["boxes_of", "called", "screen", "table"]

_OUTSIDE = re.compile(r"""(?<=[\s:='"])(?:\.\.)?/(?:[^\s'"]*/)?""")
"""Begin of a path that is absolute or goes up."""

_MEASURES = ("recall at IoU 0.5 (%)", "recall at IoU 0.7 (%)", "average recall (%)")
_LIKENESS = ("mean IoU (%)", "at IoU 0.5 (%)", "at IoU 0.7 (%)")
_WHOSE = ("others", "others as long", "ours")

_DEFINITIONS = (
    "Recall is the share of objects that at least one box of their image covers so well, whatever scores it later: no "
    "detector finds more. *Average recall* is twice the integral of recall over IoU from 0.5 to 1 (Hosang et al., What "
    "makes for effective detection proposals?, 2015). *MABO* is the mean over classes of the mean best IoU of their "
    "objects (Uijlings et al., Selective search for object recognition, 2013). Objects that are flagged as difficult "
    "are left out. In brackets: 95 % intervals over images, which are drawn again and "
    "again with replacement; an image is drawn with all of its objects. Where an image has fewer boxes than a row "
    "allows, all of its boxes count."
)
_NEIGHBOURS = (
    "Without ground truth: which boxes differ, not which are better. To the left, how near the nearest of our first "
    "boxes is to each of the other boxes, and the share of those that have one at that IoU; in the middle, the same of "
    "those whose sides are all as long as the shortest side of any box of ours; to the right, how near the nearest of "
    "all the other boxes is to each of our first ones. Over all boxes of all images alike."
)
_LEGEND = (
    "In %: mean IoU with the nearest box of the other kind, and the share that have\n"
    "one at IoU 0.5 and 0.7. As long: those with no side below {side} px, as all of ours."
)


def table(study: Study, plot: str | None = None) -> str:
    """The whole page; `plot` is where its figure stands as seen from it, None where it was not drawn."""
    notes = Notes()
    blocks = [
        f"# Boxes of {escaped(boxes_of(study))}",
        f"```sh\n{_without_folders(study.command)}\n```",
        f"Settings: {escaped(', '.join(f'{key} {value}' for key, value in study.proposals.items()))}. Made on "
        f"{study.created[:10]} by the source {escaped(', '.join(states_of_source({'source': study.source})))}.",
        *([f"![Recall and likeness against the number of boxes]({plot})"] if plot else []),
    ]
    for part in study.parts:
        blocks += _part(part, study, notes)
    for beside in study.beside:
        blocks += _beside(beside)
    blocks += ["## What the numbers mean", _DEFINITIONS] if study.parts else []
    return "\n\n".join([*blocks, *notes.lines()]) + "\n"


def boxes_of(study: Study) -> str:
    """What made the boxes, such as ``selective-search (fast)``."""
    mode = study.proposals.get("mode") or study.proposals.get("file")
    return f"{study.proposals.get('name', '?')}{f' ({mode})' if mode else ''}"


def called(dataset: str) -> str:
    """A data set by the last part of its path, such as ``VOC2007``: the folders above are of one machine."""
    kind, _, path = dataset.partition(":")
    return PurePath(path).name or kind


def _without_folders(command: str) -> str:
    """With … for the folders that lead out of the one in which it was given."""
    return _OUTSIDE.sub("…/", command)


def _part(part: Part, study: Study, notes: Notes) -> Iterator[str]:
    count = part.boxes_per_image
    yield f"## {escaped(called(part.dataset))}, {escaped(part.split)}"
    yield (
        f"{counted(part.images, 'image')}, {counted(part.every.objects, 'object')}, {part.difficult:,} difficult ones "
        f"left out; boxes an image: mean {count.mean:,.0f}, median {count.median:,.0f}, from {count.min:,} to "
        f"{count.max:,}."
    )
    rows = [(*_first(point), *_measures(point, notes)) for point in part.every.points]
    yield grid(("first boxes", "boxes an image", *_MEASURES, "MABO (%)"), rows)
    sizes = {f"{name} ({study.sizes_px[name]})": group for name, group in part.sizes.items()}
    yield f"By size of the object, {_at(part.sizes)}:"
    yield _groups("size", sizes, notes)
    if part.classes:
        classes = _groups("class", part.classes, notes)
        yield f"<details><summary>By class, {_at(part.classes)}</summary>\n\n{classes}\n\n</details>"


def _first(point: Point | Neighbours) -> tuple[str, str]:
    return (f"{point.first:,}" if isinstance(point.first, int) else point.first), f"{point.boxes:,.0f}"


def _measures(point: Point, mark: Mark, style: Style = in_brackets) -> list[str]:
    """In percent, each with its interval."""
    found = (point.recall_50, point.recall_70, point.average_recall, point.best_overlap)
    return [style(_percent(value), mark, interval=True) for value in found]


def _percent(value: Value) -> Estimate:
    return Estimate(value.value, value.low, value.high, value.reason).shifted(2)


def _at(groups: dict[str, Group]) -> str:
    """With how many boxes the last point of groups is."""
    first = next(iter(groups.values())).points[-1].first
    return "with all boxes" if first == "all" else f"with the first {first:,} boxes"


def _groups(name: str, groups: dict[str, Group], notes: Notes) -> str:
    """A row for each, at its last point."""
    rows = [
        (escaped(label), f"{group.objects:,}", *_measures(group.points[-1], notes)) for label, group in groups.items()
    ]
    return grid((name, "objects", *_MEASURES, "mean best IoU (%)"), rows)


def _beside(beside: Beside) -> Iterator[str]:
    own, other = beside.boxes_per_image, beside.their_boxes_per_image
    yield f"## Beside {escaped(_others(beside))}, on {escaped(called(beside.dataset))}"
    yield (
        f"{counted(beside.images, 'image')}; boxes an image: mean {own.mean:,.0f} of ours, {other.mean:,.0f} of the "
        f"others, {rounded(100 * beside.their_share_as_long, 1)} % of these with no side below "
        f"{beside.shortest_side_px:g} px, as all of ours. {_NEIGHBOURS}"
    )
    header = [f"{whose}: {name}" for whose in _WHOSE for name in _LIKENESS]
    rows = [(*_first(point), *_near(point)) for point in beside.points]
    yield grid(("our first boxes", "boxes an image", *header), rows)
    if beside.by_image:
        listed = [(escaped(one.id), f"{one.boxes:,}", f"{one.their_boxes:,}", *_near(one)) for one in beside.by_image]
        yield grid(("image", "our boxes", "other boxes", *header), listed)


def _others(beside: Beside) -> str:
    name, file = beside.against.get("name", "?"), beside.against.get("file")
    return str(name) if file is None else f"the boxes of {file}"


def _near(near: Near) -> list[str]:
    every = (near.theirs, near.theirs_as_long, near.ours)
    return [rounded(100 * share, 1) for one in every for share in (one.mean, one.at_50, one.at_70)]


def screen(study: Study) -> RenderableType:
    """What `harness recall` prints; sizes and classes stand in the file alone."""
    from rich.console import Group as Blocks
    from rich.text import Text

    blocks: list[RenderableType] = []
    for part in study.parts:
        told = f"{boxes_of(study)} on {part.split} of {called(part.dataset)}: {counted(part.images, 'image')}, "
        blocks.append(Text(f"{told}{counted(part.every.objects, 'object')}", "bold"))
        rows = [(*_first(point), *_measures(point, lambda _: "", plus_minus)) for point in part.every.points]
        blocks.append(_grid(("first\nboxes", "boxes\nan image", *_two_lines((*_MEASURES, "MABO (%)"))), rows))
        reasons = dict.fromkeys(point.recall_50.reason for point in part.every.points if point.recall_50.reason)
        blocks += [Text(f"No value or no interval: {reason}.", "dim") for reason in reasons]
    if study.parts:
        blocks.append(Text("±: the longer arm of the 95 % interval over images.", "dim"))
    for beside in study.beside:
        told = (
            f"{boxes_of(study)} beside {_others(beside)}: {counted(beside.images, 'image')} of {called(beside.dataset)}"
        )
        blocks.append(Text(told, "bold"))
        near = [(_first(point)[0], *_near(point)) for point in beside.points]
        names = [f"{whose.replace(' ', chr(10), 1)}\n{name}" for whose in _WHOSE for name in ("mean", "0.5", "0.7")]
        blocks.append(_grid(("our first\nboxes", *names), near))
        blocks.append(Text(_LEGEND.format(side=f"{beside.shortest_side_px:g}"), "dim"))
    return Blocks(*blocks)


def _two_lines(names: Sequence[str]) -> list[str]:
    """Heads of narrow columns, broken before what follows the first words."""
    return [name.replace(" at IoU", "\nat IoU").replace(" (%)", "\n%") for name in names]


def _grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in header:
        grid.add_column(name, justify="right", vertical="bottom")
    for row in rows:
        grid.add_row(*map(Text, row))
    return grid
