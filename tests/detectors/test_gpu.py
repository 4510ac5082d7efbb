"""What only a GPU can tell of the detectors: that kernels run, that none waits, and how memory runs out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

import detectors
from detectors.contract import Detections, Stage, listening
from detectors.parts.backbones import Backbone
from harness.clocks import CudaClock
from harness.precision import arithmetic
from harness.testing import Ear
from harness.timing import Timing, measure

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype"),
]

_METHODS = ("rcnn", "rcnn:softmax", "spp", "spp:5", "spp:code", "spp:pool5", "fast", "fast:5", "fast:svd", "spp+rcnn")
_PAIRS = [
    *((name, "zf5") for name in _METHODS),
    *((name, other) for other in ("mini", "caffenet", "vgg16", "squeezenet1_1") for name in ("rcnn", "spp:5", "fast")),
]
"""Every method with one network, and every network with methods that together use all that depends on it."""
_CLASSES = 4


@cache
def _backbone(name: str) -> Backbone:
    return detectors.load_backbone(name, "random", generator=torch.Generator().manual_seed(0))


def _detector(name: str, backbone: str, device: str = "cuda", **settings: Any) -> Any:
    """Random weights; settings of each member, where there are members."""
    method = detectors.load(name)
    config = method.config
    if method.members:
        config = replace(config, members=tuple(replace(one, **settings) for one in config.members))
    else:
        config = replace(config, **settings)
    make: Any = method.detector
    detector = make(_CLASSES, config, _backbone(backbone), torch.device(device))
    detector.initialise(generator=torch.Generator().manual_seed(0))
    return detector


def _scene(proposals: int, height: int = 240, width: int = 320) -> tuple[torch.Tensor, torch.Tensor]:
    """A noisy image and boxes of 20 to 120 px."""
    generator = torch.Generator().manual_seed(1)
    image = torch.randint(256, (3, height, width), generator=generator, dtype=torch.uint8)
    low = torch.rand(proposals, 2, generator=generator) * torch.tensor([width - 120.0, height - 120.0])
    return image, torch.cat([low, low + 20 + 100 * torch.rand(proposals, 2, generator=generator)], dim=1)


@contextmanager
def _restored() -> Iterator[None]:
    """What a test takes of the process is given back."""
    mode, fraction = torch.cuda.get_sync_debug_mode(), torch.cuda.get_per_process_memory_fraction()
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(mode)
        torch.cuda.set_per_process_memory_fraction(fraction)
        torch.cuda.empty_cache()


class _NoWaits(Ear):
    """Under it any synchronisation is an error, from the first stage until SUPPRESS begins."""

    def enter(self, stage: Stage) -> None:
        super().enter(stage)
        torch.cuda.set_sync_debug_mode("default" if stage is Stage.SUPPRESS else "error")


@pytest.mark.parametrize(
    ("name", "backbone", "precision"),
    [*((*pair, "fp32") for pair in _PAIRS), *((name, "zf5", "bf16") for name in ("rcnn", "spp", "fast"))],
)
def test_the_host_never_waits_before_suppression(name: str, backbone: str, precision: str) -> None:
    """From PREPARE to DECODE PyTorch sees no synchronisation."""
    image, proposals = _scene(50)
    ear = _NoWaits()
    with arithmetic(precision):
        detector = _detector(name, backbone, fc_width=64, bf16=precision == "bf16")
        detector.detect(image, proposals)  # libraries and memory are got ready
        with _restored(), listening(ear):
            detector.detect(image, proposals)
    assert {*Stage.of_detecting()} - {*ear.heard} == {Stage.PROPOSE}
    assert ear.heard[-1] is Stage.SUPPRESS


def test_a_wait_would_be_seen() -> None:
    """The instrument works: a value that is brought from the host or read, and values that are counted, are errors."""
    there = torch.ones(3, device="cuda")
    with _restored():
        torch.cuda.set_sync_debug_mode("error")
        for wait in (lambda: torch.tensor([1.0], device="cuda"), lambda: there[0].item(), lambda: there.nonzero()):
            with pytest.raises(RuntimeError, match="synchronizing"):
                wait()
        torch.ones(3).to("cuda", non_blocking=True)


def _timed(detector: Any, proposals: int) -> tuple[Timing[Detections], float, tuple[float, float]]:
    """A timed call; seconds between two events around `detect`; wall seconds of `detect`, and of the timed call."""
    image, boxes = _scene(proposals)
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    wall = []

    def detect() -> Detections:
        began = time.perf_counter()
        first.record()
        found: Detections = detector.detect(image, boxes)
        last.record()
        wall.append(time.perf_counter() - began)
        return found

    clock = CudaClock()
    began = time.perf_counter()
    timing = measure(detect, clock)
    wall.append(time.perf_counter() - began)
    return timing, first.elapsed_time(last) / 1e3, (wall[0], wall[1])


@pytest.mark.parametrize(
    ("name", "backbone"),
    [("rcnn", "zf5"), ("spp", "zf5"), ("fast", "zf5"), ("rcnn", "vgg16"), ("spp:5", "vgg16"), ("fast:svd", "vgg16")],
)
def test_stages_and_total_are_those_of_other_clocks(name: str, backbone: str) -> None:
    """At the networks' own fc width every stage takes time; together they fill what two events of the test's own have
    between them, and the total is what the wall says."""
    with arithmetic("fp32"):
        detector = _detector(name, backbone)
        taken = [_timed(detector, 300) for _ in range(6)]
    for timing, seconds, (inner, outer) in taken:
        total, stages = timing.total_seconds, timing.stage_seconds
        assert stages is not None
        assert timing.marks is not None
        assert [stage for stage, taking in stages.items() if taking <= 0] == [Stage.PROPOSE]
        assert sum(stages.values()) <= seconds + 1e-6 * timing.marks  # an event is told to half a microsecond
        assert seconds <= total + 1e-5 + 2e-4 * total  # of two oscillators
        assert inner <= total <= outer
        assert len(timing.result.scores) > 0
    # How much may lie between: of the quickest, since whatever else the machine does comes on top.
    timing, seconds, (inner, _) = min(taken, key=lambda one: one[0].total_seconds)
    assert timing.stage_seconds is not None
    assert sum(timing.stage_seconds.values()) > 0.8 * seconds
    assert seconds > 0.8 * inner
    assert inner > 0.9 * timing.total_seconds
    assert timing.tail_seconds < 0.1 * timing.total_seconds


def test_crops_that_do_not_fit_are_halved() -> None:
    """Where memory holds a part of 256 crops of VGG16, the chunk shrinks until it fits and the scores stay."""
    image, proposals = _scene(256)
    ear = Ear()
    with arithmetic("fp32"), _restored():
        # Before memory is short, and in chunks that fit then.
        _, expected = _detector("rcnn", "vgg16", fc_width=64, chunk=32).score(image, proposals)
        crowded = _detector("rcnn", "vgg16", fc_width=64, chunk=256)
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(0).total_memory
        # 256 crops take 3.3 GB for each of the first two maps.
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2.5e9) / total)
        with listening(ear):
            _, found = crowded.score(image, proposals)
    # They differ by a tenth from crop to crop.
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-2 * float(expected.abs().max()))
    assert crowded.chunk < 256
    assert ear.notices
    assert all("halved" in one for one in ear.notices)


def _scores(name: str, precision: str) -> torch.Tensor:
    image, proposals = _scene(200)
    with arithmetic(precision):
        detector = _detector(name, "zf5", fc_width=256, bf16=precision == "bf16")
        found: torch.Tensor = detector.score(image, proposals)[1].cpu()
    return found


@pytest.mark.parametrize("name", ["rcnn", "spp", "spp:5", "fast:svm"])
def test_coarser_arithmetic_scores_nearly_the_same(name: str) -> None:
    """TF32 keeps 11 bits of a factor and bfloat16 8; what they change of the scores is some of their last ones."""
    exact = _scores(name, "fp32")
    spread = float((exact - exact.mean(dim=0)).norm())
    off = {precision: float((_scores(name, precision) - exact).norm()) / spread for precision in ("tf32", "bf16")}
    most: Mapping[str, float] = {"tf32": 2e-2, "bf16": 0.15}
    for precision, least in (("tf32", 1e-6), ("bf16", 1e-4)):
        assert least < off[precision] < most[precision], precision


@pytest.mark.parametrize("name", _METHODS)
def test_a_cuda_device_scores_as_the_cpu_does(name: str, tmp_path: Path) -> None:
    """One saved model scores and moves boxes alike on both devices, up to the rounding of float32 sums."""
    image, proposals = _scene(40)
    here, there = (_detector(name, "mini", device) for device in ("cpu", "cuda"))
    here.save(tmp_path / "model")
    there.restore(tmp_path / "model")
    with arithmetic("fp32"):
        boxes, scores = here.score(image, proposals)
        boxes_there, scores_there = (part.cpu() for part in there.score(image, proposals))
    torch.testing.assert_close(scores_there, scores, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(boxes_there, boxes, rtol=1e-3, atol=1e-1)


@pytest.mark.parametrize("name", ["rcnn", "spp", "fast", "fast:svm"])
def test_fitting_runs_on_a_gpu(name: str, small: Any, scenes: Any, tmp_path: Path) -> None:
    """Fine-tuning, SVMs and regressors end there, and what they learnt detects on the CPU, too."""
    here, there = small(name), small(name)
    there.device = torch.device("cuda")
    there.fit(scenes, generator=torch.Generator().manual_seed(0), workdir=tmp_path)
    there.save(tmp_path / "model")
    here.restore(tmp_path / "model")
    image, proposals = scenes[0].image, scenes[0].proposals
    with arithmetic("fp32"):
        scores, scores_there = here.score(image, proposals)[1], there.score(image, proposals)[1].cpu()
    torch.testing.assert_close(scores_there, scores, rtol=1e-2, atol=1e-2)
