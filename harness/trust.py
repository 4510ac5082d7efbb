"""How far a run's figures can be trusted: every rule of `harness.findings`, asked one after the other.

Reads records and nothing else, so that an old run is judged as it was measured. A rule that finds nothing to look at
says so; none keeps silent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.findings import beginnings, extent, outputs, steadiness, stopwatch, surroundings
from harness.findings.evidence import Evidence
from harness.findings.finding import Finding
from harness.record import Condition, Sample

__all__ = ["NAMES", "Finding", "examine", "verdict"]

_RULES: dict[str, Callable[[Evidence], Finding]] = {
    "images": extent.images,
    "interval": extent.interval,
    "synchronisation": stopwatch.synchronisation,
    "closure": stopwatch.closure,
    "overhead": stopwatch.overhead,
    "first-touch": beginnings.first_touch,
    "warm-up": beginnings.warm_up,
    "drift": steadiness.drift,
    "noise": steadiness.noise,
    "position": steadiness.position,
    "load": surroundings.load,
    "throttling": surroundings.throttling,
    "clock": surroundings.clock,
    "foreign-processes": surroundings.foreign_processes,
    "out-of-memory": extent.out_of_memory,
    "repeats": outputs.repeats,
    "proof": outputs.proof,
    "resident": extent.resident,
    "parts": extent.parts,
    "failed": extent.failed,
}

NAMES = tuple(_RULES)
"""Of all findings, in the order in which they are given."""


def examine(
    samples: Sequence[Sample],
    conditions: Sequence[Condition],
    manifest: Mapping[str, Any],
    speedups: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
    proofs: Mapping[str, Sequence[str]] | None = None,
) -> list[Finding]:
    """One finding a rule, in the order of `NAMES`.

    Args:
        samples: all, of every role and status.
        conditions: all; none of a run of schema 1.
        manifest: of any schema.
        speedups: by method and quantity, each ``value``, ``low``, ``high``, as in the summary.
        proofs: by method, the images whose detections on disk are not those that were timed.
    """
    evidence = Evidence(samples, conditions, manifest, speedups, proofs)
    return [rule(evidence) for rule in _RULES.values()]


def verdict(findings: Sequence[Finding]) -> dict[str, Any]:
    """As the summary keeps it: ``verdict`` ``ok`` or ``inconclusive``, the ``reasons`` why, and all ``findings``."""
    reasons = [finding.text for finding in findings if finding.verdict == "inconclusive"]
    return {
        "verdict": "inconclusive" if reasons else "ok",
        "reasons": reasons,
        "findings": [{"name": one.name, "verdict": one.verdict, "text": one.text} for one in findings],
    }
