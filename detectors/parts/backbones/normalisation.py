"""Local response normalisation as in Caffe's lrn_layer.cpp: across channels, and within one.

Both divide each response by (k + alpha * mean of squares in a window) ^ beta; the mean is over the whole window also
where it reaches beyond the ends, where responses count as 0. Across channels this is ``torch.nn.LocalResponseNorm``,
which takes four times as long on a CPU and knows no bfloat16 there; torch has nothing within channels.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

__all__ = ["AcrossChannelNorm", "WithinChannelNorm"]


def _window_sums(values: torch.Tensor, dimension: int, size: int) -> torch.Tensor:
    """Sums of `size` neighbours along a dimension of (N, C, H, W), same shape; `size` is odd and above 1."""
    length = values.shape[dimension]
    padding = [0, 0] * (values.ndim - 1 - dimension) + [size // 2, size // 2]
    padded = functional.pad(values, padding)
    sums = padded.narrow(dimension, 0, length) + padded.narrow(dimension, 1, length)
    for shift in range(2, size):
        sums += padded.narrow(dimension, shift, length)
    return sums


class _Norm(nn.Module):
    dimensions: tuple[int, ...]
    """Over which the window extends, of N C H W."""

    def __init__(self, size: int, *, alpha: float, beta: float, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, responses: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to the same, in its dtype; computed in float32, since bfloat16 would round the sums to 1 %."""
        wide = responses if responses.dtype == torch.float64 else responses.float()
        sums = wide * wide
        for dimension in self.dimensions:
            sums = _window_sums(sums, dimension, self.size)
        divisors = sums.mul_(self.alpha / self.size ** len(self.dimensions)).add_(self.k).pow(-self.beta)
        return (wide * divisors).to(responses.dtype)

    def extra_repr(self) -> str:
        """What ``print`` shows of it."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class AcrossChannelNorm(_Norm):
    """The window is `size` neighbouring channels of one cell."""

    dimensions = (1,)


class WithinChannelNorm(_Norm):
    """The window is `size` x `size` neighbouring cells of one channel."""

    dimensions = (2, 3)
