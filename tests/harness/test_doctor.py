"""What the doctor says of planted machines, and that it says it on one screen."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from rich.console import Console

from harness import trust
from harness.record import Condition, Sample
from harness.surroundings.checks import Check, Verdict
from harness.surroundings.checks.gpu import cuda_is_usable, examine_absent_gpu, examine_gpu, examine_working_gpu
from harness.surroundings.checks.processor import examine_processor
from harness.surroundings.checks.steadiness import (
    Watched,
    examine_load,
    examine_steadiness,
    examine_timer,
    steadiness,
    watch,
)
from harness.surroundings.doctor import as_dict, conclusion, examine, screen
from harness.surroundings.load import LoadMeter
from harness.surroundings.sensors import NoSensors, NvmlSensors
from nvml import UUID, FakeNvml
from planted import plant

CPU = "sys/devices/system/cpu"
METAL = {
    "proc/cpuinfo": "model name\t: Some Processor\nflags\t: fpu aperfmperf\n",
    "proc/self/cgroup": "0::/\n",
    f"{CPU}/online": "0-3\n",
    f"{CPU}/smt/active": "1\n",
    f"{CPU}/intel_pstate/no_turbo": "1\n",
    **{f"{CPU}/cpu{n}/cpufreq/scaling_governor": "performance\n" for n in range(4)},
    **{f"{CPU}/cpu{n}/cpufreq/cpuinfo_max_freq": "3000000\n" for n in range(4)},
    **{f"{CPU}/cpu{n}/topology/thread_siblings_list": f"{n % 2},{n % 2 + 2}\n" for n in range(4)},
}
"""Four logical processors on two cores, all set for timing."""


@pytest.fixture(autouse=True)
def _four_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8 << 30, total=16 << 30))


@pytest.fixture
def threads() -> Iterator[Any]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def processor(root: Path, changes: dict[str, str]) -> dict[str, Check]:
    return {check.name: check for check in examine_processor(plant(root, METAL | changes))}


def printed(checks: list[Check]) -> str:
    console = Console(width=80, file=io.StringIO(), color_system=None)
    console.print(screen(checks))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_a_machine_set_for_timing_gets_no_advice(tmp_path: Path, threads: Any) -> None:
    """Nothing to warn of, nothing unknown."""
    threads(2)
    found = processor(tmp_path, {})
    assert {check.verdict for check in found.values()} == {"ok"}
    assert not any(check.advice for check in found.values())
    assert found["cores"].found == "4 of 4 usable, on 2 cores"


@pytest.mark.parametrize(
    ("changes", "name", "verdict", "words"),
    [
        ({f"{CPU}/cpu2/cpufreq/scaling_governor": "powersave\n"}, "governor", "warn", "cpupower frequency-set"),
        ({f"{CPU}/intel_pstate/no_turbo": "0\n"}, "turbo", "warn", "echo 1 | sudo tee /sys/devices/system/cpu/intel"),
        (
            {f"{CPU}/intel_pstate/no_turbo": "", f"{CPU}/cpufreq/boost": "1\n"},
            "turbo",
            "warn",
            "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost",
        ),
        (
            {f"{CPU}/intel_pstate/no_turbo": "", f"{CPU}/cpu0/cpufreq/boost": "1\n"},
            "turbo",
            "warn",
            "echo 0 | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/boost",
        ),
        ({"sys/fs/cgroup/cpu.max": "250000 100000\n"}, "cores", "warn", "--cpuset-cpus=0-1"),
        ({f"{CPU}/cpu3/cpufreq/cpuinfo_max_freq": "1500000\n"}, "cores", "warn", "taskset"),
        (
            {"sys/class/power_supply/AC/type": "Mains\n", "sys/class/power_supply/AC/online": "0\n"},
            "power",
            "warn",
            "Plug it in",
        ),
        (
            {"sys/fs/cgroup/memory.max": str(3 << 30), "sys/fs/cgroup/memory.current": str(2 << 30)},
            "memory",
            "bad",
            "end other programs",
        ),
        ({"sys/fs/cgroup/cpu.max": "100000 100000\n"}, "threads", "bad", "OMP_NUM_THREADS=1"),
    ],
)
def test_each_fault_is_found_and_has_its_remedy(
    tmp_path: Path, threads: Any, changes: dict[str, str], name: str, verdict: Verdict, words: str
) -> None:
    """Planted one at a time."""
    threads(2)
    check = processor(tmp_path, changes)[name]
    assert check.verdict == verdict
    assert words in check.advice


def test_more_threads_than_cores_are_told_of(tmp_path: Path, threads: Any) -> None:
    """Two siblings of one core slow each other down; four threads here are no more than the processors."""
    threads(4)
    check = processor(tmp_path, {})["threads"]
    assert (check.verdict, "OMP_NUM_THREADS=2" in check.advice) == ("warn", True)


def test_a_machine_that_tells_nothing_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No /proc and no /sys, as on other systems: no crash and no verdict made up."""
    monkeypatch.delattr(os, "sched_getaffinity")
    found = {check.name: check for check in examine_processor(tmp_path)}
    assert [name for name, check in found.items() if check.verdict == "unknown"] == ["governor", "turbo", "SMT"]
    assert examine_timer(tmp_path, 0.01).verdict in ("ok", "warn")


