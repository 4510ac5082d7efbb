"""In which arithmetic a fitted network detects."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes

__all__ = ["detecting_copy", "lay_out"]

M = TypeVar("M", bound=nn.Module)


def lay_out(network: nn.Module, device: torch.device) -> torch.memory_format:
    """How a network's convolutions take their images, its weights brought into that layout where they have another.

    Channels last, but channels first for strict float32 on a CUDA device. Tensor cores take images channels last, and
    so does oneDNN on a CPU; without tensor cores cuDNN has its float32 convolutions, Winograd's among them, for
    channels first, and the others were slower (pytorch issue 44943).

    Whether float32 is strict is a setting of the process that may change between fitting and detecting; the first call
    after the change moves the weights. Dispatch modes, such as that which counts what a detection asks of a device, do
    not see the move, and so cannot leave tensors of theirs in the place of the weights.
    """
    dtype = next(network.parameters()).dtype
    strict = device.type == "cuda" and dtype == torch.float32 and not torch.backends.cudnn.allow_tf32
    layout = torch.contiguous_format if strict else torch.channels_last
    if not all(one.is_contiguous(memory_format=layout) for one in network.parameters() if one.ndim == 4):
        # The weights may be learnt further, so that they must not be made while inferring.
        with _disable_current_modes(), torch.inference_mode(False):
            network.to(memory_format=layout)
    return layout


def detecting_copy(module: M, bf16: bool) -> M:
    """The module itself, or a bfloat16 copy of it where `bf16` asks for one.

    Networks are fitted in float32, and what they learnt is kept so. Scores and boxes are computed in float32 from
    whatever the network gives.
    """
    return copy.deepcopy(module).to(torch.bfloat16) if bf16 else module
