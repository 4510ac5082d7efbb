"""Every fault that is planted in a device, a clock or a detector is found by its name, and a sound run has none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from harness import trust
from harness.findings.finding import Finding
from harness.plan import Plan
from harness.testing.device import FakeDevice, FakeSensors
from laboratory import TICK, Laboratory, OnDevice, images

COST = {"a": 200 * TICK, "b": 40 * TICK}
IMAGES = 48


def detectors(device: FakeDevice, **named: Any) -> dict[str, OnDevice]:
    return {name: OnDevice(device, seconds, **named) for name, seconds in COST.items()}


def laboratory(tmp_path: Path, device: FakeDevice | None = None, **named: Any) -> Laboratory:
    # No launch and no event is free on a real device.
    device = device or FakeDevice(launch_seconds=TICK / 64, event_seconds=TICK / 256)
    return Laboratory(tmp_path / "run", device, **named)


def findings(lab: Laboratory) -> dict[str, Finding]:
    """By name."""
    folder = lab.folder
    found = trust.examine(folder.read_samples(), folder.read_conditions(), folder.read_manifest(), {}, {})
    assert all(one.text and "\n" not in one.text for one in found)
    return {one.name: one for one in found}


def seen(found: dict[str, Finding]) -> dict[str, str]:
    """Verdicts of what was not in order, notes included."""
    return {name: one.verdict for name, one in found.items() if one.verdict != "ok"}


def number(text: str, before: str) -> float:
    """What stands right behind some words."""
    match = re.search(re.escape(before) + r" ([+-]?[0-9.]+)", text)
    assert match, text
    return float(match[1])


def test_a_sound_run_is_trusted(tmp_path: Path) -> None:
    """Else a finding would mean nothing."""
    lab = laboratory(tmp_path)
    lab.run(detectors(lab.device), images(IMAGES))
    assert seen(findings(lab)) == {}


def test_a_detector_that_does_not_wait_for_its_results(tmp_path: Path) -> None:
    """The device works on after the detections were handed over, and nothing else is wrong."""
    lab = laboratory(tmp_path)
    lab.run({**detectors(lab.device), "b": OnDevice(lab.device, COST["b"], fetches=False)}, images(IMAGES))
    found = findings(lab)
    assert seen(found) == {"synchronisation": "inconclusive"}
    assert f"b returned before its detections were computed on {IMAGES} of {IMAGES} samples" in (
        found["synchronisation"].text
    )


def test_a_clock_that_does_not_wait_for_its_device(tmp_path: Path) -> None:
    """No sample gets a time that would be too short; the reason names the clock, and nothing is counted twice."""
    lab = laboratory(tmp_path, forgetful=True)
    lab.run(detectors(lab.device, fetches=False), images(IMAGES))
    assert {sample.status for sample in lab.samples()} == {"error"}
    found = findings(lab)
    assert seen(found)["synchronisation"] == "inconclusive"
    assert "SynchronisationError" in found["synchronisation"].text
    assert found["failed"].verdict == "ok"


@pytest.mark.parametrize("share", [0.03, -0.03])
def test_a_drift_of_three_per_cent(share: float, tmp_path: Path) -> None:
    """Over the run, either way; the order of methods keeps it out of the ratio all the same."""
    rehearsal = laboratory(tmp_path / "rehearsal")
    rehearsal.run(detectors(rehearsal.device), images(IMAGES))
    whole = rehearsal.device.host
    device = FakeDevice(slow_down=lambda seconds: 1 + share * seconds / whole)
    lab = laboratory(tmp_path, device)
    lab.sensors = FakeSensors(device, throttled_from=1.1)
    lab.run(detectors(device), images(IMAGES))
    found = findings(lab)
    assert seen(found) == {"drift": "inconclusive"}
    # Warming up is the first part of the run, and no sentinel was timed by then.
    assert number(found["drift"].text, "the same work changed by") == pytest.approx(100 * share, abs=0.3)
    means = [sum((one.seconds or {})["conv"] for one in lab.samples() if one.method == name) for name in COST]
    assert means[0] / means[1] == pytest.approx(COST["a"] / COST["b"], rel=0.002)


def test_a_steady_clock_is_not_blamed_for_a_drift_of_a_thousandth(tmp_path: Path) -> None:
    """What no reader would care about."""
    device = FakeDevice(slow_down=lambda seconds: 1 + 0.001 * seconds / 16)
    lab = laboratory(tmp_path, device)
    lab.sensors = FakeSensors(device, throttled_from=1.1)
    lab.run(detectors(device), images(IMAGES))
    assert seen(findings(lab)) == {}


def test_a_penalty_of_one_per_cent_for_the_second_place(tmp_path: Path) -> None:
    """Whoever comes second on an image finds the caches of the other; the order shares that out evenly."""
    met: dict[int, set[str]] = {}

    class Displaced(OnDevice):
        """Costs 1 % more where the other method was on this image before."""

        def __init__(self, name: str) -> None:
            super().__init__(lab.device, COST[name])
            self.name, self.plain = name, COST[name]

        def detect(self, image: torch.Tensor, proposals: torch.Tensor) -> Any:
            others = met.setdefault(int(image[0, 0, 0]), set()) - {self.name}
            self.base = self.plain * (1.01 if others else 1.0)
            met[int(image[0, 0, 0])].add(self.name)
            return super().detect(image, proposals)

    lab = laboratory(tmp_path)
    lab.run({name: Displaced(name) for name in COST}, images(IMAGES))
    found = findings(lab)
    assert seen(found) == {"position": "note"}, "it is shared out, so it costs no trust"
    assert 0.9 < number(found["position"].text, "one place later in the order changes a time by") < 1.1
    totals = [sum((one.seconds or {})["conv"] for one in lab.samples() if one.method == name) for name in COST]
    assert totals[0] / totals[1] == pytest.approx(COST["a"] / COST["b"], rel=0.001)


def test_the_first_touch_of_a_shape_that_was_warmed_up(tmp_path: Path) -> None:
    """Its cost is told, and costs no trust, since it is in no figure."""
    device = FakeDevice(first_touch_seconds=2000 * TICK)
    lab = laboratory(tmp_path, device)
    lab.run(detectors(device), images(IMAGES))
    found = findings(lab)
    assert seen(found) == {"first-touch": "note"}
    steady = COST["a"] + 2 * TICK
    assert number(found["first-touch"].text, "up to") == pytest.approx((steady + 2000 * TICK) / steady, abs=0.05)


@pytest.mark.parametrize(("touch", "verdict"), [(0.16, "inconclusive"), (0.06, "note"), (0.01, None)])
def test_the_first_touch_of_each_exact_shape(touch: float, verdict: str | None, tmp_path: Path) -> None:
    """48 sizes in two buckets: a warm bucket is not a warm shape, and half of all calls are first ones."""

    class Choosy(OnDevice):
        """Pays once for each shape of image."""

        def detect(self, image: torch.Tensor, proposals: torch.Tensor) -> Any:
            self.base = 1.0 if image.shape in paid else 1 + touch
            paid.add(image.shape)
            return super().detect(image, proposals)

    paid: set[torch.Size] = set()
    lab = laboratory(tmp_path, plan=Plan.of({"methods": "a,b", "repeats": 2}))
    sides = tuple((33 + index % 24, 40 if index < 24 else 72) for index in range(IMAGES))
    # At a second a call it is not called untimed before its turn.
    lab.run({"a": Choosy(lab.device, 1.0), "b": OnDevice(lab.device, 1.0)}, images(IMAGES, sides=sides))
    found = findings(lab)["first-touch"]
    assert found.verdict == (verdict or "ok")
    if verdict is not None:
        assert number(found.text, "first calls of a on an image took") == pytest.approx(100 * touch, abs=0.3)
        totals = [(one.seconds or {})["total"] for one in lab.samples() if one.method == "a"]
        assert number(found.text, "add") == pytest.approx(100 * (1 - min(totals) * len(totals) / sum(totals)), abs=0.5)


def test_the_first_touch_of_shapes_that_warm_up_did_not_reach(tmp_path: Path) -> None:
    """It sits in the figures, which is said."""
    device = FakeDevice(first_touch_seconds=4.0)
    lab = laboratory(tmp_path, device)
    sides = tuple((32 * (1 + index), 64) for index in range(24))
    slow = {name: OnDevice(device, 16 * seconds) for name, seconds in COST.items()}  # too slow to be warmed up on all
    lab.run(slow, images(IMAGES, sides=sides))
    found = findings(lab)
    assert (found["first-touch"].verdict, found["warm-up"].verdict) == ("inconclusive", "note")


def test_memory_that_runs_out(tmp_path: Path) -> None:
    """A sample without a time, and a finding that names it."""

    class Greedy(OnDevice):
        """Wants too much of one image."""

        def detect(self, image: torch.Tensor, proposals: torch.Tensor) -> Any:
            self.bytes = 1000 if int(image[0, 0, 0]) == 7 else 10
            return super().detect(image, proposals)

    device = FakeDevice(memory_bytes=100)
    lab = laboratory(tmp_path, device)
    every = {**detectors(device), "b": Greedy(device, COST["b"])}
    lab.run(every, images(IMAGES), load=dict(every).__getitem__)
    found = findings(lab)
    without = sum(one.status == "oom" for one in lab.folder.read_samples())
    assert without >= 1
    assert found["out-of-memory"].verdict == "note"
    assert number(found["out-of-memory"].text, "memory ran out:") == without
    assert set(seen(found)) <= {"out-of-memory", "resident"}


def test_a_clock_that_is_throttled(tmp_path: Path) -> None:
    """From a third of the run on the device is a quarter slower and says why."""
    rehearsal = laboratory(tmp_path / "rehearsal")
    rehearsal.run(detectors(rehearsal.device), images(IMAGES))
    third = rehearsal.device.host / 3
    device = FakeDevice(slow_down=lambda seconds: 1.25 if seconds > third else 1.0)
    lab = laboratory(tmp_path, device)
    lab.run(detectors(device), images(IMAGES))
    found = findings(lab)
    # Where a third of the times is shorter by a fifth, they cannot agree with each other either.
    assert {"throttling", "clock", "drift"} <= seen(found).keys() <= {"throttling", "clock", "drift", "noise"}
    assert "changed by +25.0 % at once in process 0" in found["drift"].text
    assert len(lab.samples()) == 2 * IMAGES, "no sample is dropped"


def test_another_process_on_the_device(tmp_path: Path) -> None:
    """It is named by its number."""
    lab = laboratory(tmp_path)
    lab.sensors = FakeSensors(lab.device, foreign=({"pid": 4711, "memory_bytes": 2**30},))
    lab.run(detectors(lab.device), images(IMAGES))
    found = findings(lab)
    assert seen(found) == {"foreign-processes": "inconclusive"}
    assert "4711" in found["foreign-processes"].text


def test_outputs_that_are_not_the_same_twice(tmp_path: Path) -> None:
    """On a device a few may differ in their last bits; more than one in a hundred costs the trust."""

    class Fickle(OnDevice):
        """Finds other boxes at each call."""

        def detect(self, image: torch.Tensor, proposals: torch.Tensor) -> Any:
            moved = proposals + torch.tensor([4.0, 0, 4, 0]) * (self.calls % 7)
            return super().detect(image, moved)

    lab = laboratory(tmp_path, plan=Plan.of({"methods": "a,b", "repeats": 2}))
    lab.run({**detectors(lab.device), "a": Fickle(lab.device, COST["a"])}, images(IMAGES))
    assert seen(findings(lab)) == {"repeats": "inconclusive"}
