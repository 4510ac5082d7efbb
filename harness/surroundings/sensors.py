"""What a CUDA device says of itself through NVML: clock, temperature, throttling, memory, and who else is on it.

The driver may refuse each question on some device or to some user. What it refuses is None with the reason, and never
an exception, since a run on a card that tells little is still a run.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Collection
from typing import Any, Protocol

import psutil

__all__ = ["DESCRIBED", "NoSensors", "NvmlSensors", "Sensors", "gpus_of_driver", "sensors_for"]

DESCRIBED = (
    "name",
    "driver",
    "persistence_mode",
    "ecc",
    "mig",
    "power_limit_w",
    "max_clock_mhz",
    "application_clock_mhz",
    "uuid_sha256",
)
"""Fields of every description, beside ``reasons``."""

_SETTING = 0x2
_QUIET = 0x1 | _SETTING  # idle, and a clock that was set on purpose: neither comes over a run by surprise
_THROTTLES = {  # nvml.h, nvmlClocksEventReasons
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal",
    0x40: "hw_thermal",
    0x80: "hw_power_brake",
    0x100: "display_clock",
    0x200: "board_limit",
    0x400: "reliability",
}


class Sensors(Protocol):
    """What can be asked of a device between two calls of a detector."""

    def state(self) -> tuple[dict[str, Any] | None, str | None]:
        """``clock_mhz``, ``temperature_c``, ``throttle`` (list of reasons) and ``memory_bytes`` (in use, by all).

        A value is None where that one cannot be told; the second item then says which and why. None instead of the
        dict where nothing can be told.
        """

    def foreign(self) -> tuple[list[dict[str, Any]] | None, str | None]:
        """``pid`` and ``memory_bytes`` of each process on the device that is not ours; None and why, if unknown.

        One that only draws, such as a desktop, has ``graphics``, which is True, besides.
        """

    def describe(self) -> dict[str, Any]:
        """`DESCRIBED`: what stays as it is during a run, None where unknown, and ``reasons`` by field for those."""


class NoSensors:
    """Where there is nothing to ask."""

    def __init__(self, reason: str) -> None:
        """`reason` is the answer to everything."""
        self.reason = reason

    def state(self) -> tuple[None, str]:
        """Nothing, and why."""
        return None, self.reason

    def foreign(self) -> tuple[None, str]:
        """Nothing, and why."""
        return None, self.reason

    def describe(self) -> dict[str, Any]:
        """Every field None."""
        return {**dict.fromkeys(DESCRIBED), "reasons": dict.fromkeys(DESCRIBED, self.reason)}


class NvmlSensors:
    """One device of the NVIDIA driver."""

    def __init__(self, uuid: str, nvml: Any, *, own: Collection[int] = ()) -> None:
        """`uuid` as torch gives it, without prefix; `nvml` is the module pynvml, already initialised.

        `own` are process ids that belong to this measurement besides this process and its children.

        Raises:
            pynvml.NVMLError: the driver knows no such device.
        """
        self._nvml = nvml
        self._own = frozenset(own)
        self._uuid = uuid
        try:
            self._part = self._whole = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        except nvml.NVMLError:
            # A slice of a GPU. It answers for its memory and its processes, the whole GPU for clock and temperature.
            self._part = nvml.nvmlDeviceGetHandleByUUID(f"MIG-{uuid}")
            self._whole = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self._part)

    def state(self) -> tuple[dict[str, Any] | None, str | None]:
        """See `Sensors.state`; about 0.1 ms."""
        nvml, whole = self._nvml, self._whole
        reasons: dict[str, str] = {}

        def ask(field: str, function: str, *arguments: Any) -> Any:
            return self._ask(field, reasons, function, *arguments)

        bits = self._throttle_bits(reasons)
        memory = ask("memory_bytes", "nvmlDeviceGetMemoryInfo", self._part)
        values = {
            "clock_mhz": ask("clock_mhz", "nvmlDeviceGetClockInfo", whole, nvml.NVML_CLOCK_SM),
            "temperature_c": ask("temperature_c", "nvmlDeviceGetTemperature", whole, nvml.NVML_TEMPERATURE_GPU),
            "throttle": None if bits is None else _throttles(bits),
            "memory_bytes": None if memory is None else int(memory.used),
        }
        said = "; ".join(f"{field}: {reason}" for field, reason in reasons.items()) or None
        return (values if any(value is not None for value in values.values()) else None), said

    def foreign(self) -> tuple[list[dict[str, Any]] | None, str | None]:
        """See `Sensors.foreign`.

        Some drivers number processes as the host does, even inside a container. This process is then not to be found
        among those that compute, and only a single one can be taken for it.
        """
        reasons: dict[str, str] = {}
        computing, drawing = (self._running(kind, reasons) for kind in ("Compute", "Graphics"))
        if "Compute" in reasons:
            return None, f"the driver lists no processes: {reasons['Compute']}"
        ours = {os.getpid(), *_children(), *self._own}
        if _on_device() and not ours & computing.keys():
            if len(computing) != 1:
                some = f"{len(computing)} processes, none of them this one"
                listed = some if computing else "no process, not even this one"
                return None, f"the driver lists {listed}: it numbers or hides them otherwise than this container does"
            ours |= computing.keys()
        # One that does both computes.
        found = {pid: {"pid": pid, "memory_bytes": memory, "graphics": True} for pid, memory in drawing.items()}
        found |= {pid: {"pid": pid, "memory_bytes": memory} for pid, memory in computing.items()}
        return [found[pid] for pid in sorted(found.keys() - ours)], None

    def _running(self, kind: str, reasons: dict[str, str]) -> dict[int, int | None]:
        """Bytes by process id, of those that have a context of this kind."""
        listed = self._ask(kind, reasons, f"nvmlDeviceGet{kind}RunningProcesses", self._part)
        return {process.pid: process.usedGpuMemory for process in listed or ()}

    def describe(self) -> dict[str, Any]:
        """See `Sensors.describe`."""
        nvml, whole = self._nvml, self._whole
        reasons: dict[str, str] = {}

        def ask(field: str, of_answer: Callable[[Any], Any], function: str, *arguments: Any) -> Any:
            answer = self._ask(field, reasons, function, *arguments)
            return None if answer is None else of_answer(answer)

        def now_of(modes: Any) -> bool:  # the mode now, and the one after the next restart
            return bool(modes[0])

        sm = nvml.NVML_CLOCK_SM
        return {
            "name": ask("name", _text, "nvmlDeviceGetName", self._part),
            "driver": ask("driver", _text, "nvmlSystemGetDriverVersion"),
            "persistence_mode": ask("persistence_mode", bool, "nvmlDeviceGetPersistenceMode", whole),
            "ecc": ask("ecc", now_of, "nvmlDeviceGetEccMode", whole),
            "mig": ask("mig", now_of, "nvmlDeviceGetMigMode", whole),
            "power_limit_w": ask("power_limit_w", _watts, "nvmlDeviceGetPowerManagementLimit", whole),
            "max_clock_mhz": ask("max_clock_mhz", int, "nvmlDeviceGetMaxClockInfo", whole, sm),
            "application_clock_mhz": ask("application_clock_mhz", int, "nvmlDeviceGetApplicationsClock", whole, sm),
            "uuid_sha256": hashlib.sha256(self._uuid.encode()).hexdigest(),  # the plain one names somebody's card
            "reasons": reasons,
        }

    def clock_is_set(self) -> tuple[bool | None, str | None]:
        """Whether a clock that somebody set holds the device below what it would reach; ask while it works."""
        reasons: dict[str, str] = {}
        bits = self._throttle_bits(reasons)
        return (None if bits is None else bool(bits & _SETTING)), reasons.get("throttle")

    def _throttle_bits(self, reasons: dict[str, str]) -> int | None:
        # Drivers before 535 know the older name only; newer bindings announce its end.
        for word in ("Event", "Throttle"):
            bits = self._ask("throttle", reasons, f"nvmlDeviceGetCurrentClocks{word}Reasons", self._whole)
            if bits is not None:
                reasons.pop("throttle", None)
                return int(bits)
        return None

    def _ask(self, field: str, reasons: dict[str, str], function: str, *arguments: Any) -> Any:
        """The driver's answer; None where it has none, and then `reasons` says why."""
        asked = getattr(self._nvml, function, None)
        if asked is None:
            reasons[field] = f"nvidia-ml-py has no {function}"
            return None
        try:
            return asked(*arguments)
        except self._nvml.NVMLError as error:
            reasons[field] = str(error)
            return None


