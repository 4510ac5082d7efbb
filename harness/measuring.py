"""The timed pass of one process: warm-up, then every method on every image, block by block and in turns.

Between blocks a fixed piece of work is timed and the machine is looked at, so that what changed while the run went on
stands beside its samples. The detections of the first process and repeat are those that are scored. A tenth of the
images is timed without marks, too, next to the marked call; and where a sweep is planned, the first process goes
through all images once more, changed on purpose.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from detectors.contract import SHARED_POLICY, Detector, Example
from harness import order
from harness.examples import Images
from harness.instruments import Instruments
from harness.journal import Journal
from harness.order import Block
from harness.preparation import Prepared
from harness.record import Condition
from harness.residence import Residence
from harness.sampler import Place, Sampler
from harness.sweep import Sweep
from harness.timing import Timing, mark_seconds
from harness.warmup import FREE_SECONDS, bucket, buckets, call_budget, steady_seconds, warm_up

__all__ = ["TimedPass"]

_PRIMED_BELOW_SECONDS = 0.5
"""A method whose steady call is shorter is called once, untimed, when its turn begins: what another method left in the
caches and the allocator is not the image's cost. It takes milliseconds, of which longer calls show nothing."""

_SWEEP_WARM_UP_CALLS = 2
"""Of each method at each point of a sweep, before it is measured."""


