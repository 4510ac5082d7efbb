"""In which arithmetic detectors compute while a run lasts.

``fp32`` is strict: no product of float32 numbers is rounded to TF32. ``tf32`` lets a CUDA device round the inputs of
matrix products and convolutions to TF32. ``bf16`` is ``fp32`` with networks that detect in bfloat16, which is a setting
of each method.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from harness.plan import PlanError

__all__ = ["arithmetic", "check_precision"]

_TF32_CAPABILITY = 8
"""Major compute capability of the first CUDA devices that have TF32."""


def check_precision(precision: str, device: str) -> None:
    """See that `device`, ``cpu`` or ``cuda``, has a precision.

    Raises:
        PlanError: it has not.
    """
    if precision != "tf32":
        return
    if device != "cuda":
        raise PlanError("--precision tf32: a CPU has no TF32; use fp32 or bf16, or a GPU")
    if torch.cuda.get_device_capability()[0] < _TF32_CAPABILITY:
        raise PlanError(f"--precision tf32: {torch.cuda.get_device_name()} has no TF32; use fp32 or bf16")


@contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Compute in a precision inside the block; what was in force before is so again afterwards.

    cuDNN's autotuning is off: it would choose per shape by a race, and SPP-net and Fast R-CNN see many shapes.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
    # These flags and not `fp32_precision`, the newer ones: once those were set, reading these raises an error, and
    # whoever calls torch.backends.cudnn.flags reads them.
    matmul.allow_tf32 = cudnn.allow_tf32 = precision == "tf32"
    cudnn.benchmark = False
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before
