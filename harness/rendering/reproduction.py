"""A reproduction in words: the paper's table side by side with what was measured, on a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from harness.claims import read_claims
from harness.papertables import PaperTable, tables
from harness.rendering import papertables, provenance, published_anatomy
from harness.rendering.cells import Notes, escaped, table
from harness.reproduction import label
from harness.wording import one_line

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

    told = [f"- {line}" for line in (*_not_measured(reproduction), *_how(reproduction))]
    return Group(
        Text(f"{reproduction['preset']}: {reproduction['title']}", "bold"),
        Text(_label(reproduction), "yellow" if reproduction["labels"]["quick"] else ""),
        Text(""),
        papertables.terminal([_table(reproduction)]),
        *([Text("\n".join(told))] if told else []),
    )


def markdown(reproduction: Reproduction, *, runs: str = "") -> str:
    """The whole report. `runs` is what stands before the folder of a part."""
    notes = Notes()
    blocks = [
        f"# {escaped(reproduction['preset'])}: {escaped(reproduction['title'])}",
        provenance.command(reproduction),
        f"{escaped(_label(reproduction))}, {str(reproduction['created'])[:10]}.",
        *_warnings(reproduction),
        *papertables.markdown(_table(reproduction), notes),
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
        f"{escaped(_label(reproduction))}, {str(reproduction['created'])[:10]}.",
        *_warnings(reproduction),
        *papertables.markdown(_table(reproduction), notes)[1:],
        *notes.lines(),
    ]
    return "\n\n".join(blocks) + "\n"


def _label(reproduction: Reproduction) -> str:
    told = label(reproduction)
    return f"Measured on: {told}" if reproduction["labels"]["device"] else told.capitalize()


def _table(reproduction: Reproduction) -> PaperTable:
    return tables(reproduction["claims"], read_claims(), [reproduction["preset"]])[0]


def _warnings(reproduction: Reproduction) -> list[str]:
    found = []
    if reproduction["labels"]["quick"]:
        found.append("**Smoke version.** Few boxes on few images show that all of it works; the numbers mean nothing.")
    if reproduction["status"] != "complete":
        found.append(f"**{str(reproduction['status']).capitalize()}.** Not all parts have been gone through.")
    if reproduction["labels"]["extrapolated"]:
        found.append("Hours of training are extrapolated from short fits with random weights, and not measured.")
    return found


def _parts(reproduction: Reproduction, runs: str) -> list[str]:
    """What was run for it, and what not."""
    rows = []
    for part in reproduction["parts"]:
        name = escaped(part["name"])
        linked = f"[{name}]({runs}{part['folder']}{_SHOWN[part['kind']]})" if part["folder"] else name
        told = _STATUS[part["status"]] + (f": {part['reason']}" if part["reason"] else "")
        trust = f"trust {part['trust']}" if part["trust"] else ""
        rows.append([linked, escaped(part["about"]), escaped("; ".join(each for each in (told, trust) if each))])
    how = _how(reproduction)
    return [
        "## Parts",
        table(("part", "what it measures", "state"), rows, words=(0, 1, 2)),
        *(["\n".join(f"- {escaped(line)}" for line in how)] if how else []),
    ]


def _not_measured(reproduction: Reproduction) -> list[str]:
    """A line for each part that was not measured, or not whole."""
    return [
        one_line(f"{_STATUS[part['status']]}: {part['about']} ({part['reason']})")
        for part in reproduction["parts"]
        if part["status"] != "ok"
    ]


def _how(reproduction: Reproduction) -> list[str]:
    """How to get what is missing; what is not possible has been said."""
    return [
        one_line(f"{need['what']}: {need['how']}")
        for need in reproduction["needs"]
        if need["must"] and need["possible"] and not need["there"]
    ]
