"""What the device gives at most: the rates of a large matrix product and of a large copy, each the fastest of several.

Taken in the run itself, with its threads, its arithmetic and its clock, so that a share of it says how busy a stage
keeps this device, whatever its data sheet promises. Both work in one block of memory that is given back at the end.

On a CPU torch has two libraries for float32 products, and the detectors' layers run on the one (oneDNN) while
`torch.mm` takes the other (MKL, slow on processors that are not Intel's); the faster of them is the peak.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import inf
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

_BLOCK_BYTES = {"cpu": (2**28, 2**27), "cuda": (2**30, 2**29, 2**28, 2**27)}
"""The first for which there is room; half of it is copied to the other half. On a CPU with 32 MiB of cache a copy is as
fast in twice the first, and faster in half of it."""
_FREE_SHARE = 0.5
"""Of the free memory may be taken: the kernel ends a process that wants too much of a CPU's, and asks nobody."""
_SIDES = {"cpu": (512, 1024), "cuda": (2048, 4096, 8192)}
"""Of the matrices. A CPU whose time is rationed may be fastest at a small one, a GPU needs a large one."""
_MOST_SECONDS = {"cpu": (0.25, 0.1), "cuda": (0.6, 0.2)}
"""Of the host's time, for all products and for the copies; making the block takes a tenth more on a CPU."""
_SECONDS_A_SIDE = {"cpu": 0.03, "cuda": 0.1}
"""And library, before the next is tried: a GPU that idled takes as long to raise its clock."""
_AT_ONCE = {"cpu": 1, "cuda": 4}
"""Given to the device before it is waited for, so that a GPU never waits for the host."""
_ONEDNN = "oneDNN"
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
    matmul_library: str | None = None
    """Whose product it is, such as ``oneDNN`` or ``cuBLAS``; None where torch does not tell which it takes."""


class Bench(Protocol):
    """Work of known size on one device. It holds memory until nobody holds it."""

    copy_bytes: int
    """What one copy reads; it writes as much."""

    @property
    def libraries(self) -> Sequence[str | None]:
        """That have a product; None stands for one that torch does not name."""

    def product(self, side: int, library: str | None) -> Work | None:
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
        """The peak, or None and why; within a second on a CPU, two on a GPU, all memory given back.

        Whatever goes wrong meanwhile is no reason to end a run. `precision` is that of the networks; for ``tf32`` it
        must be in force, as `harness.precision` sees to it.
        """
        from detectors.contract import is_out_of_memory

        reason = _NO_ROOM
        try:
            found = self._measured(clock, precision)
        except (RuntimeError, MemoryError) as error:
            found = None
            if not is_out_of_memory(error):
                reason = f"{NO_PEAK}: {_first_line(error)}"
        try:
            _give_back(self._device)
        except RuntimeError as error:
            # After some errors a GPU does nothing more; the timed pass will say so of what it measures.
            return None, reason if found is None else f"{NO_PEAK}: {_first_line(error)}"
        return found, None if found else reason

    def _measured(self, clock: Clock, precision: str) -> Peak | None:
        bench = self._bench(precision)
        if bench is None:
            return None
        (side, library), product_seconds = self._fastest_product(bench, clock)
        copy_seconds = self._fastest(bench.copy(), clock, clock.now() + _MOST_SECONDS[self._device][1])
        moved = 2 * bench.copy_bytes
        return Peak(2 * side**3 / product_seconds, moved / copy_seconds, precision, side, bench.copy_bytes, library)

    def _fastest_product(self, bench: Bench, clock: Clock) -> tuple[tuple[int, str | None], float]:
        """The side and the library with the highest rate, and the seconds of one product.

        Sides grow while time and memory allow; the time that is left belongs to the fastest.
        """
        first = bench.product(_SIDES[self._device][0], bench.libraries[0])
        if first is not None:
            first()  # loads libraries and kernels, which on a GPU takes as long as all that follows
            clock.settle()
        end = clock.now() + _MOST_SECONDS[self._device][0]
        found: dict[tuple[int, str | None], float] = {}
        for side, library in product(_SIDES[self._device], bench.libraries):
            expected = _GROWTH * found.get((side // 2, library), 0.0 if side == _SIDES[self._device][0] else inf)
            fits = clock.now() + (1 + _AT_ONCE[self._device]) * expected <= end or not expected
            work = bench.product(side, library) if fits else None
            if work is not None:
                until = min(end, clock.now() + _SECONDS_A_SIDE[self._device])
                found[side, library] = self._fastest(work, clock, until)
        best = max(found, key=lambda each: each[0] ** 3 / found[each])
        work = bench.product(*best) if clock.now() < end else None
        return best, min(found[best], self._fastest(work, clock, end)) if work else found[best]

    def _fastest(self, work: Work, clock: Clock, end: float) -> float:
        """Seconds of the fastest repetition: once untimed, then some at once, again and again until `end`."""
        work()
        clock.settle()
        fastest = inf
        while True:
            clock.begin()
            marks = [clock.mark()]
            for _ in range(_AT_ONCE[self._device]):
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

    @property
    def libraries(self) -> Sequence[str | None]:
        """See `Bench.libraries`."""
        import torch

        if self._block.is_cuda:
            return ("cuBLAS",)
        if self._block.dtype != torch.float32:
            return (None,)
        own = "MKL" if torch.backends.mkl.is_available() else None
        return (own, _ONEDNN) if torch.backends.mkldnn.is_available() else (own,)

    def product(self, side: int, library: str | None) -> Work | None:
        """See `Bench.product`."""
        import torch

        if 3 * side**2 > len(self._block):
            return None
        left, right, out = self._block[: 3 * side**2].view(3, side, side)
        # Its own generator: a measurement must not move the random numbers of a run.
        generator = torch.Generator(self._block.device).manual_seed(0)
        for factor in (left, right):
            factor.normal_(generator=generator)
        if library != _ONEDNN:
            return torch.inference_mode()(lambda: torch.mm(left, right, out=out))
        # As `detectors.parts.affine` has it; the copy and the results lie beside the block and are small.
        held = left.to_mkldnn()
        return torch.inference_mode()(lambda: torch.ops.aten.mkldnn_linear(held, right, None))

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


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
