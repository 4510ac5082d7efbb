"""All that is known of a run, arranged as the rules ask for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any, NamedTuple

from harness.record import Condition, Sample

__all__ = ["OLD_RUN", "Evidence", "Start"]

OLD_RUN = "a version of harness that did not keep it made this run; measure again to know"


class Start(NamedTuple):
    """One start of a process: one that was interrupted and is begun again finds cold caches and another machine."""

    process: int
    attempt: int
    """From 0, as in the records; people count from 1."""

    @classmethod
    def of(cls, record: Sample | Condition) -> Start:
        """The one that made a record."""
        return cls(record.process, record.attempt)

    def __str__(self) -> str:
        return f"process {self.process}" + (f" (attempt {self.attempt + 1})" if self.attempt else "")


@dataclass(frozen=True)
class Evidence:
    """The records of one run."""

    samples: Sequence[Sample]
    conditions: Sequence[Condition]
    manifest: Mapping[str, Any]
    speedups: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None
    """By method and quantity, as in the summary: ``value``, ``low``, ``high``. None where they are not computed."""
    proofs: Mapping[str, Sequence[str]] | None = None
    """By method, the images whose detections on disk are not those that were timed. None where nobody looked."""

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda``."""
        return str((self.manifest.get("machine") or {}).get("device") or "cpu")

    @property
    def old(self) -> bool:
        """Whether the run was made before conditions were kept (schema 1)."""
        return int(self.manifest.get("schema_version") or 1) < 2

    @property
    def processes(self) -> list[Mapping[str, Any]]:
        """What each process wrote of itself; none of a run of schema 1."""
        return list(self.manifest.get("processes") or ())

    @cached_property
    def measured(self) -> list[Sample]:
        """Those that make the figures."""
        return [one for one in self.samples if one.role == "measured" and one.status == "ok" and one.seconds]

    @cached_property
    def methods(self) -> list[str]:
        """Those with a measured sample, in the order of the plan."""
        found = dict.fromkeys(one.method for one in self.measured)
        planned: Sequence[str] = (self.manifest.get("plan") or {}).get("methods") or ()
        return [name for name in planned if name in found] + [name for name in found if name not in planned]

    @cached_property
    def by_method(self) -> dict[str, list[Sample]]:
        """Measured samples of each method."""
        return {name: [one for one in self.measured if one.method == name] for name in self.methods}

    @cached_property
    def by_call(self) -> dict[tuple[Start, str, str], list[Sample]]:
        """Timed calls on unchanged inputs, marked or not, by start, method and image; earliest first."""
        gathered: dict[tuple[Start, str, str], list[Sample]] = {}
        for one in sorted(self.samples, key=lambda each: each.sequence):
            if one.role != "sweep" and one.seconds:
                gathered.setdefault((Start.of(one), one.method, one.image), []).append(one)
        return gathered

    @cached_property
    def sentinels(self) -> dict[Start, list[Condition]]:
        """Conditions with times of the sentinel, of each start, in the order of time."""
        gathered: dict[Start, list[Condition]] = {}
        for condition in self.conditions:
            if condition.sentinel_seconds:
                gathered.setdefault(Start.of(condition), []).append(condition)
        return gathered

    @cached_property
    def paces(self) -> dict[Start, tuple[list[int], list[float]]]:
        """When the sentinel was timed, in calls measured before, and the logarithms of its medians; of each start."""
        return {
            start: ([one.sequence for one in of], [math.log(median(one.sentinel_seconds)) for one in of])
            for start, of in self.sentinels.items()
        }

    @cached_property
    def device_states(self) -> list[dict[str, Any]]:
        """All readings of the device: after calls and between blocks."""
        after, between = (one.device_state for one in self.samples), (one.device_state for one in self.conditions)
        return [state for state in (*after, *between) if state]

    @property
    def no_device_state(self) -> str:
        """Why there are no readings."""
        after = (one.device_state_reason for one in self.samples)
        return self.reason((*after, *(one.device_state_reason for one in self.conditions)))

    def reason(self, reasons: Iterable[str | None] = ()) -> str:
        """The commonest of the reasons that were given for something that is not there."""
        given = Counter(reason for reason in reasons if reason)
        return given.most_common(1)[0][0] if given else OLD_RUN if self.old else "the run does not say why"
