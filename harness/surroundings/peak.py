"""What the device gives at most: the rates of a large matrix product and of a large copy, each the fastest of several.

Taken in the run itself, with its threads, its arithmetic and its clock, so that a share of it says how busy a stage
keeps this device, whatever its data sheet promises. Both work in one block of memory that is given back at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import psutil

from harness.surroundings.cores import memory_limits_bytes

if TYPE_CHECKING:
    import torch

    from harness.clocks import Clock

__all__ = ["NO_PEAK", "Bench", "Peak", "PeakMeter", "Work"]

Work = Callable[[], object]

NO_PEAK = "the device's peak was not measured"
_NO_ROOM = f"{NO_PEAK}: no room for its matrices in the device's memory"

_BLOCK_BYTES = {"cpu": (2**29, 2**28, 2**27), "cuda": (2**30, 2**29, 2**28, 2**27)}
"""The first for which there is room; half of it is copied to the other half. Caches of 2025 hold an eighth of the
first."""
_FREE_SHARE = 0.5
"""Of the free memory may be taken: the kernel ends a process that wants too much of a CPU's, and asks nobody."""
_SIDES = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192)}
"""Of the matrices. A CPU whose time is rationed may be fastest at a small one, a GPU needs a large one."""
_MOST_SECONDS = {"cpu": (1.0, 0.2), "cuda": (0.6, 0.2)}
"""Of the host's time, for all products and for the copies; making the block takes some tenths more on a CPU."""
_SECONDS_A_SIDE = 0.1
"""Before the next is tried: a GPU that idled takes as long to raise its clock."""
_AT_ONCE = 4
"""Given to the device before it is waited for, so that it never waits for the host."""
_GROWTH = 8
"""Times as many operations at twice the side."""


@dataclass(frozen=True, slots=True)
class Peak:
    """The two rates between which each stage lies."""

    matmul_flops_per_second: float
    """Of the fastest product of two square matrices of random normal values; a multiply-add is two operations."""
    copy_bytes_per_second: float
    """Of the fastest copy within the device's memory; what is read and what is written count, each once."""
    precision: str
    """Arithmetic of the product: ``fp32``, ``tf32`` or ``bf16``."""
    matmul_size: int
    """Side of its matrices."""
    copy_bytes: int
    """What was copied, which is moved twice."""


class Bench(Protocol):
    """Work of known size on one device. It holds memory until nobody holds it."""

    copy_bytes: int
    """What one copy reads; it writes as much."""

    def product(self, side: int) -> Work | None:
        """A product of square matrices; None where there is no room for them."""

    def copy(self) -> Work:
        """A copy of `copy_bytes`."""


class PeakMeter:
    """Measures the peak of ``cpu`` or ``cuda`` in the threads and the arithmetic that are in force."""

    def __init__(self, device: str, bench: Callable[[str], Bench | None] | None = None) -> None:
        """Takes no memory yet. `bench` takes the place of the built-in work: from a precision, None for no room."""
        self._device = device
        self._bench = bench or (lambda precision: _TorchBench.of(device, precision))

    def measure(self, clock: Clock, precision: str) -> tuple[Peak | None, str | None]:
        """The peak, or None and why; within some two seconds, all memory given back.

        `precision` is that of the networks; for ``tf32`` it must be in force, as `harness.precision` sees to it.
        """
        from detectors.contract import is_out_of_memory

        try:
            found = self._measured(clock, precision)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            found = None
        _give_back(self._device)
        return found, None if found else _NO_ROOM

    def _measured(self, clock: Clock, precision: str) -> Peak | None:
        bench = self._bench(precision)
        if bench is None:
            return None
        side, product_seconds = self._fastest_product(bench, clock)
        copy_seconds = _fastest(bench.copy(), clock, clock.now() + _MOST_SECONDS[self._device][1])
        moved = 2 * bench.copy_bytes
        return Peak(2 * side**3 / product_seconds, moved / copy_seconds, precision, side, bench.copy_bytes)

    def _fastest_product(self, bench: Bench, clock: Clock) -> tuple[int, float]:
        """The side with the highest rate, and the seconds of one product.

        Sides grow while time and memory allow; the time that is left belongs to the fastest.
        """
        end = clock.now() + _MOST_SECONDS[self._device][0]
        found: dict[int, float] = {}
        for side in _SIDES[self._device]:
            expected = _GROWTH * found[side // 2] if found else 0.0
            work = bench.product(side) if clock.now() + (1 + _AT_ONCE) * expected <= end else None
            if work is None:
                break
            found[side] = _fastest(work, clock, min(end, clock.now() + _SECONDS_A_SIDE))
        side = max(found, key=lambda each: each**3 / found[each])
        work = bench.product(side) if clock.now() < end else None
        return side, min(found[side], _fastest(work, clock, end)) if work else found[side]


def _fastest(work: Work, clock: Clock, end: float) -> float:
    """Seconds of the fastest repetition: once untimed, then some at once, and again until it is `end` by the host."""
    work()
    clock.settle()
    fastest = float("inf")
    while True:
        clock.begin()
        marks = [clock.mark()]
        for _ in range(_AT_ONCE):
            work()
            marks.append(clock.mark())
        clock.settle()
        fastest = min(fastest, *(clock.seconds(start, stop) for start, stop in pairwise(marks)))
        if clock.now() >= end:
            return fastest


class _TorchBench:
    """One block of memory that holds the matrices, and whose halves are copied to each other."""

    def __init__(self, block: torch.Tensor) -> None:
        """`block` is flat and of the type of the products; its values are changed."""
        self._block = block
        self.copy_bytes = block.nbytes // 2

    @classmethod
    def of(cls, device: str, precision: str) -> _TorchBench | None:
        """The largest for which there is room; None where there is none for the least."""
        import torch

        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        free = _free_bytes(device)
        for size_bytes in _BLOCK_BYTES[device]:
            if size_bytes <= _FREE_SHARE * free:
                # Of ones, since pages that were never written to are all one page to a CPU.
                return cls(torch.ones(size_bytes // dtype.itemsize, dtype=dtype, device=device))
        return None

    def product(self, side: int) -> Work | None:
        """See `Bench.product`."""
        import torch

        if 3 * side**2 > len(self._block):
            return None
        left, right, out = self._block[: 3 * side**2].view(3, side, side)
        # Its own generator: a measurement must not move the random numbers of a run.
        generator = torch.Generator(self._block.device).manual_seed(0)
        for factor in (left, right):
            factor.normal_(generator=generator)
        return torch.inference_mode()(lambda: torch.mm(left, right, out=out))

    def copy(self) -> Work:
        """See `Bench.copy`."""
        source, target = self._block.view(2, -1)
        return lambda: target.copy_(source)


def _free_bytes(device: str) -> int:
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    left = [limit - used for limit, used in memory_limits_bytes()]
    return min([psutil.virtual_memory().available, *left])


def _give_back(device: str) -> None:
    if device == "cuda":
        import torch

        torch.cuda.empty_cache()
