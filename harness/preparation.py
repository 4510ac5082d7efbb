"""Everything that a plan names, opened: a mistake costs a second and not an hour."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

import detectors
from detectors.contract import Detector, SettingsError
from harness import datasets
from harness.datasets import Dataset, First
from harness.devices import device_for
from harness.networks import network_of, split
from harness.plan import Plan, PlanError
from harness.precision import check_precision
from harness.proposals import ProposalSet, ProposalSource, source
from harness.proposals.cache import default_cache_dir, gather
from harness.provided import Provided
from harness.settings import settings

__all__ = ["Prepared", "box_workers", "prepare"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan whose parts have all been found."""

    plan: Plan
    methods: tuple[detectors.Method, ...]
    train: Dataset
    """Holds no image where nothing is trained."""
    test: Dataset
    source: ProposalSource
    backbones: Mapping[str, detectors.Backbone]
    """By name, the plan's own first where a method runs on it. On the CPU; every method starts from a copy of one."""
    device: str
    """``cpu`` or ``cuda``, whatever the plan left open."""
    provided: Provided | None = None
    """The models that were fitted before; None where all that is trained is fitted here."""

    @property
    def train_images(self) -> int:
        """Images that the methods are or were fitted on; 0 where nothing is trained."""
        return len(self.train.ids) if self.provided is None else len(self.provided.trained_on.images)

    def config(self, method: detectors.Method) -> Any:
        """The settings of a method with what the plan changes in them; of a combination, those of each member, too.

        Raises:
            PlanError: the method cannot compute in the plan's precision.
        """
        return settings(self.plan, method, self.train_images)

    def boxes(
        self, dataset: Dataset, on_progress: Callable[[int, int], None] = lambda _done, _total: None
    ) -> ProposalSet:
        """The proposals of a data set, made where the cache has none; `on_progress` is told (done, total)."""
        if not dataset.ids:
            return ProposalSet((), (), ())
        return gather(
            dataset,
            self.source,
            max_proposals=self.plan.max_proposals,
            cache_dir=default_cache_dir(),
            workers=box_workers(),
            on_progress=on_progress,
        )

    def stream(self, purpose: str) -> torch.Generator:
        """A generator of its own for each purpose, so that one method's draws do not depend on the others'."""
        return _stream(self.plan.seed, purpose)

    def detector(self, method: detectors.Method, config: Any) -> Detector:
        """A new detector of these settings, not yet fitted.

        Raises:
            SettingsError: they do not go with the backbone.
        """
        make: Any = method.detector
        backbone = self.backbones[network_of({"backbone": self.plan.backbone}, method.name)]
        detector: Detector = make(len(self.test.classes), config, backbone, torch.device(self.device))
        return detector


def box_workers() -> int:
    """How many processes missing boxes are shared out to."""
    return os.cpu_count() or 1


def _stream(seed: int, purpose: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed} {purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def _train_split(plan: Plan) -> Dataset:
    train = datasets.open_dataset(plan.dataset, plan.train_split, length=plan.train_images, training=True)
    if not train.ids:
        raise PlanError(f"split {train.split} of {train.name} has no images")
    if not any(len(train.truth(index).labels) for index in range(len(train.ids))):
        raise PlanError(f"no image of split {train.split} of {train.name} holds an object to learn from")
    return train


def _splits(plan: Plan, provided: Provided | None) -> tuple[Dataset, Dataset]:
    test = datasets.open_dataset(plan.dataset, plan.split, length=plan.images, training=False)
    if not test.ids:
        raise PlanError(f"split {test.split} of {test.name} has no images")
    if provided is not None:
        provided.check_test(test.name, test.classes, test.ids)
    if not plan.trained or provided is not None:
        return First(test, 0), test
    train = _train_split(plan)
    shared = set(train.ids) & set(test.ids)
    if shared:
        example = min(shared)
        raise PlanError(f"{len(shared)} images are both trained and tested on, such as {example}; choose other splits")
    return train, test


def _method(name: str) -> detectors.Method:
    """A method by its name, which it keeps with the network in it."""
    return replace(detectors.load(split(name)[0]), name=name)


def _check_settings(prepared: Prepared) -> None:
    """Make each detector once: the constructor does no work, and says whether its settings can be."""
    for method in prepared.methods:
        try:
            prepared.detector(method, prepared.config(method))
        except PlanError:
            raise
        except SettingsError as error:
            raise PlanError(f"{method.name}: {error}") from None
        except Exception:  # noqa: BLE001  (a bug of one method: it will be a row with its reason, and the others go on)
            continue


def prepare(plan: Plan, *, testing: bool = True) -> Prepared:
    """Open everything that the plan names. Without `testing` its test split is left alone, and holds no image.

    A plan with models must have `harness.provided.adopted` what they were fitted with.

    Raises:
        PlanError, DatasetError, ProposalError, ModelCardError: something is not there, in one line.
    """
    try:
        methods = tuple(_method(name) for name in plan.methods)
        provided = Provided.of(plan, methods)
        if provided is None:
            for network in plan.networks:
                detectors.check_backbone(network, plan.weights)
        device = device_for(plan.device)
        check_precision(plan.precision, device)
        if testing:
            train, test = _splits(plan, provided)
        else:
            train = _train_split(plan)
            test = First(train, 0)
        boxes = source(plan.proposals, [*train.ids, *test.ids], max_proposals=plan.max_proposals)
        backbones = _backbones(plan, provided)
    except (detectors.MethodError, detectors.WeightsError) as error:
        raise PlanError(str(error)) from None
    prepared = Prepared(plan, methods, train, test, boxes, backbones, device, provided)
    _check_settings(prepared)
    return prepared


def _backbones(plan: Plan, provided: Provided | None) -> dict[str, detectors.Backbone]:
    """Last, since torchvision may have to fetch its file; before any slow step, since its shapes may not fit."""
    if provided is not None:
        return {network: provided.backbones[network] for network in plan.networks}
    # Each from a stream of its own, so that a network is the same whatever others stand beside it.
    return {
        network: detectors.load_backbone(network, plan.weights, generator=_stream(plan.seed, "backbone"))
        for network in plan.networks
    }
