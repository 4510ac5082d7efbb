"""NVML's answers and refusals, from a fake driver."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.surroundings.sensors import DESCRIBED, NoSensors, NvmlSensors, Sensors, gpus_of_driver, sensors_for
from harness.testing.device import FakeDevice, FakeSensors
from nvml import UUID, FakeNvml

STATE = {
    "clock_mhz": "nvmlDeviceGetClockInfo",
    "temperature_c": "nvmlDeviceGetTemperature",
    "memory_bytes": "nvmlDeviceGetMemoryInfo",
}
DESCRIPTION = {
    "name": "nvmlDeviceGetName",
    "driver": "nvmlSystemGetDriverVersion",
    "persistence_mode": "nvmlDeviceGetPersistenceMode",
    "ecc": "nvmlDeviceGetEccMode",
    "mig": "nvmlDeviceGetMigMode",
    "power_limit_w": "nvmlDeviceGetPowerManagementLimit",
    "max_clock_mhz": "nvmlDeviceGetMaxClockInfo",
    "application_clock_mhz": "nvmlDeviceGetApplicationsClock",
}


def test_state_is_what_the_driver_says() -> None:
    """Clock and temperature as they come, bits as names, memory as bytes in use."""
    state, reason = NvmlSensors(UUID, FakeNvml(bits=0x4 | 0x40)).state()
    assert state == {
        "clock_mhz": 1410,
        "temperature_c": 61,
        "throttle": ["sw_power_cap", "hw_thermal"],
        "memory_bytes": 3 << 30,
    }
    assert reason is None


@pytest.mark.parametrize(("field", "function"), STATE.items())
def test_a_refused_question_costs_its_own_field_only(field: str, function: str) -> None:
    """The other fields stay, and the reason names the one that is missing."""
    state, reason = NvmlSensors(UUID, FakeNvml(refused={function})).state()
    assert state is not None
    assert [name for name, value in state.items() if value is None] == [field]
    assert reason == f"{field}: Not Supported"


def test_a_driver_that_refuses_everything_gives_reasons_alone() -> None:
    """No dict full of None, and no exception."""
    refused = {*STATE.values(), "nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"}
    state, reason = NvmlSensors(UUID, FakeNvml(refused=refused)).state()
    assert state is None
    assert reason is not None
    assert all(f"{field}: Not Supported" in reason for field in (*STATE, "throttle"))


@pytest.mark.parametrize("how", ["refused", "absent"])
def test_throttling_is_asked_for_by_its_old_name_too(how: str) -> None:
    """Drivers before 535, and bindings of that time, know the older function alone."""
    lacking: Any = {how: {"nvmlDeviceGetCurrentClocksEventReasons"}}
    state, reason = NvmlSensors(UUID, FakeNvml(bits=0x8, **lacking)).state()
    assert state is not None
    assert (state["throttle"], reason) == (["hw_slowdown"], None)


@given(st.integers(0, 2**20 - 1))
def test_each_bit_but_idle_and_setting_has_one_name(bits: int) -> None:
    """As many names as bits, different ones, and a bit that nobody knows yet keeps its number."""
    state, _ = NvmlSensors(UUID, FakeNvml(bits=bits)).state()
    assert state is not None
    names = state["throttle"]
    assert len(set(names)) == len(names) == (bits & ~0x3).bit_count()
    assert [name for name in names if name.startswith("bit_")] == [
        f"bit_{1 << n:#x}" for n in range(11, 20) if bits >> n & 1
    ]


def test_names_follow_the_drivers_header() -> None:
    """The constants of nvidia-ml-py, typed from nvml.h, carry the same meaning."""
    pynvml = pytest.importorskip("pynvml")
    for constant, name in {
        "SwPowerCap": "sw_power_cap",
        "HwSlowdown": "hw_slowdown",
        "SyncBoost": "sync_boost",
        "SwThermalSlowdown": "sw_thermal",
        "HwThermalSlowdown": "hw_thermal",
        "HwPowerBrakeSlowdown": "hw_power_brake",
        "DisplayClockSetting": "display_clock",
    }.items():
        bits = getattr(pynvml, f"nvmlClocksThrottleReason{constant}")
        state, _ = NvmlSensors(UUID, FakeNvml(bits=bits)).state()
        assert state is not None
        assert state["throttle"] == [name]
    quiet = pynvml.nvmlClocksThrottleReasonGpuIdle | pynvml.nvmlClocksThrottleReasonUserDefinedClocks
    sensors = NvmlSensors(UUID, FakeNvml(bits=quiet))
    assert (sensors.state()[0] or {})["throttle"] == []
    assert sensors.clock_is_set() == (True, None)


def test_a_slice_answers_for_memory_and_the_whole_gpu_for_the_clock() -> None:
    """NVML supports clock and temperature on whole devices only."""
    nvml = FakeNvml(prefix="MIG-", mig=1)
    sensors = NvmlSensors(UUID, nvml)
    sensors.state()
    asked = {name: arguments[0] for name, arguments in nvml.asked}
    assert (asked["nvmlDeviceGetMemoryInfo"], asked["nvmlDeviceGetClockInfo"]) == ("part", "whole")
    assert sensors.describe()["mig"] is True


def test_foreign_processes_are_neither_us_nor_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Computing and drawing ones, each once and told apart; memory that the driver does not tell is None."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    me = os.getpid()
    nvml = FakeNvml(compute=[(me, 5), (11, 7), (13, 9)], graphics=[(12, None), (11, 7)])
    assert NvmlSensors(UUID, nvml, own={13}).foreign() == (
        [{"pid": 11, "memory_bytes": 7}, {"pid": 12, "memory_bytes": None, "graphics": True}],
        None,
    )
    assert NvmlSensors(UUID, FakeNvml(compute=[(me, 5)])).foreign() == ([], None)


@pytest.mark.parametrize(
    ("listed", "known"), [([], False), ([(900_001, 5)], True), ([(900_001, 5), (900_002, 5)], False)]
)
def test_numbers_of_another_namespace_are_not_taken_for_foreigners(
    monkeypatch: pytest.MonkeyPatch, listed: list[tuple[int, int]], known: bool
) -> None:
    """With a context on the device we must be listed: a single number is ours, of several nobody can tell."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    foreign, reason = NvmlSensors(UUID, FakeNvml(compute=listed)).foreign()
    assert foreign == ([] if known else None)
    assert (reason is None) == known


