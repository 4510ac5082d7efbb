"""Records of runs that never happened: a simple model of images, methods and a machine, with one fault or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from harness.order import Block, schedule
from harness.record import Condition, Sample
from harness.statistics import ratio_of_means
from harness.trust import Finding, examine

METHODS = ("rcnn", "spp", "fast")
COST_SECONDS = {"rcnn": 2.0, "spp": 0.2, "fast": 0.1}
STAGES = {"prepare": 0.05, "conv": 0.6, "pool": 0.1, "fc": 0.2}


@dataclass(frozen=True)
class Fault:
    """What is wrong with a simulated run; by default nothing."""

    drift: float = 0.0
    """Share by which all grows slower from start to end."""
    position: float = 0.0
    """Share that the second and later places in a block cost."""
    cold: dict[int, float] = field(default_factory=dict)
    """Times as long, by the image whose shape was not warmed up, in the first call of each method."""
    throttled_from: float = 2.0
    """Share of the run after which the device runs at two thirds of its clock."""
    sample: Callable[[Sample], Sample] = lambda one: one
    condition: Callable[[Condition], Condition] = lambda one: one
    manifest: dict[str, Any] = field(default_factory=dict)
    proofs: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class RecordedMachine:
    """Time goes on call by call; the machine's state is a first-order autoregression about 1."""

    rng: np.random.Generator
    calls: int
    fault: Fault
    state: float = 0.0
    done: int = 0

    def factor(self) -> float:
        """How many times as long as usual something takes now; moves time on."""
        self.state = 0.9 * self.state + self.rng.normal(0, 0.0022)
        factor = float(np.exp(self.state)) * (1 + self.fault.drift * self.done / self.calls)
        return factor * (1.5 if self.throttled else 1.0)

    @property
    def throttled(self) -> bool:
        return self.done >= self.fault.throttled_from * self.calls

    def device_state(self) -> dict[str, Any]:
        clock = 1980.0 / (1.5 if self.throttled else 1.0) - 15.0 * int(self.rng.integers(0, 2))
        throttle = ["sw_thermal"] if self.throttled else []
        return {"clock_mhz": clock, "temperature_c": 60.0, "throttle": throttle, "memory_bytes": 2**30}


def simulate_records(
    seed: int,
    fault: Fault | None = None,
    *,
    images: int = 48,
    repeats: int = 2,
    processes: int = 1,
    device: str = "cuda",
) -> tuple[list[Sample], list[Condition], dict[str, Any]]:
    """Samples, conditions and manifest."""
    rng, fault = np.random.default_rng(seed), fault or Fault()
    shared = rng.lognormal(0, 0.3, images)
    own = {method: shared * rng.lognormal(0, 0.03, images) for method in METHODS}
    boxes = rng.integers(500, 2000, images)
    samples: list[Sample] = []
    conditions: list[Condition] = []
    for process in range(processes):
        machine = RecordedMachine(rng, images * repeats * len(METHODS), fault)
        blocks = schedule(images, METHODS, repeats=repeats, process=process, seed=seed, block_images=2)
        for block in blocks:
            conditions.append(fault.condition(_condition(machine, process, len(conditions), device)))
            samples += _measure(machine, block, process, own, boxes, device)
        conditions.append(fault.condition(_condition(machine, process, len(conditions), device)))
    manifest = {
        "schema_version": 2,
        "plan": {"methods": list(METHODS)},
        "machine": {"device": device},
        "methods": {method: {"status": "ok", "reason": None} for method in METHODS},
        "processes": [_process(process) for process in range(processes)],
        "notices": [],
    }
    return [fault.sample(one) for one in samples], conditions, manifest | fault.manifest


