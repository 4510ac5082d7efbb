"""The peak of a device: the fastest repetition of work of known size, by the run's clock, within time and memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from harness.clocks import clock_for
from harness.instruments import instruments_for
from harness.surroundings import peak
from harness.surroundings.peak import NO_PEAK, Peak, PeakMeter
from harness.testing.device import FakeClock, FakeDevice

MIB = 2**20
RATE = 2.0**38
"""Operations a second of the fake device: it needs 1/128 s for a product of matrices of side 1,024."""


class FakeBench:
    """A device that does `RATE` operations a second, but for sides that are named, and copies 2**30 bytes a second."""

    copy_bytes = MIB

    def __init__(
        self,
        device: FakeDevice,
        rates: dict[int, float] | None = None,
        largest: int = 2048,
        libraries: Sequence[str | None] = ("one",),
    ) -> None:
        """`rates` are of the last library; the others have a quarter."""
        self.device, self.rates, self.largest, self.libraries = device, rates or {}, largest, libraries
        self.asked: list[tuple[int, str | None]] = []

    def product(self, side: int, library: str | None) -> Callable[[], object] | None:
        """Work on the fake device."""
        if side > self.largest:
            return None
        self.asked.append((side, library))
        rate = self.rates.get(side, RATE) / (1 if library == self.libraries[-1] else 4)
        return lambda: self.device.work(2 * side**3 / rate)

    def copy(self) -> Callable[[], object]:
        """Reads and writes 1 MiB in 1/512 s."""
        return lambda: self.device.work(1 / 512)


def measured(device: FakeDevice, bench: FakeBench, precision: str = "fp32", where: str = "cpu") -> Peak:
    found, reason = PeakMeter(where, lambda _precision: bench).measure(FakeClock(device), precision)
    assert reason is None
    assert found is not None
    return found


def test_rates_are_those_of_the_device() -> None:
    """Two operations a multiply-add, and a byte that is copied is read and written."""
    device = FakeDevice()
    found = measured(device, FakeBench(device), "bf16")
    assert found == Peak(RATE, 2.0**30, "bf16", found.matmul_size, MIB, "one")


def test_the_fastest_of_several_counts() -> None:
    """What held the device back meanwhile, most of the time even, is not its peak; nor does a GPU wait for launches."""
    calls = iter(range(10**6))
    device = FakeDevice(slow_down=lambda _at: 1.0 if next(calls) % 5 == 4 else 2.0, launch_seconds=2**-12)
    found = measured(device, FakeBench(device), where="cuda")
    assert (found.matmul_flops_per_second, found.copy_bytes_per_second) == (RATE, 2.0**30)


@pytest.mark.parametrize("side", [512, 1024])
def test_the_side_with_the_highest_rate_is_the_peak(side: int) -> None:
    """Small matrices may be fastest where time is rationed, and large ones where they fill the device."""
    device = FakeDevice()
    bench = FakeBench(device, {side: 2 * RATE})
    found = measured(device, bench)
    assert (found.matmul_flops_per_second, found.matmul_size) == (2 * RATE, side)
    warming = (512, "one")
    assert bench.asked == [warming, (512, "one"), (1024, "one"), (side, "one")]


@pytest.mark.parametrize("libraries", [("slow", "fast"), ("slow", None)])
def test_the_fastest_library_is_the_peak(libraries: Sequence[str | None]) -> None:
    """Where torch has several; it is named, unless torch does not tell."""
    device = FakeDevice()
    bench = FakeBench(device, {1024: 2 * RATE}, libraries=libraries)
    found = measured(device, bench)
    assert (found.matmul_flops_per_second, found.matmul_library) == (2 * RATE, libraries[-1])
    assert set(bench.asked) == {(side, library) for side in (512, 1024) for library in libraries}


def test_a_slow_device_is_not_held_up() -> None:
    """Sides for which the time would not suffice are left out; so are those that memory has no room for."""
    for rate, largest, sides in ((RATE / 4, 2048, {512, 1024}), (RATE / 128, 2048, {512}), (RATE, 512, {512})):
        device = FakeDevice()
        bench = FakeBench(device, dict.fromkeys((512, 1024), rate), largest)
        assert measured(device, bench).matmul_flops_per_second == rate
        assert {side for side, _ in bench.asked} == sides
        assert device.host < 1


def test_a_cpu_is_measured_within_half_a_second() -> None:
    """By the host's clock and with two libraries; a run and a campaign begin many processes."""
    device = FakeDevice()
    measured(device, FakeBench(device, libraries=("slow", "fast")))
    assert device.host < 0.5


def test_without_room_there_is_a_reason() -> None:
    """Neither a zero nor the end of the run, whatever went wrong; what the user wants is no error."""

    def fails(error: BaseException) -> Any:
        def bench(_precision: str) -> Any:
            raise error

        return bench

    clock = FakeClock(FakeDevice())
    no_room = "no room for its matrices in the device's memory"
    for bench, why in (
        (lambda _precision: None, no_room),
        (fails(torch.OutOfMemoryError("no memory")), no_room),
        (fails(RuntimeError("CUBLAS_STATUS_NOT_INITIALIZED\nwhen calling it")), "CUBLAS_STATUS_NOT_INITIALIZED"),
        (fails(NotImplementedError()), "NotImplementedError"),
    ):
        assert PeakMeter("cpu", bench).measure(clock, "fp32") == (None, f"{NO_PEAK}: {why}")
    with pytest.raises(KeyboardInterrupt):
        PeakMeter("cpu", fails(KeyboardInterrupt())).measure(clock, "fp32")


