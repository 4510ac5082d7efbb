"""A timed pass on a device that is made up: detectors of known cost, faults that can be planted, no real time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from detectors.contract import Detections, Example, Stage, stage
from harness.examples import Images
from harness.instruments import Instruments
from harness.journal import Journal
from harness.measuring import TimedPass
from harness.plan import Plan
from harness.progress import Reporter
from harness.record import SCHEMA_VERSION, Condition, Sample
from harness.residence import Residence
from harness.runs import RunFolder
from harness.testing.device import FakeClock, FakeDevice, FakeSensors

TICK = 1 / 1024
"""Seconds that a binary float holds exactly."""


class OnDevice:
    """An image costs ``base + per_box * boxes`` seconds of convolutions, and a tick for each other stage."""

    def __init__(self, device: FakeDevice, base: float, per_box: float = 0.0, *, fetches: bool = True, bytes_: int = 0):
        self.device, self.base, self.per_box = device, base, per_box
        self.fetches, self.bytes = fetches, bytes_
        self.chunk: int | None = None
        self.calls = 0

    def detect(self, image: torch.Tensor, proposals: torch.Tensor) -> Detections:
        """The first boxes, scored by their order."""
        self.calls += 1
        with self.device.holding(self.bytes):
            with stage(Stage.PREPARE):
                self.device.work(TICK, shape=tuple(image.shape))
            with stage(Stage.CONV):
                self.device.work(self.base + self.per_box * len(proposals))
            with stage(Stage.SUPPRESS):
                if self.fetches:
                    self.device.fetch(TICK)
                else:
                    self.device.work(TICK)
        boxes = proposals[:3].clone()
        return Detections(boxes, 1 / (1 + torch.arange(len(boxes))), torch.ones(len(boxes), dtype=torch.int64))


class NoLoad:
    """A machine on which nobody else works."""

    def shares(self) -> tuple[dict[str, float] | None, str | None]:
        """All of it ours."""
        return {"own": 1.0, "others": 0.0, "steal": 0.0}, None

    def cpu_mhz(self) -> float | None:
        """Never changes."""
        return 2048.0


def images(count: int, *, sides: tuple[tuple[int, int], ...] = ((32, 48),), boxes: int = 8) -> Images:
    """So many images whose sides take turns."""
    examples = []
    for index in range(count):
        height, width = sides[index % len(sides)]
        examples.append(
            Example(
                f"image-{index}",
                torch.full((3, height, width), index % 256, dtype=torch.uint8),
                torch.zeros(0, 4),
                torch.zeros(0, dtype=torch.int64),
                torch.zeros(0, dtype=torch.bool),
                torch.tensor([[0.0, 0, 8, 8]]).repeat(boxes, 1),
            )
        )
    shapes = [(*one.image.shape[1:], len(one.proposals)) for one in examples]
    return Images(examples, [one.id for one in examples], shapes)


def _never(name: str) -> Any:
    raise AssertionError(f"{name} is in memory and is not loaded again")


@dataclass
class Laboratory:
    """One run folder, one device."""

    out: Path
    device: FakeDevice = field(default_factory=FakeDevice)
    sensors: Any = None
    load: Any = field(default_factory=NoLoad)
    forgetful: bool = False
    plan: Plan = field(default_factory=lambda: Plan.of({"methods": "a,b"}))
    between: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.clock = FakeClock(self.device, forgetful=self.forgetful)
        self.folder = RunFolder(self.out)

    def journal(self) -> Journal:
        """That goes on with the folder's manifest where there is one."""
        if not self.folder.exists:
            methods = {name: {"status": "ok", "reason": None} for name in self.plan.methods}
            self.folder.start(
                {
                    "schema_version": SCHEMA_VERSION,
                    "plan": self.plan.model_dump(mode="json"),
                    "machine": {"device": "cuda"},
                    "methods": methods,
                    "notices": [],
                }
            )
        return Journal(self.folder, self.folder.read_manifest(), Reporter(quiet=True))

    def sentinel(self, clock: Any) -> tuple[float, ...]:
        """Five times sixteen ticks of the device's work."""
        times = []
        for _ in range(5):
            start = clock.now()
            self.device.work(16 * TICK)
            self.device.synchronise()
            times.append(clock.now() - start)
        return tuple(times)

    def run(
        self,
        detectors: dict[str, Any] | list[str],
        images: Images,
        *,
        process: int = 0,
        load: Callable[[str], Any] = _never,
    ) -> None:
        """One timed pass of detectors, or of names that are to be loaded."""
        sensors = self.sensors or FakeSensors(self.device)
        instruments = Instruments(self.clock, self.sentinel, sensors, self.load)
        prepared: Any = SimpleNamespace(plan=self.plan, test=SimpleNamespace(classes=("thing",)))
        timed = TimedPass(prepared, self.journal(), instruments, process=process, between=self.between)
        residence = Residence.loaded(detectors, load) if isinstance(detectors, list) else Residence(detectors, load)
        timed.run(residence, images)

    def samples(self, role: str = "measured") -> list[Sample]:
        """Of one role, in the order in which they were kept."""
        return [sample for sample in self.folder.read_samples() if sample.role == role]

    def conditions(self) -> list[Condition]:
        """All."""
        return self.folder.read_conditions()
