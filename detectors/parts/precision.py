"""In which arithmetic a fitted network detects."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

__all__ = ["detecting_copy"]

M = TypeVar("M", bound=nn.Module)


def detecting_copy(module: M, bf16: bool) -> M:
    """The module itself, or a bfloat16 copy of it where `bf16` asks for one; memory formats are kept.

    Networks are fitted in float32, and what they learnt is kept so. Scores and boxes are computed in float32 from
    whatever the network gives.
    """
    return copy.deepcopy(module).to(torch.bfloat16) if bf16 else module
