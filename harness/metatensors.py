"""Tensors with a shape and no values, and what operators make of them.

Torch's own way to the shape of some results goes through many other operators; those are given here. The order of the
values in memory is kept, too, because a copy into another order is work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

__all__ = ["META", "SHAPES", "elementwise", "is_pointwise", "on_meta", "takes_device"]

META = torch.device("meta")

aten: Any = torch.ops.aten


def on_meta(value: Any) -> Any:
    """A tensor, tensors or a device, as they are on the meta device; anything else as it is."""
    if isinstance(value, torch.Tensor):
        if value.is_meta:
            return value
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=META)
    if isinstance(value, list | tuple):
        return type(value)(map(on_meta, value))
    return META if isinstance(value, torch.device) else value


_takes_device_of: dict[Any, bool] = {}


def takes_device(func: Any) -> bool:
    """Whether an operator can be told on which device its result lies."""
    if func not in _takes_device_of:
        _takes_device_of[func] = any(one.name == "device" and one.kwarg_only for one in func._schema.arguments)
    return _takes_device_of[func]


_pointwise_of: dict[Any, bool] = {}
_TO_BOOL = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "signbit"})


def is_pointwise(func: Any) -> bool:
    """Whether the result has the type of the arguments and the shape to which they broadcast; a new tensor."""
    if func not in _pointwise_of:
        name = func._schema.name.removeprefix("aten::")
        one = len(func._schema.returns) == 1 and not func._schema.is_mutable
        plain = one and torch.Tag.pointwise in func.tags
        _pointwise_of[func] = plain and name not in _TO_BOOL and not name.startswith(("logical_", "is"))
    return _pointwise_of[func]


def elementwise(args: Sequence[Any]) -> torch.Tensor | None:
    """What comes out where all tensors are of one floating type; None where torch must say."""
    tensors = [on_meta(each) for each in args if isinstance(each, torch.Tensor)]
    first: torch.Tensor = tensors[0]
    if not first.is_floating_point() or any(each.dtype is not first.dtype for each in tensors):
        return None
    if all(each.shape == first.shape for each in tensors):
        return torch.empty_like(first)
    shape = torch.broadcast_shapes(*(each.shape for each in tensors))
    whole = next((each for each in tensors if each.shape == shape), None)
    return first.new_empty(shape) if whole is None else torch.empty_like(whole)


def _product(bias: torch.Tensor, left: torch.Tensor, right: torch.Tensor, **_: Any) -> torch.Tensor:
    return left.new_empty((left.shape[0], right.shape[1]))


def _is_channels_last(tensor: torch.Tensor) -> bool:
    return not tensor.is_contiguous() and tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)


def _images(like: torch.Tensor, shape: Sequence[int], channels_last: bool) -> torch.Tensor:
    order = torch.channels_last if channels_last else torch.contiguous_format
    return torch.empty(*shape, dtype=like.dtype, device=META, memory_format=order)


def _convolved(
    image: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    *others: Any,
) -> torch.Tensor:
    """With channels last where image or weight have them so, as oneDNN and cuDNN leave them and torch's own way here
    does not."""
    order = _is_channels_last(image) or _is_channels_last(weight)
    if transposed or image.ndim != 4:
        found: torch.Tensor = aten.convolution.default(
            image, weight, bias, stride, padding, dilation, transposed, *others
        )
        return _images(image, found.shape, order) if order else found
    sides = [
        (side + 2 * before - spread * (kernel - 1) - 1) // step + 1
        for side, kernel, step, before, spread in zip(
            image.shape[2:], weight.shape[2:], _both(stride), _both(padding), _both(dilation), strict=True
        )
    ]
    return _images(image, (image.shape[0], weight.shape[0], *sides), order)


def _both(of_axes: Sequence[int]) -> Sequence[int]:
    """One number may stand for both axes."""
    return of_axes if len(of_axes) == 2 else (of_axes[0], of_axes[0])


def _resized(image: torch.Tensor, size: Sequence[int] | None, *arguments: Any, **_: Any) -> torch.Tensor:
    if size is None:
        factors = next(one for one in reversed(arguments) if isinstance(one, list | tuple))
        size = [int(side * factor) for side, factor in zip(image.shape[2:], factors, strict=True)]
    return _images(image, (*image.shape[:2], *size), _is_channels_last(image))


def _sampled(image: torch.Tensor, grid: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return image.new_empty((*image.shape[:2], *grid.shape[1:3]))


SHAPES: dict[Any, Callable[..., torch.Tensor]] = {
    aten.addmm: _product,
    aten.convolution: _convolved,
    aten.upsample_bilinear2d: _resized,
    aten.grid_sampler_2d: _sampled,
}
"""What comes out of operators for which torch would go through many others, or leave values in another order."""
