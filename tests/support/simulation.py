"""Runs of a made-up machine whose true ratio is known: what the stopwatch's intervals have to find.

Letters: R runs, P processes, M methods, N images, C calls of one process in the order of time.

Nothing here is taken from `harness.statistics`; a run is drawn from the model in `Machine`, call by call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.order import block_images, schedule

Floats = npt.NDArray[np.float64]

METHODS = ("dear", "cheap", "third", "fourth", "fifth")
COSTS = (20.0, 1.0, 3.0, 7.0, 2.0)
"""Of an average image: ``dear`` over ``cheap`` is 20."""


@dataclass(frozen=True)
class Machine:
    """Everything that makes a time differ from the method's cost; standard deviations are of logarithms."""

    image: float = 0.30
    """Of an image's cost, shared by all methods."""
    own: float = 0.10
    """Of what an image costs one method more than others; the same in all processes."""
    process: float = 0.01
    """Of a method's luck in a process: where its memory came to lie."""
    drift: float = 0.03
    """How much slower the machine is at the end of a process than at its beginning."""
    place: float = 0.01
    """What each place later in a block costs."""
    state: float = 0.03
    """Of the machine's state, which all methods feel."""
    memory: float = 0.98
    """How much of that state the next call finds again: at 0.98 it lasts for 50 calls."""
    call: float = 0.005
    """Of what each call has for itself."""


@dataclass(frozen=True)
class Calls:
    """Who is measured when, in one process; arrays are (C,)."""

    method: npt.NDArray[np.int64]
    image: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]
    blocks: npt.NDArray[np.int64]
    """(N,): each image's block."""

    def lag(self, first: int, second: int) -> Floats:
        """(N,): how many places later the first method ran than the second, the mean over repeats."""
        places = np.zeros((2, len(self.blocks)))
        for row, method in enumerate((first, second)):
            own = self.method == method
            counts = np.bincount(self.image[own], minlength=len(self.blocks))
            places[row] = np.bincount(self.image[own], self.place[own], len(self.blocks)) / counts
        return np.asarray(places[0] - places[1])


def _calls(rows: Sequence[tuple[int, int, int]], blocks: npt.NDArray[np.int64]) -> Calls:
    method, image, place = np.array(rows, dtype=np.int64).T
    return Calls(method, image, place, blocks)


def balanced(n_images: int, *, seed: int, process: int = 0, methods: int = 2, repeats: int = 1) -> Calls:
    """As the stopwatch does it."""
    rows, blocks = [], np.zeros(n_images, dtype=np.int64)
    names, size = METHODS[:methods], block_images(n_images)
    for block in schedule(n_images, names, repeats=repeats, process=process, seed=seed, block_images=size):
        blocks[list(block.images)] = block.number
        rows += [(names.index(name), image, place) for place, name in enumerate(block.order) for image in block.images]
    return _calls(rows, blocks)


def sequential(n_images: int) -> Calls:
    """All images with one method, then all with the other."""
    rows = [(method, image, 0) for method in range(2) for image in range(n_images)]
    return _calls(rows, np.arange(n_images))


def always_first(n_images: int) -> Calls:
    """Both methods on each image, the same one first every time."""
    rows = [(method, image, method) for image in range(n_images) for method in range(2)]
    return _calls(rows, np.arange(n_images))


@dataclass(frozen=True)
class Runs:
    """What was measured, and what should come out."""

    seconds: Floats
    """(R, P, M, N), the mean over repeats."""
    of_process: Floats
    """(R, P, M): true cost of a method in this process, of images as such."""
    of_images: Floats
    """(R, M): true cost of a method on these images, of processes as such."""


def _state(machine: Machine, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """(R, C): first-order autoregression, begun in equilibrium, and the drift."""
    state = rng.normal(0, machine.state, shape)
    for call in range(1, shape[1]):
        state[:, call] *= np.sqrt(1 - machine.memory**2)
        state[:, call] += machine.memory * state[:, call - 1]
    return state + np.linspace(0, np.log1p(machine.drift), shape[1])


def simulate(machine: Machine, processes: Sequence[Calls], *, runs: int, seed: int) -> Runs:
    """Draw runs of processes with these calls."""
    rng = np.random.default_rng(seed)
    n_images, n_methods = len(processes[0].blocks), int(processes[0].method.max()) + 1
    cost = np.log(COSTS[:n_methods])[:, None] + rng.normal(0, machine.image, (runs, 1, n_images))
    cost = cost + rng.normal(0, machine.own, (runs, n_methods, n_images))
    luck = rng.normal(0, machine.process, (runs, len(processes), n_methods))
    seconds = np.zeros((runs, len(processes), n_methods, n_images))
    for number, calls in enumerate(processes):
        logs = _state(machine, (runs, len(calls.method)), rng) + rng.normal(0, machine.call, (runs, len(calls.method)))
        logs += cost[:, calls.method, calls.image] + luck[:, number, calls.method]
        logs += calls.place * np.log1p(machine.place)
        repeats = len(calls.method) // (n_methods * n_images)
        for call, (method, image) in enumerate(zip(calls.method, calls.image, strict=True)):
            seconds[:, number, method, image] += np.exp(logs[:, call]) / repeats
    return Runs(seconds, np.array(COSTS[:n_methods]) * np.exp(luck), np.exp(cost).mean(axis=2))
