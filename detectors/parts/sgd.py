"""Fine-tuning by stochastic gradient descent with momentum, as all three papers do it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from detectors.contract import progress
from detectors.parts.checkpoint import Checkpoint

__all__ = ["CHECKPOINT_EVERY", "Sgd", "descend", "groups"]

CHECKPOINT_EVERY = 200
"""Mini-batches between two checkpoints. A shorter fit writes none."""


@dataclass(frozen=True, slots=True)
class Sgd:
    """Learning rate, momentum and decay. Each paper's own numbers stand in the file of its method."""

    lr: float = 1e-3
    """Of pretrained layers [RCNN 2.3, FRCN 2.3]."""
    new_layer_factor: float = 10.0
    """R-CNN's fc8 learns 10 times as fast as the pretrained layers [RCNN pascal_finetune prototxt]; where fc6 and fc7
    start random, they are as new as fc8."""
    momentum: float = 0.9
    weight_decay: float = 5e-4
    lr_drop: float = 0.1
    """These three as in the released solvers of all three papers [FRCN 2.3]."""
    lr_drops_at: tuple[float, ...] = (0.75,)
    """Shares of the schedule after which the rate drops: 30k of 40k mini-batches in Fast R-CNN [FRCN 2.3]."""
    bias_factor: float = 1.0
    """A bias learns so many times as fast as the weights of its layer: 2 in the prototxts of all three."""
    decay_biases: bool = True
    """False in the prototxts of R-CNN and Fast R-CNN."""


def groups(
    settings: Sgd, *, new: Iterable[nn.Parameter], pretrained: Iterable[nn.Parameter] = ()
) -> list[dict[str, object]]:
    """Optimiser groups, each with its rate and decay: new layers, pretrained ones, and the biases of both."""
    found = []
    for parameters, lr in ((list(new), settings.lr * settings.new_layer_factor), (list(pretrained), settings.lr)):
        biases = [one for one in parameters if one.ndim == 1]
        weights = [one for one in parameters if one.ndim != 1]
        bias_decay = settings.weight_decay if settings.decay_biases else 0.0
        found.append({"params": weights, "lr": lr, "weight_decay": settings.weight_decay})
        found.append({"params": biases, "lr": lr * settings.bias_factor, "weight_decay": bias_decay})
    return [group for group in found if group["params"]]


def descend(
    groups: Sequence[dict[str, object]],
    settings: Sgd,
    iterations: int,
    loss_of: Callable[[int], torch.Tensor],
    checkpoint: Checkpoint | None = None,
) -> None:
    """Take `iterations` steps down the loss that ``loss_of(i)`` gives for mini-batch i.

    `groups` are optimiser parameter groups with their own learning rates. With a `checkpoint` the state is written
    every `CHECKPOINT_EVERY` steps, and steps that it says were taken are not taken again.

    Differs from [Caffe SGDSolver]: velocity there holds past steps, here past gradients, because that is torch's rule;
    a drop of the rate shrinks the steps still to come from past gradients, too.
    """
    optimiser = torch.optim.SGD(
        list(groups), lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
    )
    rates = [group["lr"] for group in optimiser.param_groups]
    drops_at = [round(share * iterations) for share in settings.lr_drops_at]
    first = checkpoint.load(optimiser) if checkpoint is not None else 0
    for iteration in range(first, iterations):
        drop = settings.lr_drop ** sum(iteration >= at for at in drops_at)
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * drop
        loss = loss_of(iteration)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if iteration % 10 == 0 or iteration == iterations - 1:
            # The only read of a result during training: it waits for the device, so not at every step.
            progress(iteration + 1, iterations, f"loss {float(loss.detach()):.3f}")
        if checkpoint is not None and (iteration + 1) % CHECKPOINT_EVERY == 0:
            checkpoint.save(iteration + 1, optimiser)
    if checkpoint is not None and iterations > CHECKPOINT_EVERY and not checkpoint.finished:
        checkpoint.finish(iterations)
