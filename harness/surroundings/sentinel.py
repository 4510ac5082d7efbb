"""A fixed piece of work, timed again and again between the blocks of a run.

It never changes, so if its time does, the machine has changed.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.clocks import Clock

__all__ = ["TIMES", "Sentinel"]

TIMES = 5
"""How often one look times it: enough that a median passes over two that were disturbed."""

_WARM_UP_CALLS = 8
"""At construction, untimed: plans are chosen, kernels loaded and memory is taken within the first few."""

_SIZES = {"cpu": (1, 64, 96, 768, 1), "cuda": (4, 128, 128, 2048, 4)}
"""Images, channels, side in pixels of the convolution; side of the matrices; products of them. About 1.6 GFLOP on a
CPU, some milliseconds on two cores of 2025; 88 GFLOP on a GPU, where less would time launches rather than work."""


class Sentinel:
    """A convolution and matrix products, as the detectors do them: bound by the arithmetic units and the caches."""

    def __init__(self, device: str, work: Callable[[], object] | None = None) -> None:
        """For ``cpu`` or ``cuda``; its memory, about 10 MB on a CPU and 130 MB on a GPU, is taken here.

        Threads and precision stay as they are, so that it feels what the detectors feel. `work` takes the place of the
        built-in work.
        """
        self._work = work or _work(device)
        for _ in range(_WARM_UP_CALLS):
            self._work()

    def run(self, clock: Clock) -> tuple[float, ...]:
        """Seconds of `TIMES` repetitions, each with the device settled before and after."""
        collecting = gc.isenabled()
        gc.disable()
        try:
            return tuple(self._time(clock) for _ in range(TIMES))
        finally:
            if collecting:
                gc.enable()

    def _time(self, clock: Clock) -> float:
        clock.settle()
        start = clock.now()
        self._work()
        clock.settle()
        return clock.now() - start


def _work(device: str) -> Callable[[], object]:
    import torch
    from torch.nn.functional import conv2d

    images, channels, side, width, products = _SIZES[device]
    # Its own generator: a sentinel must not move the random numbers of a run.
    generator = torch.Generator().manual_seed(0)
    picture, kernel, left, right = (
        torch.randn(shape, generator=generator).to(device)
        for shape in ((images, channels, side, side), (channels, channels, 3, 3), (width, width), (width, width))
    )
    out = torch.empty(width, width, device=device)

    @torch.inference_mode()
    def work() -> None:
        conv2d(picture, kernel, padding=1)
        for _ in range(products):
            torch.mm(left, right, out=out)

    return work
