"""Why the methods differ in speed, in sentences: where each spends its time, and fewer operations or a higher rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.claims import DETECTING
from harness.networks import AS_PRINTED, is_printed_as, network_of, split
from harness.rendering import caption
from harness.rendering.cells import in_brackets, rounded
from harness.tables import Estimate, Summary, estimate, methods, stages
from harness.webpage.introductions import plain

__all__ = ["in_the_papers", "operations", "steps", "unlike_the_papers", "where_time_goes"]

_STEPS = {
    "prepare": ("prepare", "resizing, cropping and copying the input to the device"),
    "propose": ("propose", "making boxes inside the method"),
    "conv": ("conv", "the convolutional layers, which look at pixels"),
    "pool": ("pool", "bringing the features of each box to one size"),
    "fc": ("fc", "the fully connected layers, which look at one box at a time"),
    "decode": ("decode", "turning features into class scores and better boxes"),
    "suppress": ("suppress", "keeping the best of boxes that overlap"),
    "unattributed": ("unattributed", "what lies between these steps"),
}

_BELOW_ONE = (
    "A rate below 1× says that a method keeps the device less busy than {baseline} does, so that it gains less than "
    "its operations alone would let it."
)
_FEW_BOXES = (
    "{baseline} pays for every box and the others pay mostly for the image, so speed-ups grow with the number of "
    "boxes: {mean} an image here, about 2,000 in the papers."
)
_OTHER_NETWORK = (
    "They also grow with the size of the network, of which {baseline} runs all for every box: {network} is none of the "
    "papers’ networks."
)
_BOXES_OF_THE_PAPERS = 2000
_FEWER = 0.9
_MOST_OF_A_METHOD = 2
_SIDES = (("method", "backbone"), ("baseline", "baseline_backbone"))


def steps(summary: Summary) -> list[tuple[str, str]]:
    """The steps that any method takes, each with what it is."""
    taken = {row.name for row in stages(summary) if any(cell.value for cell in row.cells)}
    return [words for name, words in _STEPS.items() if name in taken]


def where_time_goes(summary: Summary) -> list[str]:
    """A sentence a method: which step takes most of its time."""
    rows = [row for row in stages(summary) if row.name in DETECTING and row.shares]
    told = []
    for index, method in enumerate(methods(summary)):
        shares = [(row.shares[index].value or 0.0, row.name) for row in rows]
        most, name = max(shares, default=(0.0, ""))
        if most > 0:
            told.append(f"{plain(method)} spends most of its time in {name}: {rounded(100 * most, 1)} %.")
    return told


def operations(summary: Summary) -> list[str]:
    """A sentence a method: its speed-up as fewer operations times another rate; none where they were not counted."""
    baseline = plain(str(summary.get("baseline")))
    told, behind = [], False
    for method, of in (summary.get("speedup") or {}).items():
        node = (of or {}).get("total") or {}
        parts = _factors(node)
        if parts is not None:
            fewer, rate, ratio = (in_brackets(part, str, "×") for part in parts)
            behind = behind or (parts[1].value or 0.0) < 1
            told.append(
                f"{plain(method)}: {fewer} fewer operations than {baseline}, at {rate} the rate, is {ratio} as fast."
            )
    return [*told, _BELOW_ONE.format(baseline=baseline)] if behind else told


def unlike_the_papers(summary: Summary) -> list[str]:
    """Why speed-ups are smaller here than where there are more boxes, or a larger network; none where neither is."""
    if split(str(summary.get("baseline")))[0] != "rcnn":
        return []
    baseline, told = plain("rcnn"), []
    mean = ((summary.get("dataset") or {}).get("proposals_per_image") or {}).get("mean")
    if mean is not None and mean < _FEWER * _BOXES_OF_THE_PAPERS:
        told.append(_FEW_BOXES.format(baseline=baseline, mean=f"{mean:,.0f}"))
    network = (summary.get("plan") or {}).get("backbone")
    if network and network not in AS_PRINTED:
        told.append(_OTHER_NETWORK.format(baseline=baseline, network=network))
    return told


def in_the_papers(summary: Summary) -> list[str]:
    """The same of speed-ups that papers print for the methods of the run; none where they were not taken apart.

    Of each method those on the network that it ran on here, else the first few.
    """
    by_method: dict[str, list[Mapping[str, Any]]] = {}
    for each in summary.get("published_anatomy") or ():
        if each["stage"] == "total" and each["printed"] is not None:
            by_method.setdefault(str(each["method"]), []).append(each)
    own = {split(name)[0]: network_of({"backbone": "", **caption.plan(summary)}, name) for name in methods(summary)}
    told = []
    for method, found in by_method.items():
        same = [each for each in found if is_printed_as(own.get(method, ""), each["backbone"])]
        told += [_taken_apart(each) for each in (same or found)[:_MOST_OF_A_METHOD]]
    return told


def _taken_apart(each: Mapping[str, Any]) -> str:
    own, base = (f"{plain(each[name])} ({each[network]})" for name, network in _SIDES)
    ratios = (each["flop_ratio"], each["utilisation_ratio"]["value"])
    fewer, rate = (in_brackets(Estimate(ratio), str, "×") for ratio in ratios)
    return (
        f"{own} over {base}, {each['source']} {each['locator']}: {each['printed']}× as fast, with {fewer} fewer "
        f"operations and {rate} as many of them a second."
    )


def _factors(node: Mapping[str, Any]) -> tuple[Estimate, Estimate, Estimate] | None:
    """Ratio of operations, ratio of utilisation and speed-up, as the report shows them."""
    fewer, rate = (estimate(node, key, "not counted") for key in ("flop_ratio", "utilisation_ratio"))
    ratio = estimate({"total": node}, "total", "not measured")
    if fewer.value is None or rate.value is None or ratio.value is None or not fewer.value:
        return None
    if ratio.low is not None and ratio.high is not None:
        rate = Estimate(rate.value, ratio.low / fewer.value, ratio.high / fewer.value)
    return fewer, rate, ratio
