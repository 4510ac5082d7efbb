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
from harness.networks import network_of, split
from harness.plan import Plan, PlanError
from harness.precision import check_precision
from harness.proposals import ProposalSet, ProposalSource, source
from harness.proposals.cache import default_cache_dir, gather

__all__ = ["Prepared", "box_workers", "prepare"]


_QUICK_IMAGES = 100
"""A quick schedule is as long as for this many training images at least: fc layers that start random must learn
something from a handful of images, too."""


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

    def config(self, method: detectors.Method) -> Any:
        """The settings of a method with what the plan changes in them; of a combination, those of each member, too.

        Raises:
            PlanError: the method cannot compute in the plan's precision.
        """
        changes: dict[str, Any] = {}
        if method.members:
            changes["members"] = tuple(self.config(member) for member in method.members)
        else:
            changes |= self._fitting(method) | self._arithmetic(method)
        if self.plan.policy == "paper":
            changes["policy"] = method.detector.paper_policy
        return replace(method.config, **changes)

    def _fitting(self, method: detectors.Method) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        if self.plan.fc_width is not None and hasattr(method.config, "fc_width"):
            changes["fc_width"] = self.plan.fc_width
        if self.plan.trained and self.plan.iterations in (None, "quick"):
            wanted = method.detector.quick_per_image * max(_QUICK_IMAGES, len(self.train.ids))
            changes["iterations"] = min(wanted, method.config.iterations)  # never more than published
        elif self.plan.trained and self.plan.iterations != "paper":
            changes["iterations"] = self.plan.iterations
        return changes

    def _arithmetic(self, method: detectors.Method) -> dict[str, Any]:
        if self.plan.precision != "bf16":
            return {}
        if not hasattr(method.config, "bf16"):
            raise PlanError(f"--precision bf16: {method.name} has no bf16 form; use fp32, or leave {method.name} out")
        return {"bf16": True}

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


def _device(plan: Plan) -> str:
    there = torch.cuda.is_available()
    if plan.device == "cuda" and not there:
        raise PlanError("--device cuda: torch sees no CUDA device here; use --device auto or cpu")
    return "cuda" if there and plan.device != "cpu" else "cpu"


def _splits(plan: Plan) -> tuple[Dataset, Dataset]:
    test = datasets.open_dataset(plan.dataset, plan.split, length=plan.images, training=False)
    if not test.ids:
        raise PlanError(f"split {test.split} of {test.name} has no images")
    if not plan.trained:
        return First(test, 0), test
    train = datasets.open_dataset(plan.dataset, plan.train_split, length=plan.train_images, training=True)
    if not train.ids:
        raise PlanError(f"split {train.split} of {train.name} has no images")
    shared = set(train.ids) & set(test.ids)
    if shared:
        example = min(shared)
        raise PlanError(f"{len(shared)} images are both trained and tested on, such as {example}; choose other splits")
    if not any(len(train.truth(index).labels) for index in range(len(train.ids))):
        raise PlanError(f"no image of split {train.split} of {train.name} holds an object to learn from")
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


def prepare(plan: Plan) -> Prepared:
    """Open everything that the plan names.

    Raises:
        PlanError, DatasetError, ProposalError: something is not there, in one line.
    """
    try:
        methods = tuple(_method(name) for name in plan.methods)
        for network in plan.networks:
            detectors.check_backbone(network, plan.weights)
        device = _device(plan)
        check_precision(plan.precision, device)
        train, test = _splits(plan)
        boxes = source(plan.proposals, [*train.ids, *test.ids], max_proposals=plan.max_proposals)
        # Last, since torchvision may have to fetch its file; before any slow step, since its shapes may not fit.
        # Each from a stream of its own, so that a network is the same whatever others stand beside it.
        backbones = {
            network: detectors.load_backbone(network, plan.weights, generator=_stream(plan.seed, "backbone"))
            for network in plan.networks
        }
    except (detectors.MethodError, detectors.WeightsError) as error:
        raise PlanError(str(error)) from None
    prepared = Prepared(plan, methods, train, test, boxes, backbones, device)
    _check_settings(prepared)
    return prepared
