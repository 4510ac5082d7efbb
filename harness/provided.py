"""Models that another run fitted, in the place of fits: ``--models DIR``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import detectors
from detectors.contract import SettingsError
from harness.modelcard import ModelCard, TrainedOn
from harness.networks import network_of, split
from harness.plan import Plan, PlanError
from harness.restoring import backbone_of, differing, made
from harness.settings import settings

__all__ = ["Provided", "adopted"]

_OF_FITS = ("train_split", "backbone", "weights", "train_images", "iterations", "fc_width")
"""Fields of a plan that are over when a fit is: a plan with models takes them on from these."""


@dataclass(frozen=True, slots=True)
class Provided:
    """The model of each method of a plan."""

    folder: Path
    cards: Mapping[str, ModelCard]
    """By method of the plan. One model may serve several that differ in how they detect alone."""
    backbones: Mapping[str, detectors.Backbone]
    """By network of the plan, one that the models fill; its own layers hold no numbers of worth."""

    @classmethod
    def of(cls, plan: Plan, methods: Sequence[detectors.Method]) -> Provided | None:
        """Find them; None where the plan has no ``models``. The plan must be `adopted`.

        Raises:
            PlanError: a method has no model there, or its model was fitted with other settings.
            ModelCardError: there are no models.
        """
        if plan.models is None:
            return None
        there = ModelCard.all_in(Path(plan.models))
        networks = {card.backbone: card for card in there.values()}
        backbones = {name: backbone_of(networks[name]) for name in plan.networks if name in networks}
        cards = {method.name: _card(plan, method, there, backbones) for method in methods}
        return cls(Path(plan.models), cards, backbones)

    @property
    def trained_on(self) -> TrainedOn:
        """What all of them were fitted on."""
        return next(iter(self.cards.values())).trained_on

    def check_test(self, name: str, classes: Sequence[str], ids: Sequence[str]) -> None:
        """See that they can be judged on images of these classes and ids.

        Raises:
            PlanError: the classes are others, or a fit saw one of the images.
        """
        for card in self.cards.values():
            if tuple(classes) != card.classes:
                raise PlanError(
                    f"--models: the classes of {name} are not those that {card.method} in {self.folder} was fitted "
                    f"for, on {card.trained_on.dataset}; give its --dataset"
                )
            if seen := set(card.trained_on.images) & set(ids):
                raise PlanError(
                    f"--models: {len(seen)} of the test images, such as {min(seen)}, are among those that "
                    f"{card.method} in {self.folder} was fitted on; choose another --split"
                )

    def described(self) -> dict[str, Any]:
        """The models for a manifest, by method: which file, fitted under which plan, where and when."""
        return {
            name: {"folder": str(self.folder), "fitted_as": card.method, "model_sha256": card.model_sha256}
            | {"max_proposals": card.max_proposals, "proposals": card.proposals, "seed": card.plan.get("seed")}
            | {"harness_version": card.harness_version, "machine": dict(card.machine), "created": card.created}
            for name, card in self.cards.items()
        }


def adopted(plan: Plan) -> Plan:
    """The plan with what its models were fitted with, where it has models.

    Raises:
        PlanError: the models were fitted on different images or under different plans, or the plan asks for a fit
            that is not theirs.
        ModelCardError: there are no models.
    """
    if plan.models is None:
        return plan
    cards = ModelCard.all_in(Path(plan.models))
    first = next(iter(cards.values()))
    of_fits = _of_fits(first)
    for card in cards.values():
        if _of_fits(card) != of_fits or card.trained_on != first.trained_on:
            raise PlanError(
                f"--models: {first.method} and {card.method} in {plan.models} were fitted on different images or "
                "under different plans; compare them in runs of their own"
            )
    for name in plan.model_fields_set & of_fits.keys():
        given, theirs = getattr(plan, name), of_fits[name]
        if given != theirs:
            default = "the default" if theirs is None else theirs
            raise PlanError(
                f"--{name.replace('_', '-')}: the models in {plan.models} were fitted with {default}, not {given}; "
                "leave it out"
            )
    return Plan.of(plan.model_dump(exclude_unset=True) | of_fits)


def _of_fits(card: ModelCard) -> dict[str, Any]:
    fitted = Plan.of(dict(card.plan))
    return {name: getattr(fitted, name) for name in _OF_FITS}


def _card(
    plan: Plan,
    method: detectors.Method,
    there: Mapping[str, ModelCard],
    backbones: Mapping[str, detectors.Backbone],
) -> ModelCard:
    """The model fitted as the method itself, else as another that shares its fit."""
    network = network_of({"backbone": plan.backbone}, method.name)
    reasons = []
    for card in sorted(there.values(), key=lambda card: card.method != method.name):
        if card.backbone != network or not _same_class(card, method):
            continue
        config = settings(plan, method, len(card.trained_on.images))
        try:
            changed = differing(card, method, config, made(card, method, config, backbones[network], "cpu"))
        except SettingsError as error:
            raise PlanError(f"{method.name}: {error}") from None
        if not changed:
            return card
        reasons.append(f"; that of {card.method} was fitted with other {', '.join(changed)}")
    raise PlanError(
        f"--models: no model for {method.name} on {network} in {plan.models}, which holds {', '.join(there)}"
        + (reasons[0] if reasons else "")
    )


def _same_class(card: ModelCard, method: detectors.Method) -> bool:
    try:
        return detectors.load(split(card.method)[0]).detector is method.detector
    except detectors.MethodError:
        return False
