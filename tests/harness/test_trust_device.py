"""Faults of a device, planted in one that is made up and found in what the real stopwatch wrote of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from detectors.contract import Stage, stage
from harness.order import schedule
from harness.record import Condition, Sample
from harness.testing.device import FakeClock, FakeDevice, FakeSensors
from harness.timing import SynchronisationError, measure
from harness.trust import Finding, examine

METHODS = {"rcnn": 1.0, "spp": 0.125}
IMAGES = 24


@dataclass
class Bench:
    """A device, and two methods on it that do 1 s and 1/8 s of work an image, more on every third."""

    device: FakeDevice = field(default_factory=lambda: FakeDevice(launch_seconds=2**-16, event_seconds=2**-20))
    forgetful: bool = False
    waits: bool = True
    """Whether spp fetches its results before it returns."""
    position: float = 0.0
    cold: frozenset[int] = frozenset()
    throttled_from: float = 1.5
    samples: list[Sample] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)

    def detect(self, method: str, index: int, factor: float) -> None:
        """Convolutions, fc layers in memory of half a GiB an image, and the copy back."""
        seconds = METHODS[method] * (1 + index % 3 / 4) * factor
        with stage(Stage.CONV):
            self.device.work(seconds / 2, (method, index) if index in self.cold else None)
        with stage(Stage.FC), self.device.holding(2**29 if method == "spp" else 2**30):
            self.device.work(seconds / 2)
        if self.waits or method != "spp":
            self.device.fetch(2**-14)

    def run(self) -> dict[str, Finding]:
        """Measure all twice and judge."""
        clock = FakeClock(self.device, forgetful=self.forgetful)
        sensors = FakeSensors(self.device, throttled_from=self.throttled_from)
        blocks = schedule(IMAGES, list(METHODS), repeats=2, process=0, seed=0, block_images=1)
        for block in blocks:
            self._condition(sensors)
            for position, method in enumerate(block.order):
                self._sample(clock, sensors, method, block.images[0], block.repeat, position)
        self._condition(sensors)
        warm_up = {
            method: [{"bucket": "all", "image": "0", "seconds": [1.0, 1.0], "steady": True}] for method in METHODS
        }
        process = {"process": 0, "mark_seconds": 2**-20, "resident": True, "warm_up": warm_up, "status": "ok"}
        manifest = {"schema_version": 2, "machine": {"device": "cuda"}, "processes": [process]}
        return {one.name: one for one in examine(self.samples, self.conditions, manifest, {}, {})}

    def _condition(self, sensors: FakeSensors) -> None:
        times = []
        for _ in range(5):
            start = self.device.host
            self.device.work(0.0625)
            self.device.synchronise()
            times.append(self.device.host - start)
        state, reason = sensors.state()
        self.conditions.append(
            Condition(
                process=0,
                sequence=len(self.samples),
                at_seconds=self.device.host,
                sentinel_seconds=tuple(times),
                cpu={"own": 1.0, "others": 0.0, "steal": 0.0},
                device_state=state,
                device_state_reason=reason,
                foreign=sensors.foreign()[0],
            )
        )

    def _sample(
        self, clock: FakeClock, sensors: FakeSensors, method: str, index: int, repeat: int, position: int
    ) -> None:
        where: dict[str, Any] = {"process": 0, "repeat": repeat, "method": method, "image": str(index), "index": index}
        where |= {"position": position, "block": index, "sequence": len(self.samples), "boxes": 100}
        where |= {"warm": repeat > 0 or index not in self.cold}
        try:
            timing = measure(lambda: self.detect(method, index, 1 + self.position * position), clock)
        except (torch.OutOfMemoryError, SynchronisationError) as error:
            status: Any = "oom" if isinstance(error, torch.OutOfMemoryError) else "error"
            self.samples.append(Sample(**where, status=status, reason=f"{type(error).__name__}: {error}"))
            self.device.synchronise()
            return
        what: dict[str, Any] = {"seconds": timing.as_seconds(), "detections": 100, "digest": f"{method}{index}"}
        what |= {"marks": timing.marks, "tail_seconds": timing.tail_seconds, "device_state": sensors.state()[0]}
        self.samples.append(Sample(**where, status="ok", **what))


def _device(**faults: Any) -> FakeDevice:
    return FakeDevice(launch_seconds=2**-16, event_seconds=2**-20, **faults)


_RUN_SECONDS = 2 * IMAGES * sum(METHODS.values()) * 1.25 + (2 * IMAGES + 1) * 5 * 0.0625
"""Of the device, all methods, images and sentinels together."""

FAULTS: dict[str, tuple[Callable[[], Bench], set[str]]] = {
    "none": (Bench, set()),
    "a detector that does not wait": (lambda: Bench(waits=False), {"synchronisation"}),
    "a drift of 3 %": (lambda: Bench(_device(slow_down=lambda at: 1 + 0.03 * at / _RUN_SECONDS)), {"drift"}),
    "a penalty of 1 % for the second place": (lambda: Bench(position=0.01), {"position"}),
    "a first touch": (
        lambda: Bench(_device(first_touch_seconds={("spp", 5): 16.0}), cold=frozenset({5})),
        {"first-touch", "warm-up"},
    ),
    "too little memory": (lambda: Bench(_device(memory_bytes=3 * 2**28)), {"out-of-memory"}),
    "a throttled clock": (
        lambda: Bench(_device(slow_down=lambda at: 1.0 if at < 0.5 * _RUN_SECONDS else 2.0)),
        {"throttling", "clock", "drift"},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_device_is_found_by_its_name(fault: str) -> None:
    """From the stopwatch through the record to the finding, and nothing else is found."""
    bench, expected = FAULTS[fault]
    found = bench().run()
    # Where the clock falls to a half, times of the sentinel cannot agree either.
    also = {"noise"} if fault == "a throttled clock" else set()
    seen = {name for name, one in found.items() if one.verdict != "ok"}
    assert expected <= seen <= expected | also, {name: found[name].text for name in seen}


def test_a_clock_that_forgets_to_wait_is_found_by_its_name() -> None:
    """Where a detector does not wait either, there is no time, and the reason is the stopwatch's own error."""
    found = Bench(forgetful=True, waits=False).run()
    assert found["synchronisation"].verdict == "inconclusive"
    assert "SynchronisationError" in found["synchronisation"].text


def test_the_size_of_what_was_planted_is_told() -> None:
    """A drift of 3 % and a place of 1 % come out as such."""
    drift = FAULTS["a drift of 3 %"][0]().run()["drift"].text
    assert drift.startswith("the same work changed by +3.0 % over process 0"), drift
    place = FAULTS["a penalty of 1 % for the second place"][0]().run()["position"].text
    assert place.startswith("one place later in the order costs +1.00 %"), place
