"""`grid:STEP`: squares of three sizes at every STEP px (8 without it), large ones first. It looks at no pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.proposals import ProposalError

_SIDES = (6, 4, 3)
"""Of a square, in steps."""


@dataclass(frozen=True)
class Grid:
    step_px: int

    @property
    def settings(self) -> Mapping[str, str | int | float]:
        return {"name": "grid", "step_px": self.step_px, "version": 1}

    def propose(self, image_id: str, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        found = []
        for side_px in (self.step_px * steps for steps in _SIDES):
            y, x = np.mgrid[0 : height : self.step_px, 0 : width : self.step_px]
            found.append(np.stack([x, y, x + side_px, y + side_px], axis=-1).reshape(-1, 4))
        return np.concatenate(found).clip(0, [width, height, width, height]).astype(np.float32)


def open_grid(arg: str, *, seed: int) -> Grid:
    """What the entry point names; nothing in it is drawn at random."""
    if arg and (not arg.isdecimal() or int(arg) < 1):
        raise ProposalError(f"grid:{arg}: expected a step in pixels, 1 or more")
    return Grid(int(arg or 8))
