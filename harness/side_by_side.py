"""Several runs beside each other: each one's own numbers in its own column, and in what the runs differ.

Runs that are unlike share a page and nothing else. Of runs that are alike it is told whether their intervals overlap;
from three on there is an interval over runs, which stands apart and says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any

from harness.claims import RATIOS
from harness.likeness import Difference, alike, differences, unrecorded
from harness.record import SCHEMA_VERSION
from harness.rendering import caption
from harness.rendering.columns import Model, markdown
from harness.rendering.screen import terminal
from harness.runs import RunError, RunFolder
from harness.statistics import PROCESSES_FOR_INTERVAL, over_processes
from harness.storage import read_bytes, stored_as
from harness.summary import sample_lines, summarise
from harness.tables import methods

__all__ = ["compare_runs", "markdown", "terminal"]

_CODE = ("commit", "dirty", "diff_sha256", "resumed_with")
"""What tells one state of the source from another."""


def compare_runs(folders: Sequence[RunFolder]) -> dict[str, Any]:
    """Read what each run found, and compare what the runs say of themselves. Nothing is written.

    Raises:
        RunError: fewer than two runs, the same run twice, or one that is missing or damaged.
    """
    _check_distinct(folders)
    manifests = [folder.read_manifest() for folder in folders]
    summaries = [_summary(*each) for each in zip(folders, manifests, strict=True)]
    labels = [_label(index) for index in range(len(folders))]
    found = differences(manifests)
    obstacle = _obstacle(found, manifests)
    named = zip(labels, folders, manifests, summaries, strict=True)
    return {
        "schema_version": SCHEMA_VERSION,
        "runs": [_run(*each) for each in named],
        "comparable": alike(found),
        "differences": [
            {"group": one.group, "field": one.field, "values": list(one.values), "hinders": one.hinders}
            for one in found
        ],
        "not_recorded": unrecorded(manifests),
        "speedups": {
            method: {ratio: _speedup(summaries, labels, method, ratio, alike(found), obstacle) for ratio in RATIOS}
            for method in dict.fromkeys(name for summary in summaries for name in summary.get("speedup") or {})
        },
    }


def _check_distinct(folders: Sequence[RunFolder]) -> None:
    if len(folders) < 2:
        raise RunError("runs are set side by side from two on; name another run folder")
    seen: dict[str, RunFolder] = {}
    for folder in folders:
        samples = folder.path / "samples.jsonl"
        # A copy of a run would agree with it in every digit, and count as another measurement.
        content = b"" if stored_as(samples) is None else read_bytes(samples)
        for sign in (str(folder.path.resolve()), *([hashlib.sha256(content).hexdigest()] if content else [])):
            if seen.setdefault(sign, folder) is not folder:
                raise RunError(f"{seen[sign].path} and {folder.path} hold the same measurements; name each run once")


def _summary(folder: RunFolder, manifest: Model) -> dict[str, Any]:
    """The summary that stands in the folder, or a new one where it is not of a complete run and all its samples."""
    if manifest.get("status") == "complete" and (folder.path / "summary.json").exists():
        summary = folder.read_summary()
        if summary.get("samples") == sample_lines(folder):
            return summary
    return summarise(folder)


def _label(index: int) -> str:
    return ascii_uppercase[index] if index < len(ascii_uppercase) else f"R{index + 1}"


def _run(label: str, folder: RunFolder, manifest: Model, summary: Model) -> dict[str, Any]:
    verdict, reasons = caption.verdict(summary)
    findings = (summary.get("trust") or {}).get("findings") or ()
    speedups = [by_ratio["total"] for by_ratio in (summary.get("speedup") or {}).values() if "total" in by_ratio]
    return {
        "run": label,
        "path": str(folder.path),
        "status": manifest.get("status"),
        "created": manifest.get("created"),
        "command": manifest.get("command"),
        "dataset": caption.plan(summary).get("dataset"),
        "device": caption.device(summary) + caption.precision(summary),
        "baseline": summary.get("baseline"),
        "trust": {
            "verdict": verdict,
            "reasons": reasons,
            "names": list(dict.fromkeys(each["name"] for each in findings if each["verdict"] == "inconclusive")),
        },
        "interval": next((one["interval"] for one in speedups if one.get("interval")), None),
        "methods": {
            name: {
                "status": result.get("status"),
                "reason": result.get("reason"),
                "trained": result.get("trained"),
                "map": (result.get("map") or {}).get("voc07"),
                "total": (result.get("seconds") or {}).get("total"),
            }
            for name, result in methods(summary).items()
        },
    }


def _obstacle(found: Sequence[Difference], manifests: Sequence[Model]) -> str | None:
    """Why like runs are not made one number: between them, what was measured may have changed."""
    changed = [one.field for one in found if one.group == "source" and one.field in _CODE]
    if changed:
        return f"the source differs in {', '.join(changed)}"
    sources = [manifest.get("source") or {} for manifest in manifests]
    if any(source.get("dirty") and not source.get("diff_sha256") for source in sources):
        return "what was changed in the source since its commit is not known"
    return None


def _speedup(
    summaries: Sequence[Model], labels: Sequence[str], method: str, ratio: str, like: bool, obstacle: str | None
) -> dict[str, Any]:
    """One ratio of one method in each run; whether the intervals have a value in common; an interval over runs."""
    runs = []
    for label, summary in zip(labels, summaries, strict=True):
        node = ((summary.get("speedup") or {}).get(method) or {}).get(ratio) or {"reason": "the run has no such ratio"}
        runs.append({"run": label, **{key: node.get(key) for key in ("value", "low", "high", "reason", "interval")}})
    known = [(one["low"], one["high"]) for one in runs if one["low"] is not None and one["high"] is not None]
    overlap = None
    if like and len(known) == len(runs):
        overlap = max(low for low, _ in known) <= min(high for _, high in known)
    return {"runs": runs, "overlap": overlap, **_pooled(runs, summaries, like, obstacle)}


def _pooled(runs: Sequence[Model], summaries: Sequence[Model], like: bool, obstacle: str | None) -> dict[str, Any]:
    values = [one["value"] for one in runs if one["value"] is not None]
    reason = obstacle
    if not like:
        reason = "the runs are not alike"
    elif len(values) < len(runs):
        reason = "a run has no such ratio"
    elif len(values) < PROCESSES_FOR_INTERVAL:
        reason = f"an interval over runs needs {PROCESSES_FOR_INTERVAL} of them"
    if reason is not None:
        return {"pooled": None, "pooled_reason": reason}
    found = over_processes(values)
    doubtful = sum(caption.verdict(summary)[0] != "ok" for summary in summaries)
    label = f"over {len(values)} runs" + (f", {doubtful} of them inconclusive" if doubtful else "")
    pooled = {"value": found.value, "low": found.low, "high": found.high, "interval": label}
    return {"pooled": pooled, "pooled_reason": None}
