"""The papers' own speed-ups taken apart: how much was the algorithm, and how much the implementation of its day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.networks import split
from harness.rendering.cells import Notes, escaped, in_brackets, table
from harness.tables import Estimate, Summary, methods

__all__ = ["blocks", "section"]


def section(summary: Summary, notes: Notes) -> list[str]:
    """The papers' speed-ups taken apart, of the methods that the run has; no block where there are none."""
    names = {split(name)[0] for name in methods(summary)}
    found = [each for each in summary.get("published_anatomy") or () if each["method"] in names]
    return blocks(found, notes)


def blocks(found: Sequence[Mapping[str, Any]], notes: Notes) -> list[str]:
    """A table of what `harness.quantities.published_anatomy` found, and the split of each total in words."""
    if not found:
        return []
    header = ("stage", "method", "over", "s", "GFLOP/s then", "speed-up", "= operations", "× implementation", "source")
    lines = [
        [
            each["stage"],
            escaped(f"{each['method']} ({each['backbone']})"),
            escaped(f"{each['baseline']} ({each['baseline_backbone']})"),
            " → ".join(escaped(node["printed"]) for node in each["seconds"]),
            " → ".join(in_brackets(Estimate(node["value"]).shifted(-9), notes) for node in each["rate"]),
            _times(each["speedup"]["value"]) + (notes(each["note"]) if each["note"] else ""),
            _times(each["flop_ratio"]),
            _times(each["utilisation_ratio"]["value"]),
            escaped(f"{each['source']} {each['locator']} ({each['version']})"),
        ]
        for each in found
    ]
    image = found[0]["image"]
    how = (
        "The papers' seconds beside operations counted here, on an image of "
        f"{image['width']} x {image['height']} px with {image['proposals']:,} boxes. Operations over seconds is the "
        "rate of the code of then, and what a speed-up holds beyond the ratio of operations is the implementation. "
        "Where a source prints both, fully connected layers did far more operations a second than R-CNN's "
        "convolutions, so that a method which leaves mostly the former gains by that, too."
    )
    told = [line for each in found if (line := _in_words(each))]
    shown = ["### The papers' speed-ups taken apart", table(header, lines, words=(0, 1, 2, 8)), how]
    return [*shown, "\n".join(told)] if told else shown


def _times(ratio: float) -> str:
    return in_brackets(Estimate(ratio), str, "×")


def _in_words(each: Mapping[str, Any]) -> str | None:
    """How a printed speed-up comes about; None of what is no total with a printed ratio."""
    if each["stage"] != "total" or each["printed"] is None:
        return None
    return (
        f"- **{each['printed']}×** of {escaped(each['method'])} ({escaped(each['backbone'])}) over "
        f"{escaped(each['baseline'])} ({escaped(each['baseline_backbone'])}), {escaped(each['source'])} "
        f"{escaped(each['locator'])}: {_times(each['flop_ratio'])} fewer operations, "
        f"{_times(each['utilisation_ratio']['value'])} as many of them a second."
    )
