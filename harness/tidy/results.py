"""What a summary says: methods, speed-ups, average precision and judged claims, a row each."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

import pandas as pd

from harness.accuracy import METRICS
from harness.claims import DETECTING, RATIOS, Claim
from harness.record import Status
from harness.tidy.columns import SUMS, Names, Row, ordered, table

__all__ = ["average_precision", "claims", "methods", "speedups"]

_VERDICTS = ("met", "not met", "inconclusive", "not comparable")


def methods(summary: Row, names: Names) -> pd.DataFrame:
    """A row a planned method: mAP as fractions, seconds per image of each stage and sum."""
    timed = (*DETECTING, "unattributed", *SUMS, "full_system")
    ends = ("", "_low", "_high")
    types = {
        "method": names.method,
        "status": ordered(get_args(Status)),
        "reason": "string",
        "paper": "string",
        "trained": "boolean",
        **{f"map_{metric}{end}": "float64" for metric in METRICS for end in ends},
        **{f"{name}{end}_seconds": "float64" for name in timed for end in ends},
    }
    rows = []
    for name in names.methods:
        about = (summary.get("methods") or {}).get(name) or {
            "status": "skipped",
            "reason": "the run ended before this method",
        }
        row = {"method": name, **{key: about.get(key) for key in ("status", "reason", "paper", "trained")}}
        for metric in METRICS:
            node = (about.get("map") or {}).get(metric) or {}
            row |= {f"map_{metric}{end}": node.get(end.lstrip("_") or "value") for end in ends}
        for stage in timed:
            node = (about.get("seconds") or {}).get(stage) or {}
            row |= {f"{stage}{end}_seconds": node.get(end.lstrip("_") or "mean") for end in ends}
        rows.append(row)
    return table(rows, types)


def speedups(summary: Row, names: Names) -> pd.DataFrame:
    """A row a method and quantity: the baseline's mean time over its own."""
    plain = ("value", "low", "high", "flop_ratio", "utilisation_ratio")
    types = {
        "method": names.method,
        "baseline": names.method,
        "quantity": ordered(RATIOS),
        **dict.fromkeys(("speedup", *plain[1:], "geometric_mean"), "float64"),
        "interval": "string",
        "reason": "string",
    }
    return table(
        (
            {
                **{name: node.get(name) for name in (*plain[1:], "interval", "reason")},
                "method": method,
                "baseline": summary.get("baseline"),
                "quantity": quantity,
                "speedup": node.get("value"),
                "geometric_mean": (node.get("geometric_mean") or {}).get("value"),
            }
            for method, of in (summary.get("speedup") or {}).items()
            for quantity, node in of.items()
            if quantity in RATIOS
        ),
        types,
    )


def average_precision(summary: Row, names: Names) -> pd.DataFrame:
    """A row a method, metric and class; NA where a class has no object, no row where nothing was scored."""
    types = {"method": names.method, "metric": ordered(METRICS), "class": names.label, "ap": "float64"}
    keys = {"voc07": "ap", "voc10": "ap_voc10"}
    return table(
        (
            {"method": method, "metric": metric, "class": label, "ap": value}
            for method, about in (summary.get("methods") or {}).items()
            for metric in METRICS
            for label, value in (about.get(keys[metric]) or {}).items()
        ),
        types,
    )


def claims(summary: Row) -> pd.DataFrame:
    """A row a judged claim; a summary without them gives none."""
    texts = [field.name for field in fields(Claim) if field.name != "stages"]
    types = {
        **dict.fromkeys((*texts, "stages"), "string"),
        "published": "float64",
        **dict.fromkeys(("measured", "measured_low", "measured_high"), "float64"),
        **dict.fromkeys(("measured_method", "measured_baseline"), "string"),
        "delta": "float64",
        "verdict": ordered(_VERDICTS),
        "reason": "string",
    }
    rows = []
    for one in summary.get("claims") or ():
        measured, by = one.get("measured") or {}, one.get("measured_as") or {}
        rows.append(
            {
                **one,
                "stages": " ".join(one.get("stages") or ()),
                "published": float(one["printed"]),
                "measured": measured.get("value"),
                "measured_low": measured.get("low"),
                "measured_high": measured.get("high"),
                "measured_method": by.get("method"),
                "measured_baseline": by.get("baseline"),
            }
        )
    return table(rows, types)
