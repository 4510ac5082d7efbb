"""The model of `harness.side_by_side`, a column a run, as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.claims import RATIOS
from harness.rendering.cells import Notes, escaped, in_brackets, table
from harness.tables import Estimate, estimate, why_not
from harness.wording import printable

__all__ = [
    "Model",
    "Quantity",
    "intervals",
    "likeness",
    "markdown",
    "origin",
    "over_runs",
    "quantities",
    "told",
]

Model = Mapping[str, Any]
"""As `harness.side_by_side.compare_runs` gives it."""

_DIGEST_HEX, _DIGEST_SHOWN, _TEXT_SHOWN = 32, 12, 200
_ALIKE = "These runs are alike"
_UNLIKE = "These runs are not alike: no number is made from more than one of them"
_VERDICTS = {True: "overlap", False: "apart", None: "–"}


@dataclass(frozen=True, slots=True)
class Quantity:
    """One quantity of one method."""

    method: str
    quantity: str
    cells: tuple[Estimate, ...]
    """One a run."""
    unit: str = ""
    speedup: Mapping[str, Any] | None = None
    """What is known of the runs together; None where that is nothing."""


def quantities(model: Model, ratios: Sequence[str]) -> list[Quantity]:
    """In the order of the runs and of their methods."""
    rows = []
    for method in dict.fromkeys(name for run in model["runs"] for name in run["methods"]):
        absent = {"status": "skipped", "reason": "not planned in this run"}
        results = [run["methods"].get(method) or absent for run in model["runs"]]
        rows.append(Quantity(method, "mAP07, %", tuple(_map(result) for result in results)))
        totals = [estimate(result, "total", why_not(result, "no time was measured")) for result in results]
        rows.append(Quantity(method, "total, s/image", tuple(totals)))
        known = model["speedups"].get(method, {})
        for ratio in ratios if known else ():
            found = [estimate({ratio: one}, ratio, "no ratio was computed") for one in known[ratio]["runs"]]
            rows.append(Quantity(method, f"speed-up {ratio}", tuple(found), "×", known[ratio]))
    return rows


def _map(result: Mapping[str, Any]) -> Estimate:
    found = estimate(result, "map", why_not(result, "no mAP was computed")).shifted(2)
    return replace(found, missing="untrained") if result.get("trained") is False else found


def _shown(value: object) -> str:
    """A value of a manifest in a few words: digests by their first digits."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(str, value))[:_TEXT_SHOWN]
    text = value if isinstance(value, str) else json.dumps(value)
    is_digest = len(text) >= _DIGEST_HEX and not set(text) - set("0123456789abcdef")
    return text[: _DIGEST_SHOWN if is_digest else _TEXT_SHOWN]


def told(model: Model, values: Sequence[object]) -> str:
    """What each run says, runs that say the same together: ``A, C fp32 · B bf16``."""
    by_text: dict[str, list[str]] = {}
    for run, value in zip(model["runs"], values, strict=True):
        by_text.setdefault(_shown(value), []).append(run["run"])
    return " · ".join(f"{', '.join(labels)}: {text}" for text, labels in by_text.items())


def likeness(model: Model) -> str:
    """Whether the runs are alike, without a full stop."""
    if not model["comparable"]:
        return _UNLIKE
    unknown = model["not_recorded"]
    return _ALIKE + (f", as far as is known: none of them recorded its {', '.join(unknown)}" if unknown else "")


def intervals(model: Model, where: str) -> str:
    """What the interval of each run covers; `where` it stands."""
    return f"{where} the 95 % interval ({told(model, [run['interval'] or 'not stated' for run in model['runs']])})."


def origin(run: Mapping[str, Any]) -> str:
    """Such as ``2026-11-21, CPU (Some CPU, 2 threads), speed-ups over rcnn, trust: ok``."""
    status = [] if run["status"] == "complete" else [str(run["status"])]
    # The names of what was found; how much of each is told by the run's own report.
    trust, doubts = run["trust"], ", ".join(run["trust"]["names"]) or "; ".join(run["trust"]["reasons"])
    over = f"speed-ups over {run['baseline']}"
    words = ", ".join([str(run["created"])[:10], run["device"], over, *status, f"trust: {trust['verdict']}"])
    return f"{words} ({doubts})" if doubts else words


def markdown(model: Model) -> str:
    """A page with a table of the runs, one of what differs, and one with a column for each run."""
    notes = Notes()
    runs = [(run["run"], escaped(run["path"]), escaped(origin(run))) for run in model["runs"]]
    parts = [
        "# Runs side by side",
        table(("run", "folder", "measured"), runs, words=(0, 1, 2)),
        *(_doubts(run) for run in model["runs"] if run["trust"]["names"]),
        f"**{escaped(likeness(model))}.**",
        *_differing(model, "What hinders a comparison", hinders=True),
        *_differing(model, "What differs besides", hinders=False),
        *_numbers(model, notes),
        *notes.lines(),
    ]
    return printable("\n\n".join(parts)) + "\n"


def _doubts(run: Mapping[str, Any]) -> str:
    return f"Why {run['run']} is not to be trusted: {escaped('; '.join(run['trust']['reasons']))}."


def _differing(model: Model, heading: str, *, hinders: bool) -> list[str]:
    header = ("", "field", *(run["run"] for run in model["runs"]))
    rows = [
        [escaped(cell) for cell in (one["group"], one["field"], *map(_shown, one["values"]))]
        for one in model["differences"]
        if one["hinders"] is hinders
    ]
    return [f"## {heading}", table(header, rows, words=range(len(header)))] if rows else []


def _numbers(model: Model, notes: Notes) -> list[str]:
    header = ["method", "", *(run["run"] for run in model["runs"])]
    header += ["intervals"] if model["comparable"] else []
    pooled = [one["pooled"] for by_ratio in model["speedups"].values() for one in by_ratio.values() if one["pooled"]]
    header += ["over runs"] if pooled else []
    rows = []
    for row in quantities(model, RATIOS):
        cells = [in_brackets(cell, notes, row.unit, interval=True) for cell in row.cells]
        cells += [_VERDICTS[row.speedup["overlap"]] if row.speedup else ""] if model["comparable"] else []
        cells += [over_runs(row)] if pooled else []
        rows.append([escaped(row.method), row.quantity, *cells])
    labels = dict.fromkeys(one["interval"] for one in pooled)
    return [
        "## Numbers of each run",
        table(header, rows, words=(0, 1)),
        escaped(intervals(model, "In brackets:")),
        *(f"Last column: geometric mean and 95 % interval {escaped(label)}." for label in labels),
    ]


def over_runs(row: Quantity) -> str:
    """The number over runs, nothing where there is none."""
    if not row.speedup or not row.speedup["pooled"]:
        return ""
    return in_brackets(estimate(row.speedup, "pooled", ""), lambda _: "", row.unit, interval=True)
