"""The stopwatch, on a device that does its work later than it is given."""

from __future__ import annotations

import time
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.contract import Stage, listening, notice, progress, stage
from harness.timing import FitWatch, HostClock, clock_for, measure, order


class FakeDevice:
    """A clock of an asynchronous device: work is queued in no host time, and done when the device is waited for.

    A mark is an event in the queue; its time is known only after `settle`. The host's clock is this one's `host`.
    """

    def __init__(self) -> None:
        self.host = 0.0
        self._queue: list[float | list[float]] = []
        self._device = 0.0
        self.waits = 0

    def work(self, seconds: float) -> None:
        """Queue work of so many seconds; the host goes on at once."""
        self._queue.append(seconds)

    def think(self, seconds: float) -> None:
        """Work on the host."""
        self.host += seconds

    def mark(self) -> list[float]:
        event: list[float] = []
        self._queue.append(event)
        return event

    def settle(self) -> None:
        self.waits += 1
        for item in self._queue:
            if isinstance(item, list):
                item.append(self._device)
            else:
                self._device += item
                self.host += item
        self._queue.clear()

    def seconds(self, start: list[float], end: list[float]) -> float:
        return end[0] - start[0]


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    fake = FakeDevice()
    monkeypatch.setattr("harness.timing.time.perf_counter", lambda: fake.host)
    return fake


def test_stages_and_total_are_exact_on_an_asynchronous_device(device: FakeDevice) -> None:
    """Queued work counts for the stage that queued it, although the host had left the stage when it was done."""

    def detect() -> str:
        with stage(Stage.PREPARE):
            device.work(0.5)
        for _ in range(2):
            with stage(Stage.CONV):
                device.work(2.0)
        device.work(0.25)
        with stage(Stage.FC):
            device.work(1.0)
        return "found"

    timing = measure(detect, device)
    assert timing.result == "found"
    seconds = timing.as_seconds()
    assert seconds["prepare"] == 0.5
    assert seconds["conv"] == 4.0
    assert seconds["fc"] == 1.0
    assert seconds["pool"] == seconds["suppress"] == seconds["propose"] == seconds["decode"] == 0.0
    assert seconds["total"] == 5.75
    assert seconds["features"] == 5.5
    assert seconds["unattributed"] == 0.25


def test_work_queued_before_the_call_is_not_counted(device: FakeDevice) -> None:
    """What another method left in the queue is waited for before the clock starts."""
    device.work(100.0)

    def detect() -> None:
        with stage(Stage.CONV):
            device.work(1.0)

    assert measure(detect, device).total_seconds == 1.0


def test_the_device_is_waited_for_once_before_and_once_after(device: FakeDevice) -> None:
    """Nothing is synchronised between the stages of an image."""

    def detect() -> None:
        for each in (Stage.PREPARE, Stage.CONV, Stage.FC, Stage.DECODE):
            with stage(each):
                device.work(1.0)

    measure(detect, device)
    assert device.waits == 2


@given(st.lists(st.tuples(st.sampled_from(Stage.of_detecting()), st.integers(0, 64), st.integers(0, 64)), max_size=12))
def test_stages_and_unattributed_add_up_to_the_total(steps: list[tuple[Stage, int, int]]) -> None:
    """Closure holds whatever is marked."""
    fake = FakeDevice()

    def detect() -> None:
        for each, inside, outside in steps:
            with stage(each):
                fake.work(inside / 8)
            fake.work(outside / 8)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.timing.time.perf_counter", lambda: fake.host)
        timing = measure(detect, fake)
    assert sum(timing.stage_seconds.values()) + timing.unattributed_seconds == timing.total_seconds
    assert timing.unattributed_seconds == sum(outside for _, _, outside in steps) / 8


def test_nested_stages_of_detect_are_refused() -> None:
    """A mark within a mark would count its time twice."""

    def detect() -> None:
        with stage(Stage.CONV), stage(Stage.POOL):
            pass

    with pytest.raises(RuntimeError, match="stage pool begins inside stage conv"):
        measure(detect, HostClock())


def test_a_fitting_stage_is_refused_while_detecting() -> None:
    """The table of an image has no row for it, and its time would vanish."""

    def detect() -> None:
        with stage(Stage.SVM):
            pass

    with pytest.raises(RuntimeError, match="svm belongs to fitting"):
        measure(detect, HostClock())