def sensors_for(device: str, *, own: Collection[int] = ()) -> Sensors:
    """Sensors of torch's first CUDA device, whichever ``CUDA_VISIBLE_DEVICES`` makes that; `NoSensors` for ``cpu``.

    `own` are process ids that belong to this measurement besides this process and its children.
    """
    if device != "cuda":
        return NoSensors("ran on the CPU")
    import pynvml
    import torch

    uuid = getattr(torch.cuda.get_device_properties(0), "uuid", None)
    if uuid is None:
        return NoSensors("torch tells no UUID of its device")
    try:
        pynvml.nvmlInit()
        return NvmlSensors(str(uuid), pynvml, own=own)
    except pynvml.NVMLError as error:
        return NoSensors(f"the NVIDIA driver does not answer: {error}")


def gpus_of_driver() -> tuple[int | None, str | None]:
    """How many GPUs the NVIDIA driver knows, whether or not torch can use them; None and why, without a driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount()), None
    except pynvml.NVMLError as error:
        return None, str(error)


def _throttles(bits: int) -> list[str]:
    known = [name for bit, name in _THROTTLES.items() if bits & bit]
    unknown = bits & ~_QUIET & ~sum(_THROTTLES)
    return known + [f"bit_{1 << place:#x}" for place in range(unknown.bit_length()) if unknown >> place & 1]


def _children() -> list[int]:
    return [child.pid for child in psutil.Process().children(recursive=True)]


def _on_device() -> bool:
    """Whether this process has a context on a CUDA device, so that the driver must be listing it."""
    import torch

    return bool(torch.cuda.is_initialized())


def _text(answer: str | bytes) -> str:
    return answer.decode() if isinstance(answer, bytes) else answer


def _watts(milliwatts: int) -> float:
    return milliwatts / 1e3