def test_a_slow_source_of_time_is_told_of(tmp_path: Path) -> None:
    """hpet takes a microsecond a reading and cannot be read by two processors at once."""
    plant(tmp_path, {"sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n"})
    check = examine_timer(tmp_path, 0.01)
    assert (check.verdict, "clocksource=tsc" in check.advice) == ("warn", True)


def load_of(others: float, steal: float) -> LoadMeter:
    """A meter whose second look shows these shares of four processors, and nothing of our own."""
    idle = 1 - others - steal
    looks = iter([(1.0, 1.0, 1.0), *((1 + 10 * others, 1 + 10 * steal, 1 + 10 * idle),) * 9])

    def processors() -> list[Any]:
        busy, stolen, rest = next(looks)
        return [SimpleNamespace(user=busy, steal=stolen, idle=rest)] * 4

    return LoadMeter(Path("/nowhere"), processors=processors, own_seconds=lambda: 0.0)


@pytest.fixture
def _four_online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)


@pytest.mark.usefixtures("_four_online")
@pytest.mark.parametrize(("others", "verdict"), [(0.01, "ok"), (0.2, "bad")])
def test_other_load_is_measured_while_waiting(others: float, verdict: Verdict) -> None:
    """More than the twentieth part, and runs are inconclusive."""
    check = examine_load(load_of(others, 0), 0.0)
    assert check.verdict == verdict
    assert f"{others:.1%}" in check.found
    assert bool(check.advice) == (verdict == "bad")


@pytest.mark.usefixtures("_four_online")
@pytest.mark.parametrize(("steal", "verdict"), [(0.01, "ok"), (0.1, "bad")])
def test_what_the_host_takes_is_measured_while_working(steal: float, verdict: Verdict) -> None:
    """An idle machine is robbed of nothing; the shares are those since the work began."""
    meter = load_of(0, steal)
    meter.shares()
    found = {check.name: check for check in examine_steadiness(meter, Watched((1.0,) * 15, ()))}
    assert found["steal"].verdict == verdict
    assert found["steadiness"].verdict == "ok"


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [
        ([0.01] * 30, "ok"),
        ([0.01] * 10 + [0.0101] * 20, "ok"),
        ([0.01] * 28 + [0.5] * 2, "ok"),
        ([0.01] * 10 + [0.0101] * 10 + [0.0103] * 10, "warn"),
        ([0.01, 0.0105] * 15, "warn"),
        ([0.01] * 20 + [0.011] * 10, "bad"),
        ([0.01, 0.012] * 15, "bad"),
    ],
    ids=["equal", "1 % drift", "two hiccups", "3 % drift", "5 % spread", "10 % drift", "20 % spread"],
)
def test_unequal_times_of_equal_work_are_judged(seconds: list[float], verdict: Verdict) -> None:
    """By the middle half and by the thirds, so that single interruptions do not decide."""
    check = steadiness("steadiness", Watched(tuple(seconds), ()))
    assert (check.verdict, bool(check.advice)) == (verdict, verdict != "ok")


def test_a_seen_disturbance_is_named_as_the_cause() -> None:
    """Advice differs when somebody was caught."""
    watched = Watched((0.01, 0.012) * 15, ())
    assert "other load" in steadiness("steadiness", watched, disturbed=True).advice
    assert "Nobody" in steadiness("steadiness", watched).advice


def at_rest(monkeypatch: pytest.MonkeyPatch, **planted: Any) -> dict[str, Check]:
    properties = SimpleNamespace(name="NVIDIA H100", total_memory=80 << 30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _index: properties)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    return {check.name: check for check in examine_gpu(NvmlSensors(UUID, FakeNvml(**planted)))}


