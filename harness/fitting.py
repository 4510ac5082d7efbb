"""Every method brought to where it can detect: fitted, restored from the run folder, or with random weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

import detectors
from detectors.contract import Detector, Example, FitError, Stage, fit_settings
from harness.clocks import Clock
from harness.journal import Failure, Journal
from harness.networks import split
from harness.timing import FitWatch

__all__ = ["Fitting", "Ready", "sharing"]


def _base(name: str) -> str:
    """``spp+rcnn`` of ``spp:5+rcnn@zf5``."""
    return "+".join(part.partition(":")[0] for part in split(name)[0].split("+"))


@dataclass(frozen=True, slots=True)
class Ready:
    """A method with the settings that a plan gives it."""

    method: detectors.Method
    config: Any

    @property
    def name(self) -> str:
        """Of the method."""
        return self.method.name


def sharing(planned: Sequence[Ready]) -> dict[str, tuple[str, ...]]:
    """By method, itself and the others that the same fit serves: of one class and network, fitted alike."""
    return {
        one.name: (one.name, *(other.name for other in planned if other is not one and _same_fit(one, other)))
        for one in planned
    }


def _same_fit(one: Ready, other: Ready) -> bool:
    if one.method.detector is not other.method.detector or split(one.name)[1] != split(other.name)[1]:
        return False
    return _fit_settings(one.method, one.config) == _fit_settings(other.method, other.config)


def _fit_settings(method: detectors.Method, config: Any) -> dict[str, Any]:
    settings = fit_settings(config)
    if method.members:
        settings["members"] = [
            _fit_settings(member, own) for member, own in zip(method.members, settings["members"], strict=True)
        ]
    return settings


class Fitting:
    """Fits the methods of a run, and keeps what each learnt in the run folder."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        make: Callable[[detectors.Method, Any], Detector],
        stream: Callable[[str], torch.Generator],
    ) -> None:
        """`make` builds a detector, `stream` gives the generator of a purpose."""
        self._journal, self._folder, self._clock = journal, journal.folder, clock
        self._make, self._stream = make, stream

    def detectors(self, planned: Sequence[Ready], examples: Sequence[Example] | None) -> dict[str, Detector]:
        """Every method ready to detect; without `examples`, with random weights.

        A method that fails is left out, with its reason on record.
        """
        found = {}
        for one in planned:
            about = self._journal.method(one.name)
            about |= {"status": "ok", "reason": None, "paper": one.method.detector.paper}
            try:
                about |= {
                    "trained": examples is not None,
                    "iterations": one.config.iterations if examples is not None else 0,
                }
                detector = self._make(one.method, self._with_chunk(one))
                if examples is None:
                    self._initialise(one, detector)
                else:
                    about["fitted_as"] = self._fit(one, detector, planned, examples)
                    # Here, too, since a run folder may be passed on without its models.
                    about["fit_seconds"] = self._folder.read_fit(about["fitted_as"])
                    about["model_bytes"] = self._folder.model_path(about["fitted_as"]).stat().st_size
                found[one.name] = detector
            except Exception as error:  # noqa: BLE001  (a method may fail in any way; the others must be measured)
                failure = Failure.of(error)
                self._journal.failure(one.name, failure)
                about["status"], about["reason"] = failure.status, failure.reason
            self._journal.save()
        return found

    def restored(self, one: Ready) -> Detector:
        """A method as `detectors` left it: its model from the run folder, or drawn again where nothing was fitted."""
        about = self._journal.method(one.name)
        detector = self._make(one.method, self._with_chunk(one))
        if about["trained"]:
            detector.restore(self._folder.model_path(about["fitted_as"]))
        else:
            self._initialise(one, detector)
        return detector

    def _with_chunk(self, one: Ready) -> Any:
        """The settings, with the chunk that the method chose when this run began: another one may change bits."""
        chunk = self._journal.method(one.name).get("chunk")
        if chunk is None or getattr(one.config, "chunk", 0) is not None:
            return one.config
        return replace(one.config, chunk=chunk)

    def _initialise(self, one: Ready, detector: Detector) -> None:
        if not hasattr(detector, "initialise"):
            raise FitError(f"{one.name} has no `initialise`, so it detects only once fitted; give --iterations")
        generator = self._stream(_base(one.name))
        self._watch(one).time(lambda: detector.initialise(generator=generator))

    def _fit(self, one: Ready, detector: Detector, planned: Sequence[Ready], examples: Sequence[Example]) -> str:
        """Fit or restore; returns the method under whose name the model stands."""
        for name in sharing(planned)[one.name]:
            if self._folder.read_fit(name) is not None:
                self._folder.drop_workdir(name)
                self._folder.drop_workdir(one.name)  # of a fit that failed before the other's was there
                detector.restore(self._folder.model_path(name))
                return name
        watch = self._watch(one)
        # Variants of a method draw the same, so that they differ by what they vary alone.
        generator, workdir = self._stream(_base(one.name)), self._folder.workdir(one.name)
        goes_on = any(workdir.iterdir())
        watch.time(lambda: detector.fit(examples, generator=generator, workdir=workdir))
        path = self._folder.model_path(one.name)
        path.parent.mkdir(exist_ok=True)
        detector.save(path)
        # What an interrupted fit took before is known to nobody.
        self._folder.write_fit(one.name, {} if goes_on else watch.as_seconds())
        self._folder.drop_workdir(one.name)
        return one.name

    def _watch(self, one: Ready) -> FitWatch:
        def show(stage: Stage, done: int, total: int, text: str) -> None:
            self._journal.reporter.step(f"{one.name} {stage}", done, total, text)

        return FitWatch(self._clock, show, lambda text: self._journal.notice(one.name, None, text))
