"""A reproduction in words: the paper's table side by side with what was measured, on a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.claims import read_claims
from harness.needs import MEASURES, together, ways
from harness.papertables import PaperTable, tables
from harness.quantities.comparability import NOT_RUN
from harness.rendering import papertables, provenance, published_anatomy
from harness.rendering.cells import Notes, escaped, table
from harness.reproduction import label, measured_nothing
from harness.training_time import LEFT_OUT
from harness.wording import counted, one_line

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["excerpt", "markdown", "terminal"]

Reproduction = Mapping[str, Any]

_SHOWN = {"speed": "/report.md", "accuracy": "/report.md", "training": "/training.json", "count": "/counts.json"}
"""What to look at first in the folder of a part, by its kind."""

_STATUS = {"not run": "not run", "error": "failed", "partial": "measured in part", "ok": "measured"}


def terminal(reproduction: Reproduction) -> RenderableType:
    """The label, the table, what was not run and how to run it; for 80 columns."""
    from rich.console import Group
    from rich.text import Text

    title = f"{reproduction['preset']}: {reproduction['title']}"
    told = [f"- {line}" for line in (*_not_measured(reproduction), *ways(reproduction["needs"]))]
    if measured_nothing(reproduction):
        return Group(Text(_nothing(reproduction), "yellow"), Text(title, "bold"), Text("\n".join(told)))
    return Group(
        Text(title, "bold"),
        Text(_label(reproduction)),
        *(Text(line, "yellow") for line in _smoke(reproduction)),
        Text(""),
        papertables.terminal([_table(reproduction)]),
        *(Text(f"{line}\n") for line in _counted(reproduction)),
        *([Text("\n".join(told))] if told else []),
    )


def markdown(reproduction: Reproduction, *, runs: str = "") -> str:
    """The whole report. `runs` is what stands before the folder of a part."""
    notes = Notes()
    blocks = [
        f"# {escaped(reproduction['preset'])}: {escaped(reproduction['title'])}",
        provenance.command(reproduction),
        f"{escaped(_label(reproduction))} ({str(reproduction['created'])[:10]}).",
        *_warnings(reproduction),
        *papertables.markdown(_table(reproduction), notes),
        *map(escaped, _counted(reproduction)),
        *published_anatomy.blocks(reproduction["published_anatomy"], notes),
        *_parts(reproduction, runs),
        *notes.lines(),
    ]
    return "\n\n".join(blocks) + "\n"


def excerpt(reproduction: Reproduction) -> str:
    """The least that shows what a reproduction gives: command, hardware and the table."""
    notes = Notes()
    blocks = [
        provenance.command(reproduction),
        f"{escaped(_label(reproduction))} ({str(reproduction['created'])[:10]}).",
        *_warnings(reproduction),
        *papertables.markdown(_table(reproduction), notes)[1:],
        *map(escaped, _counted(reproduction)),
        *notes.lines(),
    ]
    return "\n\n".join(blocks) + "\n"


def _label(reproduction: Reproduction) -> str:
    if measured_nothing(reproduction):
        return _nothing(reproduction)
    told = label(reproduction)
    return f"Measured on: {told}" if reproduction["labels"]["device"] else told.capitalize()


def _nothing(reproduction: Reproduction) -> str:
    """Why there is no number at all."""
    statuses = {part["status"] for part in reproduction["parts"]}
    needed = (each for each in reproduction["needs"] if each["must"] and each["possible"] and not each["there"])
    lacking = together(each["what"] for each in needed)
    if statuses == {NOT_RUN} and lacking:
        return f"Nothing could be measured here: needs {lacking}"
    return "Nothing was measured"


def _smoke(reproduction: Reproduction) -> list[str]:
    """That the numbers of a smoke version mean nothing."""
    labels = reproduction["labels"]
    if not labels["quick"]:
        return []
    boxes = " or ".join(f"{each:,}" for each in labels["boxes"])
    if not boxes or labels["images"] is None:
        return ["Smoke version: no number is held against the paper's."]
    return [f"Smoke version: {boxes} boxes on {counted(labels['images'], 'image')}; the numbers mean nothing."]


def _counted(reproduction: Reproduction) -> list[str]:
    """How pixels were counted, and the operations beside them, which are not judged."""
    return [_count(part["counted"]) for part in reproduction["parts"] if part["counted"]]


def _count(about: Mapping[str, Any]) -> str:
    image, (first, *others) = about["image"], about["methods"]
    sizes = "; ".join(f"{one['method']} convolves {_inputs(one['inputs'])}" for one in (first, *others))
    operations = " and ".join(f"{one['operations_ratio']:.3g}× ({one['method']})" for one in others)
    return (
        f"Pixels counted for an image of {image['width']}x{image['height']} px with {image['proposals']:,} boxes: "
        f"{sizes}. Operations of these convolutions, not judged: {operations} fewer than {first['method']}'s; crops "
        "are convolved with less padding than whole images, so that a pixel of theirs takes fewer operations."
    )


def _inputs(sizes: Sequence[Mapping[str, int]]) -> str:
    """Such as ``2,000 crops of 224x224 px``, or the image's sizes."""
    each = [f"{size['width']}x{size['height']}" for size in sizes]
    crops = sizes[0]["images"]
    return f"{crops:,} crops of {each[0]} px" if crops > 1 else f"it at {', '.join(each)} px"


def _table(reproduction: Reproduction) -> PaperTable:
    return tables(reproduction["claims"], read_claims(), [reproduction["preset"]])[0]


def _warnings(reproduction: Reproduction) -> list[str]:
    found = [f"**{line}**" for line in _smoke(reproduction) if not measured_nothing(reproduction)]
    if reproduction["status"] != "complete":
        found.append(f"**{str(reproduction['status']).capitalize()}.** Not all parts have been gone through.")
    if reproduction["labels"]["extrapolated"]:
        told = "Hours of training are extrapolated from short fits with random weights, and not measured"
        found.append(f"{told}; {LEFT_OUT}.")
    return found


def _parts(reproduction: Reproduction, runs: str) -> list[str]:
    """What was run for it, and what not."""
    rows = []
    for part in reproduction["parts"]:
        name = escaped(part["name"])
        whole = part["folder"] and part["status"] != "error"
        linked = f"[{name}]({runs}{part['folder']}{_SHOWN[part['kind']]})" if whole else name
        told = _STATUS[part["status"]] + (f": {part['reason']}" if part["reason"] else "")
        trust = f"trust {part['trust']}" if part["trust"] else ""
        rows.append([linked, escaped(part["about"]), escaped("; ".join(each for each in (told, trust) if each))])
    how = ways(reproduction["needs"])
    return [
        "## Parts",
        table(("part", "what it measures", "state"), rows, words=(0, 1, 2)),
        *(["\n".join(f"- {escaped(line)}" for line in how)] if how else []),
    ]


def _not_measured(reproduction: Reproduction) -> list[str]:
    """A line for each part that was not measured, or not whole."""
    return [
        one_line(f"{_STATUS[part['status']]}: {MEASURES[part['kind']]}: {part['about']} ({part['reason']})")
        for part in reproduction["parts"]
        if part["status"] != "ok"
    ]
