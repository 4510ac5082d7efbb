"""Fine-tuning by stochastic gradient descent with momentum, as all three papers do it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from detectors.contract import progress

__all__ = ["Sgd", "descend"]


@dataclass(frozen=True, slots=True)
class Sgd:
    """Learning rate, momentum and decay."""

    lr: float = 1e-3
    """Of pretrained layers [RCNN 2.3, FRCN 2.3]."""
    new_layer_factor: float = 10.0
    """R-CNN's fc8 learns 10 times as fast as the pretrained layers [RCNN pascal_finetune prototxt]; here fc6 and fc7
    are as new as fc8."""
    momentum: float = 0.9
    weight_decay: float = 5e-4
    lr_drop: float = 0.1
    lr_drop_at: float = 0.75
    """Share of the schedule after which the rate drops: 30k of 40k mini-batches in Fast R-CNN [FRCN 2.3].

    Differs from [RCNN pascal_finetune_solver.prototxt]: a drop every 20k of 70k mini-batches, because fc layers that
    start random need the full rate for longer.
    """


def descend(
    groups: Sequence[dict[str, object]], settings: Sgd, iterations: int, loss_of: Callable[[int], torch.Tensor]
) -> None:
    """Take `iterations` steps down the loss that ``loss_of(i)`` gives for mini-batch i.

    `groups` are optimiser parameter groups with their own learning rates.

    Differs from [RCNN, FRCN prototxts]: biases learn twice as fast as weights and do not decay there, and like weights
    here, because all layers on top start random and have no bias worth keeping.

    Differs from [Caffe SGDSolver]: velocity there holds past steps, here past gradients, because that is torch's rule;
    a drop of the rate shrinks the steps still to come from past gradients, too.
    """
    optimiser = torch.optim.SGD(
        list(groups), lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay
    )
    drop_at = round(settings.lr_drop_at * iterations)
    for iteration in range(iterations):
        if iteration == drop_at:
            for group in optimiser.param_groups:
                group["lr"] *= settings.lr_drop
        loss = loss_of(iteration)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if iteration % 10 == 0 or iteration == iterations - 1:
            # The only read of a result during training: it waits for the device, so not at every step.
            progress(iteration + 1, iterations, f"loss {float(loss.detach()):.3f}")
