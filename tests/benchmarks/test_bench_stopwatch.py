"""The stopwatch itself: its total against PyTorch's own timer on the same call, and what its marks cost."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch.utils.benchmark import Timer

import detectors
from detectors.contract import Detections, Example, Stage, stage
from harness.clocks import HostClock
from harness.compare import compare
from harness.examples import Images
from harness.plan import Plan
from harness.preparation import prepare
from harness.progress import Reporter
from harness.runs import RunFolder
from harness.tape import Tape
from harness.testing import CLASSES, scenes
from harness.timing import mark_seconds, measure

ROUNDS = 24
IMAGES, REPEATS = 24, 5
N_PROPOSALS = 300
METHODS = ("rcnn", "spp", "fast")


@pytest.fixture(params=METHODS)
def detect(request: pytest.FixtureRequest) -> Callable[[], Detections]:
    """One call of a method with random weights on a drawn scene with the small network."""
    generator = torch.Generator().manual_seed(0)
    method, example = detectors.load(request.param), scenes()[0]
    build: Any = method.detector
    backbone = detectors.load_backbone("mini", "random", generator=generator)
    detector = build(len(CLASSES), method.config, backbone, torch.device("cpu"))
    detector.initialise(generator=generator)
    boxes = _many(example)
    return lambda: detector.detect(example.image, boxes)


def _many(example: Example) -> torch.Tensor:
    """So many boxes that the times are those of a run; the few of the scene again and again."""
    times = -(-N_PROPOSALS // len(example.proposals))
    return example.proposals.repeat(times, 1)[:N_PROPOSALS]


def spread(seconds: list[float]) -> tuple[float, float]:
    """Median and the width between the quartiles."""
    low, middle, high = statistics.quantiles(seconds, n=4)
    return middle, high - low


def test_total_agrees_with_the_timer_of_pytorch(
    benchmark: BenchmarkFixture, detect: Callable[[], Detections], request: pytest.FixtureRequest
) -> None:
    """Called in turns, AB, BA, the two medians differ by less than the narrower of the two spreads."""
    clock = HostClock()
    timer = Timer("detect()", globals={"detect": detect}, num_threads=torch.get_num_threads())
    ours, theirs = list[float](), list[float]()

    def own() -> None:
        # PyTorch's timer calls twice before it measures, so this does, too.
        detect()
        detect()
        ours.append(measure(detect, clock).total_seconds)

    def other() -> None:
        theirs.append(timer.timeit(1).mean)

    for turn in range(ROUNDS):
        for each in (own, other) if turn % 2 == 0 else (other, own):
            each()
    (median, width), (their_median, their_width) = spread(ours), spread(theirs)
    benchmark.extra_info |= {"median": median, "iqr": width, "least": min(ours)}
    benchmark.extra_info |= {"torch_median": their_median, "torch_iqr": their_width, "torch_least": min(theirs)}
    assert abs(median - their_median) < min(width, their_width)
    benchmark.group = "total of one call"
    benchmark.pedantic(measure, args=(detect, clock), rounds=5)


@pytest.mark.parametrize("method", METHODS)
def test_what_a_run_reports_agrees_with_the_timer_of_pytorch(
    benchmark: BenchmarkFixture, method: str, tmp_path: Path
) -> None:
    """Image by image in one process: the typical ratio is 1, within the spreads that both have from call to call."""
    values = {"methods": METHODS, "weights": "random", "images": IMAGES, "repeats": REPEATS, "fc_width": 256}
    plan, folder = Plan.of(values), RunFolder(tmp_path / "run")
    compare(plan, folder.path, resume=False, overwrite=False, command="", reporter=Reporter(quiet=True), here=True)
    found: dict[str, list[float]] = {}
    for sample in folder.read_samples():
        if sample.role == "measured" and sample.method == method:
            found.setdefault(sample.image, []).append((sample.seconds or {})["total"])
    prepared = prepare(plan)
    images = Images.of(prepared.test, prepared.boxes(prepared.test), folder.read_truth())
    (entry,) = [each for each in prepared.methods if each.name == method]
    detector = prepared.detector(entry, prepared.config(entry))
    detector.initialise(generator=prepared.stream(method))
    ratios, ours, theirs = [], list[float](), list[float]()
    for example in images.examples:
        variables = {"detector": detector, "image": example.image, "boxes": example.proposals}
        timer = Timer("detector.detect(image, boxes)", globals=variables, num_threads=torch.get_num_threads())
        times = [timer.timeit(1).mean for _ in range(REPEATS)]
        ratios.append(statistics.median(found[example.id]) / statistics.median(times))
        ours += [seconds / statistics.median(found[example.id]) for seconds in found[example.id]]
        theirs += [seconds / statistics.median(times) for seconds in times]
    ratio, widths = statistics.median(ratios), (spread(ours)[1], spread(theirs)[1])
    benchmark.extra_info |= {"ratio": ratio, "iqr": widths[0], "torch_iqr": widths[1]}
    assert abs(ratio - 1) < sum(widths)
    benchmark.group = "total of a run"
    benchmark.pedantic(detector.detect, args=(example.image, example.proposals), rounds=3)


def test_marks_cost_less_than_a_hundredth(benchmark: BenchmarkFixture, detect: Callable[[], Detections]) -> None:
    """Marks x cost, the bound that is stated in reports, is below 1 % of the total."""
    clock = HostClock()
    cost = mark_seconds(clock)
    for _ in range(3):
        timing = measure(detect, clock)
    bound = (timing.marks or 0) * cost / timing.total_seconds
    benchmark.extra_info |= {"marks": timing.marks, "mark_seconds": cost, "bound": bound}
    assert 0 < bound < 0.01
    benchmark.group = "one call without marks"
    benchmark.pedantic(measure, args=(detect, clock), kwargs={"marked": False}, rounds=5)


def test_the_bound_holds_for_marks_inside_a_detector(
    benchmark: BenchmarkFixture, detect: Callable[[], Detections], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What marks take between convolutions, with caches as those leave them, is on average no more than was found."""
    clock, spent = HostClock(), list[float]()

    def timed(original: Callable[[Tape, Stage], None]) -> Callable[[Tape, Stage], None]:
        def call(tape: Tape, stage: Stage) -> None:
            start = clock.now()
            original(tape, stage)
            spent.append(clock.now() - start)

        return call

    cost = mark_seconds(clock)
    with monkeypatch.context() as patch:
        patch.setattr(Tape, "enter", timed(Tape.enter))
        patch.setattr(Tape, "leave", timed(Tape.leave))
        for _ in range(10):
            measure(detect, clock)
    benchmark.extra_info |= {"mark_seconds": cost, "inside": statistics.mean(spent)}
    assert statistics.median(spent) < cost
    benchmark.group = "calibration"
    benchmark.pedantic(mark_seconds, args=(clock,), rounds=3)


def test_one_mark(benchmark: BenchmarkFixture) -> None:
    """In a loop, so with warm caches: the least that it can be."""
    clock = HostClock()

    def chain() -> None:
        for _ in range(64):
            with stage(Stage.CONV):
                pass

    benchmark.group = "128 marks in a loop"
    benchmark(lambda: measure(chain, clock))
