"""Precisions: strict float32 unless asked otherwise, in force inside a run alone."""

from __future__ import annotations

import pytest
import torch

from harness.plan import PlanError
from harness.precision import arithmetic, check_precision


def flags() -> tuple[bool, ...]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_flags_hold_inside_and_are_restored(precision: str, before: bool) -> None:
    """Also after an error; TF32 where it is asked for alone, autotuning never."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    untouched = flags()
    inside: list[tuple[bool, ...]] = []

    def stopped() -> None:
        with arithmetic(precision):
            inside.append(flags())
            raise KeyboardInterrupt

    try:
        matmul.allow_tf32 = cudnn.allow_tf32 = cudnn.benchmark = before
        with pytest.raises(KeyboardInterrupt):
            stopped()
        assert inside == [(precision == "tf32", precision == "tf32", False)]
        assert flags() == (before, before, before)
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = untouched


def test_others_can_still_read_the_flags() -> None:
    """Torch refuses to tell them once the newer and the older way of setting them are mixed."""
    with arithmetic("tf32"), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        assert not torch.backends.cudnn.allow_tf32


def test_a_cpu_has_no_tf32() -> None:
    """It would mean nothing there, and is refused in one line; the others mean something everywhere."""
    with pytest.raises(PlanError, match="--precision tf32: a CPU has no TF32; use fp32 or bf16, or a GPU"):
        check_precision("tf32", "cpu")
    for precision in ("fp32", "bf16"):
        check_precision(precision, "cpu")


def test_an_old_gpu_has_no_tf32_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """It came with compute capability 8.0."""
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    check_precision("tf32", "cuda")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    with pytest.raises(PlanError, match="Old GPU has no TF32"):
        check_precision("tf32", "cuda")


@pytest.mark.gpu
def test_fp32_is_strict_on_a_gpu() -> None:
    """A product of TF32 inputs is off by about 1e-3, one of float32 by about 1e-6."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(256, 256, generator=generator), torch.rand(256, 256, generator=generator)
    exact = a.double() @ b.double()
    worst = {}
    for precision in ("fp32", "tf32"):
        with arithmetic(precision):
            worst[precision] = float(((a.cuda() @ b.cuda()).cpu().double() / exact - 1).abs().max())
    assert worst["fp32"] < 3e-6 < 2e-5 < worst["tf32"]
