"""Where a run comes from: its command, its settings, the machine and the commit that made it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.rendering import caption
from harness.rendering.cells import escaped, table
from harness.tables import Summary

__all__ = ["command", "ran_on", "settings"]

_SETTINGS = {
    "dataset": "data set",
    "train_split": "training split",
    "split": "evaluated split",
    "backbone": "backbone",
    "weights": "weights",
    "precision": "precision",
    "policy": "detection policy",
    "proposals": "proposals",
    "max_proposals": "proposals per image, at most",
    "seed": "seed",
    "iterations": "fine-tuning iterations",
    "repeats": "repeats",
    "processes": "processes",
}


def command(summary: Summary) -> str:
    """The command line, in a fence."""
    command = str(summary.get("command") or "not recorded")
    fence = "`" * (3 + command.count("```"))
    return f"{fence}sh\n{command}\n{fence}"


def ran_on(summary: Summary) -> str:
    """What ran it and when, in one line."""
    machine, dataset = summary.get("machine") or {}, summary.get("dataset") or {}
    software = [f"{name} {machine[name]}" for name in ("python", "torch", "opencv") if machine.get(name)]
    parts = [caption.device(summary) + caption.precision(summary), *software]
    if caption.untrained(summary):
        parts.append(f"{dataset.get('images', 'unknown')} images, untrained")
    elif dataset.get("images") is not None:
        parts.append(f"{dataset['images']} images after training on {dataset.get('train_images', 'unknown')}")
    parts += [str(summary["created"])[:10]] if summary.get("created") else []
    return f"Measured on: {escaped(', '.join(parts))}."


def settings(summary: Summary) -> list[str]:
    """What was asked for and what it came to, as blocks of Markdown."""
    plan, dataset = caption.plan(summary), summary.get("dataset") or {}
    known = {label: plan[key] for key, label in _SETTINGS.items() if plan.get(key) is not None}
    if len(networks := caption.networks(summary)) > 1:
        known["backbone"] = f"{', '.join(networks)}: methods run on different networks"
    elif networks:
        known["backbone"] = networks[0]
    images = {
        "training images": dataset.get("train_images", plan.get("train_images")),
        "evaluated images": dataset.get("images", plan.get("images")),
        "device": caption.device(summary),
        "created": summary.get("created"),
        "source": _changing_source(summary),
    }
    shown = {*_SETTINGS, "methods", "device", "images", "train_images"}
    others = ", ".join(f"{key} = {value}" for key, value in plan.items() if key not in shown and value is not None)
    values = {**known, **images, **({"other settings": others} if others else {})}
    rows = [(label, escaped(value)) for label, value in values.items() if value is not None]
    return ["## Settings", table(("setting", "value"), rows, words=(0, 1)), command(summary)]


def _changing_source(summary: Summary) -> str | None:
    """The commit that began the run and those that went on with it; None where it is one and the same."""
    others = [f"resumed {each['at']} with {_commit(each['source'])}" for each in summary.get("other_sources") or ()]
    return "; ".join([f"begun with {_commit(summary.get('source') or {})}", *others]) if others else None


def _commit(source: Mapping[str, Any]) -> str:
    if source.get("commit") is None:
        return f"no commit ({source.get('reason') or 'not recorded'})"
    return f"commit {str(source['commit'])[:12]}" + (" and uncommitted changes" if source.get("dirty") else "")
