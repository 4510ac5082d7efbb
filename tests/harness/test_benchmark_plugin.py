"""Benchmarks: a timer that waits, files that say which device they are of, and no comparison across devices."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from pytest_benchmark.logger import PytestBenchmarkWarning

from harness.machine import describe_machine
from harness.testing import benchmarks
from harness.testing.device import FakeDevice

pytest_plugins = ["pytester"]
# Of argparse in Python 3.12.1, as pytest 9.0 calls it; the sessions started here inherit that warnings are errors.
pytestmark = pytest.mark.filterwarnings("ignore:Do not expect file_or_dir:UserWarning")

PLUGIN = ("-p", "harness.testing.benchmarks", "-p", "no:cacheprovider")
TIMER = "--benchmark-timer=harness.testing.benchmarks.synchronised"

CPU = {**describe_machine("cpu"), "cpu": "Some CPU", "threads": 2, "usable_cpus": 2, "cpu_quota": None}
GPU = {**CPU, "device": "cuda", "gpu": "Some GPU", "gpu_reason": None, "gpu_memory_bytes": 2**33, "gpu_driver": "570.1"}
OTHER_GPU = {**GPU, "gpu": "Other GPU"}
OTHER_DRIVER = {**GPU, "gpu_driver": "580.2"}
MORE_THREADS = {**CPU, "threads": 4}


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is told of the processor without asking, which takes a second; and no sign of xdist, which ends timing."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    told = {"brand_raw": "Some CPU", "count": 2, "hz_actual": [1, 0], "hz_advertised_friendly": "2.0 GHz"}
    monkeypatch.setattr("pytest_benchmark.plugin.get_cpu_info", lambda: dict(told))
    return told


def on(machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on the process runs on this machine."""
    monkeypatch.setattr(benchmarks, "cuda_is_usable", lambda: (machine["device"] == "cuda", ""))
    monkeypatch.setattr(benchmarks, "describe_machine", lambda device: machine if device == machine["device"] else {})


def saved(pytester: pytest.Pytester) -> list[Path]:
    return sorted((pytester.path / ".benchmarks").rglob("*.json"), key=lambda path: path.stat().st_mtime_ns)


