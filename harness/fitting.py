"""Every method brought to where it can detect: fitted, restored from the run folder or from another one's models, or
with random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

import detectors
from detectors.contract import Detector, Example, FitError, Stage, network_settings
from harness.clocks import Clock
from harness.journal import Failure, Journal
from harness.modelcard import ModelCard
from harness.networks import split
from harness.settings import deciding_fit, fitted_with
from harness.sharedfiles import SharedFiles, place
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
    return _group(one) == _group(other) and _deciding(one) == _deciding(other)


def _group(one: Ready) -> str:
    """The class of a method and its network: what those that may leave each other files have in common."""
    made: type[Any] = one.method.detector
    return f"{made.__module__}.{made.__qualname__}@{split(one.name)[1] or ''}"


def _deciding(one: Ready) -> dict[str, Any]:
    return deciding_fit(one.method, one.config)


def _of_group(one: Ready, planned: Sequence[Ready]) -> list[Ready]:
    return [other for other in planned if _group(other) == _group(one)]


class Fitting:
    """Fits the methods of a run, and keeps what each learnt in the run folder."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        make: Callable[[detectors.Method, Any], Detector],
        stream: Callable[[str], torch.Generator],
        *,
        images: Sequence[str] = (),
        provided: Mapping[str, ModelCard] | None = None,
    ) -> None:
        """`make` builds a detector, `stream` gives the generator of a purpose.

        `images` are the ids of the training images. `provided` holds, by method, a model that takes the place of a fit.
        """
        self._journal, self._folder, self._clock = journal, journal.folder, clock
        self._make, self._stream = make, stream
        self._images, self._provided = tuple(images), provided or {}
        self._shared = SharedFiles(journal.folder)

    def detectors(self, planned: Sequence[Ready], examples: Sequence[Example] | None) -> dict[str, Detector]:
        """Every method ready to detect; without `examples`, with random weights.

        A method that fails is left out, with its reason on record.
        """
        made = {one.name: self.ready(one, planned, examples) for one in planned}
        return {name: detector for name, detector in made.items() if detector is not None}

    def ready(self, one: Ready, planned: Sequence[Ready], examples: Sequence[Example] | None) -> Detector | None:
        """One of the `planned` methods ready to detect; None where it failed, with its reason on record."""
        about = self._journal.method(one.name)
        about |= {"status": "ok", "reason": None, "paper": one.method.detector.paper}
        detector = None
        try:
            about |= {
                "trained": examples is not None,
                "iterations": one.config.iterations if examples is not None else 0,
            }
            made = self._make(one.method, self._with_chunk(one))
            if examples is None:
                self._initialise(one, made)
            else:
                about |= self._described(self._fit(one, made, planned, examples))
            detector = made
        except Exception as error:  # noqa: BLE001  (a method may fail in any way; the others must be measured)
            failure = Failure.of(error)
            self._journal.failure(one.name, failure)
            about["status"], about["reason"] = failure.status, failure.reason
        self._journal.save()
        return detector

    def _described(self, fitted_as: str) -> dict[str, Any]:
        """What the manifest says of a fit: a run folder may be passed on without its models."""
        model = self._folder.model_path(fitted_as)
        found = {
            "fitted_as": fitted_as,
            "fit_seconds": self._folder.read_fit(fitted_as),
            "model_bytes": model.stat().st_size,
        }
        card = ModelCard.of_file(model.with_suffix(".json"))
        if card is None:
            return found  # of an earlier version
        data = card.trained_on
        return found | {
            "model_sha256": card.model_sha256,
            "begun_with": dict(card.begun_with),
            "fit": {
                **{"dataset": data.dataset, "split": data.split, "images": len(data.images), "sha256": data.sha256},
                **{"boxes_sha256": data.boxes_sha256, "proposals": card.proposals},
                **{"max_proposals": card.max_proposals, "backbone": card.backbone},
                "settings": dict(card.settings),
            },
        }

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
        if (card := self._provided.get(one.name)) is not None:
            self._take(card)
            detector.restore(self._folder.model_path(card.method))
            return card.method
        for name in sharing(planned)[one.name]:
            if self._folder.read_fit(name) is not None:
                self._folder.drop_workdir(name)
                self._folder.drop_workdir(one.name)  # of a fit that failed before the other's was there
                self._drop_shared(one, planned)
                detector.restore(self._folder.model_path(name))
                return name
        watch = self._watch(one)
        # Variants of a method draw the same, so that they differ by what they vary alone.
        generator, workdir = self._stream(_base(one.name)), self._folder.workdir(one.name)
        goes_on = any(workdir.iterdir())
        self._give_shared(one, planned)
        watch.time(lambda: detector.fit(examples, generator=generator, workdir=workdir))
        # Before the model is there: once it is, nobody looks for what its fit left.
        begun_with = self._keep_shared(one, planned)
        # What an interrupted fit took before is known to nobody.
        self._save(one, detector, {} if goes_on else watch.as_seconds(), begun_with)
        self._folder.drop_workdir(one.name)
        self._drop_shared(one, planned)
        return one.name

    def _save(self, one: Ready, detector: Detector, seconds: dict[str, float], begun_with: dict[str, str]) -> None:
        path = self._folder.model_path(one.name)
        path.parent.mkdir(exist_ok=True)
        detector.save(path)
        card = ModelCard.of_fit(
            one.name,
            self._journal.manifest,
            settings=fitted_with(one.method, one.config, detector),
            images=self._images,
            model=path,
            fit_seconds=seconds,
            begun_with=begun_with,
        )
        self._folder.write_fit(one.name, seconds, card.as_dict())

    def _take(self, card: ModelCard) -> None:
        """Let a model that was fitted before stand in this run folder, too."""
        if self._folder.read_fit(card.method) is None:
            card.check_model()
            path = self._folder.model_path(card.method)
            path.parent.mkdir(exist_ok=True)
            place(card.model, path)
            self._folder.write_fit(card.method, dict(card.fit_seconds), card.as_dict())

    def _give_shared(self, one: Ready, planned: Sequence[Ready]) -> None:
        others = [other for other in _of_group(one, planned) if other is not one]
        for other in others:  # what a fit that failed or was killed had finished
            self._shared.keep(_group(one), other.name)
        if others:
            self._shared.give(_group(one), one.name)

    def _keep_shared(self, one: Ready, planned: Sequence[Ready]) -> dict[str, str]:
        """By name, what the fit that is over took up, and whose fit had left it; what it made itself is kept."""
        group = _of_group(one, planned)
        if len(group) == 1:
            return {}
        self._shared.keep(_group(one), one.name)
        found = self._shared.taken_up(_group(one), one.name)
        # Of several, a detector takes the one that differs in nothing that decides a network.
        alike = {each.name for each in group if network_settings(each.config) == network_settings(one.config)}
        exact = {name: maker for name, maker in found.items() if maker in alike}
        return exact or found

    def _drop_shared(self, one: Ready, planned: Sequence[Ready]) -> None:
        """Once no method that could use them has still to be fitted."""
        served = sharing(planned)
        group = _of_group(one, planned)
        if all(any(self._folder.read_fit(name) is not None for name in served[other.name]) for other in group):
            self._shared.drop(_group(one))

    def _watch(self, one: Ready) -> FitWatch:
        def show(stage: Stage, done: int, total: int, text: str) -> None:
            self._journal.reporter.step(f"{one.name} {stage}", done, total, text)

        return FitWatch(self._clock, show, lambda text: self._journal.notice(one.name, None, text))
