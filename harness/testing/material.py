"""What the contract is tried on: a handful of drawn scenes, hand-made boxes around and beside their objects, a network.

Drawn once a process. Every test gets copies, so that a detector that writes into its inputs is caught by the test of
that and spoils no other.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import torch

import detectors
from detectors.contract import Example
from harness.datasets.shapes import CLASSES, Shapes
from harness.examples import Examples
from harness.proposals import ProposalSet

__all__ = ["BACKBONE", "CLASSES", "backbone", "new_backbone", "scenes", "thin_scene", "without_objects"]

BACKBONE = "mini"
_SCENES = 6
_NEAR = 6
"""Boxes around each object, moved by up to a sixth of its sides."""
_ANYWHERE = 30
"""Boxes of any place and size, of which most show background."""


def _proposals(boxes: npt.NDArray[np.float32], height: int, width: int, seed: int) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)[:, None]
    near = (boxes[:, None] + rng.uniform(-1 / 6, 1 / 6, (len(boxes), _NEAR, 4)) * size).reshape(-1, 4)
    low = rng.uniform(0, 0.8, (_ANYWHERE, 2)) * (width, height)
    anywhere = np.concatenate([low, low + rng.uniform(12, 120, (_ANYWHERE, 2))], axis=1)
    every = np.concatenate([near, anywhere]).clip(0, (width, height, width, height)).round()
    every = every[((every[:, 2:] - every[:, :2]) >= 4).all(axis=1)]
    return rng.permutation(every).astype(np.float32)


def scenes() -> tuple[Example, ...]:
    """Six scenes of the split `train` of `shapes`, copied anew at each call; labels 1 to 8."""
    return tuple(
        Example(
            one.id,
            one.image.clone(),
            one.boxes.clone(),
            one.labels.clone(),
            one.difficult.clone(),
            one.proposals.clone(),
        )
        for one in _drawn()
    )


@cache
def _drawn() -> tuple[Example, ...]:
    drawn = Shapes("train", _SCENES)
    boxes = []
    for index in range(_SCENES):
        height, width = drawn.image(index).shape[:2]
        boxes.append(_proposals(drawn.truth(index).boxes, height, width, seed=index))
    return tuple(Examples(drawn, ProposalSet(drawn.ids, tuple(boxes), (None,) * _SCENES)))


@cache
def backbone(name: str = BACKBONE) -> detectors.Backbone:
    """The backbone that all detectors of a process start from."""
    return new_backbone(name)


def new_backbone(name: str = BACKBONE) -> detectors.Backbone:
    """The same backbone again, as nobody has touched it: random weights of one seed."""
    return detectors.load_backbone(name, "random", generator=torch.Generator().manual_seed(0))


def without_objects(example: Example, proposals: torch.Tensor | None = None) -> Example:
    """The same image with nothing in it, with its own proposals or others."""
    nothing = torch.zeros(0)
    return replace(
        example,
        boxes=nothing.view(0, 4),
        labels=nothing.long(),
        difficult=nothing.bool(),
        proposals=example.proposals if proposals is None else proposals,
    )


def thin_scene(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A random image (3, height, width) and four boxes in it: all of it, its halves and one pixel."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(256, (3, height, width), dtype=torch.uint8, generator=generator)
    x, y = max(width // 2, 1), max(height // 2, 1)
    boxes = [[0, 0, width, height], [0, 0, x, y], [width - x, height - y, width, height], [0, 0, 1, 1]]
    return image, torch.tensor(boxes, dtype=torch.float32)