class TimedPass:
    """Measures what of a run is not measured yet."""

    def __init__(
        self,
        prepared: Prepared,
        journal: Journal,
        instruments: Instruments,
        *,
        process: int = 0,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """`between` is called between blocks; it may raise to end the pass."""
        self._plan, self._journal, self._instruments = prepared.plan, journal, instruments
        self._process, self._between = process, between
        at_most = SHARED_POLICY.per_image if self._plan.policy == "shared" else None
        classes = len(prepared.test.classes)
        self._sampler = Sampler(journal, instruments, process=process, n_classes=classes, at_most=at_most)
        self._sweep = Sweep.of(self._plan.sweep) if self._plan.sweep and process == 0 else None
        self._warm: set[tuple[str, str]] = set()
        self._primed: set[str] = set()
        """Methods that are called once, untimed, when their turn begins."""

    def run(self, residence: Residence, images: Images) -> None:
        """Measure every method of `residence` on every image; what is on disk already is passed over."""
        count, plan = len(images.ids), self._plan
        if not residence.names or not count:
            return
        size = order.block_images(count, plan.block)
        blocks = self._blocks(residence, count, plan.repeats, size)
        todo = [block for block in blocks if any(self._missing(block, images))]
        sweep = self._points(residence, count, size)
        missing = [step for step in sweep if self._missing_point(*step, images)]
        if not todo and not missing:
            return
        self._journal.process(self._process).update(
            mark_seconds=mark_seconds(self._instruments.clock),
            block_images=size,
            first_turn=blocks[0].turn,
            threads=torch.get_num_threads(),
        )
        self._warm_up(residence, images)
        with self._conditions():
            for done, block in enumerate(blocks, start=1):
                if block in todo:
                    self._condition()
                    self._measure(block, residence, images)
                self._journal.reporter.step(self._task("measuring"), done, len(blocks))
            for done, (value, block) in enumerate(sweep, start=1):
                if (value, block) in missing:
                    self._condition()
                    self._measure_point(value, block, residence, images)
                self._journal.reporter.step(self._task("sweep"), done, len(sweep))

    def _task(self, name: str) -> str:
        return name if self._plan.processes == 1 else f"process {self._process}: {name}"

    def _blocks(self, residence: Residence, count: int, repeats: int, size: int) -> list[Block]:
        return list(
            order.schedule(
                count,
                residence.names,
                repeats=repeats,
                process=self._process,
                seed=self._plan.seed,
                block_images=size,
            )
        )

    # ------------------------------------------------------------------ warm-up

    def _warm_up(self, residence: Residence, images: Images) -> None:
        """Warm up every method; where memory does not hold them all, keep one at a time from then on."""
        for name in residence.names:
            # In a method of its own: nothing may hold on to a detector that is to make room.
            if not self._warmed_up(name, residence, images) and residence.resident and len(residence.names) > 1:
                residence.evict(f"out of memory while all were loaded and {name} was warmed up")
                self._warm_up(residence, images)
                return
        about = {"resident": residence.resident, "resident_reason": residence.reason, "primed": sorted(self._primed)}
        self._journal.process(self._process).update(about)
        self._journal.save()

    def _warmed_up(self, name: str, residence: Residence, images: Images) -> bool:
        """Warm up one method and keep what it cost; False where memory ran out."""
        detector, _ = residence.enter(name)
        ran_out = False

        def seconds(index: int) -> float | None:
            nonlocal ran_out
            found = self._sampler.detect(name, detector, images.examples[index])
            if isinstance(found, Timing):
                return found.total_seconds
            ran_out = ran_out or _out_of_memory(found)
            return None

        budget = call_budget(len(images.ids) * self._plan.repeats)
        warmed = warm_up(seconds, buckets(images.shapes), most_calls=budget, free_seconds=FREE_SECONDS)
        self._warm |= {(name, one.bucket) for one in warmed if one.seconds}
        steady = steady_seconds(warmed[0].seconds) if warmed else None
        if steady is not None and steady < _PRIMED_BELOW_SECONDS:
            self._primed.add(name)
        kept = self._journal.process(self._process).setdefault("warm_up", {}).setdefault(name, [])
        for one in warmed:
            about = {"bucket": one.bucket, "image": images.ids[one.index]}
            kept.append({**about, "seconds": list(one.seconds), "steady": one.steady})
        return not ran_out

    # ------------------------------------------------------------------ measuring

    def _places(self, block: Block, count: int) -> Iterator[tuple[str, int, Place, Place | None]]:
        """Method, image, its place, and that of the unmarked call beside it where there is one."""
        unmarked = order.unmarked_images(count, self._plan.seed) if block.repeat == 0 else frozenset()
        for position, name in enumerate(block.order):
            for index in block.images:
                place = Place(block.repeat, index, position, block.number)
                yield name, index, place, replace(place, role="unmarked") if index in unmarked else None

    def _missing(self, block: Block, images: Images) -> Iterator[bool]:
        for name, index, *places in self._places(block, len(images.ids)):
            yield from (not self._sampler.done(name, images.ids[index], place) for place in places if place)

    def _measure(self, block: Block, residence: Residence, images: Images) -> None:
        examples = {index: images.examples[index] for index in block.images}
        first = order.unmarked_first(len(images.ids), self._plan.seed, turn=self._process)
        turn = ""
        for name, index, place, unmarked in self._places(block, len(images.ids)):
            detector, loaded = residence.enter(name)
            shape = (name, bucket(*images.shapes[index]))
            if name != turn and (loaded or name in self._primed):
                self._sampler.detect(name, detector, examples[index])
                self._warm.add(shape)
            turn = name
            place = replace(place, warm=shape in self._warm, resident=residence.resident)
            places = [place] if unmarked is None else [place, replace(unmarked, resident=residence.resident)]
            if index in first:
                places.reverse()
            self._take(name, detector, examples[index], places)
            self._warm.add(shape)

    def _take(self, name: str, detector: Detector, example: Example, places: Sequence[Place]) -> None:
        """Calls on one image right after each other, then all kept, the marked one first: others are compared to it."""
        taken = [
            self._sampler.take(name, detector, example, place)
            for place in places
            if not self._sampler.done(name, example.id, place)
        ]
        for one in sorted(taken, key=lambda one: one.place.role != "measured"):
            self._sampler.keep(one)

    # ------------------------------------------------------------------ sweep

    def _points(self, residence: Residence, count: int, size: int) -> list[tuple[float, Block]]:
        """Each value on each block, the values in turns as the methods are."""
        if self._sweep is None:
            return []
        values = {str(value): value for value in self._sweep.values}
        blocks = self._blocks(residence, count, 1, size)
        return [(values[one], block) for block in blocks for one in order.williams(list(values), block.turn)]

    def _point_places(self, value: float, block: Block) -> Iterator[tuple[str, int, Place]]:
        point = self._sweep.point(value) if self._sweep else None
        for position, name in enumerate(block.order):
            for index in block.images:
                yield name, index, Place(0, index, position, block.number, "sweep", point)

    def _missing_point(self, value: float, block: Block, images: Images) -> bool:
        places = self._point_places(value, block)
        return any(not self._sampler.done(name, images.ids[index], place) for name, index, place in places)

    def _measure_point(self, value: float, block: Block, residence: Residence, images: Images) -> None:
        if self._sweep is None:
            return
        examples = {index: self._sweep.apply(images.examples[index], value) for index in block.images}
        turn = ""
        for name, index, place in self._point_places(value, block):
            detector, loaded = residence.enter(name)
            if name != turn and (loaded or name in self._primed):
                self._sampler.detect(name, detector, examples[index])
            turn = name
            if (name, place.point or "") not in self._warm:
                self._warm.add((name, place.point or ""))
                for _ in range(_SWEEP_WARM_UP_CALLS):
                    self._sampler.detect(name, detector, examples[index])
            self._take(name, detector, examples[index], [replace(place, resident=residence.resident)])

    # ------------------------------------------------------------------ conditions

    @contextmanager
    def _conditions(self) -> Iterator[None]:
        """A block with a condition at its end; what exists by now is left out of garbage collections."""
        gc.collect()
        gc.freeze()
        self._start = time.monotonic()
        try:
            yield
            self._condition()
        finally:
            gc.unfreeze()

    def _condition(self) -> None:
        """Look at the machine and collect garbage, so that neither happens inside a timed block."""
        self._between()
        gc.collect()
        cpu, cpu_reason = self._instruments.load.shares()
        state, state_reason = self._instruments.sensors.state()
        foreign, foreign_reason = self._instruments.sensors.foreign()
        condition = Condition(
            process=self._process,
            sequence=self._sampler.sequence,
            at_seconds=time.monotonic() - self._start,
            sentinel_seconds=self._instruments.sentinel(self._instruments.clock),
            cpu=cpu,
            cpu_reason=cpu_reason,
            cpu_mhz=self._instruments.load.cpu_mhz(),
            device_state=state,
            device_state_reason=state_reason,
            foreign=foreign,
            foreign_reason=foreign_reason,
        )
        self._journal.folder.append_condition(condition)


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)
