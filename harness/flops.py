"""Floating-point operations of each stage of detecting, counted on shapes alone: nothing is computed, no clock runs.

One multiply-add is two operations. Counted are convolutions, matrix products and bilinear sampling, of what is really
run: a bfloat16 network has as many as a float32 one, a factorised layer fewer. Not counted are element-wise operations,
biases, and comparisons: pooling by maximum, thresholds, top k and non-maximum suppression have none here. A count ends
where SUPPRESS begins, because what comes after depends on the values.

A detector is run on the meta device, where tensors have shapes and no values. An image costs some milliseconds, a tenth
of what it does with torch's own fake tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from detectors.contract import Detector, Stage, listening

__all__ = ["ImageShape", "count", "count_image"]

_META = torch.device("meta")
_REASON_CHARACTERS = 200

aten: Any = torch.ops.aten


@dataclass(frozen=True, slots=True)
class ImageShape:
    """All of an image that a count depends on."""

    height: int
    width: int
    proposals: int


def count(detector: Detector, shapes: Mapping[str, ImageShape]) -> dict[str, Any]:
    """``{"reason": None, "images": {image: {stage: operations, "total": operations}}}``, or why there are none."""
    known: dict[ImageShape, dict[str, int]] = {}
    try:
        for shape in shapes.values():
            if shape not in known:
                known[shape] = count_image(detector, shape)
    except Exception as error:  # noqa: BLE001  (a detector of others may need values; it is measured all the same)
        first_line = next(iter(str(error).splitlines()), "no message")
        reason = f"it does not run on shapes alone: {type(error).__name__}: {first_line}"[:_REASON_CHARACTERS]
        return {"reason": reason, "images": {}}
    return {"reason": None, "images": {image: known[shape] for image, shape in shapes.items()}}


def count_image(detector: Detector, shape: ImageShape) -> dict[str, int]:
    """Operations of each stage before SUPPRESS, and ``total``, which has those outside all stages, too."""
    counter = _Counter()
    stages = _Stages(counter)
    image = torch.empty(3, shape.height, shape.width, dtype=torch.uint8, device=_META)
    boxes = torch.empty(shape.proposals, 4, device=_META)
    try:
        with counter, listening(stages):
            detector.detect(image, boxes)
    except _Enough:
        pass
    return {**{str(stage): operations for stage, operations in stages.operations.items()}, "total": counter.operations}


class _Enough(BaseException):
    """Ends a count; no error, so that no handler of errors in a detector stops it."""


class _Stages:
    """Listener that splits a count by stage."""

    def __init__(self, counter: _Counter) -> None:
        self._counter = counter
        self._start = 0
        self.operations = {stage: 0 for stage in Stage.of_detecting() if stage is not Stage.SUPPRESS}

    def enter(self, stage: Stage) -> None:
        if stage is Stage.SUPPRESS:
            raise _Enough
        self._start = self._counter.operations

    def leave(self, stage: Stage) -> None:
        if stage in self.operations:
            self.operations[stage] += self._counter.operations - self._start

    def progress(self, done: int, total: int, text: str) -> None:
        pass

    def notice(self, text: str) -> None:
        pass


class _Counter(TorchDispatchMode):
    """Turns every operator to the meta device, and adds up what each costs."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        packet, named = func.overloadpacket, dict(kwargs or {})
        formula = _FORMULAS.get(packet)
        if formula is None:
            if packet is aten._local_scalar_dense and not args[0].is_meta:
                return func(*args)  # the value of a constant, or of what is known below
            if not named and _is_pointwise(func) and (result := _elementwise(args)) is not None:
                return result
            with self:
                result = func.decompose(*args, **named)
            if result is not NotImplemented:
                return result
        args = [_on_meta(value) for value in args]
        named = {name: _on_meta(value) for name, value in named.items()}
        if _takes_device(func):
            named["device"] = _META
        if func is aten.all.default and args[0].numel() == 0:
            return torch.tensor(True)  # whatever the values: an empty set of detections is checked, too
        shortcut = _SHAPES.get(packet, func)
        result = shortcut(*args, **named)
        if formula is not None:
            self.operations += formula(*args, **named, out_val=result)
        return result


def _on_meta(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        if value.is_meta:
            return value
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=_META)
    if isinstance(value, list | tuple):
        return type(value)(map(_on_meta, value))
    return _META if isinstance(value, torch.device) else value


_takes_device_of: dict[Any, bool] = {}


def _takes_device(func: Any) -> bool:
    if func not in _takes_device_of:
        _takes_device_of[func] = any(one.name == "device" and one.kwarg_only for one in func._schema.arguments)
    return _takes_device_of[func]


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


_pointwise_of: dict[Any, bool] = {}
_TO_BOOL = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "signbit"})


def _is_pointwise(func: Any) -> bool:
    """Whether the result has the type of the arguments and the shape to which they broadcast; a new tensor."""
    if func not in _pointwise_of:
        name = func._schema.name.removeprefix("aten::")
        one = len(func._schema.returns) == 1 and not func._schema.is_mutable
        plain = one and torch.Tag.pointwise in func.tags
        _pointwise_of[func] = plain and name not in _TO_BOOL and not name.startswith(("logical_", "is"))
    return _pointwise_of[func]


def _elementwise(args: Sequence[Any]) -> torch.Tensor | None:
    """What comes out where all tensors are of one floating type; None where torch must say."""
    tensors = [_on_meta(each) for each in args if isinstance(each, torch.Tensor)]
    first: torch.Tensor = tensors[0]
    if not first.is_floating_point() or any(each.dtype is not first.dtype for each in tensors):
        return None
    if all(each.shape == first.shape for each in tensors):
        return torch.empty_like(first)
    return first.new_empty(torch.broadcast_shapes(*(each.shape for each in tensors)))


def _product(bias: torch.Tensor, left: torch.Tensor, right: torch.Tensor, **_: Any) -> torch.Tensor:
    return left.new_empty((left.shape[0], right.shape[1]))


def _resized(image: torch.Tensor, size: Sequence[int] | None, *arguments: Any, **_: Any) -> torch.Tensor:
    if size is None:
        factors = next(one for one in reversed(arguments) if isinstance(one, list | tuple))
        size = [int(side * factor) for side, factor in zip(image.shape[2:], factors, strict=True)]
    return image.new_empty((*image.shape[:2], *size))


def _sampled(image: torch.Tensor, grid: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return image.new_empty((*image.shape[:2], *grid.shape[1:3]))


_SHAPES: dict[Any, Callable[..., torch.Tensor]] = {
    aten.addmm: _product,
    aten.upsample_bilinear2d: _resized,
    aten.grid_sampler_2d: _sampled,
}
"""What comes out of operators for which torch would go through many others to find the shape."""
