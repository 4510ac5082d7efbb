"""The product of fc layers, by whichever of torch's libraries is faster at it."""

from __future__ import annotations

import torch
from torch.nn import functional

__all__ = ["affine"]


def affine(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """``x W^T + b``: (N, u) of x (N, v), weight (u, v) and bias (u,).

    While detecting in float32 on a CPU it is oneDNN's product, because torch gives matrix products to MKL, which is
    slower on processors that are not Intel's (tests/benchmarks/test_bench_affine.py times both); convolutions are
    oneDNN's anyway, so that both halves of a network are then computed by one library.
    """
    on_cpu = x.device.type == "cpu" and x.dtype == torch.float32 and torch.backends.mkldnn.is_available()
    if not on_cpu or torch.is_grad_enabled() or len(x) == 0:
        return functional.linear(x, weight, bias)
    found: torch.Tensor = torch.ops.aten.mkldnn_linear(x.contiguous().to_mkldnn(), weight, bias).to_dense()
    return found