def test_a_gpu_set_for_timing_gets_no_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    """At rest nothing is left to do."""
    found = at_rest(monkeypatch)
    assert list(found) == ["GPU", "driver", "persistence", "MIG", "GPU alone"]
    assert {check.verdict for check in found.values()} == {"ok"}


@pytest.mark.parametrize(
    ("planted", "name", "verdict", "words"),
    [
        ({"persistence": 0}, "persistence", "warn", "--persistence-mode=1"),
        ({"mig": 1}, "MIG", "warn", "other slices idle"),
        ({"compute": [(7, 1 << 30)]}, "GPU alone", "bad", "End them"),
        ({"graphics": [(7, 1 << 20)]}, "GPU alone", "warn", "Leave its screen alone"),
        ({"refused": {"nvmlDeviceGetComputeRunningProcesses"}}, "GPU alone", "unknown", "nvidia-smi"),
        ({"refused": {"nvmlSystemGetDriverVersion"}}, "driver", "unknown", "in a container"),
        ({"refused": {"nvmlDeviceGetMigMode"}}, "MIG", "unknown", ""),
    ],
)
def test_each_fault_of_a_gpu_is_found(
    monkeypatch: pytest.MonkeyPatch, planted: dict[str, Any], name: str, verdict: Verdict, words: str
) -> None:
    """Planted one at a time."""
    check = at_rest(monkeypatch, **planted)[name]
    assert check.verdict == verdict
    assert words in check.advice


@pytest.mark.parametrize(
    ("clocks", "bits", "verdict", "words"),
    [
        ([1410, 1410], 0x2, "ok", "held by a setting"),
        ([1410, 1400], 0, "warn", "free to change"),
        ([1980, 1410], 0x2, "bad", "1410 to 1980 MHz"),
        ([None], 0, "unknown", "not told"),
    ],
)
def test_the_clock_is_judged_under_load(clocks: list[int | None], bits: int, verdict: Verdict, words: str) -> None:
    """One that is free to change may; one that did change by more than 5 % has spoilt the times already."""
    states = tuple(dict[str, Any](clock_mhz=clock, throttle=[]) for clock in clocks)
    sensors = NvmlSensors(UUID, FakeNvml(bits=bits))
    found = {check.name: check for check in examine_working_gpu(sensors, Watched((0.01,) * 15, states))}
    assert (found["GPU clock"].verdict, found["throttling"].verdict) == (verdict, "ok")
    assert words in found["GPU clock"].found


def test_throttling_is_told_with_its_reason_and_share() -> None:
    """Once hot in four looks."""
    states = tuple({"clock_mhz": 1000, "throttle": reasons} for reasons in ([], ["hw_thermal"], [], []))
    sensors = NvmlSensors(UUID, FakeNvml())
    found = {check.name: check for check in examine_working_gpu(sensors, Watched((0.01,) * 15, states))}
    assert found["throttling"].verdict == "bad"
    assert "hw_thermal in 25%" in found["throttling"].found
    assert "cool" in found["throttling"].advice


def test_no_gpu_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the driver has one that torch cannot use, which is said with what torch complains of."""
    monkeypatch.setattr("harness.surroundings.checks.gpu.gpus_of_driver", lambda: (None, "no driver"))
    assert examine_absent_gpu("").verdict == "ok"
    monkeypatch.setattr("harness.surroundings.checks.gpu.gpus_of_driver", lambda: (1, None))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    check = examine_absent_gpu("the driver is too old (Triggered internally at x.cpp)")
    assert (check.verdict, check.advice) == ("warn", "the driver is too old")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert examine_absent_gpu("").advice == "unset CUDA_VISIBLE_DEVICES"


def test_a_gpu_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Memory that others hold does not end the examination."""

    def full(_device: str) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate ...")

    monkeypatch.setattr("harness.surroundings.doctor.cuda_is_usable", lambda: (True, ""))
    monkeypatch.setattr("harness.surroundings.doctor.sensors_for", full)
    last = examine(plant(tmp_path, METAL), waiting_seconds=0.0, working_seconds=0.0)[-1]
    assert (last.name, last.verdict, last.found) == ("GPU works", "bad", "CUDA out of memory.")