def bench(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """A session with one benchmark in it, in this process."""
    pytester.makepyfile(test_it="def test_it(benchmark):\n    benchmark.pedantic(sum, args=([1, 2],), rounds=3)\n")
    return pytester.runpytest_inprocess(*PLUGIN, TIMER, *arguments)


def test_this_suite_is_timed_by_it(pytestconfig: pytest.Config) -> None:
    """Whoever runs the benchmarks need not ask for the timer."""
    assert pytestconfig.getoption("benchmark_timer") == "harness.testing.benchmarks.synchronised"


def test_the_timer_waits_for_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two readings lies what the device did, and not only what the host did to launch it."""
    device = FakeDevice(launch_seconds=0.25)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", device.synchronise)
    monkeypatch.setattr("harness.testing.benchmarks.time.perf_counter", lambda: device.host)
    device.work(8.0)  # of before: none of the block's
    start = benchmarks.synchronised()
    assert start == 8.25
    device.work(2.0)
    assert device.host - start == 0.25
    assert benchmarks.synchronised() - start == 2.25
    assert benchmarks.synchronised() - start == 2.25


def test_a_device_that_was_given_nothing_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU, and before the first use of CUDA, the timer is the host's clock."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: pytest.fail("woke the device"))
    monkeypatch.setattr("harness.testing.benchmarks.time.perf_counter", lambda: 3.5)
    assert benchmarks.synchronised() == 3.5


def test_a_benchmark_of_work_that_is_only_launched_counts_the_work(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, processor: dict[str, Any]
) -> None:
    """A round of 2 s on the device, launched in 0.25 s, takes 2.25 s; the host alone was busy for 0.25 s."""
    device = FakeDevice(launch_seconds=0.25)
    on(GPU, monkeypatch)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", device.synchronise)
    monkeypatch.setattr(benchmarks.time, "perf_counter", lambda: device.host)
    monkeypatch.setattr(pytest, "launch", lambda: device.work(2.0), raising=False)
    pytester.makepyfile(
        "import pytest\ndef test_it(benchmark):\n    benchmark.pedantic(pytest.launch, rounds=3, warmup_rounds=1)\n"
    )
    result = pytester.runpytest_inprocess(*PLUGIN, TIMER, "--benchmark-save=it")
    result.assert_outcomes(passed=1)
    (path,) = saved(pytester)
    (found,) = json.loads(path.read_text())["benchmarks"]
    assert (found["stats"]["min"], found["stats"]["max"]) == (2.25, 2.25)


@pytest.mark.parametrize(
    ("machine", "folder", "name"),
    [(GPU, "GPU-Some-GPU", "GPU (Some GPU)"), (CPU, "CPU-Some-CPU-2-threads", "CPU (Some CPU, 2 threads)")],
)
def test_what_is_saved_says_where_it_was_measured(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    processor: dict[str, Any],
    machine: dict[str, Any],
    folder: str,
    name: str,
) -> None:
    """In a folder of the device, with GPU, driver, processor and threads; without the host's name and clock rates."""
    on(machine, monkeypatch)
    bench(pytester, "--benchmark-save=it").assert_outcomes(passed=1)
    (path,) = saved(pytester)
    assert path.relative_to(pytester.path).parts[:2] == (".benchmarks", folder)
    about = json.loads(path.read_text())["machine_info"]
    assert about["device"] == name
    for field in ("gpu", "cpu", "threads", "gpu_driver"):
        assert about["described"].get(field) == machine.get(field)
    assert about["described"]["torch"] == str(torch.__version__)
    assert about["cpu"] == {"brand_raw": "Some CPU", "count": 2}
    assert "node" not in about
    assert "boot_id_sha256" not in about["described"]


@pytest.mark.parametrize(
    ("there", "here", "words"),
    [
        (GPU, OTHER_GPU, "gpu (Some GPU there, Other GPU here)"),
        (CPU, GPU, "device (cpu there, cuda here), gpu (None there, Some GPU here)"),
        (CPU, MORE_THREADS, "threads (2 there, 4 here)"),
    ],
)
def test_a_comparison_across_devices_is_refused(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    processor: dict[str, Any],
    there: dict[str, Any],
    here: dict[str, Any],
    words: str,
) -> None:
    """One line that names what differs, exit code 4 as for any wrong usage, and nothing is measured."""
    on(there, monkeypatch)
    bench(pytester, "--benchmark-save=it")
    (path,) = saved(pytester)
    on(here, monkeypatch)
    result = bench(pytester, f"--benchmark-compare={path}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.errlines if line.startswith("ERROR")]
    assert "seconds of two devices are not compared" in line
    assert words in line
    assert "passed" not in result.stdout.str()


def test_a_file_that_names_no_device_is_refused(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, processor: dict[str, Any]
) -> None:
    """As pytest-benchmark alone writes it."""
    on(CPU, monkeypatch)
    bench(pytester, "--benchmark-save=it")
    (path,) = saved(pytester)
    content = json.loads(path.read_text())
    del content["machine_info"]["described"]
    path.write_text(json.dumps(content))
    result = bench(pytester, f"--benchmark-compare={path}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "does not say on which device" in result.stderr.str()


def test_a_comparison_on_one_device_goes_on_quietly(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, processor: dict[str, Any]
) -> None:
    """Also after a restart and at another clock rate: neither makes it another device. The latest file is found."""
    on({**GPU, "boot_id_sha256": "01" * 8}, monkeypatch)
    bench(pytester, "--benchmark-save=it")
    on({**GPU, "boot_id_sha256": "02" * 8}, monkeypatch)
    processor |= {"hz_actual": [2, 0]}
    monkeypatch.setattr("pytest_benchmark.plugin.get_cpu_info", lambda: dict(processor))
    with warnings.catch_warnings():
        warnings.simplefilter("error", PytestBenchmarkWarning)
        result = bench(pytester, "--benchmark-compare")
    result.assert_outcomes(passed=1)
    assert "test_it (NOW)" in result.stdout.str()
    assert "test_it (0001_it)" in result.stdout.str()
    assert "Comparing against benchmarks from" in result.stderr.str()


def test_a_new_driver_is_said_and_no_other_device(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, processor: dict[str, Any]
) -> None:
    """What a driver changed is what somebody may want to see."""
    on(GPU, monkeypatch)
    bench(pytester, "--benchmark-save=it")
    on(OTHER_DRIVER, monkeypatch)
    with pytest.warns(PytestBenchmarkWarning, match="machine_info is different"):
        result = bench(pytester, "--benchmark-compare")
    result.assert_outcomes(passed=1)
    assert "test_it (0001_it)" in result.stdout.str()


def test_files_of_another_device_are_not_found_by_themselves(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, processor: dict[str, Any]
) -> None:
    """The first session on a new device has nothing to compare with, and is measured all the same."""
    on(GPU, monkeypatch)
    bench(pytester, "--benchmark-save=it")
    on(OTHER_GPU, monkeypatch)
    with pytest.warns(PytestBenchmarkWarning, match="Can't compare. No benchmark files"):
        result = bench(pytester, "--benchmark-compare", "--benchmark-save=it")
    result.assert_outcomes(passed=1)
    folders = {path.relative_to(pytester.path).parts[1] for path in saved(pytester)}
    assert folders == {"GPU-Some-GPU", "GPU-Other-GPU"}


@pytest.mark.parametrize(("storage", "place"), [("kept", "kept"), ("file://kept/here/", "kept/here")])
def test_a_storage_that_is_asked_for_is_divided_too(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    processor: dict[str, Any],
    storage: str,
    place: str,
) -> None:
    """As pytest-benchmark takes it, by path or by address."""
    on(GPU, monkeypatch)
    bench(pytester, f"--benchmark-storage={storage}", "--benchmark-save=it")
    assert list((pytester.path / place / "GPU-Some-GPU").rglob("*_it.json"))


def test_a_session_without_benchmarks_asks_no_device(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ordinary tests wake no GPU for its name."""
    monkeypatch.setattr(benchmarks, "describe_machine", lambda _device: pytest.fail("asked"))
    bench(pytester, "--benchmark-skip").assert_outcomes(skipped=1)
