"""Where methods run."""

from __future__ import annotations

import torch

from harness.plan import PlanError

__all__ = ["device_for"]


def device_for(asked: str) -> str:
    """``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    Raises:
        PlanError: it is none of these, or is not there.
    """
    there = torch.cuda.is_available()
    if asked not in ("auto", "cpu", "cuda"):
        raise PlanError(f"--device: expected auto, cpu or cuda, got {asked!r}")
    if asked == "cuda" and not there:
        raise PlanError("--device cuda: torch sees no CUDA device here; use --device auto or cpu")
    return "cuda" if there and asked != "cpu" else "cpu"
