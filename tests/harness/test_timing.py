"""The stopwatch, on a device that does its work later than it is given."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import harness.clocks
import harness.tape
import harness.timing
from detectors.contract import Stage, listening, notice, progress, stage
from harness.clocks import Clock, HostClock
from harness.testing.device import FakeClock, FakeDevice, FakeSensors
from harness.timing import FitWatch, SynchronisationError, mark_seconds, measure


@pytest.fixture
def device() -> FakeDevice:
    return FakeDevice()


@pytest.fixture
def clock(device: FakeDevice) -> FakeClock:
    return FakeClock(device)


def in_stages(device: FakeDevice, *, conv: float = 2.0, fetch: bool = True, shape: object = None) -> Callable[[], None]:
    """A detector: the convolutions, a quarter of fc, and the copy back to the host, unless that is forgotten."""

    def detect() -> None:
        with stage(Stage.CONV):
            device.work(conv, shape)
        with stage(Stage.FC):
            device.work(0.25)
        with stage(Stage.SUPPRESS):
            if fetch:
                device.fetch(0.125)

    return detect


# ---------------------------------------------------------------------- what each number covers


def test_stages_and_total_are_exact_on_an_asynchronous_device(device: FakeDevice, clock: FakeClock) -> None:
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
        device.fetch()
        return "found"

    timing = measure(detect, clock)
    assert timing.result == "found"
    assert timing.as_seconds() == {
        "prepare": 0.5,
        "propose": 0.0,
        "conv": 4.0,
        "pool": 0.0,
        "fc": 1.0,
        "decode": 0.0,
        "suppress": 0.0,
        "unattributed": 0.25,
        "features": 5.5,
        "total": 5.75,
    }
    assert (timing.marks, timing.tail_seconds) == (8, 0.0)
    assert (timing.unattributed_seconds, timing.features_seconds) == (0.25, 5.5)


def test_host_and_device_work_that_overlap_are_counted_once(device: FakeDevice, clock: FakeClock) -> None:
    """Three seconds of thinking during four of convolutions add nothing; what the device waits for the host does."""

    def detect() -> None:
        with stage(Stage.CONV):
            device.work(4.0)
        device.think(3.0)
        with stage(Stage.POOL):
            device.work(1.0)
        device.think(6.0)
        with stage(Stage.FC):
            device.work(0.5)
            device.fetch()

    timing = measure(detect, clock)
    assert timing.stage_seconds is not None
    # The host is free at 9; the device was at 5, so it waited for 4 seconds that belong to no stage.
    assert timing.total_seconds == 9.5
    assert [timing.stage_seconds[each] for each in (Stage.CONV, Stage.POOL, Stage.FC)] == [4.0, 1.0, 0.5]
    assert timing.unattributed_seconds == 4.0


def test_work_queued_before_the_call_is_not_counted(device: FakeDevice, clock: FakeClock) -> None:
    """What another method left in the queue is waited for before the clock starts."""
    device.work(100.0)
    assert measure(in_stages(device), clock).total_seconds == 2.375


def test_the_device_is_waited_for_once_before_and_once_after(device: FakeDevice, clock: FakeClock) -> None:
    """Nothing is synchronised between the stages of an image."""
    measure(in_stages(device), clock)
    assert clock.waits == 2


@given(st.lists(st.tuples(st.sampled_from(Stage.of_detecting()), st.integers(0, 64), st.integers(0, 64)), max_size=12))
def test_stages_and_unattributed_add_up_to_the_total(steps: list[tuple[Stage, int, int]]) -> None:
    """Closure holds whatever is marked."""
    fake = FakeDevice()

    def detect() -> None:
        for each, inside, outside in steps:
            with stage(each):
                fake.work(inside / 8)
            fake.work(outside / 8)

    timing = measure(detect, FakeClock(fake))
    assert timing.stage_seconds is not None
    assert timing.unattributed_seconds == sum(outside for _, _, outside in steps) / 8
    assert sum(timing.stage_seconds.values()) + timing.unattributed_seconds == timing.total_seconds
    assert timing.marks == 2 * len(steps)


def test_without_marks_there_is_the_total_alone() -> None:
    """An unmarked call costs no events, and a marked one costs as much more as its marks do."""
    device = FakeDevice(event_seconds=0.0625)
    clock = FakeClock(device)
    plain = measure(in_stages(device), clock, marked=False)
    assert (plain.stage_seconds, plain.marks) == (None, None)
    assert (plain.unattributed_seconds, plain.features_seconds) == (None, None)
    assert plain.as_seconds() == {"total": 2.375}
    assert clock.pool == 0
    marked = measure(in_stages(device), clock)
    assert marked.marks == 6
    # Five of the six marks are made while the device is at work, and cost nothing; the last one is on the way.
    assert marked.total_seconds == 2.375 + 0.0625 + 0.0625


def test_on_a_cpu_there_is_no_tail() -> None:
    """A CPU is done when the call returns; a sleep of 20 ms lasts 20 ms or somewhat longer."""

    def detect() -> None:
        with stage(Stage.FC):
            time.sleep(0.02)

    timing = measure(detect, HostClock())
    assert timing.stage_seconds is not None
    assert 0.02 <= timing.stage_seconds[Stage.FC] <= timing.total_seconds < 2
    assert timing.tail_seconds == 0.0


# ---------------------------------------------------------------------- planted faults


def test_a_detector_that_does_not_wait_has_a_tail(device: FakeDevice, clock: FakeClock) -> None:
    """Its total still covers the work, and the tail says how much of it came after its return."""
    timing = measure(in_stages(device, fetch=False), clock)
    assert (timing.total_seconds, timing.tail_seconds) == (2.25, 2.25)
    assert measure(in_stages(device), clock).tail_seconds == 0.0


def test_work_in_a_second_stream_counts_for_the_total(device: FakeDevice, clock: FakeClock) -> None:
    """Not for a stage of the first stream unless that waits for it; and where nobody waits, it is the tail."""

    def detect(*, waits: bool) -> None:
        with stage(Stage.CONV):
            with device.stream(1):
                device.work(4.0)
            device.work(1.0)
            if waits:
                device.wait_stream(1)
        device.fetch(0.5)

    timing = measure(lambda: detect(waits=False), clock)
    assert timing.stage_seconds is not None
    assert (timing.total_seconds, timing.stage_seconds[Stage.CONV], timing.tail_seconds) == (4.0, 1.0, 2.5)
    timing = measure(lambda: detect(waits=True), clock)
    assert timing.stage_seconds is not None
    assert (timing.total_seconds, timing.stage_seconds[Stage.CONV], timing.tail_seconds) == (4.5, 4.0, 0.0)


@pytest.mark.parametrize("marked", [True, False])
def test_a_clock_that_does_not_wait_is_refused(marked: bool) -> None:
    """Work that is not done when the clock has settled makes an error by name and no time: at the end, at the start."""
    device = FakeDevice()
    clock = FakeClock(device, forgetful=True)
    with pytest.raises(SynchronisationError, match="FakeClock waited for its device, and the device is still at work"):
        measure(in_stages(device, fetch=False), clock, marked=marked)
    with pytest.raises(SynchronisationError):
        measure(lambda: pytest.fail("nothing may be timed"), clock, marked=marked)
    device.synchronise()
    assert measure(in_stages(device), clock, marked=marked).total_seconds == 2.375


def test_out_of_memory_passes_and_the_next_call_is_timed_rightly(clock: FakeClock) -> None:
    """The error is PyTorch's; what the failed call had queued is not counted for the next."""
    device = FakeDevice(memory_bytes=100)
    clock = FakeClock(device)

    def detect(size_bytes: int) -> None:
        with stage(Stage.CONV):
            device.work(8.0)
            with device.holding(size_bytes):
                device.work(1.0)
        device.fetch()

    with pytest.raises(torch.OutOfMemoryError):
        measure(lambda: detect(101), clock)
    timing = measure(lambda: detect(100), clock)
    assert (timing.total_seconds, timing.marks) == (9.0, 2)


