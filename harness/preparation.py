"""Everything that a plan names, opened: a mistake costs a second and not an hour."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import torch

import detectors
from harness import datasets
from harness.datasets import Dataset
from harness.plan import Plan, PlanError
from harness.proposals import ProposalSource, source

__all__ = ["Prepared", "prepare", "random_stream"]


_QUICK_IMAGES = 100
"""A quick schedule is as long as for this many training images at least: fc layers that start random must learn
something from a handful of images, too."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A plan whose parts have all been found."""

    plan: Plan
    methods: tuple[detectors.Method, ...]
    train: Dataset
    test: Dataset
    source: ProposalSource
    backbone: detectors.Backbone
    """On the CPU; every method starts from a copy of it."""
    device: str
    """``cpu`` or ``cuda``, whatever the plan left open."""

    def config(self, method: detectors.Method) -> Any:
        """The settings of a method with what the plan changes in them."""
        changes: dict[str, Any] = {"fc_width": self.plan.fc_width} if hasattr(method.config, "fc_width") else {}
        if self.plan.iterations == "quick":
            wanted = method.detector.quick_per_image * max(_QUICK_IMAGES, len(self.train.ids))
            changes["iterations"] = min(wanted, method.config.iterations)  # never more than published
        elif self.plan.iterations != "paper":
            changes["iterations"] = self.plan.iterations
        if self.plan.policy == "paper":
            changes["policy"] = method.detector.paper_policy
        return replace(method.config, **changes)


def random_stream(seed: int, purpose: str) -> torch.Generator:
    """A generator of its own for each purpose, so that one method's draws do not depend on the others'."""
    digest = hashlib.sha256(f"{seed} {purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def _device(plan: Plan) -> str:
    there = torch.cuda.is_available()
    if plan.device == "cuda" and not there:
        raise PlanError("--device cuda: torch sees no CUDA device here; use --device auto or cpu")
    return "cuda" if there and plan.device != "cpu" else "cpu"


def _splits(plan: Plan) -> tuple[Dataset, Dataset]:
    train = datasets.open_dataset(plan.dataset, plan.train_split, length=plan.train_images, training=True)
    test = datasets.open_dataset(plan.dataset, plan.split, length=plan.images, training=False)
    if not train.ids or not test.ids:
        raise PlanError(f"split {(test if train.ids else train).split} of {test.name} has no images")
    shared = set(train.ids) & set(test.ids)
    if shared:
        example = min(shared)
        raise PlanError(f"{len(shared)} images are both trained and tested on, such as {example}; choose other splits")
    if not any(len(train.truth(index).labels) for index in range(len(train.ids))):
        raise PlanError(f"no image of split {train.split} of {train.name} holds an object to learn from")
    return train, test


def prepare(plan: Plan) -> Prepared:
    """Open everything that the plan names.

    Raises:
        PlanError, DatasetError, ProposalError: something is not there, in one line.
    """
    try:
        methods = tuple(detectors.load(name) for name in plan.methods)
        detectors.check_backbone(plan.backbone, plan.weights)
        device = _device(plan)
        train, test = _splits(plan)
        boxes = source(plan.proposals, [*train.ids, *test.ids])
        # Last, since torchvision may have to fetch its file; before any slow step, since its shapes may not fit.
        generator = random_stream(plan.seed, "backbone")
        backbone = detectors.load_backbone(plan.backbone, plan.weights, generator=generator)
    except (detectors.MethodError, detectors.WeightsError) as error:
        raise PlanError(str(error)) from None
    return Prepared(plan, methods, train, test, boxes, backbone, device)