def _measure(
    machine: RecordedMachine, block: Block, process: int, own: dict[str, Any], boxes: Any, device: str
) -> list[Sample]:
    samples = []
    fault = machine.fault
    for position, method in enumerate(block.order):
        for index in block.images:
            cold = block.repeat == 0 and index in fault.cold
            roles = ("measured", "unmarked") if block.repeat == 0 and index % 8 == 0 else ("measured",)
            for role in roles:
                total = COST_SECONDS[method] * own[method][index] * machine.factor() * machine.rng.lognormal(0, 0.005)
                total *= 1 + fault.position * (position > 0)
                total *= fault.cold[index] if cold and role == "measured" else 1
                seconds = {stage: share * total for stage, share in STAGES.items()}
                seconds["unattributed"] = total - sum(seconds.values())
                seconds |= {"features": total * 0.95, "total": total}
                samples.append(
                    Sample(
                        process=process,
                        repeat=block.repeat,
                        method=method,
                        image=f"{index:06}",
                        index=index,
                        position=position,
                        status="ok",
                        seconds=seconds if role == "measured" else {"total": total},
                        detections=100,
                        digest=f"{method}{index:010}",
                        role="measured" if role == "measured" else "unmarked",
                        block=block.number,
                        sequence=machine.done,
                        boxes=int(boxes[index]),
                        warm=not cold,
                        marks=14 if role == "measured" else 0,
                        tail_seconds=0.0 if device == "cpu" else float(machine.rng.uniform(5e-6, 2e-5)),
                        device_state=None if device == "cpu" else machine.device_state(),
                        device_state_reason="ran on the CPU" if device == "cpu" else None,
                    )
                )
                machine.done += role == "measured"
    return samples


def _condition(machine: RecordedMachine, process: int, at: int, device: str) -> Condition:
    state = machine.factor()
    rng = machine.rng
    return Condition(
        process=process,
        sequence=machine.done,
        at_seconds=float(at),
        sentinel_seconds=tuple(float(each) for each in 0.01 * state * rng.lognormal(0, 0.01, 5)),
        cpu={"own": 0.9, "others": float(rng.uniform(0, 0.04)), "steal": float(rng.uniform(0, 0.01))},
        cpu_mhz=3000.0,
        device_state=None if device == "cpu" else machine.device_state(),
        device_state_reason="ran on the CPU" if device == "cpu" else None,
        foreign=None if device == "cpu" else [],
        foreign_reason="ran on the CPU" if device == "cpu" else None,
    )


def _process(number: int) -> dict[str, Any]:
    warmed = [{"bucket": "480x512 1024", "image": "000000", "seconds": [0.12, 0.1, 0.1], "steady": True}]
    return {
        "process": number,
        "mark_seconds": 2e-6,
        "block_images": 2,
        "first_turn": 0,
        "resident": True,
        "resident_reason": None,
        "threads": 2,
        "warm_up": dict.fromkeys(METHODS, warmed),
        "status": "ok",
        "reason": None,
    }


def speedups(samples: list[Sample]) -> dict[str, Any]:
    """Of the methods that were measured, over the first, as the summary has them."""
    means: dict[str, dict[str, list[float]]] = {method: {} for method in METHODS}
    for one in samples:
        if one.role == "measured" and one.seconds:
            means[one.method].setdefault(one.image, []).append(one.seconds["total"])
    below = {method: np.array([np.mean(of[image]) for image in sorted(of)]) for method, of in means.items()}
    found = {}
    for method in METHODS[1:]:
        if len(below[method]) == len(below["rcnn"]):
            ratio = ratio_of_means(below["rcnn"], below[method])
            found[method] = {"total": {"value": ratio.value, "low": ratio.low, "high": ratio.high}}
    return found


def judge(seed: int, fault: Fault | None = None, **settings: Any) -> dict[str, Finding]:
    """Findings of a simulated run by name."""
    samples, conditions, manifest = simulate_records(seed, fault, **settings)
    found = examine(samples, conditions, manifest, speedups(samples), fault.proofs if fault else {})
    return {one.name: one for one in found}


def seen(findings: dict[str, Finding]) -> set[str]:
    """Names of what was not in order."""
    return {name for name, one in findings.items() if one.verdict != "ok"}


def on(sample: Sample, **changes: Any) -> Sample:
    """The sample with changes."""
    return replace(sample, **changes)
