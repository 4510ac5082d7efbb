"""What each stage of detecting asks of a device, counted on shapes alone: nothing is computed, no clock runs.

Counted are floating-point operations, and bytes and launches, of which `harness.traffic` says what they are. One
multiply-add is two operations. Operations are those of convolutions, matrix products and bilinear sampling, of what is
really run: a bfloat16 network has as many as a float32 one, a factorised layer fewer. Not counted are element-wise
operations, biases, and comparisons: pooling by maximum, thresholds, top k and non-maximum suppression have none here. A
count ends where SUPPRESS begins, because what comes after depends on the values.

A detector is run on the meta device, where tensors have shapes and no values. It takes the ways that it takes on a GPU
wherever it asks whether a tensor lies on a CPU, so that bytes and launches are a GPU's. An image costs some
milliseconds, a tenth of what it does with torch's own fake tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from detectors.contract import Detector, Stage, listening
from harness.metatensors import META, SHAPES, elementwise, is_pointwise, on_meta, takes_device
from harness.traffic import Traffic, share_storage, traffic

__all__ = ["Asked", "ImageShape", "count", "count_image"]

_REASON_CHARACTERS = 200

aten: Any = torch.ops.aten


@dataclass(frozen=True, slots=True)
class ImageShape:
    """All of an image that a count depends on."""

    height: int
    width: int
    proposals: int


class Asked(NamedTuple):
    """What one call of `detect` asks of a device: each by stage before SUPPRESS, and in ``total``, which has what is
    done outside all stages, too."""

    operations: dict[str, int]
    """Floating-point operations."""
    bytes: dict[str, int]
    """Read and written by operators."""
    launches: dict[str, int]
    """Operators that compute, about the kernels that a GPU is given."""


def count(detector: Detector, shapes: Mapping[str, ImageShape]) -> dict[str, Any]:
    """What each image asks, or why that is not known.

    Returns:
        ``{"reason": None, "images": {image: {stage: operations, "total": operations}}}``, and ``bytes`` and
        ``launches`` in the shape of ``images``.
    """
    known: dict[ImageShape, Asked] = {}
    try:
        for shape in shapes.values():
            if shape not in known:
                known[shape] = count_image(detector, shape)
    except Exception as error:  # noqa: BLE001  (a detector of others may need values; it is measured all the same)
        first_line = next(iter(str(error).splitlines()), "no message")
        reason = f"it does not run on shapes alone: {type(error).__name__}: {first_line}"[:_REASON_CHARACTERS]
        return {"reason": reason, "images": {}, "bytes": {}, "launches": {}}
    asked = {image: known[shape] for image, shape in shapes.items()}
    return {
        "reason": None,
        "images": {image: each.operations for image, each in asked.items()},
        "bytes": {image: each.bytes for image, each in asked.items()},
        "launches": {image: each.launches for image, each in asked.items()},
    }


def count_image(detector: Detector, shape: ImageShape) -> Asked:
    """What an image of this shape asks, by stage; raises whatever a detector raises that needs values."""
    image = torch.empty(3, shape.height, shape.width, dtype=torch.uint8, device=META)
    boxes = torch.empty(shape.proposals, 4, device=META)
    counter = _Counter((image, boxes))
    stages = _Stages(counter)
    try:
        with counter, listening(stages):
            detector.detect(image, boxes)
    except _Enough:
        pass
    by_stage = {**{str(stage): each for stage, each in stages.asked.items()}, "total": counter.asked}
    operations, moved, launches = ({name: each[kind] for name, each in by_stage.items()} for kind in range(3))
    return Asked(operations, moved, launches)


class _Enough(BaseException):
    """Ends a count; no error, so that no handler of errors in a detector stops it."""


class _Stages:
    """Listener that splits a count by stage."""

    def __init__(self, counter: _Counter) -> None:
        self._counter = counter
        self._start = counter.asked
        self.asked = {stage: (0, 0, 0) for stage in Stage.of_detecting() if stage is not Stage.SUPPRESS}

    def enter(self, stage: Stage) -> None:
        if stage is Stage.SUPPRESS:
            raise _Enough
        self._start = self._counter.asked

    def leave(self, stage: Stage) -> None:
        if stage in self.asked:
            so_far = zip(self.asked[stage], self._counter.asked, self._start, strict=True)
            operations, moved, launches = (mine + now - before for mine, now, before in so_far)
            self.asked[stage] = (operations, moved, launches)

    def progress(self, done: int, total: int, text: str) -> None:
        pass

    def notice(self, text: str) -> None:
        pass


_WHOLE: set[Any] = set()
"""Operators known not to be made of others."""


class _Counter(TorchDispatchMode):
    """Turns every operator to the meta device, and adds up what each asks."""

    def __init__(self, given: Sequence[torch.Tensor]) -> None:
        """`given` are the tensors that come from the host."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._given = given
        self._operations = self._bytes = self._launches = 0

    @property
    def asked(self) -> tuple[int, int, int]:
        """Operations, bytes and launches so far."""
        return self._operations, self._bytes, self._launches

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        packet, named = func.overloadpacket, dict(kwargs or {})
        formula = _FORMULAS.get(packet)
        if formula is None:
            if packet is aten._local_scalar_dense and not args[0].is_meta:
                return func(*args)  # the value of a constant, or of what is known below
            if not named and is_pointwise(func) and (result := elementwise(args)) is not None:
                self._add(traffic(func, args, named, result))
                return result
            if (result := self._taken_apart(func, args, named)) is not NotImplemented:
                return result
        stays = packet is aten._to_copy and self._stays(args[0], **named)
        args = [on_meta(value) for value in args]
        named = {name: on_meta(value) for name, value in named.items()}
        if takes_device(func):
            named["device"] = META
        if func is aten.all.default and args[0].numel() == 0:
            return torch.tensor(True)  # whatever the values: an empty set of detections is checked, too
        shortcut = SHAPES.get(packet, func)
        result = shortcut(*args, **named)
        if formula is not None:
            self._operations += formula(*args, **named, out_val=result)
        if not stays:
            self._add(traffic(func, args, named, result))
        return result

    def _taken_apart(self, func: Any, args: Sequence[Any], named: Mapping[str, Any]) -> Any:
        """The result of an operator that is made of others, each of which is counted; NotImplemented of any other."""
        if func in _WHOLE:
            return NotImplemented
        if func is aten.dropout.default and not args[2]:
            return args[0]  # while detecting; torch 2.11 would say that it is copied, which it does not do
        with self:
            result = func.decompose(*args, **named)
        if result is NotImplemented:
            _WHOLE.add(func)
        return result

    def _add(self, asked: Traffic) -> None:
        self._bytes += asked.bytes
        self._launches += asked.launches

    def _stays(
        self,
        tensor: torch.Tensor,
        *,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
        memory_format: torch.memory_format = torch.preserve_format,
        **_: Any,
    ) -> bool:
        """Whether a copy would not be made, were the tensor where the detector has it.

        Only what is given lies on the host; it stays there, if the detector computes on a CPU, and is copied, if not.
        """
        if device is None or dtype not in (None, tensor.dtype) or memory_format is not torch.preserve_format:
            return False
        return device.type == "cpu" or not any(share_storage(tensor, each) for each in self._given)


def _bilinear(*_: Any, out_val: torch.Tensor, **__: Any) -> int:
    """Four multiply-adds a value; the weights, which all channels share, are left out."""
    return 8 * out_val.numel()


def _grid_sampler(image: torch.Tensor, grid: torch.Tensor, mode: int, *_: Any, out_val: torch.Tensor, **__: Any) -> int:
    """`mode` 0 is bilinear, 1 nearest, 2 bicubic with 16 multiply-adds."""
    return {0: 8, 1: 0, 2: 32}[mode] * out_val.numel()


def _vector_product(*factors: Any, out_val: torch.Tensor, **_: Any) -> int:
    """The last two tensors are a matrix and a vector, or two vectors: as many multiply-adds as the first has values."""
    matrix = [each for each in factors if isinstance(each, torch.Tensor)][-2]
    return 2 * matrix.numel()


_FORMULAS: dict[Any, Callable[..., int]] = {
    **flop_registry,
    aten.upsample_bilinear2d: _bilinear,
    aten.grid_sampler_2d: _grid_sampler,
    aten.mv: _vector_product,
    aten.addmv: _vector_product,
    aten.dot: _vector_product,
}
"""Torch's own, and what it lacks."""
