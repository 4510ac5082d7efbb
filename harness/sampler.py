"""One method on one image, measured and kept: the time, the output that it belongs to, and the state of the device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from detectors.contract import Detections, Detector, Example
from harness.agreement import disagreement
from harness.instruments import Instruments
from harness.journal import Failure, Journal
from harness.output import check_output, digest_of, rows_of
from harness.record import Role, Sample
from harness.timing import Timing, measure

__all__ = ["Place", "Sampler", "Taken"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a run a sample stands; as the fields of `Sample`."""

    repeat: int
    index: int
    position: int
    block: int
    role: Role = "measured"
    point: str | None = None
    warm: bool = True
    resident: bool = True


@dataclass(frozen=True, slots=True)
class Taken:
    """A call that was timed and is not on disk yet."""

    method: str
    example: Example
    place: Place
    sequence: int
    timing: Timing[Detections] | Failure
    device_state: dict[str, Any] | None
    device_state_reason: str | None

    @property
    def ran_out_of_memory(self) -> bool:
        """Whether the call failed for that."""
        return isinstance(self.timing, Failure) and self.timing.status == "oom"


class Sampler:
    """Takes the samples of one process. Nothing is written, drawn or asked of the device inside a timed block."""

    def __init__(
        self, journal: Journal, instruments: Instruments, *, process: int, n_classes: int, at_most: int | None
    ) -> None:
        """`at_most` detections an image are allowed; None: any number."""
        self._journal, self._folder, self._instruments = journal, journal.folder, instruments
        self._process, self._n_classes, self._at_most = process, n_classes, at_most
        samples = self._folder.read_samples()
        self._done = {sample.key for sample in samples if sample.status == "ok"}
        self._first = {
            (one.method, one.image): one.digest for one in samples if _is_first(one.process, one.repeat, one.role)
        }
        self.sequence = 1 + max((one.sequence for one in samples if one.process == process), default=-1)
        """Calls that this process has measured."""
        self.attempt = 0
        """Which start of the process this is."""

    def done(self, key: tuple[object, ...]) -> bool:
        """Whether a sample of this key is measured already, and did not fail."""
        return key in self._done

    def detect(
        self, name: str, detector: Detector, example: Example, *, marked: bool = True
    ) -> Timing[Detections] | Failure:
        """Time a call and check what it returns."""
        # Copies, so that no detector can change what the next one is given.
        image, boxes = example.image.clone(), example.proposals.clone()
        notices: list[str] = []
        found: Timing[Detections] | Failure
        try:
            found = measure(
                lambda: detector.detect(image, boxes), self._instruments.clock, notices.append, marked=marked
            )
            check_output(found.result, example, n_classes=self._n_classes, at_most=self._at_most)
            self._journal.chunk(name, getattr(detector, "chunk", None))
        except Exception as error:  # noqa: BLE001  (one image of many may fail in any way; the rest must be measured)
            found = Failure.of(error)
        # Afterwards, since nothing is written inside a timed block.
        for text in notices:
            self._journal.notice(name, example.id, text)
        return found

    def take(self, method: str, detector: Detector, example: Example, place: Place) -> Taken:
        """Measure; `keep` it afterwards."""
        timing = self.detect(method, detector, example, marked=place.role != "unmarked")
        self.sequence += 1
        return Taken(method, example, place, self.sequence - 1, timing, *self._instruments.sensors.state())

    def miss(self, method: str, example: Example, place: Place, failure: Failure) -> Taken:
        """A call that could not even be made."""
        self.sequence += 1
        return Taken(method, example, place, self.sequence - 1, failure, *self._instruments.sensors.state())

    def keep(self, taken: Taken) -> None:
        """Put it on disk, its detections first: a sample on disk promises that they are there, too."""
        about = {
            "sequence": taken.sequence,
            "attempt": self.attempt,
            "boxes": len(taken.example.proposals),
            "device_state": taken.device_state,
            "device_state_reason": taken.device_state_reason,
        }
        if isinstance(taken.timing, Failure):
            self._journal.failure(taken.method, taken.timing)
            about |= {"status": taken.timing.status, "reason": taken.timing.reason}
        else:
            about |= self._measured(taken, taken.timing)
        self._folder.append_sample(self._sample(taken.method, taken.example.id, taken.place, **about))

    def _sample(self, method: str, image: str, place: Place, **about: Any) -> Sample:
        where: dict[str, Any] = {"process": self._process, "method": method, "image": image, "status": "ok"}
        where |= {name: getattr(place, name) for name in Place.__slots__}
        return Sample(**where | about)

    def _measured(self, taken: Taken, timing: Timing[Detections]) -> dict[str, Any]:
        place, found = taken.place, timing.result
        method, image, digest = taken.method, taken.example.id, digest_of(found)
        differs = None
        if _is_first(self._process, place.repeat, place.role):
            self._folder.append_detections(method, image, rows_of(image, found))
            self._first[method, image] = digest
        elif place.role != "sweep" and self._first.get((method, image), digest) not in (digest, None):
            differs = disagreement(self._folder.first_detections(method, image), rows_of(image, found))
        return {
            "seconds": timing.as_seconds(),
            "detections": len(found.scores),
            "digest": digest,
            "marks": timing.marks,
            "tail_seconds": timing.tail_seconds,
            "disagreement": differs,
        }


def _is_first(process: int, repeat: int, role: Role) -> bool:
    """Whether a sample's detections are those that are scored."""
    return process == 0 and repeat == 0 and role == "measured"
