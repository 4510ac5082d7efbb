"""The numbers of a report, arranged in rows. Numbers only: units, percent signs and words belong to `harness.report`.

Everything comes from the result model (`summary.json`); nothing is computed here but shares of a total. Fractions stay
fractions and seconds stay seconds. What is missing is an `Estimate` without a value, which carries the reason. The
papers' own numbers stand in the same rows by `harness.rendering.published`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from harness.accuracy import METRICS
from harness.claims import DETECTING, RATIOS
from harness.estimate import Estimate
from harness.networks import network_of

__all__ = [
    "Estimate",
    "MethodRow",
    "Row",
    "Summary",
    "differences",
    "estimate",
    "headline",
    "mean_ap",
    "methods",
    "rated",
    "ratios",
    "stages",
    "why_not",
]

Summary = Mapping[str, Any]
"""What `summary.json` holds."""

_TIMES = (*DETECTING, "unattributed", "total", "features", "full_system")


@dataclass(frozen=True, slots=True)
class MethodRow:
    """One line of the headline table, in the columns of the papers: measured here, or published."""

    method: str
    backbone: str
    source: str | None
    """Citation of a published row; None for one of this run."""
    status: str
    """``ok``, ``oom``, ``error``, ``skipped``, or ``published``."""
    reason: str | None
    map: Estimate
    """VOC07 mean average precision, fraction."""
    conv: Estimate
    """Seconds per image, as are `fc` and `total`."""
    fc: Estimate
    total: Estimate
    speedup_conv: Estimate
    """Ratio to the baseline, as is `speedup_total`."""
    speedup_total: Estimate
    baseline: str | None
    """What the ratios are relative to; None where there are none."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table with a column for each method."""

    name: str
    cells: tuple[Estimate, ...]
    shares: tuple[Estimate, ...] = ()
    """Of each method's total, fraction; empty where a share has no meaning."""


def methods(summary: Summary) -> dict[str, Mapping[str, Any]]:
    """Every planned method with its result, in the order of the plan; one that was not reached is ``skipped``."""
    found: Mapping[str, Any] = summary.get("methods") or {}
    planned = [*((summary.get("plan") or {}).get("methods") or ()), *found]
    absent = {"status": "skipped", "reason": "the run ended before this method"}
    return {name: found.get(name) or absent for name in dict.fromkeys(planned)}


def headline(summary: Summary) -> list[MethodRow]:
    """The run in the form of the papers' tables, a row for each planned method."""
    plan, baseline = summary.get("plan") or {}, summary.get("baseline")
    rows = []
    for name, result in methods(summary).items():
        seconds, ratios = result.get("seconds") or {}, (summary.get("speedup") or {}).get(name) or {}
        no_time = why_not(result, f"no time was measured for {name}")
        no_ratio = why_not(result, f"no ratio to {baseline} was computed")
        rows.append(
            MethodRow(
                method=name,
                backbone=network_of({"backbone": "", **plan}, name),
                source=None,
                status=str(result.get("status", "error")),
                reason=result.get("reason"),
                map=mean_ap(result, "voc07"),
                conv=estimate(seconds, "conv", no_time),
                fc=estimate(seconds, "fc", no_time),
                total=estimate(seconds, "total", no_time),
                speedup_conv=estimate(ratios, "conv", no_ratio),
                speedup_total=estimate(ratios, "total", no_ratio),
                baseline=baseline,
            )
        )
    return rows


def rated(summary: Summary) -> list[MethodRow]:
    """Those with a time and an mAP: the points of a figure."""
    return [row for row in headline(summary) if row.map.value is not None and row.total.value]


def mean_ap(result: Mapping[str, Any], metric: str) -> Estimate:
    """mAP of a method, fraction; `metric` is one of `METRICS`."""
    found = estimate(result.get("map") or {}, metric, why_not(result, "no mAP was computed"))
    return replace(found, missing="untrained") if result.get("trained") is False else found


def stages(summary: Summary) -> list[Row]:
    """Seconds per image of each stage, of what lies between the stages, and of the sums.

    The stage ``propose`` is left out where no method makes its own boxes.
    """
    results = methods(summary)
    totals = [_seconds(result, "total").value for result in results.values()]
    rows = []
    for name in _TIMES:
        cells = tuple(_seconds(result, name) for result in results.values())
        if name == "propose" and not any(cell.value for cell in cells):
            continue
        shares = tuple(
            Estimate(cell.value / total)
            if cell.value is not None and total
            else Estimate(None, reason=cell.reason or "no total")
            for cell, total in zip(cells, totals, strict=True)
        )
        rows.append(Row(name, cells, shares if name in (*DETECTING, "unattributed") else ()))
    return rows


def ratios(summary: Summary) -> list[Row]:
    """Speed-up of each method over the baseline by what is compared; the baseline's own is missing.

    First the ratios of means, then, where they were computed, the geometric means of the images' ratios.
    """
    speedup = summary.get("speedup") or {}
    rows = [Row(part, _beside_baseline(summary, speedup, part, "ratio")) for part in RATIOS]
    geometric = {
        method: {part: (of.get(part) or {}).get("geometric_mean") for part in RATIOS} for method, of in speedup.items()
    }
    if any(node for of in geometric.values() for node in of.values()):
        means = (_beside_baseline(summary, geometric, part, "ratio") for part in RATIOS)
        rows += [Row(f"{part}, geometric mean", cells) for part, cells in zip(RATIOS, means, strict=True)]
    return rows


def differences(summary: Summary) -> list[Row]:
    """mAP of each method less that of the baseline, over the same images, fraction; no row where none is known."""
    found = summary.get("map_difference") or {}
    if not found:
        return []
    return [Row(metric, _beside_baseline(summary, found, metric, "difference")) for metric in METRICS]


def _beside_baseline(summary: Summary, nodes: Mapping[str, Any], key: str, kind: str) -> tuple[Estimate, ...]:
    """``nodes[method][key]`` of every method; `kind` says what is missing where there is none."""
    baseline, cells = summary.get("baseline"), []
    for method, result in methods(summary).items():
        fallback = "this is the baseline" if method == baseline else f"no {kind} to {baseline} was computed"
        cells.append(estimate(nodes.get(method) or {}, key, why_not(result, fallback)))
    return tuple(cells)


def _seconds(result: Mapping[str, Any], name: str) -> Estimate:
    return estimate(result.get("seconds") or {}, name, why_not(result, "not measured"))


def why_not(result: Mapping[str, Any], fallback: str) -> str:
    """Why a number of this method may be missing: the method's own failure, where it failed."""
    status = result.get("status", "error")
    return fallback if status == "ok" else f"{status}: {result.get('reason') or 'no reason was recorded'}"


def estimate(node: Mapping[str, Any], key: str, fallback: str) -> Estimate:
    """Read ``node[key]``: a bare number, or an object with `value` or `mean`, `low` and `high`."""
    item = node.get(key)
    if isinstance(item, Mapping):
        value = item.get("value", item.get("mean"))
        if value is not None:
            return Estimate(float(value), item.get("low"), item.get("high"))
        return Estimate(None, reason=item.get("reason") or fallback)
    if item is not None:
        return Estimate(float(item))
    return Estimate(None, reason=node.get(f"{key}_reason") or fallback)