def test_the_first_call_of_a_shape_shows_its_first_touch() -> None:
    """Once for each shape, and in the stage that it belongs to."""
    device = FakeDevice(first_touch_seconds=16.0)
    clock = FakeClock(device)
    totals, conv = [], []
    for shape in ("small", "small", "large", "small"):
        timing = measure(in_stages(device, shape=shape), clock)
        assert timing.stage_seconds is not None
        totals.append(timing.total_seconds)
        conv.append(timing.stage_seconds[Stage.CONV])
    assert totals == [18.375, 2.375, 18.375, 2.375]
    assert conv == [18.0, 2.0, 18.0, 2.0]


def test_a_throttled_clock_shows_in_the_times_and_in_the_sensors() -> None:
    """From second 8 on everything takes twice as long, and the sensors say why."""
    device = FakeDevice(slow_down=lambda seconds: 2.0 if seconds >= 8 else 1.0)
    clock, sensors = FakeClock(device), FakeSensors(device)
    seen = []
    for _ in range(6):
        total = measure(in_stages(device, conv=1.625), clock).total_seconds
        state, _ = sensors.state()
        assert state is not None
        seen.append((total, state["clock_mhz"], state["throttle"]))
    cool: tuple[float, float, list[str]] = (2.0, 2048.0, [])
    hot = (4.0, 1024.0, ["sw_thermal"])
    # The fourth call ends at 8, when the sensors are read.
    assert seen == [cool, cool, cool, (2.0, *hot[1:]), hot, hot]


