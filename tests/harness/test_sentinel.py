"""The sentinel's work is fixed, and timed by the clock that it is given."""

from __future__ import annotations

import gc

import pytest
import torch

from harness.clocks import HostClock, clock_for
from harness.surroundings.sentinel import TIMES, Sentinel


class Steps(HostClock):
    """A clock of binary fractions: work moves it, and settling shows how often it was waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0
        self.settled = 0

    def now(self) -> float:
        return self.time

    def settle(self) -> None:
        self.settled += 1


def test_a_look_times_the_work_and_nothing_else() -> None:
    """Warm-up calls took longer and are not among the times; the device is settled around each."""
    clock, costs = Steps(), iter([4.0] * 8 + [0.25, 0.5, 0.25, 0.125, 0.25])

    def work() -> None:
        clock.time += next(costs)

    sentinel = Sentinel("cpu", work)
    assert sentinel.run(clock) == (0.25, 0.5, 0.25, 0.125, 0.25)
    assert clock.settled == 2 * TIMES


@pytest.mark.parametrize("collecting", [True, False])
def test_the_garbage_collector_rests_meanwhile(collecting: bool) -> None:
    """It is as it was afterwards, even if the work fails."""
    seen = []

    def work() -> None:
        seen.append(gc.isenabled())
        if len(seen) == 10:
            raise RuntimeError("broken")

    before = gc.isenabled()
    try:
        (gc.enable if collecting else gc.disable)()
        sentinel = Sentinel("cpu", work)
        with pytest.raises(RuntimeError, match="broken"):
            sentinel.run(Steps())
        assert gc.isenabled() is collecting
    finally:
        (gc.enable if before else gc.disable)()
    assert not any(seen[8:])


def test_the_built_in_work_leaves_the_run_alone() -> None:
    """It draws nothing from torch's generator, changes neither threads nor gradients, and takes a measurable time."""
    torch.manual_seed(1)
    expected = torch.rand(4)
    torch.manual_seed(1)
    threads = torch.get_num_threads()
    times = Sentinel("cpu").run(clock_for("cpu"))
    assert torch.equal(torch.rand(4), expected)
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == (threads, True)
    assert len(times) == TIMES
    assert all(1e-4 < seconds < 5 for seconds in times)


@pytest.mark.gpu
def test_the_work_is_measurable_on_a_gpu() -> None:
    """Long against a launch, which takes some microseconds."""
    assert min(Sentinel("cuda").run(clock_for("cuda"))) > 2e-4
