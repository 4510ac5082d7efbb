"""How many crops go through a network at a time: chosen once, and halved where memory does not hold so many."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from detectors.contract import is_out_of_memory, notice
from detectors.parts.backbones import Backbone

__all__ = ["PUBLISHED", "Chunks", "bytes_per_crop", "choose"]

PUBLISHED = 256
"""Crops of one forward pass (rcnn_create_model.m)."""

_CPU_BYTES = 32 * 2**20
"""Differs from [rcnn_create_model.m]: on a CPU fewer than 256 crops, because a layer whose input and output stay in the
processor's cache is faster (tests/benchmarks/test_bench_rcnn.py times both). Four crops cost as much as any number
where not even one fits (VGG16)."""
_CPU_LEAST = 4

_NO_ENGINE = "unable to find an engine to execute this computation"
"""What torch says where cuDNN has no room for the workspace of any of its algorithms, and where it has none at all."""

_CUDA_SHARE = 4
"""A layer's input and output may take the fourth part of a GPU's memory; the rest is left for weights, workspaces and
what the allocator cannot place."""


def bytes_per_crop(backbone: Backbone) -> int:
    """Bytes of the largest pair of a layer's input and output for one crop in float32; a copy is sent one to see."""
    copied = backbone.copy()
    largest = 0

    def weigh(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal largest
        # What a layer overwrites is counted once.
        tensors = {id(tensor): tensor for tensor in (*inputs, output)}
        largest = max(largest, sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()))

    for layer in copied.modules():
        if not list(layer.children()):
            layer.register_forward_hook(weigh)
    side = backbone.geometry.crop_px
    with torch.no_grad():
        copied(torch.zeros(1, 3, side, side))
    return largest


def choose(backbone: Backbone, device: torch.device) -> int:
    """The chunk for a backbone on a device, a power of two up to 256.

    It follows from the network and from how much memory the device has in all, not from what is free, since another
    chunk can round otherwise: one machine always chooses the same.
    """
    if device.type == "cpu":
        fitting, least = _CPU_BYTES // bytes_per_crop(backbone), _CPU_LEAST
    elif device.type == "cuda":
        memory_bytes = torch.cuda.get_device_properties(device).total_memory
        fitting, least = memory_bytes // _CUDA_SHARE // bytes_per_crop(backbone), 1
    else:
        return PUBLISHED
    power = 1 << (max(fitting, 1).bit_length() - 1)
    return min(max(power, least), PUBLISHED)


class Chunks:
    """A number of crops that shrinks when memory runs out, and stays shrunk."""

    def __init__(self, size: int) -> None:
        """`size` crops at first, at least one."""
        self.size = size

    def run(self, total: int, work: Callable[[slice], None]) -> None:
        """Call `work` on 0..total, `size` at a time; a part that runs out of memory is done again in halves.

        So is one for which cuDNN finds no engine, because a lack of memory may be the reason.

        Raises:
            torch.OutOfMemoryError: memory does not even hold one; or MemoryError, or a RuntimeError of torch's, as the
                device has it.
        """
        start = 0
        while start < total:
            part = slice(start, min(start + self.size, total))
            if self._fits(work, part):
                start = part.stop

    def _fits(self, work: Callable[[slice], None], part: slice) -> bool:
        try:
            work(part)
        except (RuntimeError, MemoryError) as error:
            found_no_engine = _NO_ENGINE in str(error)
            if self.size == 1 or not (found_no_engine or is_out_of_memory(error)):
                raise
        else:
            return True
        # Outside of the handler, which holds on to all that the failed call made. Fewer than `size` may have failed.
        self.size = max(min(self.size, part.stop - part.start) // 2, 1)
        why = "cuDNN finds no engine, perhaps for lack of memory" if found_no_engine else "out of memory"
        notice(f"R-CNN's chunk of crops halved to {self.size}: {why}")
        return False
