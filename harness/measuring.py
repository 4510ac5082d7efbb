"""The timed pass of one process: warm-up, then every method on every image, block by block and in turns.

It begins by measuring what the device gives at most. Between blocks a fixed piece of work is timed and the machine is
looked at, so that what changed while the run went on stands beside its samples. The detections of the first process and
repeat are those that are scored. A tenth of the images is timed without marks, too, next to the marked call; and where
a sweep is planned, the first process goes through all images once more, changed on purpose.

A pass that goes on takes a block that is not complete anew, all of it: what is compared must be of one time.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import lru_cache

import torch

from detectors.contract import SHARED_POLICY
from harness.conditions import Watch
from harness.examples import Images
from harness.instruments import Instruments
from harness.itinerary import Itinerary
from harness.journal import Failure, Journal
from harness.preparation import Prepared
from harness.residence import Residence
from harness.sampler import Sampler
from harness.timing import Timing, mark_seconds
from harness.turns import Turns
from harness.warmup import FREE_SECONDS, buckets, call_budget, steady_seconds, warm_up

__all__ = ["TimedPass"]

_PRIMED_BELOW_SECONDS = 0.5
"""A method whose steady call is shorter is called once, untimed, when its turn begins: what another method left in the
caches and the allocator is not the image's cost. It takes milliseconds, of which longer calls show nothing."""


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

    def run(self, residence: Residence, images: Images) -> None:
        """Measure every method of `residence` on every image; blocks that are on disk are passed over."""
        if not residence.names or not len(images.ids):
            return
        itinerary = Itinerary(self._plan, residence.names, images, self._process)
        todo = itinerary.missing(self._sampler.done)
        if not todo:
            return
        self._begin(itinerary)
        turns = Turns(self._journal, self._sampler, residence, process=self._process)
        self._warm_up(residence, images, turns)
        watch = Watch(self._journal.folder, self._instruments, process=self._process, attempt=self._sampler.attempt)
        with self._frozen(residence):
            for task, legs in itinerary.tasks.items():
                for done, leg in enumerate(legs, start=1):
                    if leg in todo:
                        calls = itinerary.calls(leg)
                        # Last, so that the sentinel and not the decoding of images comes before the first turn.
                        self._look(watch)
                        turns.take(calls)
                    self._step(task, done, len(legs), "blocks of images")
            self._look(watch)

    def _begin(self, itinerary: Itinerary) -> None:
        """Note what this attempt and its machine are like; what an earlier one noted is put aside."""
        about = self._journal.process(self._process)
        earlier = about.pop("earlier", [])
        if "mark_seconds" in about:
            earlier = [*earlier, {key: value for key, value in about.items() if key != "process"}]
        self._sampler.attempt = len(earlier)
        peak, peak_reason = self._instruments.peak(self._instruments.clock, self._plan.precision)
        about.update(
            earlier=earlier,
            peak=None if peak is None else asdict(peak),
            peak_reason=peak_reason,
            mark_seconds=mark_seconds(self._instruments.clock),
            block_images=itinerary.block_images,
            first_turn=itinerary.first_turn,
            threads=torch.get_num_threads(),
            warm_up={},
        )

    def _look(self, watch: Watch) -> None:
        self._between()
        watch.look(self._sampler.sequence)

    def _step(self, task: str, done: int, total: int, unit: str) -> None:
        process = "" if self._plan.processes == 1 else f"process {self._process}: "
        self._journal.reporter.step(process + task, done, total, unit)

    @contextmanager
    def _frozen(self, residence: Residence) -> Iterator[None]:
        """Collections inside the block pass over what exists by now, unless it may have to make room."""
        gc.collect()
        if residence.resident:
            gc.freeze()
        try:
            yield
        finally:
            gc.unfreeze()

    def _warm_up(self, residence: Residence, images: Images, turns: Turns) -> None:
        """Warm up every method; where memory does not hold them all, keep one at a time from then on."""
        about = self._journal.process(self._process)
        for done, name in enumerate(residence.names, start=1):
            # In a method of its own: nothing may hold on to a detector that is to make room.
            if not self._warmed_up(name, residence, images, turns) and residence.resident and len(residence.names) > 1:
                residence.evict(f"out of memory while all were loaded and {name} was warmed up")
                about["warm_up"] = {}
                self._warm_up(residence, images, turns)
                return
            self._step("warming up", done, len(residence.names), "methods")
        about.update(resident=residence.resident, resident_reason=residence.reason)
        self._journal.save()

    def _warmed_up(self, name: str, residence: Residence, images: Images, turns: Turns) -> bool:
        """Warm up one method and keep what it cost; False where memory ran out."""
        try:
            detector, _ = residence.enter(name)
        except Exception as error:  # noqa: BLE001  (its samples will say so, too)
            self._journal.failure(name, Failure.of(error))
            return True
        ran_out = False
        # A bucket is called on one image again and again: it is decoded once.
        example = lru_cache(maxsize=1)(images.examples.__getitem__)

        def seconds(index: int) -> float | None:
            nonlocal ran_out
            found = self._sampler.detect(name, detector, example(index))
            if isinstance(found, Timing):
                return found.total_seconds
            ran_out = ran_out or found.status == "oom"
            return None

        budget = call_budget(len(images.ids) * self._plan.repeats)
        warmed = warm_up(seconds, buckets(images.shapes), most_calls=budget, free_seconds=FREE_SECONDS)
        turns.warm |= {(name, one.bucket) for one in warmed if one.seconds}
        steady = steady_seconds(warmed[0].seconds) if warmed else None
        # Once for all processes: else the rule itself would differ between them.
        self._journal.manifest.setdefault("primed", {}).setdefault(
            name, steady is not None and steady < _PRIMED_BELOW_SECONDS
        )
        self._journal.process(self._process)["warm_up"][name] = [
            {
                "bucket": one.bucket,
                "image": images.ids[one.index],
                "seconds": list(one.seconds),
                "steady": one.steady,
            }
            for one in warmed
        ]
        return not ran_out