def test_a_drift_shows_in_the_order_of_the_calls() -> None:
    """Three per cent from the first call to the last, and no other change."""
    # A step each 2 s, by 1/2048 of the time; 62 calls make 3 %.
    device = FakeDevice(slow_down=lambda seconds: 1 + int(seconds / 2) / 2048)
    clock = FakeClock(device)
    totals = [measure(in_stages(device, conv=1.625), clock).total_seconds for _ in range(62)]
    assert totals[0] == 2.0
    assert all(a <= b for a, b in pairwise(totals))
    assert totals[-1] / totals[0] == pytest.approx(1.03, abs=0.001)


# ---------------------------------------------------------------------- nothing of ours in the timed block


@pytest.mark.parametrize("make", [HostClock, lambda: FakeClock(FakeDevice())])
def test_nothing_is_allocated_by_the_stopwatch(make: Callable[[], Clock]) -> None:
    """After a first call with as many marks, stopwatch and clock keep nothing of a call, and use next to nothing."""
    clock, grown, used_bytes = make(), list[tracemalloc.StatisticDiff](), 0
    ours = [
        tracemalloc.Filter(True, module.__file__ or "") for module in (harness.timing, harness.clocks, harness.tape)
    ]

    def detect() -> None:
        nonlocal used_bytes
        before = tracemalloc.take_snapshot()
        tracemalloc.reset_peak()
        start, _ = tracemalloc.get_traced_memory()
        for _ in range(400):
            with stage(Stage.CONV):
                pass
        notice("chunk halved")
        used_bytes = tracemalloc.get_traced_memory()[1] - start
        after = tracemalloc.take_snapshot()
        changes = after.filter_traces(ours).compare_to(before.filter_traces(ours), "lineno")
        grown[:] = [change for change in changes if change.size_diff > 0]

    tracemalloc.start()
    try:
        measure(detect, clock)
        timing = measure(detect, clock)
    finally:
        tracemalloc.stop()
    assert timing.marks == 800
    assert grown == []
    # A few numbers at a time, each gone before the next mark.
    assert used_bytes < 1024


def test_events_are_made_by_the_first_call_that_needs_them(device: FakeDevice, clock: FakeClock) -> None:
    """And by no later one with as many marks or fewer."""
    pools, detect = [], in_stages(device)

    def several(calls: int) -> Callable[[], list[None]]:
        return lambda: [detect() for _ in range(calls)]

    for calls in (3, 1, 3, 4, 3):
        measure(several(calls), clock)
        pools.append(clock.pool)
    assert pools == [18, 18, 18, 24, 24]


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("error", [None, ArithmeticError, KeyboardInterrupt])
def test_no_garbage_is_collected_inside(before: bool, error: type[BaseException] | None) -> None:
    """Collection is off while the call runs and as it was afterwards, also after a call that failed."""
    seen = []

    def detect() -> None:
        seen.append(gc.isenabled())
        if error is not None:
            raise error

    was_enabled = gc.isenabled()
    try:
        (gc.enable if before else gc.disable)()
        if error is None:
            measure(detect, HostClock())
        else:
            with pytest.raises(error):
                measure(detect, HostClock())
        assert gc.isenabled() is before
    finally:
        (gc.enable if was_enabled else gc.disable)()
    assert seen == [False]


def test_garbage_is_collected_again_after_a_clock_failed() -> None:
    """Also where the fault is the clock's."""
    device = FakeDevice()
    with pytest.raises(SynchronisationError):
        measure(in_stages(device, fetch=False), FakeClock(device, forgetful=True))
    assert gc.isenabled()


def test_notices_are_passed_on_when_the_time_is_over(device: FakeDevice, clock: FakeClock) -> None:
    """From a detect call, marked or not, also one that fails; what is done with them costs no time."""
    heard: list[str] = []

    def hear(text: str) -> None:
        device.think(100.0)
        heard.append(text)

    def detect() -> None:
        with stage(Stage.CONV):
            notice("chunk halved")
            device.fetch(1.0)
        assert heard == []

    for marked in (True, False):
        assert measure(detect, clock, hear, marked=marked).total_seconds == 1.0
        assert heard == ["chunk halved"]
        heard.clear()

    def fail() -> None:
        notice("chunk halved again")
        raise MemoryError

    with pytest.raises(MemoryError):
        measure(fail, clock, hear)
    measure(lambda: notice("nobody asked"), clock)
    assert heard == ["chunk halved again"]


