"""What a gate answers, what all of them come to, and how both are said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.intervals import Estimate
from harness.wording import counted, one_line

__all__ = [
    "DECIDING",
    "SCHEMA_VERSION",
    "BaselineState",
    "Change",
    "Gate",
    "Outcome",
    "Verdict",
    "held_against",
    "signed",
]

SCHEMA_VERSION = 1
"""Of what `Verdict.as_dict` gives."""

Outcome = Literal["pass", "fail", "inconclusive", "skipped"]

BaselineState = Literal["kept", "made", "replaced", "refused", "absent"]
"""What became of this device's entry. ``refused``: it was to be made or replaced, and the run does not allow it;
``absent``: there is none, and none was to be made."""

DECIDING = ("speed-up", "mAP")
"""Names of gates that compare a number with the baseline's; without one that was decided nothing was compared."""

_WIDTH = len("inconclusive")


@dataclass(frozen=True, slots=True)
class Change:
    """By how much a quantity differs from the baseline's, with a 95 % interval."""

    value: float
    """Of a ratio: a share of the baseline's, -0.1 for a tenth lost. Of an mAP: the difference of two fractions."""
    low: float | None
    high: float | None
    """None where there is no interval."""
    interval: str
    """What the interval covers, or why there is none."""

    @classmethod
    def of(cls, found: Estimate, interval: str) -> Change | None:
        """From an estimate; None where that has no value."""
        if found.value is None:
            return None
        return cls(found.value, found.low, found.high, interval if found.low is not None else found.reason or interval)

    @property
    def certain(self) -> bool:
        """Whether it has a direction: 0 lies outside of its interval."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def told(self, unit: str, digits: int) -> str:
        """In hundredths, such as ``-0.8 %, 95 % sure between -2.1 and +0.5 % over images``."""
        value = f"{signed(self.value, digits)} {unit}"
        if self.low is None or self.high is None:
            return f"{value}, without an interval ({self.interval})"
        low, high = (signed(each, digits) for each in (self.low, self.high))
        return f"{value}, 95 % sure between {low} and {high} {unit} {self.interval}"

    def as_dict(self) -> dict[str, Any]:
        """Under the names of the fields."""
        return {"value": self.value, "low": self.low, "high": self.high, "interval": self.interval}


def signed(share: float, digits: int) -> str:
    """In hundredths, with a sign that is no minus before a 0."""
    return f"{round(100 * share, digits) + 0.0:+.{digits}f}"


def held_against(change: Change, tolerance: float) -> Outcome:
    """Whether no more than `tolerance` was lost: ``pass`` or ``fail`` only where the whole interval says so."""
    if change.low is None or change.high is None:
        return "inconclusive"
    if change.low >= -tolerance:
        return "pass"
    return "fail" if change.high < -tolerance else "inconclusive"


@dataclass(frozen=True, slots=True)
class Gate:
    """One question and its answer."""

    name: str
    """Such as ``speed-up``."""
    outcome: Outcome
    reason: str
    """For people, one line."""
    method: str | None = None
    """None where the question is about the run."""
    quantity: str | None = None
    base: float | None = None
    """A ratio or an mAP, of the baseline; None where the gate is about no number."""
    head: float | None = None
    """The same of the run that is judged."""
    change: Change | None = None
    tolerance: float | None = None
    """What may be lost."""

    @property
    def title(self) -> str:
        """Such as ``speed-up total of spp``."""
        words = (self.name, self.quantity, f"of {self.method}" if self.method else None)
        return " ".join(word for word in words if word)

    @property
    def line(self) -> str:
        """Outcome, title and reason."""
        return f"{self.outcome:<{_WIDTH}}  {self.title}: {one_line(self.reason)}"

    def as_dict(self) -> dict[str, Any]:
        """Under the names of the fields."""
        return {
            "name": self.name,
            "method": self.method,
            "quantity": self.quantity,
            "outcome": self.outcome,
            "reason": one_line(self.reason),
            "base": self.base,
            "head": self.head,
            "change": self.change.as_dict() if self.change else None,
            "tolerance": self.tolerance,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """What all gates come to."""

    run: str
    """Folder of the run that was judged."""
    device: str
    """Name of the entry that it was held against."""
    gates: tuple[Gate, ...]
    baseline: BaselineState
    against: Mapping[str, Any] | None
    """Which run the entry was made from before this one; None where there was no entry."""
    tolerance: float
    map_tolerance: float

    @property
    def judged(self) -> Outcome:
        """``fail`` if any gate fails, else ``inconclusive`` if any is or nothing was compared, else ``pass``."""
        found = {gate.outcome for gate in self.gates}
        if "fail" in found:
            return "fail"
        return "inconclusive" if "inconclusive" in found or not self.compared else "pass"

    @property
    def compared(self) -> bool:
        """Whether any speed-up or mAP was held against the baseline; where one is made there is nothing to compare."""
        decided = any(gate.name in DECIDING and gate.outcome in ("pass", "fail") for gate in self.gates)
        return decided or self.baseline == "made"

    @property
    def outcome(self) -> Outcome:
        """The same, but ``pass`` where the baseline was made or replaced: whoever asks for that has decided."""
        return "pass" if self.baseline in ("made", "replaced") else self.judged

    def as_dict(self) -> dict[str, Any]:
        """For a program."""
        return {
            "schema_version": SCHEMA_VERSION,
            "outcome": self.outcome,
            "judged": self.judged,
            "run": self.run,
            "device": self.device,
            "baseline": self.baseline,
            "against": dict(self.against) if self.against is not None else None,
            "tolerance": self.tolerance,
            "map_tolerance": self.map_tolerance,
            "gates": [gate.as_dict() for gate in self.gates],
        }

    def lines(self) -> list[str]:
        """For people: one line a gate, and one for what they come to."""
        return [*(gate.line for gate in self.gates), f"{self.outcome:<{_WIDTH}}  {self._total()}"]

    def _total(self) -> str:
        told = f"on {self.device}: {_tally([gate.outcome for gate in self.gates])}"
        if self.against is not None and not self.compared:
            told += "; no speed-up and no mAP was decided"
        if self.baseline == "replaced" and self.judged != "pass":
            told += "; the baseline was replaced all the same, as asked"
        return told


def _tally(outcomes: Sequence[Outcome]) -> str:
    words: dict[Outcome, str] = {
        "fail": "failed",
        "inconclusive": "inconclusive",
        "pass": "passed",
        "skipped": "skipped",
    }
    counts = [f"{outcomes.count(each)} {word}" for each, word in words.items() if each in outcomes]
    return f"{counted(len(outcomes), 'gate')}, {', '.join(counts)}"