def test_a_desktop_does_not_hide_which_number_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """We compute: the only one that does is us, under whatever number, and who only draws is not."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    desktop = [(900_007, 3), (900_001, 5)]
    foreign, reason = NvmlSensors(UUID, FakeNvml(compute=[(900_001, 5)], graphics=desktop)).foreign()
    assert (foreign, reason) == ([{"pid": 900_007, "memory_bytes": 3, "graphics": True}], None)
    assert NvmlSensors(UUID, FakeNvml(graphics=desktop)).foreign()[0] is None


def test_a_device_that_cannot_draw_lists_who_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice refuses the question for drawing processes."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    nvml = FakeNvml(compute=[(7, 1)], refused={"nvmlDeviceGetGraphicsRunningProcesses"})
    assert NvmlSensors(UUID, nvml).foreign() == ([{"pid": 7, "memory_bytes": 1}], None)


def test_without_a_context_of_ours_all_that_is_listed_is_foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing obliges the driver to list us then."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    assert NvmlSensors(UUID, FakeNvml(compute=[(7, 1)])).foreign() == ([{"pid": 7, "memory_bytes": 1}], None)


def test_a_refused_list_is_unknown_and_not_empty() -> None:
    """Nobody seen is not nobody there."""
    foreign, reason = NvmlSensors(UUID, FakeNvml(refused={"nvmlDeviceGetComputeRunningProcesses"})).foreign()
    assert foreign is None
    assert "Not Supported" in str(reason)


def test_a_description_is_whole_and_names_nobodys_card() -> None:
    """Milliwatts become watts, of two ECC modes the present one counts, and the UUID stands as its hash alone."""
    about = NvmlSensors(UUID, FakeNvml()).describe()
    assert about == {
        "name": "NVIDIA H100",
        "driver": "570.1",
        "persistence_mode": True,
        "ecc": True,
        "mig": False,
        "power_limit_w": 700.5,
        "max_clock_mhz": 1980,
        "application_clock_mhz": 1755,
        "uuid_sha256": hashlib.sha256(UUID.encode()).hexdigest(),
        "reasons": {},
    }
    assert UUID not in json.dumps(about)


@pytest.mark.parametrize(("field", "function"), DESCRIPTION.items())
@pytest.mark.parametrize("how", ["refused", "absent"])
def test_a_description_says_why_a_field_is_missing(field: str, function: str, how: str) -> None:
    """Refused by the driver, or gone from newer bindings: None and a reason, and no other field suffers."""
    lacking: Any = {how: {function}}
    about = NvmlSensors(UUID, FakeNvml(**lacking)).describe()
    assert [name for name, value in about.items() if value is None] == list(about["reasons"]) == [field]


@pytest.mark.parametrize("make", [lambda: NvmlSensors(UUID, FakeNvml()), lambda: FakeSensors(FakeDevice())])
def test_all_sensors_describe_the_same_fields(make: Callable[[], Sensors]) -> None:
    """Each field has a value or a reason, so that what reads one kind reads all."""
    about = make().describe()
    reasons = about.pop("reasons")
    assert about.keys() == set(DESCRIBED)
    assert [name for name, value in about.items() if value is None] == [name for name in about if name in reasons]
    assert all(reasons.values())


def test_without_sensors_every_answer_is_the_reason() -> None:
    """The same fields as with them."""
    none = sensors_for("cpu")
    assert isinstance(none, NoSensors)
    assert none.state() == none.foreign() == (None, "ran on the CPU")
    about = none.describe()
    assert about.keys() == NvmlSensors(UUID, FakeNvml()).describe().keys()
    assert about["reasons"]["driver"] == "ran on the CPU"


def test_the_device_is_torchs_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by the UUID that torch gives, so that CUDA_VISIBLE_DEVICES is respected."""
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _index: SimpleNamespace(uuid=UUID))
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    assert sensors_for("cuda").state()[1] is None
    assert gpus_of_driver() == (1, None)


@pytest.mark.parametrize("lacking", ["nvmlInit", "handle"])
def test_no_driver_is_a_reason(monkeypatch: pytest.MonkeyPatch, lacking: str) -> None:
    """A run goes on without sensors."""
    nvml = FakeNvml(refused={"nvmlInit"}) if lacking == "nvmlInit" else FakeNvml(prefix="?")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _index: SimpleNamespace(uuid=UUID))
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    sensors = sensors_for("cuda")
    assert isinstance(sensors, NoSensors)
    assert sensors.reason.startswith("the NVIDIA driver does not answer: Not ")


def test_without_a_driver_the_real_bindings_give_a_reason() -> None:
    """On a machine that has none, which most that run this are."""
    count, reason = gpus_of_driver()
    assert (count is None) == (reason is not None)


@pytest.mark.gpu
def test_a_real_gpu_tells_its_state() -> None:
    """Memory in use is at least what this process has allocated."""
    kept = torch.zeros(1 << 28, device="cuda")
    state, reason = sensors_for("cuda").state()
    assert state is not None, reason
    assert state["memory_bytes"] is None or state["memory_bytes"] >= kept.nbytes
