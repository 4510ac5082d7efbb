"""What detectors do on a CUDA device, shown without one: on tensors that have a device, a shape and no values.

Such a tensor refuses to tell a value (`.item()`, `nonzero`, a mask as index) and to meet a tensor of another device, so
a detector that scores on it neither waits for the device nor mixes devices. What it can't show is whether kernels run.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import detectors
from detectors.contract import Stage, listening

_METHODS = ("rcnn", "rcnn:softmax", "spp", "spp:5", "spp:code", "spp:pool5", "fast", "fast:5", "fast:svd", "spp+rcnn")


class _Crossings(TorchDispatchMode):
    """Writes down each stage in which data cross from one device to another."""

    def __init__(self) -> None:
        super().__init__()
        self.stage: Stage | None = None
        self.heard: list[Stage | None] = []

    def enter(self, stage: Stage) -> None:
        self.stage = stage

    def leave(self, stage: Stage) -> None:
        self.stage = None

    def progress(self, done: int, total: int, text: str) -> None: ...

    def notice(self, text: str) -> None: ...

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            before = {one.device.type for one in args if isinstance(one, torch.Tensor)}
            if before - {result.device.type}:
                self.heard.append(self.stage)
        return result


def _move(detector: Any, device: str) -> None:
    """Put a detector, and the members of a combination, on a device that is not there. Call under FakeTensorMode."""
    for part in [detector, *getattr(detector, "members", ())]:
        part.device = torch.device(device)
        for network in [value for value in vars(part).values() if isinstance(value, nn.Module)]:
            for layer in network.modules():
                for name, old in list(layer.named_parameters(recurse=False)):
                    made = torch.empty(old.shape, dtype=old.dtype, device=device)
                    layer._parameters[name] = nn.Parameter(made, requires_grad=False)
                for name, buffer in list(layer.named_buffers(recurse=False)):
                    layer._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device=device)


@pytest.mark.parametrize(
    ("name", "bf16"), [*((name, False) for name in _METHODS), *((name, True) for name in ("rcnn", "spp:5", "fast:svd"))]
)
def test_scoring_neither_waits_for_the_device_nor_mixes_devices(name: str, bf16: bool) -> None:
    """From PREPARE to DECODE no value is read back; image and boxes go to the device once, in PREPARE."""
    method = detectors.load(name)
    backbone = detectors.load_backbone("mini", "random", generator=torch.Generator().manual_seed(0))
    config = method.config
    if method.members:
        config = replace(config, members=tuple(replace(one, fc_width=32, bf16=bf16) for one in config.members))
    else:
        config = replace(config, fc_width=32, bf16=bf16)
    make: Any = method.detector
    detector = make(4, config, backbone, torch.device("cpu"))
    detector.initialise(generator=torch.Generator().manual_seed(0))
    crossings = _Crossings()
    # cuDNN's grid_sample has no form for tensors without values.
    with torch.backends.cudnn.flags(enabled=False), FakeTensorMode(allow_non_fake_inputs=False):
        _move(detector, "cuda")
        image, proposals = torch.zeros(3, 120, 160, dtype=torch.uint8), torch.zeros(40, 4)
        with listening(crossings), crossings:
            boxes, scores = detector.score(image, proposals)
        assert boxes.device.type == scores.device.type == "cuda"
        assert (boxes.shape[1:], scores.shape[1]) == ((4, 4), 4)
    members = max(len(method.members), 1)
    assert crossings.heard == [Stage.PREPARE] * 2 * members


def test_the_shadow_catches_a_wait_and_a_mix() -> None:
    """The instrument of this file works: reading a value and meeting another device are errors on such tensors."""
    with FakeTensorMode(allow_non_fake_inputs=False):
        there = torch.empty(3, device="cuda")
        with pytest.raises(DataDependentOutputException):
            float(there.sum())
        with pytest.raises(DynamicOutputShapeException):
            there.nonzero()
        with pytest.raises(RuntimeError, match="device"):
            there + torch.zeros(3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", _METHODS)
def test_a_cuda_device_scores_as_the_cpu_does(name: str, tmp_path: Path) -> None:
    """One saved model scores and moves boxes alike on both devices, up to the rounding of float32 sums."""
    method = detectors.load(name)
    backbone = detectors.load_backbone("mini", "auto", generator=torch.Generator().manual_seed(0))
    make: Any = method.detector
    found = []
    low = torch.rand(40, 2, generator=torch.Generator().manual_seed(1)) * 80
    proposals = torch.cat([low, low + 30], dim=1)
    image = torch.randint(256, (3, 120, 160), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    for device in ("cpu", "cuda"):
        detector = make(4, method.config, backbone, torch.device(device))
        if device == "cpu":
            detector.initialise(generator=torch.Generator().manual_seed(0))
            detector.save(tmp_path / "model")
        else:
            detector.restore(tmp_path / "model")
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False):
            found.append([part.cpu() for part in detector.score(image, proposals)])
    (boxes, scores), (boxes_there, scores_there) = found
    torch.testing.assert_close(scores_there, scores, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(boxes_there, boxes, rtol=1e-3, atol=1e-1)
