"""The box targets of Fast R-CNN, normalised while it learns and undone when it has learnt [FRCN 2.3]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from detectors.parts.boxes import encode
from detectors.parts.regions import Regions

__all__ = ["Normaliser", "box_loss"]


@dataclass(frozen=True, slots=True)
class Normaliser:
    """Brings the four targets of each class to zero mean and unit deviation."""

    mean: torch.Tensor
    """float32 (K, 4)."""
    deviation: torch.Tensor
    """float32 (K, 4), above 0."""

    @classmethod
    def of(cls, regions: Sequence[Regions], n_classes: int, foreground_iou: float) -> Normaliser:
        """Measure mean and deviation over all regions that count as foreground, of the training images and of their
        mirror images (lib/fast_rcnn/train.py), where the target of x has the other sign.
        """
        mirror = torch.tensor([-1.0, 1.0, 1.0, 1.0])
        mean, deviation = torch.zeros(n_classes, 4), torch.ones(n_classes, 4)
        foreground = [item.best_iou >= foreground_iou for item in regions]
        targets = torch.cat([encode(r.boxes[f], r.best_box[f]) for r, f in zip(regions, foreground, strict=True)])
        labels = torch.cat([r.best_label[f] for r, f in zip(regions, foreground, strict=True)])
        for k in range(n_classes):
            mine = targets[labels == k + 1]
            if len(mine) > 1:
                mine = torch.cat([mine, mine * mirror])
                mean[k] = mine.mean(dim=0)
                # A class seen through its ground-truth boxes alone has no spread to divide by.
                deviation[k] = mine.std(dim=0, correction=0).clamp(min=1e-3)
        return cls(mean, deviation)

    def to(self, device: torch.device) -> Normaliser:
        """The same on another device."""
        return Normaliser(self.mean.to(device), self.deviation.to(device))

    def normalise(self, targets: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Targets (N, 4) of classes (N,), 0-based."""
        return (targets - self.mean[classes]) / self.deviation[classes]

    @torch.no_grad()
    def fold_into(self, output: nn.Module) -> None:
        """Make a linear layer with 4 K outputs predict plain targets where it learnt normalised ones."""
        weight, bias = output.parameters()
        weight.mul_(self.deviation.flatten()[:, None])
        bias.mul_(self.deviation.flatten()).add_(self.mean.flatten())


def box_loss(deltas: torch.Tensor, targets: torch.Tensor, labels: torch.Tensor, normaliser: Normaliser) -> torch.Tensor:
    """Smooth L1 of the offsets predicted for each foreground region's own class, over all B regions [FRCN eqs 2, 3].

    The sum over four offsets of ``x^2 / 2`` where ``|x| < 1`` and of ``|x| - 1/2`` elsewhere, x being predicted less
    wanted, is divided by B: background counts there and adds nothing (smooth_L1_loss_layer.cpp).

    Args:
        deltas: (B, K, 4), normalised.
        targets: (B, 4), plain; those of background are not looked at.
        labels: int64 (B,), 0 background.
        normaliser: as in training.
    """
    # All rows, those of background at no loss: to pick rows would wait for the device to count them.
    foreground = (labels > 0)[:, None]
    classes = (labels - 1).clamp(min=0)
    wanted = normaliser.normalise(targets, classes)
    found = deltas.gather(1, classes[:, None, None].expand(-1, 1, 4))[:, 0]
    found, wanted = (one.masked_fill(~foreground, 0) for one in (found, wanted))
    loss = functional.smooth_l1_loss(found, wanted, reduction="sum")
    return loss / len(labels)