def test_nobody_listens_after_a_call_that_failed() -> None:
    """Marks outside a measurement do nothing, also after an exception inside one."""

    def detect() -> None:
        with stage(Stage.CONV):
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        measure(detect, HostClock())
    with stage(Stage.SVM), stage(Stage.CONV):
        pass


def test_the_host_clock_runs_with_the_wall() -> None:
    """A sleep of 20 ms lasts 20 ms or somewhat longer."""

    def detect() -> None:
        with stage(Stage.FC):
            time.sleep(0.02)

    timing = measure(detect, clock_for("cpu"))
    assert 0.02 <= timing.stage_seconds[Stage.FC] <= timing.total_seconds < 2


def test_a_fit_counts_its_own_stages_and_not_the_detecting_ones_inside(device: FakeDevice) -> None:
    """Convolutions done for fine-tuning are fine-tuning."""
    heard: list[tuple[Stage, int, int, str]] = []
    watch = FitWatch(device, lambda *what: heard.append(what))
    with listening(watch):
        progress(1, 2, "before any stage")
        with stage(Stage.FINETUNE):
            with stage(Stage.CONV):
                device.work(3.0)
            device.think(1.0)
            progress(1, 2, "loss 1.5")
        with stage(Stage.SVM):
            device.work(2.0)
        with stage(Stage.FINETUNE):
            device.work(0.5)
    expected = {Stage.FINETUNE: 4.5, Stage.FEATURES: 0.0, Stage.SVM: 2.0, Stage.REGRESS: 0.0}
    assert watch.seconds == expected
    assert heard == [(Stage.FINETUNE, 1, 2, "loss 1.5")]


def test_what_a_fit_does_outside_its_stages_is_in_its_total(device: FakeDevice) -> None:
    """Stages and ``unattributed`` add up to the total, which waits for the work that is still under way."""
    watch = FitWatch(device, lambda *_: None)

    def fit() -> None:
        device.work(1.0)
        with stage(Stage.SVM):
            device.work(2.0)
        device.work(4.0)

    watch.time(fit)
    assert watch.as_seconds() == {
        "finetune": 0.0,
        "features": 0.0,
        "svm": 2.0,
        "regress": 0.0,
        "unattributed": 5.0,
        "total": 7.0,
    }


def test_notices_are_passed_on_with_no_clock_touched(device: FakeDevice) -> None:
    """From a detect call, also one that fails, and from a fit, inside a stage or not."""
    heard: list[str] = []

    def detect() -> None:
        with stage(Stage.CONV):
            notice("chunk halved")
        raise MemoryError

    with pytest.raises(MemoryError):
        measure(detect, device, heard.append)
    FitWatch(device, lambda *_: None, heard.append).time(lambda: notice("few objects"))
    assert heard == ["chunk halved", "few objects"]
    measure(lambda: notice("nobody asked"), device)


def test_nested_stages_of_fit_are_refused(device: FakeDevice) -> None:
    """As those of detect."""
    with (
        listening(FitWatch(device, lambda *_: None)),
        pytest.raises(RuntimeError, match="svm begins inside stage features"),
        stage(Stage.FEATURES),
        stage(Stage.SVM),
    ):
        pass


METHODS = st.integers(1, 9).map(lambda count: [f"m{index}" for index in range(count)])


@given(METHODS, st.integers(0, 50))
def test_each_method_stands_in_each_position_twice_in_2m_turns(names: list[str], rounds: int) -> None:
    """Nobody is favoured by a place in the queue."""
    count = len(names)
    start = 2 * count * rounds
    placed = Counter(
        (position, name) for turn in range(start, start + 2 * count) for position, name in enumerate(order(names, turn))
    )
    assert placed == Counter({(position, name): 2 for position in range(count) for name in names})


@given(METHODS, st.integers(0, 50))
def test_each_method_follows_each_other_one_twice_in_2m_turns(names: list[str], rounds: int) -> None:
    """Williams: nobody is favoured by what a neighbour leaves in the caches, for odd and even numbers of methods."""
    count = len(names)
    start = 2 * count * rounds
    follows = Counter(pair for turn in range(start, start + 2 * count) for pair in pairwise(order(names, turn)))
    assert follows == Counter({(a, b): 2 for a in names for b in names if a != b})


def test_two_methods_take_turns() -> None:
    """AB, BA, BA, AB."""
    assert ["".join(order("AB", turn)) for turn in range(4)] == ["AB", "BA", "BA", "AB"]