LIMITS = {
    "other load": ("load", 0.05),
    "steal": ("load", 0.02),
    "steadiness": ("noise", 0.10),
    "GPU clock": ("clock", 0.05),
    "throttling": ("throttling", 0.05),
}
"""Check of the doctor: finding of a run, and the limit of both."""


def _doctor_says(name: str, value: float) -> Verdict:
    looks = 100
    if name == "other load":
        return examine_load(load_of(value, 0), 0.0).verdict
    if name in ("steal", "steadiness"):
        meter = load_of(0, value if name == "steal" else 0)
        meter.shares()
        seconds = (0.01, 0.01 * (1 + value)) * 48 if name == "steadiness" else (0.01,) * looks
        return {one.name: one for one in examine_steadiness(meter, Watched(seconds, ()))}[name].verdict
    states = tuple(_states(name, value, looks))
    found = examine_working_gpu(NvmlSensors(UUID, FakeNvml()), Watched((0.01,) * looks, states))
    return {one.name: one for one in found}[name].verdict


def _states(name: str, value: float, looks: int) -> Iterator[dict[str, Any]]:
    for look in range(looks):
        clock = 1000.0 * (1 + value * (look % 3 - 1) / 2) if name == "GPU clock" else 1000.0
        yield {"clock_mhz": clock, "throttle": ["hw_thermal"] * (name == "throttling" and look < value * looks)}


def _run_says(name: str, value: float) -> str:
    looks = 100
    states = list(_states(name, value, looks))
    steal, others = value * (name == "steal"), value * (name == "other load")
    seconds = (0.01, 0.01 * (1 + value * (name == "steadiness")))
    cpu = {"own": 0.5, "others": others, "steal": steal}
    conditions = [Condition(0, look, look, seconds, cpu=cpu, device_state=states[look]) for look in range(looks)]
    total = {"conv": 1.0, "unattributed": 0.0, "total": 1.0}
    samples = [
        Sample(0, 0, "a", str(look), look, 0, "ok", seconds=total, device_state=states[look]) for look in range(looks)
    ]
    found = {one.name: one for one in trust.examine(samples, conditions, {"schema_version": 2})}
    return found[LIMITS[name][0]].verdict


@pytest.mark.usefixtures("_four_online")
@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("times", [0.8, 1.2])
def test_what_is_bad_to_the_doctor_is_inconclusive_to_a_run(name: str, times: float) -> None:
    """And what is not, is not: the same signal a fifth below the limit and a fifth above, judged by both."""
    value = times * LIMITS[name][1]
    expected = times > 1
    assert (_doctor_says(name, value) == "bad") is expected
    assert (_run_says(name, value) == "inconclusive") is expected


def test_the_real_machine_is_examined_on_one_screen() -> None:
    """Every line within 80 columns, no more than fits a terminal of 40 lines, the whole also as JSON."""
    checks = examine(waiting_seconds=0.0, working_seconds=0.0)
    lines = printed(checks).splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert all(check.found for check in checks)
    told = json.loads(json.dumps(as_dict(checks)))
    assert [entry["name"] for entry in told["checks"]] == [check.name for check in checks]
    assert lines[-1].endswith(told["conclusion"].split()[-1])


def test_the_worst_check_decides() -> None:
    """Unknown things decide nothing."""
    ok, unknown = Check("a", "ok", "x"), Check("b", "unknown", "x")
    warn, bad = Check("c", "warn", "x", "y"), Check("d", "bad", "x", "y")
    assert conclusion([ok, unknown]) == ("ok", "This machine can give trustworthy ratios.")
    assert conclusion([ok, warn, unknown])[0] == "warn"
    assert conclusion([ok, warn, bad])[0] == "bad"
    assert "d" in conclusion([ok, warn, bad])[1]
    assert "c" not in conclusion([ok, warn, bad])[1].split(":")[1]


def test_a_watch_looks_at_the_device_between_its_times() -> None:
    """Fifteen times at the least, with a state after each five."""

    class Cool(NoSensors):
        def state(self) -> Any:
            return {"clock_mhz": 1}, None

    watched = watch("cpu", 0.0, Cool("fake"))
    assert (len(watched.seconds), len(watched.states)) == (15, 3)


def test_asking_for_a_gpu_warns_nobody() -> None:
    """A complaint of torch's is returned instead; a warning would be an error here."""
    usable, complaint = cuda_is_usable()
    assert isinstance(usable, bool)
    assert isinstance(complaint, str)
