"""The papers' own speed-ups taken apart: how much was the algorithm, and how much the code and rates of its day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.networks import split
from harness.rendering.cells import Notes, escaped, in_brackets, table
from harness.tables import Estimate, Summary, estimate, methods

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
    header = (
        "stage",
        "method",
        "over",
        "s",
        "GFLOP/s then",
        "speed-up",
        "= operations",
        _REST,
        "mix",
        "rate",
        "source",
    )
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
            *(_factor(each, key, notes) for key in ("mix_ratio", "rate_ratio")),
            escaped(f"{each['source']} {each['locator']} ({each['version']})"),
        ]
        for each in found
    ]
    image = found[0]["image"]
    how = (
        "The papers' seconds beside operations counted here, on an image of "
        f"{image['width']} x {image['height']} px with {image['proposals']:,} boxes; operations over seconds is the "
        f"rate of that day. {_HOW_TO_READ}"
    )
    told = [line for each in found if (line := _in_words(each))]
    shown = ["### The papers' speed-ups taken apart", table(header, lines, words=(0, 1, 2, 10)), how]
    return [*shown, *(["\n".join(told)] if told else []), *_pixels(found)]


_REST = "× rate and mix of layers"
_HOW_TO_READ = (
    "Beyond the ratio of operations a speed-up is rate and mix of layers; where a source prints the seconds of conv "
    "and of fc these are two factors. Mix is above 1 where a method leaves most of its operations in stages that the "
    "baseline carries out fast, as fully connected layers were beside the convolutions of single boxes; rate says how "
    "much faster the same stages were carried out. Operations times mix is what the algorithm saves at the rates of "
    "that day."
)


def _times(ratio: float) -> str:
    return in_brackets(Estimate(ratio), str, "×")


def _factor(each: Mapping[str, Any], key: str, notes: Notes) -> str:
    return in_brackets(Estimate(estimate(each, key, "").value, reason=each["reason"]), notes, "×")


def _in_words(each: Mapping[str, Any]) -> str | None:
    """How a printed speed-up comes about; None of what is no total with a printed ratio."""
    if each["stage"] != "total" or each["printed"] is None:
        return None
    fewer = f"{_times(each['flop_ratio'])} fewer operations"
    head = (
        f"- The **{each['printed']}×** of {escaped(each['method'])} ({escaped(each['backbone'])}) over "
        f"{escaped(each['baseline'])} ({escaped(each['baseline_backbone'])}), {escaped(each['source'])} "
        f"{escaped(each['locator'])}: "
    )
    if each["algorithm_ratio"] is None:
        return f"{head}{fewer}, and {_times(each['utilisation_ratio']['value'])} by rate and mix of layers."
    saved, mix, rate = (_times(each[f"{key}_ratio"]["value"]) for key in ("algorithm", "mix", "rate"))
    other = "" if each["backbone"] == each["baseline_backbone"] else " and the other network"
    return (
        f"{head}{saved} was the algorithm{other}, at the rates of that day ({fewer}, {mix} by their mix), and {rate} "
        "faster code."
    )


def _pixels(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why operations of convolutions are not in the ratio that the source derives from pixels."""
    both = [each for each in found if each["printed_pixel_ratio"]]
    if not both:
        return []
    told = [
        f"{_times(each['flop_ratio'])} fewer for {escaped(each['method'])}, where {escaped(of['source'])} "
        f"{escaped(of['locator'])} has {escaped(of['printed'])}×"
        for each in both
        for of in (each["printed_pixel_ratio"],)
    ]
    return [f"Operations of the convolutions are {', and '.join(told)}: {_CROPS_ARE_NOT_PADDED}"]


_CROPS_ARE_NOT_PADDED = (
    "crops are convolved without padding in conv2 and in pooling (conv2 gives 26x26, conv3 to conv5 13x13) and whole "
    "images with half of each kernel, rounded down, as in the released prototxt. Counted in pixels, as the paper does, "
    "its arithmetic is exact."
)
