"""Who is measured when: images in blocks, and in each block the methods in another order.

Two methods that are measured one after the other are also measured at two states of the machine. So all methods go
through one block of images before the next block begins, and their order follows a Williams design: each position, and
each "comes right after", falls to each method equally often. A drift, a penalty of the second place or what a neighbour
leaves in the caches is then shared by all. For two methods this is AB, BA, BA, AB, which also cancels a linear drift.

Chance enters by the seed alone: an order by chance is the order of sha256 digests, hence the same in every Python,
every NumPy and every process.

Source of the design: E. J. Williams, "Experimental designs balanced for the estimation of residual effects of
treatments", 1949.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

__all__ = [
    "Block",
    "OrderError",
    "block_images",
    "first_turn",
    "schedule",
    "unmarked_first",
    "unmarked_images",
    "williams",
]

_BLOCKS_WANTED = 24
"""Blocks are the clusters of the intervals, so there must be enough for a t distribution that is close to normal (2.07
against 1.96)."""

_IMAGES_AT_MOST = 8
"""Of a block that nobody chose. Fewer change the method more often, which empties caches; more let the machine's state
change between the first method of a block and the last."""

_UNMARKED_AT_LEAST = 5
_UNMARKED_SHARE = 10
"""One image in ten is timed without marks as well."""


class OrderError(ValueError):
    """A schedule that cannot be drawn up."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some images, gone through by each method in turn before the next block begins."""

    repeat: int
    number: int
    """Of the images: those of block 3 are the same in all repeats and processes, whenever it is measured."""
    turn: int
    """Place in the design, 0 to 2 M - 1 for M methods; `williams` makes the order of it."""
    images: tuple[int, ...]
    """Places in the split, rising without a gap."""
    order: tuple[str, ...]
    """The methods, first to last."""


def block_images(n_images: int, wanted: int | None = None) -> int:
    """Images of a block: what is wanted, else 1 to 8, so that there are 24 blocks where there are so many images.

    Raises:
        OrderError: fewer than one is wanted.
    """
    if wanted is None:
        return max(1, min(_IMAGES_AT_MOST, n_images // _BLOCKS_WANTED))
    if wanted < 1:
        raise OrderError(f"a block of {wanted} images: it needs one at least")
    return max(1, min(wanted, n_images))


def williams(names: Sequence[str], turn: int) -> list[str]:
    """The order of M methods on one block, from a Williams design.

    Over 2 M turns each method stands in each position twice and comes right after each other one twice, so neither a
    place in the queue nor what a neighbour leaves in the caches favours one of them. For two methods: AB, BA, BA, AB.
    """
    count = len(names)
    if count == 0:
        return []
    # 0, 1, M-1, 2, M-2, ...: the steps between neighbours are all different, so the M rotations pair everybody once
    # (twice with the mirrored rotations, which odd M needs).
    zigzag = [(step + 1) // 2 if step % 2 else -(step // 2) for step in range(count)]
    turned = [names[(place + turn) % count] for place in zigzag]
    return turned[::-1] if turn // count % 2 else turned


def first_turn(n_methods: int, *, process: int, seed: int) -> int:
    """The turn of a process's first block: drawn by the seed for process 0, from where the processes take turns, too.

    So two processes in a row never begin alike (with one method, all do), and what an odd number of blocks leaves over
    evens out between processes.
    """
    if n_methods == 0:
        return 0
    return _later(int(_digest(seed, "first turn"), 16) % (2 * n_methods), process, n_methods)


def schedule(
    n_images: int,
    methods: Sequence[str],
    *,
    repeats: int,
    process: int,
    seed: int,
    block_images: int,
) -> Iterator[Block]:
    """All blocks of one process, in the order of time.

    Every image comes once in each repeat, for all methods. A block is a run of consecutive images, their numbers differ
    by one at most between blocks, and they depend on `n_images` and `block_images` alone. The order of blocks is
    shuffled by seed, process and repeat; the turns go on through the repeats.

    After any number of blocks, each method has stood in each position equally often, give or take one; exactly so
    after a multiple of M blocks. Each ordered pair of neighbours is exact after M blocks for even M and after 2 M for
    odd M; in between it is within one for even M and within two for odd M.

    Raises:
        OrderError: a number is out of range, or a method is named twice.
    """
    _check(n_images, methods, repeats, process, block_images)
    return _blocks(n_images, tuple(methods), range(repeats), process, seed, block_images)


def unmarked_images(n_images: int, seed: int) -> frozenset[int]:
    """Images that are timed without marks, too, to see what marking costs: a tenth, at least five, at most all."""
    return frozenset(_unmarked(n_images, seed))


def unmarked_first(n_images: int, seed: int, *, turn: int = 0) -> frozenset[int]:
    """Those of the unmarked images whose unmarked call comes before the marked one.

    One half, give or take one image; the next `turn` (count repeats and processes) has the other half. The second of
    two calls on one image finds warmer caches, which would pass for a cost of marking.
    """
    return frozenset(image for rank, image in enumerate(_unmarked(n_images, seed)) if (rank + turn) % 2 == 0)


def _blocks(
    n_images: int, methods: tuple[str, ...], repeats: range, process: int, seed: int, size: int
) -> Iterator[Block]:
    count = -(-n_images // size)
    first = first_turn(len(methods), process=process, seed=seed)
    past = 0
    for repeat in repeats:
        for number in _shuffled(range(count), seed, f"blocks of process {process}, repeat {repeat}"):
            # Spread over all blocks, so that the last one is not a small remainder with the weight of a whole block.
            images = range(number * n_images // count, (number + 1) * n_images // count)
            turn = _later(first, past, len(methods))
            yield Block(repeat, number, turn, tuple(images), tuple(williams(methods, turn)))
            past += 1


def _later(first: int, steps: int, n_methods: int) -> int:
    """The turn so many steps after the first one.

    Each M steps from the first use every rotation once, mirrored every second time. Counting on from a first turn in
    the middle of a design would begin with a part of one: BA, BA, AB, AB.
    """
    if n_methods == 0:
        return 0
    mirrored = (first // n_methods + steps // n_methods) % 2
    return mirrored * n_methods + (first + steps) % n_methods


def _unmarked(n_images: int, seed: int) -> list[int]:
    wanted = max(_UNMARKED_AT_LEAST, n_images // _UNMARKED_SHARE)
    return _shuffled(range(n_images), seed, "unmarked images")[:wanted]


def _shuffled(numbers: Iterable[int], seed: int, purpose: str) -> list[int]:
    return sorted(numbers, key=lambda number: _digest(seed, f"{purpose}: {number}"))


def _digest(seed: int, purpose: str) -> str:
    return hashlib.sha256(f"{seed} {purpose}".encode()).hexdigest()


def _check(n_images: int, methods: Sequence[str], repeats: int, process: int, size: int) -> None:
    for what, value, least in (
        ("images", n_images, 0),
        ("repeats", repeats, 0),
        ("process", process, 0),
        ("block_images", size, 1),
    ):
        if value < least:
            raise OrderError(f"schedule: {what} is {value}, it must be {least} or more")
    twice = sorted({name for name in methods if methods.count(name) > 1})
    if twice:
        raise OrderError(f"schedule: {', '.join(twice)} named twice; each method takes part once")
