"""What detectors do on a CUDA device, shown without one: on tensors that have a device, a shape and no values.

Such a tensor refuses to tell a value (`.item()`, `nonzero`, a mask as index) and to meet a tensor of another device, so
a detector that scores on it neither waits for the device nor mixes devices. What it can't show is whether kernels run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import detectors
from detectors.contract import Stage, listening
from detectors.parts.precision import lay_out
from harness.testing import Ear

_METHODS = ("rcnn", "rcnn:softmax", "spp", "spp:5", "spp:code", "spp:pool5", "fast", "fast:5", "fast:svd", "spp+rcnn")


class _Crossings(TorchDispatchMode):
    """Writes down what crosses from one device to another: stage, shape, and whether torch waits for the copy."""

    def __init__(self) -> None:
        super().__init__()
        self.ear = Ear()
        self.seen: list[tuple[Stage | None, tuple[int, ...], bool]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            before = {one.device.type for one in args if isinstance(one, torch.Tensor)}
            if before - {result.device.type}:
                stage = self.ear.open[-1] if self.ear.open else None
                self.seen.append((stage, tuple(result.shape), bool((kwargs or {}).get("non_blocking"))))
        return result


def _move(detector: Any, device: str) -> None:
    """Put a detector, and the members of a combination, on a device that is not there. Call under FakeTensorMode."""
    for part in [detector, *getattr(detector, "members", ())]:
        setattr(part, "device" if hasattr(part, "device") else "_device", torch.device(device))
        for network in [value for value in vars(part).values() if isinstance(value, nn.Module)]:
            for layer in network.modules():
                for name, old in list(layer.named_parameters(recurse=False)):
                    made = torch.empty_strided(old.shape, old.stride(), dtype=old.dtype, device=device)
                    layer._parameters[name] = nn.Parameter(made, requires_grad=False)
                for name, buffer in list(layer.named_buffers(recurse=False)):
                    layer._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device=device)


def _detector(name: str, *, bf16: bool = False) -> Any:
    """Random weights and narrow fc layers, on the CPU, for 4 classes."""
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
    return detector


@contextmanager
def _shadow() -> Iterator[None]:
    """Tensors without values. cuDNN's grid_sample has no form for them."""
    with torch.backends.cudnn.flags(enabled=False), FakeTensorMode(allow_non_fake_inputs=False):
        yield


@pytest.mark.parametrize(
    ("name", "bf16"), [*((name, False) for name in _METHODS), *((name, True) for name in ("rcnn", "spp:5", "fast:svd"))]
)
def test_scoring_neither_waits_for_the_device_nor_mixes_devices(name: str, bf16: bool) -> None:
    """From PREPARE to DECODE no value is read back; image and boxes go to the device once, in PREPARE, and torch
    does not wait until they are there."""
    crossings, detector = _Crossings(), _detector(name, bf16=bf16)
    with _shadow():
        _move(detector, "cuda")
        image, proposals = torch.zeros(3, 120, 160, dtype=torch.uint8), torch.zeros(40, 4)
        with listening(crossings.ear), crossings:
            boxes, scores = detector.score(image, proposals)
        assert boxes.device.type == scores.device.type == "cuda"
        assert (boxes.shape[1:], scores.shape[1]) == ((4, 4), 4)
    assert sorted(crossings.seen) == [(Stage.PREPARE, (3, 120, 160), True), (Stage.PREPARE, (40, 4), True)]


_LAYOUTS = [
    ("cpu", False, False, True),
    ("cuda", False, False, False),
    ("cuda", False, True, True),
    ("cuda", True, False, True),
]
"""Device, bfloat16, TF32 allowed; whether convolutions take images channels last."""


@pytest.mark.parametrize("name", ["rcnn", "spp", "fast"])
@pytest.mark.parametrize(("device", "bf16", "tf32", "channels_last"), _LAYOUTS)
def test_the_first_convolution_gets_its_images_as_its_weights_lie(
    name: str, device: str, bf16: bool, tf32: bool, channels_last: bool
) -> None:
    """Channels last but for strict float32 on CUDA, so that no convolution has to turn either."""
    detector, seen = _detector(name, bf16=bf16), list[tuple[bool, bool]]()
    network = detector.detecting.backbone

    def look(layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen.append((_is_channels_last(inputs[0]), _is_channels_last(layer.weight)))

    next(layer for layer in network.modules() if isinstance(layer, nn.Conv2d)).register_forward_pre_hook(look)
    with torch.backends.cudnn.flags(enabled=False, allow_tf32=tf32):
        lay_out(network, torch.device(device))
        with FakeTensorMode(allow_non_fake_inputs=False) if device == "cuda" else nullcontext():
            if device == "cuda":
                _move(detector, device)
            detector.score(torch.zeros(3, 120, 160, dtype=torch.uint8), torch.zeros(40, 4))
    assert seen == [(channels_last, channels_last)]


def _is_channels_last(tensor: Any) -> bool:
    assert tensor.is_contiguous() != tensor.is_contiguous(memory_format=torch.channels_last)
    return not tensor.is_contiguous()


def test_weights_follow_the_arithmetic_and_keep_their_values() -> None:
    """Those fitted in strict float32 are turned when TF32 is allowed, can be learnt further, and turn back."""
    network, cuda = nn.Conv2d(4, 5, 3), torch.device("cuda")
    before = network.weight.detach().clone()
    for tf32 in (False, True, False):
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=tf32), torch.inference_mode():
            layout = lay_out(network, cuda)
        assert layout == (torch.channels_last if tf32 else torch.contiguous_format)
        assert network.weight.is_contiguous(memory_format=layout)
        assert torch.equal(network.weight, before)
        network(torch.ones(1, 4, 3, 3)).sum().backward()
        assert network.weight.grad is not None


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
