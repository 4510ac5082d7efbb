"""Whether an operator gives a device work, and how many bytes it moves, from its schema and the tensors' shapes alone.

Launches are operators that compute: about the kernels that a GPU is given. Operators made of others are not seen here,
but what they are made of. A view, an allocation and a copy of a tensor onto itself launch nothing, nor does what writes
no value. One that copies its argument and then writes into the copy is two (`masked_fill`, `index_put`, a constant
padding); any other is one, also where a library uses several kernels (top k, a long sum, cuDNN's bias) or a compiler
would fuse it with its neighbours. Not in there is memory that an operator itself first sets to zero.

Bytes are those of the tensors that an operator reads and of those that it writes. Each argument is read once and each
result written once, whatever the kernel does: a map that is pooled for all boxes is read once, and a weight once per
operator and not once per image of a batch. An expanded tensor counts by its storage. What is written over without being
read counts as written (`copy_`, `fill_`). Whoever picks values by an index reads what it picks, so that the result
counts twice, and the index. Whoever writes to places by an index and in place (`index_put_`, `scatter_`, `index_add_`)
writes those places alone, reads them first where it adds to them, and reads the index and what it puts there; a mask
counts as if it chose every place. All results count, such as the places of maxima that pooling writes beside them
(int32 of RoI pooling, int64 of max pooling). Not in there: workspaces, what an operator keeps for itself in between,
bytes that `masked_fill` and its like read once more, and the caches: bytes that come from a cache count like those from
memory, so that a share of the memory's peak may exceed 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch

__all__ = ["NO_TRAFFIC", "Traffic", "share_storage", "traffic"]


class Traffic(NamedTuple):
    """What one operator asks of a device."""

    bytes: int
    launches: int


NO_TRAFFIC = Traffic(0, 0)

_Rule = Callable[[Sequence[Any], Mapping[str, Any], Any], Traffic]


def traffic(func: Any, args: Sequence[Any], named: Mapping[str, Any], result: Any) -> Traffic:
    """Of one call of an operator (an `OpOverload`) that is not made of others."""
    rule = _rule_of.get(func)
    if rule is None:
        rule = _rule_of[func] = _find_rule(func)
    return rule(args, named, result)


def share_storage(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors, which need not have values, are views of the same memory."""
    return bool(one.untyped_storage()._cdata == other.untyped_storage()._cdata)


