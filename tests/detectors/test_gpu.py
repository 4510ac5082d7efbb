"""What only a GPU can tell of the detectors: that kernels run, that none waits, and how memory runs out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import detectors
from detectors.contract import Stage, listening
from harness.clocks import CudaClock
from harness.precision import arithmetic
from harness.testing.ear import Ear
from harness.timing import measure

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype"),
]

_METHODS = ("rcnn", "rcnn:softmax", "spp", "spp:5", "spp:code", "spp:pool5", "fast", "fast:5", "fast:svd", "spp+rcnn")
_BACKBONES = ("mini", "zf5", "caffenet", "vgg16", "squeezenet1_1")
_CLASSES = 4


def _detector(name: str, backbone: str, device: str = "cuda", **settings: Any) -> Any:
    """Random weights; settings of each member, where there are members."""
    method = detectors.load(name)
    network = detectors.load_backbone(backbone, "random", generator=torch.Generator().manual_seed(0))
    config = method.config
    if method.members:
        config = replace(config, members=tuple(replace(one, **settings) for one in config.members))
    else:
        config = replace(config, **settings)
    make: Any = method.detector
    detector = make(_CLASSES, config, network, torch.device(device))
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
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


class _NoWaits:
    """Listener under which any synchronisation is an error, from the first stage until SUPPRESS begins."""

    def enter(self, stage: Stage) -> None:
        torch.cuda.set_sync_debug_mode("default" if stage is Stage.SUPPRESS else "error")

    def leave(self, stage: Stage) -> None: ...

    def progress(self, done: int, total: int, text: str) -> None: ...

    def notice(self, text: str) -> None: ...


def _check_no_waits(name: str, backbone: str, **settings: Any) -> None:
    image, proposals = _scene(50)
    detector = _detector(name, backbone, fc_width=64, **settings)
    detector.detect(image, proposals)  # libraries and memory are got ready
    with _restored(), listening(_NoWaits()):
        detector.detect(image, proposals)


@pytest.mark.parametrize("backbone", _BACKBONES)
@pytest.mark.parametrize("name", _METHODS)
def test_the_host_never_waits_before_suppression(name: str, backbone: str) -> None:
    """From PREPARE to DECODE PyTorch sees no synchronisation."""
    _check_no_waits(name, backbone)


@pytest.mark.parametrize("name", ["rcnn", "spp", "fast"])
def test_the_host_never_waits_in_bfloat16_either(name: str) -> None:
    """Nor do conversions."""
    _check_no_waits(name, "zf5", bf16=True)


def test_a_wait_would_be_seen() -> None:
    """The instrument works: a value that is read, and a plain number given to `where`, are errors."""
    there = torch.ones(3, device="cuda")
    with _restored():
        torch.cuda.set_sync_debug_mode("error")
        for wait in (lambda: float(there.sum()), lambda: torch.where(there > 0, there, 0.0), lambda: there[there > 0]):
            with pytest.raises(RuntimeError, match="synchronizing"):
                wait()
        torch.ones(3).to("cuda", non_blocking=True)


@pytest.mark.parametrize("backbone", ["zf5", "vgg16"])
@pytest.mark.parametrize("name", ["rcnn", "spp", "spp:5", "fast", "fast:svd"])
def test_stages_and_rest_make_the_total(name: str, backbone: str) -> None:
    """At the networks' own fc width `detect` ends, every stage takes time, and the times add up."""
    image, proposals = _scene(300)
    detector, clock = _detector(name, backbone), CudaClock()
    for _ in range(3):
        timing = measure(lambda: detector.detect(image, proposals), clock)
    assert timing.stage_seconds is not None
    assert timing.unattributed_seconds is not None
    idle = [stage for stage, seconds in timing.stage_seconds.items() if seconds <= 0]
    assert idle == [Stage.PROPOSE]
    assert sum(timing.stage_seconds.values()) + timing.unattributed_seconds == pytest.approx(timing.total_seconds)
    # Two clocks: events are told to half a microsecond.
    assert -1e-5 < timing.unattributed_seconds < 0.2 * timing.total_seconds
    assert timing.tail_seconds < 0.1 * timing.total_seconds
    assert len(timing.result.scores) > 0


def test_crops_that_do_not_fit_are_halved() -> None:
    """Where memory holds a part of 256 crops of VGG16, the chunk shrinks until it fits and the scores stay."""
    image, proposals = _scene(256)
    detector = _detector("rcnn", "vgg16", fc_width=64, chunk=32)
    _, expected = detector.score(image, proposals)
    crowded, ear = _detector("rcnn", "vgg16", fc_width=64, chunk=256), Ear()
    with _restored(), listening(ear):
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(0).total_memory
        # 256 crops take 3.3 GB for each of the first two maps.
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2.5e9) / total)
        _, found = crowded.score(image, proposals)
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3 * float(expected.abs().max()))
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
