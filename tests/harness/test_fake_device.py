"""The fake device behaves as a device does, to the digit."""

from __future__ import annotations

import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.clocks import Clock
from harness.testing.device import FakeClock, FakeDevice, FakeSensors


def by_ticks(steps: list[tuple[str, int]]) -> tuple[int, int]:
    """Host and device when a host did these steps, each tick played through: the slow, literal way."""
    host, device, queue = 0, 0, list[int]()

    def tick() -> None:
        nonlocal host, device
        host += 1
        if queue:
            device = host
            queue[0] -= 1
            if queue[0] == 0:
                queue.pop(0)

    for kind, ticks in steps:
        if kind != "think" and ticks:
            queue.append(ticks)
        for _ in range(ticks if kind == "think" else 0):
            tick()
        while kind == "fetch" and queue:
            tick()
    seen = host
    while queue:
        tick()
    return seen, device


@given(st.lists(st.tuples(st.sampled_from(["think", "work", "fetch"]), st.integers(0, 9)), max_size=20))
def test_host_and_device_run_at_the_same_time(steps: list[tuple[str, int]]) -> None:
    """Work goes on while the host thinks, and begins once it is launched and the work before it is done."""
    device = FakeDevice()
    for kind, ticks in steps:
        getattr(device, kind)(ticks / 8)
    host, end = by_ticks(steps)
    assert device.host == host / 8
    device.synchronise()
    assert device.host == max(host, end) / 8
    assert not device.busy


def test_launches_and_events_cost_the_host_and_events_their_stream() -> None:
    """Two launches and two events at a quarter and an eighth; the device is a sixteenth late for each event."""
    device = FakeDevice(launch_seconds=0.25, event_seconds=0.125, event_device_seconds=0.0625)
    clock: Clock = FakeClock(device)
    clock.begin()
    start = clock.mark()
    device.work(2.0)
    device.work(1.0)
    end = clock.mark()
    assert clock.now() == 0.75
    clock.settle()
    # The first piece begins when it is launched, at 0.375; the last event lies behind both.
    assert clock.now() == 0.375 + 3.0 + 0.0625
    assert clock.seconds(start, end) == clock.now() - (0.125 + 0.0625)


def test_streams_run_side_by_side_unless_one_waits() -> None:
    """Two seconds in one stream and three in another last three; after `wait_stream` what follows comes after both."""
    device = FakeDevice()
    with device.stream(1):
        device.work(3.0)
    device.work(2.0)
    device.fetch()
    assert device.host == 2.0
    assert device.busy
    device.wait_stream(1)
    device.work(0.5)
    device.fetch()
    assert device.host == 3.5
    assert not device.busy


def test_an_event_belongs_to_the_current_stream() -> None:
    """A mark in another stream does not wait for the first one's work."""
    device = FakeDevice()
    clock = FakeClock(device)
    device.work(4.0)
    with device.stream(1):
        start = clock.mark()
        device.work(1.0)
        end = clock.mark()
    clock.settle()
    assert clock.seconds(start, end) == 1.0
    assert device.host == 4.0


def test_slow_down_goes_by_the_time_at_which_work_begins() -> None:
    """A clock that is throttled from second 4 on: two seconds, two seconds, then twice as long."""
    device = FakeDevice(slow_down=lambda seconds: 2.0 if seconds >= 4 else 1.0)
    ends = []
    for _ in range(4):
        device.fetch(2.0)
        ends.append(device.host)
    assert ends == [2.0, 4.0, 8.0, 12.0]


def test_the_first_touch_of_a_shape_costs_more_once() -> None:
    """The same for all shapes, or by shape; work without a shape has none."""
    device = FakeDevice(first_touch_seconds=4.0)
    spent = []
    for shape in ("a", "a", "b", None, "b"):
        before = device.host
        device.work(1.0, shape)
        device.synchronise()
        spent.append(device.host - before)
    assert spent == [5.0, 1.0, 5.0, 1.0, 1.0]
    by_shape = FakeDevice(first_touch_seconds={"a": 2.0})
    for shape in ("a", "b", "a"):
        by_shape.fetch()
        by_shape.work(1.0, shape)
    by_shape.synchronise()
    assert by_shape.host == 5.0


def test_memory_is_given_until_there_is_no_more() -> None:
    """What does not fit raises what PyTorch raises, in one line, and what was held is given back."""
    device = FakeDevice(memory_bytes=100)
    with device.holding(60), device.holding(40):
        assert device.used_bytes == 100
        with pytest.raises(torch.OutOfMemoryError, match="1 bytes wanted, 100 of 100 in use"), device.holding(1):
            pass
    assert device.used_bytes == 0
    with FakeDevice().holding(1 << 60):
        pass


def test_a_mark_is_told_only_when_the_device_got_there() -> None:
    """As CUDA does, and unlike a clock that would tell a time of its own making."""
    device = FakeDevice()
    clock = FakeClock(device)
    start = clock.mark()
    device.work(1.0)
    end = clock.mark()
    assert not clock.idle()
    with pytest.raises(RuntimeError, match="settle first"):
        clock.seconds(start, end)
    clock.settle()
    assert clock.idle()
    assert (clock.seconds(start, end), clock.waits) == (1.0, 1)


def test_a_forgetful_clock_does_not_wait() -> None:
    """It returns at once, and its device is still at work: the planted fault."""
    device = FakeDevice()
    clock = FakeClock(device, forgetful=True)
    device.work(1.0)
    clock.settle()
    assert clock.now() == 0.0
    assert not clock.idle()


def test_the_pool_of_a_fake_clock_is_kept() -> None:
    """As many events as the longest call had marks."""
    clock = FakeClock(FakeDevice())
    for marks, pool in ((3, 3), (2, 3), (5, 5), (5, 5)):
        clock.begin()
        assert [clock.mark() for _ in range(marks)] == list(range(marks))
        assert clock.pool == pool


def test_sensors_show_what_was_planted() -> None:
    """Half the clock and a reason where work takes twice as long; the memory in use; the processes that were named."""
    device = FakeDevice(slow_down=lambda seconds: 2.0 if seconds >= 4 else 1.0)
    sensors = FakeSensors(device, foreign=({"pid": 7, "memory_bytes": None},))
    with device.holding(64):
        assert sensors.state() == (
            {"clock_mhz": 2048.0, "temperature_c": 40.0, "throttle": [], "memory_bytes": 64},
            None,
        )
    device.think(4.0)
    assert sensors.state() == (
        {"clock_mhz": 1024.0, "temperature_c": 40.0, "throttle": ["sw_thermal"], "memory_bytes": 0},
        None,
    )
    state, _ = FakeSensors(device, throttled_from=2.0).state()
    assert state is not None
    assert state["throttle"] == []
    assert sensors.foreign() == ([{"pid": 7, "memory_bytes": None}], None)
    assert sensors.describe()["max_clock_mhz"] == 2048


def test_no_real_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour of work is over at once, and no clock of the machine is read."""
    for name in ("perf_counter", "monotonic", "time"):
        monkeypatch.delattr(time, name)
    device = FakeDevice()
    device.work(3600.0)
    clock = FakeClock(device)
    clock.settle()
    assert clock.now() == 3600.0