def _is_same_place(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether a copy of one tensor to the other leaves everything as it is; torch does not make it then."""
    return (
        share_storage(one, other)
        and int(one.storage_offset()) == int(other.storage_offset())
        and one.shape == other.shape
        and one.stride() == other.stride()
        and one.dtype is other.dtype
    )


def _bytes_of(tensor: torch.Tensor) -> int:
    """Bytes of what a tensor shows of its storage, each value once although an expanded tensor shows it often."""
    if tensor.is_contiguous():
        return tensor.nbytes
    shown = math.prod(size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride)
    # Overlapping windows, as `unfold` makes them, can show more values than there are.
    return min(shown * tensor.element_size(), tensor.untyped_storage().nbytes())


def _tensors(values: Iterable[Any]) -> Iterator[torch.Tensor]:
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from (one for one in value if isinstance(one, torch.Tensor))


def _moved(read: Iterable[torch.Tensor], result: Any, launches: int = 1) -> Traffic:
    written = sum(map(_bytes_of, _tensors((result,))))
    return Traffic(written + sum(map(_bytes_of, read)), launches) if written else NO_TRAFFIC


def _nothing(args: Sequence[Any], named: Mapping[str, Any], result: Any) -> Traffic:
    return NO_TRAFFIC


def _computing(args: Sequence[Any], named: Mapping[str, Any], result: Any) -> Traffic:
    return _moved(_tensors((*args, *named.values())) if named else _tensors(args), result)


def _into_a_copy(args: Sequence[Any], named: Mapping[str, Any], result: Any) -> Traffic:
    return _moved(_tensors((*args, *named.values())), result, launches=2)


def _overwriting(args: Sequence[Any], named: Mapping[str, Any], result: Any) -> Traffic:
    """The first argument is written and not read."""
    if len(args) > 1 and isinstance(args[1], torch.Tensor) and _is_same_place(args[0], args[1]):
        return NO_TRAFFIC
    return _moved(_tensors(args[1:]), result)


def _into_others(args: Sequence[Any], named: Mapping[str, Any], result: Any) -> Traffic:
    """The results are among the named arguments: `out`, which is written and not read."""
    results = [id(one) for one in _tensors((result,))]
    return _moved(_tensors((*args, *(value for value in named.values() if id(value) not in results))), result)


def _picking(args: Sequence[Any], named: Mapping[str, Any], result: Any) -> Traffic:
    """Of the first argument only what is picked is read."""
    return _moved((result, *_tensors(args[1:])), result)


def _put(args: Sequence[Any], named: Mapping[str, Any], result: Any) -> Traffic:
    """`index_put_`: of places, values and whether they are added."""
    target, indices, values, *adds = args
    return _to_places(target, _places(target, indices), (indices, values), adds=any(adds[:1]))


def _put_flat(args: Sequence[Any], named: Mapping[str, Any], result: Any) -> Traffic:
    """`put_`, whose one index counts through all axes."""
    target, index, values, *adds = args
    return _to_places(target, index.numel(), (index, values), adds=any(adds))


def _scattered(args: Sequence[Any], named: Mapping[str, Any], result: Any, *, adds: bool) -> Traffic:
    """Of an axis, places and a number or values, of which as many are read as there are places."""
    target, _axis, index, value, *_ = args
    moved = _to_places(target, index.numel(), (index,), adds=adds or "reduce" in named)
    if moved.launches and isinstance(value, torch.Tensor):
        return moved._replace(bytes=moved.bytes + min(_bytes_of(value), index.numel() * value.element_size()))
    return moved


def _indexed(args: Sequence[Any], named: Mapping[str, Any], result: Any, *, adds: bool) -> Traffic:
    """Of an axis, places on it and what is put there: a number, or values with all the other axes."""
    target, axis, index, value, *_ = args
    others = (size for at, size in enumerate(target.shape) if at != axis % target.ndim)
    return _to_places(target, index.numel() * math.prod(others), (index, value), adds=adds)


def _to_places(target: torch.Tensor, places: int, read: Iterable[Any], *, adds: bool) -> Traffic:
    """So many values of a tensor are written, and read first where something is added to them."""
    if not places:
        return NO_TRAFFIC
    touched = (1 + adds) * places * target.element_size()
    return Traffic(touched + sum(map(_bytes_of, _tensors(read))), 1)


def _places(target: torch.Tensor, indices: Sequence[torch.Tensor | None]) -> int:
    """Values of ``target[indices]``; a mask counts as if it chose every place, unless another index says how many."""
    axes, whole = 0, 1
    masks: list[int] = []
    shapes: list[torch.Size] = []
    for index in indices:
        if index is None:
            whole *= target.shape[axes]
            axes += 1
        elif index.dtype in (torch.bool, torch.uint8):
            masks.append(index.numel())
            axes += index.ndim
        else:
            shapes.append(index.shape)
            axes += 1
    chosen = math.prod(torch.broadcast_shapes(*shapes))
    if chosen == 1:
        chosen = max(masks, default=1)
    found: int = chosen * whole * math.prod(target.shape[axes:])
    return found


_RULES: dict[str, _Rule] = {
    "_unsafe_view": _nothing,
    **dict.fromkeys(("copy_", "fill_", "zero_", "normal_", "uniform_", "random_", "bernoulli_"), _overwriting),
    **dict.fromkeys(("index", "index_select", "gather", "take", "embedding"), _picking),
    **dict.fromkeys(("masked_fill", "masked_scatter", "constant_pad_nd"), _into_a_copy),
    **dict.fromkeys(("index_put", "index_fill", "index_add", "index_copy", "index_reduce"), _into_a_copy),
    **dict.fromkeys(("scatter", "scatter_add", "scatter_reduce"), _into_a_copy),
    **dict.fromkeys(("index_put_", "_index_put_impl_"), _put),
    "put_": _put_flat,
    "scatter_": partial(_scattered, adds=False),
    **dict.fromkeys(("scatter_add_", "scatter_reduce_"), partial(_scattered, adds=True)),
    **dict.fromkeys(("index_fill_", "index_copy_"), partial(_indexed, adds=False)),
    **dict.fromkeys(("index_add_", "index_reduce_"), partial(_indexed, adds=True)),
    **dict.fromkeys(("slice_scatter", "select_scatter", "diagonal_scatter", "as_strided_scatter"), _into_a_copy),
}
"""By name, without overload: operators that move something else than their arguments and results."""

_ALLOCATING = ("empty", "new_empty", "_empty")


def _find_rule(func: Any) -> _Rule:
    name = func._schema.name.removeprefix("aten::")
    if func.is_view or torch.Tag.inplace_view in func.tags or name.startswith(_ALLOCATING):
        return _nothing
    if any(one.kwarg_only and one.is_out for one in func._schema.arguments):
        return _into_others
    return _RULES.get(name, _computing)


_rule_of: dict[Any, _Rule] = {}
