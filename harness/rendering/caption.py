"""What stands beside every table and figure: which data, which machine, how far to trust it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from harness.networks import network_of, split
from harness.quantities.estimates import interval_over
from harness.tables import Summary, methods
from harness.wording import counted

__all__ = [
    "backbone",
    "base_names",
    "brackets",
    "device",
    "findings",
    "hardware",
    "interval",
    "intervals",
    "networks",
    "on_gpu",
    "plan",
    "precision",
    "untrained",
    "verdict",
]


_LABELLED_SCHEMA = 2
"""From which on intervals carry a short name of what they cover."""


def plan(summary: Summary) -> Mapping[str, Any]:
    """What was asked for; empty where nothing was recorded."""
    return summary.get("plan") or {}


def base_names(summary: Summary) -> list[str]:
    """The run's methods without variants and networks: ``spp:5@zf5`` is ``spp``, ``spp:5+rcnn`` is ``spp+rcnn``."""
    return ["+".join(part.partition(":")[0] for part in split(name)[0].split("+")) for name in methods(summary)]


def networks(summary: Summary) -> list[str]:
    """The backbones that the methods run on, in their order."""
    return list(dict.fromkeys(network_of({"backbone": "?", **plan(summary)}, name) for name in methods(summary)))


def backbone(summary: Summary) -> str:
    """Such as ``backbone zf5``, or ``backbones caffenet, zf5`` where methods run on different ones."""
    names = networks(summary)
    return f"backbone{'s' if len(names) > 1 else ''} {', '.join(names) or '?'}"


def on_gpu(summary: Summary) -> bool:
    """Whether a GPU made the measurements. The machine's word counts before the plan's, which may be ``auto``."""
    machine = summary.get("machine") or {}
    return str(machine.get("device") or plan(summary).get("device", "cpu")).startswith("cuda")


def device(summary: Summary) -> str:
    """Such as ``CPU (Some CPU, 2 threads)``."""
    if on_gpu(summary):
        return hardware(summary)
    threads = (summary.get("machine") or {}).get("threads")
    told = "? threads" if threads is None else counted(threads, "thread")
    return f"{hardware(summary).removesuffix(')')}, {told})"


def hardware(summary: Summary) -> str:
    """The same without how it was used, such as ``CPU (Some CPU)``."""
    kind = "gpu" if on_gpu(summary) else "cpu"
    return f"{kind.upper()} ({(summary.get('machine') or {}).get(kind) or 'not named'})"


def precision(summary: Summary) -> str:
    """Such as ``, bf16``, to stand behind the device; nothing for float32."""
    name = plan(summary).get("precision") or "fp32"
    return "" if name == "fp32" else f", {name}"


def untrained(summary: Summary) -> bool:
    """Whether nothing was trained."""
    trained = [result.get("trained") for result in methods(summary).values() if result.get("status") == "ok"]
    return bool(trained) and not any(one is not False for one in trained)


def interval(summary: Summary) -> str:
    """What the 95 % intervals of this run cover, such as ``over images within one process``."""
    nodes = [of.get("total") or {} for of in (summary.get("speedup") or {}).values()]
    nodes += [(result.get("seconds") or {}).get("total") or {} for result in methods(summary).values()]
    labels = [node["interval"] for node in nodes if node.get("interval")]
    if labels and (summary.get("schema_version") or 1) >= _LABELLED_SCHEMA:
        return str(labels[0])
    return interval_over(plan(summary).get("processes") or 1)


def intervals(summary: Summary) -> str:
    """The same, with what those of an mAP cover where that is something else."""
    covers = interval(summary)
    rated = any((mean or {}).get("low") is not None for result in methods(summary).values() for mean in _means(result))
    return f"{covers}; of an mAP, over images" if rated and not covers.startswith("over images") else covers


def _means(result: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    return (result.get("map") or {}).values()


def brackets(labels: Iterable[str | None]) -> str | None:
    """What the intervals of a table cover, given the label of each; None where it has none."""
    covers = list(dict.fromkeys(label for label in labels if label))
    return f"In brackets: 95 % interval {'; '.join(covers)}." if covers else None


def findings(summary: Summary) -> list[Mapping[str, Any]]:
    """What was looked at to come to the verdict; none in runs of schema 1."""
    return list((summary.get("trust") or {}).get("findings") or ())


def verdict(summary: Summary) -> tuple[str, list[str]]:
    """``ok`` or ``inconclusive``, and why."""
    trust = summary.get("trust") or {"verdict": "inconclusive", "reasons": ["no verdict was recorded"]}
    return str(trust.get("verdict")), [str(reason) for reason in trust.get("reasons") or ()]