def test_memory_that_cannot_be_given_back_is_a_reason_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that failed fails again; the first failure is told."""

    def broken(_device: str) -> None:
        raise RuntimeError("illegal access\nat once")

    monkeypatch.setattr(peak, "_give_back", broken)
    device = FakeDevice()
    working, no_room = (lambda _precision: FakeBench(device)), (lambda _precision: None)
    assert PeakMeter("cpu", working).measure(FakeClock(device), "fp32") == (None, f"{NO_PEAK}: illegal access")
    assert "no room" in str(PeakMeter("cpu", no_room).measure(FakeClock(device), "fp32")[1])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few MiB and short of time: what the numbers are is not looked at."""
    monkeypatch.setattr(peak, "_BLOCK_BYTES", {"cpu": (16 * MIB, 8 * MIB)})
    monkeypatch.setattr(peak, "_MOST_SECONDS", {"cpu": (0.01, 0.01)})
    monkeypatch.setattr(peak, "_SIDES", {"cpu": (64, 128)})


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_work_is_a_product_of_normal_values_and_a_copy(precision: str) -> None:
    """As torch counts its operations; in the type that was asked for, of values that are no trifles; all of a half."""
    bench = peak._TorchBench.of("cpu", precision)
    assert bench is not None
    work = bench.product(512, bench.libraries[0])
    assert work is not None
    with FlopCounterMode(display=False) as counter:
        work()
    assert counter.get_total_flops() == 2 * 512**3
    block = bench._block
    assert block.dtype is (torch.bfloat16 if precision == "bf16" else torch.float32)
    left, right, out = block[: 3 * 512**2].view(3, 512, 512).double()
    torch.testing.assert_close(out, left @ right, rtol=0.02, atol=0.5 if precision == "bf16" else 1e-3)
    assert left.std() == pytest.approx(1, abs=0.01) == right.std()
    assert not torch.equal(left, right)
    bench.copy()()
    assert torch.equal(*block.view(2, -1))
    assert (bench.copy_bytes, block.nbytes) == (8 * MIB, 16 * MIB)
    assert bench.product(4096, bench.libraries[0]) is None


@pytest.mark.usefixtures("small")
def test_on_a_cpu_both_of_torchs_libraries_are_timed() -> None:
    """oneDNN, on which convolutions and fc layers run, makes a product, too; of bfloat16 there is torch's choice."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    bench, bf16 = peak._TorchBench.of("cpu", "fp32"), peak._TorchBench.of("cpu", "bf16")
    assert bench is not None
    assert bf16 is not None
    assert bench.libraries == ("MKL" if torch.backends.mkl.is_available() else None, "oneDNN")
    assert bf16.libraries == (None,)
    work = bench.product(512, "oneDNN")
    assert work is not None
    result: Any = work()
    left, right, _ = bench._block[: 3 * 512**2].view(3, 512, 512).double()
    torch.testing.assert_close(result.to_dense().double(), left @ right.T, rtol=0.02, atol=1e-3)


@pytest.mark.usefixtures("small")
def test_half_of_the_free_memory_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The block shrinks, and is not taken at all where even the least is too much."""
    for free, half in ((32, 8), (31, 4), (16, 4), (15, None)):
        monkeypatch.setattr(peak, "_free_bytes", lambda _device, free=free: free * MIB)
        bench = peak._TorchBench.of("cpu", "fp32")
        assert (bench and bench.copy_bytes) == (half and half * MIB)


@pytest.mark.usefixtures("small")
def test_a_run_has_the_peak_among_its_instruments() -> None:
    """Measured by its own clock."""
    instruments = instruments_for("cpu")
    found, reason = instruments.peak(instruments.clock, "fp32")
    assert reason is None
    assert found is not None
    assert (found.precision, found.copy_bytes) == ("fp32", 8 * MIB)


@pytest.mark.usefixtures("small")
def test_a_measurement_leaves_the_run_alone() -> None:
    """It draws nothing from torch's generator, and threads and gradients are as they were."""
    torch.manual_seed(1)
    expected = torch.rand(4)
    torch.manual_seed(1)
    threads = torch.get_num_threads()
    found, reason = PeakMeter("cpu").measure(clock_for("cpu"), "fp32")
    assert torch.equal(torch.rand(4), expected)
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == (threads, True)
    assert reason is None
    assert found is not None
    assert found.matmul_flops_per_second > 0 < found.copy_bytes_per_second


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_peak_of_a_gpu(precision: str) -> None:
    """Far above what launches allow, in seconds, no memory is kept, and a cold device tries about as large a side."""
    clock = clock_for("cuda")
    cold, _ = PeakMeter("cuda").measure(clock, precision)  # cuBLAS keeps its own workspace from here on
    before, start = torch.cuda.memory_reserved(), clock.now()
    found, reason = PeakMeter("cuda").measure(clock, precision)
    assert reason is None
    assert found is not None
    assert cold is not None
    assert cold.matmul_size >= found.matmul_size // 2
    assert found.matmul_flops_per_second > 1e12
    assert found.copy_bytes_per_second > 5e10
    assert clock.now() - start < 5
    assert torch.cuda.memory_reserved() <= before
