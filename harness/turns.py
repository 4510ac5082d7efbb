"""The turns of a block: each method on all of its images, one method after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from detectors.contract import Detector, Example
from harness.journal import Failure, Journal
from harness.residence import Residence
from harness.sampler import Place, Sampler
from harness.warmup import bucket

__all__ = ["Call", "Turns"]

_SWEEP_WARM_UP_CALLS = 2
"""Of each method on each shape of input at each point of a sweep, before it is measured."""


@dataclass(frozen=True, slots=True)
class Call:
    """A method's calls on one image, right after each other."""

    example: Example
    places: tuple[Place, ...]

    @property
    def shape(self) -> str:
        """What has to be warmed up: the bucket, and the point of a sweep."""
        height, width = self.example.image.shape[1:]
        return f"{self.places[0].point or ''} {bucket(height, width, len(self.example.proposals))}".strip()


class Turns:
    """Takes and keeps the samples of blocks, and knows on which shapes of input each method is warm."""

    def __init__(self, journal: Journal, sampler: Sampler, residence: Residence, *, process: int) -> None:
        """`journal.manifest["primed"]` tells which methods are called once, untimed, when their turn begins."""
        self._journal, self._sampler, self._residence, self._process = journal, sampler, residence, process
        self.warm: set[tuple[str, str]] = set()
        """Method and shape, as of `Call.shape`."""

    def take(self, calls: Mapping[str, Sequence[Call]]) -> None:
        """Each method in its turn; all anew, one loaded at a time, where memory runs out beside the others."""
        for name, own in calls.items():
            if not self._turn(name, own):
                self._residence.evict(f"out of memory while all were loaded and {name} ran")
                about = {"resident": self._residence.resident, "resident_reason": self._residence.reason}
                self._journal.process(self._process).update(about)
                self._journal.save()
                self.take(calls)
                return

    def _turn(self, name: str, calls: Sequence[Call]) -> bool:
        """One method on the images of a block; False where it needs the room that others take.

        A method of its own, so that nothing holds on to the detector when the next one is loaded.
        """
        try:
            detector, loaded = self._residence.enter(name)
        except Exception as error:  # noqa: BLE001  (it may not fit even alone; the other methods must be measured)
            self._miss(name, calls, Failure.of(error))
            return True
        if loaded or self._journal.manifest["primed"].get(name):
            # Another image than the one that is measured next, where the block has another.
            self._warm_up(name, detector, calls[-1], times=1)
        return all(self._call(name, detector, call) for call in calls)

    def _miss(self, name: str, calls: Sequence[Call], failure: Failure) -> None:
        for call in calls:
            for place in call.places:
                self._sampler.keep(self._sampler.miss(name, call.example, place, failure))

    def _warm_up(self, name: str, detector: Detector, call: Call, *, times: int) -> None:
        for _ in range(times):
            self._sampler.detect(name, detector, call.example)
        self.warm.add((name, call.shape))

    def _call(self, name: str, detector: Detector, call: Call) -> bool:
        """The calls on one image, then kept; False, and nothing kept, where they need the room that others take."""
        residence = self._residence
        if call.places[0].role == "sweep" and (name, call.shape) not in self.warm:
            self._warm_up(name, detector, call, times=_SWEEP_WARM_UP_CALLS)
        taken = []
        for place in call.places:
            place = replace(place, warm=(name, call.shape) in self.warm, resident=residence.resident)
            taken.append(self._sampler.take(name, detector, call.example, place))
            self.warm.add((name, call.shape))
        if any(one.ran_out_of_memory for one in taken) and residence.resident and len(residence.names) > 1:
            return False
        # The marked one first, since others are compared to it.
        for one in sorted(taken, key=lambda one: one.place.role != "measured"):
            self._sampler.keep(one)
        return True
