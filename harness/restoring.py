"""Detectors from their cards: what a fit learnt, in a network of the same make, without the weights that it began with.

A model's file holds every number that was learnt or taken over, the convolutions included, so that the network which it
fills may hold anything before.
"""

from __future__ import annotations

import torch

import detectors
from detectors.contract import Detector, SettingsError
from harness.modelcard import ModelCard, ModelCardError
from harness.networks import split
from harness.plan import Plan, PlanError
from harness.settings import as_json, deciding_fit, fitted_with, settings

__all__ = ["backbone_of", "differing", "made", "restore"]


def backbone_of(card: ModelCard) -> detectors.Backbone:
    """The network of a model, on the CPU, with its input convention; its layers hold no numbers of worth yet.

    Raises:
        ModelCardError: this program has no such network.
    """
    try:
        backbone = detectors.load_backbone(card.backbone, "random", generator=torch.Generator())
        backbone.convention = type(backbone.convention).parse(card.input)
    except ValueError as error:
        raise ModelCardError(f"{card.model.with_suffix('.json')}: {error}") from None
    backbone.weights = card.weights_sha256
    if (stack := backbone.geometry.fc) is not None:
        # A method may ask whether there are any; their numbers come with the model.
        shapes = stack.shapes(backbone.geometry.channels)
        backbone.fc_weights = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    return backbone


def made(
    card: ModelCard, method: detectors.Method, config: object, backbone: detectors.Backbone, device: str
) -> Detector:
    """A detector of these settings for the classes of a model, which it does not hold yet.

    Raises:
        SettingsError: the settings do not go with the backbone.
    """
    make: type[Detector] = method.detector
    return make(len(card.classes), config, backbone, torch.device(device))  # type: ignore[call-arg]


def differing(card: ModelCard, method: detectors.Method, config: object, detector: Detector) -> list[str]:
    """Names of the settings that decide a fit in which a model is not what a detector of `config` would learn."""
    # Cards of an earlier version, which do not tell when, hold what was asked for and not what it came to.
    earlier = card.created is None
    wanted = as_json(deciding_fit(method, config)) if earlier else fitted_with(method, config, detector)
    return [name for name in {**wanted, **card.settings} if wanted.get(name) != card.settings.get(name)]


def restore(card: ModelCard, device: str) -> Detector:
    """A detector that is ready to detect, under the settings of its fit.

    Raises:
        ModelCardError: the model is not the one that was fitted, or this program makes another of its settings.
    """
    where = card.model.with_suffix(".json")
    card.check_model()
    try:
        plan = Plan.of(dict(card.plan))
        method = detectors.load(split(card.method)[0])
        config = settings(plan, method, len(card.trained_on.images))
        detector = made(card, method, config, backbone_of(card), device)
        if changed := differing(card, method, config, detector):
            raise ModelCardError(
                f"{where}: harness {card.harness_version} fitted it with other settings than this one gives "
                f"{card.method} ({', '.join(changed)}); fit it anew"
            )
    except (PlanError, SettingsError, detectors.MethodError) as error:
        raise ModelCardError(f"{where}: {error}") from None
    try:
        detector.restore(card.model)
    except ValueError as error:
        raise ModelCardError(str(error)) from None
    return detector
