"""Why the methods differ in speed, in sentences: where each spends its time, and fewer operations or a higher rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.claims import DETECTING
from harness.networks import AS_PRINTED, is_printed_as, network_of, split
from harness.rendering import caption
from harness.rendering.cells import in_brackets, rounded
from harness.tables import Estimate, Summary, estimate, methods, stages
from harness.webpage.differences import networks_that_ran
from harness.webpage.introductions import plain
from harness.webpage.ratios import inverse, is_slower

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
    "Where the second number is below 1×, a method carries out fewer counted operations a second than {baseline} does, "
    "so that it gains less than its operations alone would let it. Pooling and suppression take time and count none, "
    "and some layers run faster than others."
)
_FEW_BOXES = (
    "{baseline} convolves every box; the others convolve the image once, and only pool each box and run the fully "
    "connected layers on it. So speed-ups grow with the number of boxes: {mean} an image here, about 2,000 in the "
    "papers."
)
_OTHER_NETWORK = (
    "They also grow with the size of the network, of which {baseline} runs all for every box: {networks} of the "
    "papers’ networks."
)
_NOT_TOLD_APART = "faster code and other layers to spend it on, which the printed totals do not tell apart"
_FASTER_LAYERS = "fully connected layers, which ran faster than convolutions"
_SLOWER_LAYERS = "layers that ran more slowly"
_BOXES_OF_THE_PAPERS = 2000
_FEWER = 0.9
_UNKNOWN = "?"
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
            told.append(f"The largest part of {plain(method)}’s time is {name}: {rounded(100 * most, 1)} %.")
    return told


def operations(summary: Summary) -> list[str]:
    """A sentence a method: its speed-up as fewer operations times another rate; none where they were not counted."""
    baseline = plain(str(summary.get("baseline")))
    told, behind = [], False
    for method, of in (summary.get("speedup") or {}).items():
        node = (of or {}).get("total") or {}
        parts = _factors(node)
        if parts is not None:
            behind = behind or (parts[1].value or 0.0) < 1
            told.append(f"{plain(method)}: {_product(*parts, baseline)}.")
    return [*told, _BELOW_ONE.format(baseline=baseline)] if behind else told


def _product(fewer: Estimate, rate: Estimate, ratio: Estimate, baseline: str) -> str:
    """What is less than the baseline's is told the other way round; then it is a quotient of times."""
    rates, fast = in_brackets(rate, str, "×"), f"is {in_brackets(ratio, str, '×')} as fast"
    head = f"{_spent(fewer)} {'than' if _is_fewer(fewer) else 'as'} {baseline}"
    if is_slower(ratio):
        return f"{head}, at {rates} as many of them a second, took {in_brackets(inverse(ratio), str, '×')} as long"
    return f"{head}, {'times' if _is_fewer(fewer) else 'at'} {rates} as many of them a second, {fast}"


def _is_fewer(ratio: Estimate) -> bool:
    return (ratio.value or 0.0) >= 1


def _spent(ratio: Estimate) -> str:
    """``3.61× fewer operations`` or ``1.51× as many operations``."""
    if _is_fewer(ratio):
        return f"{in_brackets(ratio, str, '×')} fewer operations"
    return f"{in_brackets(inverse(ratio), str, '×')} as many operations"


def unlike_the_papers(summary: Summary) -> list[str]:
    """Why speed-ups are smaller here than where there are more boxes, or a larger network; none where neither is."""
    if split(str(summary.get("baseline")))[0] != "rcnn":
        return []
    baseline, told = plain("rcnn"), []
    mean = ((summary.get("dataset") or {}).get("proposals_per_image") or {}).get("mean")
    if mean is not None and mean < _FEWER * _BOXES_OF_THE_PAPERS:
        told.append(_FEW_BOXES.format(baseline=baseline, mean=f"{mean:,.0f}"))
    others = [network for network in networks_that_ran(summary) if network not in (*AS_PRINTED, _UNKNOWN)]
    if others:
        none = "is none" if len(others) == 1 else "are none"
        told.append(_OTHER_NETWORK.format(baseline=baseline, networks=f"{' and '.join(others)} {none}"))
    return told


def in_the_papers(summary: Summary) -> list[str]:
    """A sentence a paper's table: what its largest speed-up is made of; none where they were not taken apart.

    Of those on the network that the method ran on here, where the table has any.
    """
    own = {split(name)[0]: network_of({"backbone": "", **caption.plan(summary)}, name) for name in methods(summary)}
    by_table: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for each in summary.get("published_anatomy") or ():
        if each["stage"] == "total" and each["printed"] is not None:
            by_table.setdefault((str(each["source"]), str(each["locator"])), []).append(each)
    told = []
    for found in by_table.values():
        same = [each for each in found if is_printed_as(own.get(each["method"], ""), each["backbone"])]
        told.append(_taken_apart(max(same or found, key=lambda each: float(each["printed"]))))
    return told


def _taken_apart(each: Mapping[str, Any]) -> str:
    """Such as: the 102× was so much the algorithm, and so much faster code."""
    (own, network), (base, other) = ((plain(each[name]), each[of]) for name, of in _SIDES)
    on = f"{base}, both on {network}" if network == other else f"{base} on {other}"
    head = f"{own}’s {each['printed']}× over {on} ({each['source']} {each['locator']}) was "
    fewer = _spent(Estimate(each["flop_ratio"]))
    if each.get("algorithm_ratio") is None:
        rest = _times(each["utilisation_ratio"]["value"])
        return f"{head}{fewer}; the other {rest} is {_NOT_TOLD_APART}."
    saved, mix, rate = (_times(each[f"{key}_ratio"]["value"]) for key in ("algorithm", "mix", "rate"))
    what = "the algorithm" if network == other else f"the algorithm and its network, {network}"
    why = _FASTER_LAYERS if each["mix_ratio"]["value"] > 1 else _SLOWER_LAYERS
    return (
        f"{head}{saved} {what}, at the rates of that day, and {rate} faster code. The {saved} is {fewer}, and {mix} "
        f"because more of what is left is in {why}."
    )


def _times(ratio: float) -> str:
    return in_brackets(Estimate(ratio), str, "×")


def _factors(node: Mapping[str, Any]) -> tuple[Estimate, Estimate, Estimate] | None:
    """Ratio of operations, ratio of utilisation and speed-up, as the report shows them."""
    fewer, rate = (estimate(node, key, "not counted") for key in ("flop_ratio", "utilisation_ratio"))
    ratio = estimate({"total": node}, "total", "not measured")
    if fewer.value is None or rate.value is None or ratio.value is None or not fewer.value:
        return None
    if ratio.low is not None and ratio.high is not None:
        rate = Estimate(rate.value, ratio.low / fewer.value, ratio.high / fewer.value)
    return fewer, rate, ratio