def test_timed_calls_do_not_overlap(clock: FakeClock) -> None:
    """Within another timed call a time means nothing; afterwards all is as before."""
    with pytest.raises(RuntimeError, match="a timed call is running already"):
        measure(lambda: measure(lambda: None, clock), clock)
    assert measure(lambda: None, clock).total_seconds == 0.0


# ---------------------------------------------------------------------- what a mark costs


@pytest.mark.parametrize(("host", "device"), [(0.0, 0.0), (0.125, 0.25), (0.25, 0.125), (0.0, 0.5), (0.25, 0.0)])
def test_the_cost_of_a_mark_is_the_hosts_part_and_the_devices(host: float, device: float) -> None:
    """Both are found to the digit, whichever is the greater."""
    assert mark_seconds(FakeClock(FakeDevice(event_seconds=host, event_device_seconds=device))) == host + device


@given(
    st.integers(0, 8),
    st.integers(0, 8),
    st.lists(st.tuples(st.sampled_from(["work", "think", "fetch", "stage"]), st.integers(0, 16)), max_size=24),
)
def test_marks_cost_no_more_than_their_bound(host: int, device: int, steps: list[tuple[str, int]]) -> None:
    """Whether host or device is the slower one and however often they wait, marking adds at most marks x cost."""
    fake = FakeDevice(event_seconds=host / 8, event_device_seconds=device / 8)
    clock = FakeClock(fake)

    def detect() -> None:
        for kind, eighths in steps:
            if kind == "stage":
                with stage(Stage.CONV):
                    fake.work(eighths / 8)
            else:
                getattr(fake, kind)(eighths / 8)

    plain, marked = measure(detect, clock, marked=False), measure(detect, clock)
    assert marked.marks is not None
    assert 0 <= marked.total_seconds - plain.total_seconds <= marked.marks * (host + device) / 8


def test_a_mark_costs_microseconds_on_this_machine() -> None:
    """More than nothing and less than a millisecond, however busy the machine is."""
    assert 1e-8 < mark_seconds(HostClock()) < 1e-3


# ---------------------------------------------------------------------- what is refused


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
    assert measure(lambda: None, HostClock()).marks == 0


# ---------------------------------------------------------------------- fits


def test_a_fit_counts_its_own_stages_and_not_the_detecting_ones_inside(device: FakeDevice, clock: FakeClock) -> None:
    """Convolutions done for fine-tuning are fine-tuning."""
    heard: list[tuple[Stage, int, int, str]] = []
    watch = FitWatch(clock, lambda *what: heard.append(what))
    with listening(watch):
        progress(1, 2, "before any stage")
        with stage(Stage.FINETUNE):
            with stage(Stage.CONV):
                device.work(3.0)
                device.fetch()
            device.think(1.0)
            progress(1, 2, "loss 1.5")
        with stage(Stage.SVM):
            device.work(2.0)
        with stage(Stage.FINETUNE):
            device.work(0.5)
    expected = {Stage.FINETUNE: 4.5, Stage.FEATURES: 0.0, Stage.SVM: 2.0, Stage.REGRESS: 0.0}
    assert watch.seconds == expected
    assert heard == [(Stage.FINETUNE, 1, 2, "loss 1.5")]


def test_what_a_fit_does_outside_its_stages_is_in_its_total(device: FakeDevice, clock: FakeClock) -> None:
    """Stages and ``unattributed`` add up to the total, which waits for the work that is still under way."""
    heard: list[str] = []
    watch = FitWatch(clock, lambda *_: None, heard.append)

    def fit() -> None:
        device.work(1.0)
        with stage(Stage.SVM):
            device.work(2.0)
        notice("few objects")
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
    assert heard == ["few objects"]


def test_a_fit_refuses_a_clock_that_does_not_wait(device: FakeDevice) -> None:
    """Its stages would be as wrong as those of detecting."""
    with pytest.raises(SynchronisationError):
        FitWatch(FakeClock(device, forgetful=True), lambda *_: None).time(lambda: device.work(1.0))


def test_nested_stages_of_fit_are_refused(clock: FakeClock) -> None:
    """As those of detect."""
    with (
        listening(FitWatch(clock, lambda *_: None)),
        pytest.raises(RuntimeError, match="svm begins inside stage features"),
        stage(Stage.FEATURES),
        stage(Stage.SVM),
    ):
        pass
