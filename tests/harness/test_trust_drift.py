"""Drift on machines that wander, that drift, and that change at once: how often it is said of each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from harness.findings.evidence import Evidence
from harness.findings.finding import Finding
from harness.findings.steadiness import drift
from harness.record import Condition

LOOKS = 25


@dataclass(frozen=True)
class Wandering:
    """Looks at a sentinel whose logarithm is a stationary first-order autoregression; spreads are of logarithms."""

    memory: float
    """Share of its state that the machine finds again at the next look."""
    spread: float = 0.03
    """Of that state."""
    within: float = 0.01
    """Of the five times of one look."""

    def judge(
        self,
        seed: int,
        processes: int,
        planted: Callable[[int], npt.NDArray[np.float64]] = lambda _process: np.zeros(LOOKS),
    ) -> Finding:
        """What is said of a run; `planted` is added to the logarithms of a process's times, (looks,)."""
        rng = np.random.default_rng(seed)
        conditions = []
        for process in range(processes):
            state = rng.normal(0, self.spread)
            for look, added in enumerate(planted(process)):
                times = np.exp(state + added + rng.normal(0, self.within, 5))
                conditions.append(Condition(process, look, float(look), tuple(map(float, times))))
                state = self.memory * state + rng.normal(0, self.spread * (1 - self.memory**2) ** 0.5)
        return drift(Evidence([], conditions, {"schema_version": 2}))


QUIET = Wandering(0.5, spread=0.002, within=0.003)
PROCESSES = pytest.mark.parametrize("processes", [1, 8])


@PROCESSES
@pytest.mark.parametrize("memory", [0.0, 0.5, 0.8, 0.9])
def test_a_machine_that_wanders_is_not_said_to_drift(memory: float, processes: int) -> None:
    """At 3 % of spread about one run in twenty is, and no more; 0.09 is what 120 such runs may come to by accident."""
    alarms = [Wandering(memory).judge(seed, processes).verdict == "inconclusive" for seed in range(120)]
    assert np.mean(alarms) <= 0.09


@PROCESSES
@pytest.mark.parametrize("share", [0.03, -0.03])
def test_a_drift_of_three_per_cent_is_always_found(share: float, processes: int) -> None:
    """On a quiet machine, and its size is told."""
    for seed in range(25):
        found = QUIET.judge(seed, processes, lambda _: np.linspace(0, np.log1p(share), LOOKS))
        assert found.verdict == "inconclusive"
        told = re.search(r"changed by ([+-][0-9.]+) %", found.text)
        assert told, found.text
        # The worst of eight processes is told.
        assert float(told[1]) == pytest.approx(100 * share, abs=1.0)


@PROCESSES
@pytest.mark.parametrize("from_look", [5, 12, 19])
@pytest.mark.parametrize("machine", [QUIET, Wandering(0.5, spread=0.01)])
def test_a_step_of_a_quarter_is_always_found(machine: Wandering, from_look: int, processes: int) -> None:
    """Wherever it falls, and in the last process alone."""

    def planted(process: int) -> npt.NDArray[np.float64]:
        late = np.arange(LOOKS) >= from_look
        return np.where(late, np.log(1.25), 0.0) if process == processes - 1 else np.zeros(LOOKS)

    for seed in range(10):
        found = machine.judge(seed, processes, planted)
        assert found.verdict == "inconclusive"
        assert f"at once in process {processes - 1}, from look {from_look + 1} of {LOOKS} on" in found.text


def test_a_process_on_another_level_is_found_though_nothing_moves_within_it() -> None:
    """8 % more in the second of three; on a machine that wanders as far by itself, a note."""

    def planted(process: int) -> npt.NDArray[np.float64]:
        return np.full(LOOKS, (process == 1) * np.log(1.08))

    for seed in range(10):
        found = QUIET.judge(seed, 3, planted)
        assert found.verdict == "inconclusive"
        assert "longer in process 1 than in process" in found.text
    assert sum(Wandering(0.9).judge(seed, 3, planted).verdict == "inconclusive" for seed in range(10)) <= 2


def test_starts_of_a_process_are_told_apart() -> None:
    """One that was interrupted and begun again on a faster machine did not drift: it is another process."""
    rng = np.random.default_rng(0)
    conditions = [
        Condition(0, look, float(look), tuple(map(float, np.exp(rng.normal(-0.1 * late, 0.002, 5)))), attempt=late)
        for late in (0, 1)
        for look in range(LOOKS)
    ]
    found = drift(Evidence([], conditions, {"schema_version": 2}))
    assert found.verdict == "inconclusive"
    assert "longer in process 0 than in process 0 (attempt 2)" in found.text
