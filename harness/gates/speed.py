"""Is each method still as many times faster than the baseline method?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.baseline import QUANTITIES, Cost, Entry
from harness.gates.change import PROCESS_LUCK, Ratio, joint_blocks, over_images, over_processes, with_luck
from harness.gates.outcome import Change, Gate, Outcome, held_against
from harness.intervals import Estimate, Ints
from harness.statistics import PROCESSES_FOR_INTERVAL

__all__ = ["speed_gates"]

_NAME = "speed-up"
_OF_FEW_PROCESSES = f"over images, and {100 * PROCESS_LUCK:g} % assumed between processes"


def speed_gates(
    base: Entry, head: Entry, tolerance: float, doubt: str | None, *, other_work: bool = False
) -> Iterator[Gate]:
    """A gate for each method of the baseline and each quantity.

    Args:
        doubt: why nothing is decided on times, for the end of a sentence; None where it is.
        tolerance: the share of a ratio that may be lost.
        other_work: whether the judged run was asked for something else, so that a method need not be there.
    """
    names = [method for method in base.methods if method != base.baseline]
    gates = [
        _Asked(base, head, method, quantity, tolerance, doubt, other_work).gate()
        for method in names
        for quantity in QUANTITIES
    ]
    alike = {
        quantity for quantity in QUANTITIES if not doubt and _moved_alike([g for g in gates if g.quantity == quantity])
    }
    for gate in gates:
        told = f": all methods moved alike, so it is {base.baseline} whose time changed"
        yield replace(gate, reason=gate.reason + told) if gate.quantity in alike else gate


def _moved_alike(gates: Sequence[Gate]) -> bool:
    """Whether all ratios, of two methods at least, changed in one direction beyond doubt and by what may be the same.

    What all of them have in common is the method that they are over.
    """
    changes = [gate.change for gate in gates if gate.change is not None and gate.change.certain]
    if len(changes) < max(len(gates), 2) or len({change.value > 0 for change in changes}) > 1:
        return False
    lows, highs = [change.low or 0.0 for change in changes], [change.high or 0.0 for change in changes]
    return max(lows) <= min(highs)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question: a method's ratio of a quantity, in two runs."""

    base: Entry
    head: Entry
    method: str
    quantity: str
    tolerance: float
    doubt: str | None
    other_work: bool

    def gate(self) -> Gate:
        return self._unmeasured() or self._compared()

    def _answer(self, outcome: Outcome, reason: str) -> Gate:
        return Gate(_NAME, outcome, reason, self.method, self.quantity, tolerance=self.tolerance)

    def _unmeasured(self) -> Gate | None:
        """The answer where there are no two ratios to compare."""
        pair = (self.base.baseline, self.method)
        if absent := [name for name in pair if name not in self.head.methods]:
            told = f"{absent[0]} was measured in the baseline, has no times now"
            if self.other_work:
                return self._answer("inconclusive", f"{told}; not decided as {self.doubt}")
            return self._answer("fail", told)
        if not all(self._takes_time(self.base, name) for name in pair):
            return self._answer("skipped", "the baseline has no such stage")
        if lost := [name for name in pair if not self._takes_time(self.head, name)]:
            told = f"{self.quantity} of {lost[0]} was measured in the baseline, takes no time now"
            if self.doubt:
                return self._answer("inconclusive", f"{told}; would fail, not decided as {self.doubt}")
            return self._answer("fail", told)
        if self.base.images != self.head.images:
            reason = "not decided: the images are not those of the baseline, so times have no pair"
            return self._answer("inconclusive", reason)
        return None

    def _compared(self) -> Gate:
        before, after = self._ratio(self.base), self._ratio(self.head)
        found, covers = self._change()
        change = Change.of(found, covers)
        if change is None:
            return self._answer("inconclusive", found.reason or "")
        outcome = held_against(change, self.tolerance)
        allowed = f"-{100 * self.tolerance:g} % allowed" if self.tolerance else "nothing may be lost"
        told = f"{after:.4g}x, was {before:.4g}x: {change.told('%', 1)}; {allowed}"
        if outcome == "pass" and change.low is not None and change.low > 0:
            told += ", an improvement"
        if outcome == "inconclusive":
            told += f"; {self._advice()}"
        elif self.doubt is not None:
            outcome, told = "inconclusive", f"{told}; would {outcome}, not decided as {self.doubt}"
        return Gate(_NAME, outcome, told, self.method, self.quantity, before, after, change, self.tolerance)

    @property
    def _over_processes(self) -> bool:
        return min(self.base.processes, self.head.processes) >= PROCESSES_FOR_INTERVAL

    def _advice(self) -> str:
        """What would decide it."""
        if self.tolerance == 0:
            return "noise alone can lose that much: allow some with --tolerance"
        if self._over_processes:
            return "measure with more --processes"
        told = f"measure with --processes {PROCESSES_FOR_INTERVAL} or more"
        if self.base.processes < PROCESSES_FOR_INTERVAL:
            told += ", the baseline, too"
        if self.base.blocks != self.head.blocks:
            block = self.base.manifest["plan"].get("block")
            told += (
                f", and with the baseline's --block {block}" if block else ", and without --block, as the baseline was"
            )
        return told

    def _cost(self, entry: Entry, method: str) -> Cost:
        cost: Cost = getattr(entry.methods[method], self.quantity)
        return cost

    def _takes_time(self, entry: Entry, method: str) -> bool:
        return all(self._cost(entry, method).processes)

    def _of_processes(self, entry: Entry) -> np.ndarray:
        above, below = (np.array(self._cost(entry, name).processes) for name in (self.base.baseline, self.method))
        return np.asarray(above / below, dtype=np.float64)

    def _ratio(self, entry: Entry) -> float:
        """As the run's summary has it: the geometric mean over processes where its interval is over them."""
        if entry.processes >= PROCESSES_FOR_INTERVAL:
            return float(np.exp(np.log(self._of_processes(entry)).mean()))
        return self._by_image(entry).value

    def _by_image(self, entry: Entry) -> Ratio:
        above, below = (np.array(self._cost(entry, name).images) for name in (self.base.baseline, self.method))
        # Lags are kept against the run's own first method, which another run may have named later.
        lag = entry.methods[self.method].lag if entry.baseline == self.base.baseline else None
        return Ratio(above, below, None if lag is None else np.array(lag, dtype=np.float64))

    def _change(self) -> tuple[Estimate, str]:
        """The change, and what its interval covers."""
        base, head = self.base, self.head
        if self._over_processes:
            found = over_processes(self._of_processes(head), self._of_processes(base))
            return found, f"over {head.processes} and {base.processes} processes"
        groups = joint_blocks(_blocks(head), _blocks(base), len(base.images))
        found = over_images(self._by_image(head), self._by_image(base), groups)
        return with_luck(found, head.processes, base.processes), _OF_FEW_PROCESSES


def _blocks(entry: Entry) -> Ints | None:
    return None if entry.blocks is None else np.array(entry.blocks, dtype=np.int64)
