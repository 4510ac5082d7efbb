"""An NVIDIA driver with one GPU, in the words of the module pynvml; any of its answers can be refused."""

from __future__ import annotations

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

__all__ = ["UUID", "FakeNvml", "NVMLError"]

UUID = "01234567-89ab-cdef-0123-456789abcdef"
"""Of the one device, as torch tells it."""


class NVMLError(Exception):
    """As pynvml's: what the driver refuses with."""


class FakeNvml:
    """Stands in for the module; `asked` keeps which functions were called, and with what."""

    NVMLError = NVMLError
    NVML_CLOCK_SM = 1
    NVML_TEMPERATURE_GPU = 0

    def __init__(
        self,
        *,
        prefix: str = "GPU-",
        refused: Collection[str] = (),
        absent: Collection[str] = (),
        bits: int = 0,
        compute: Collection[tuple[int, int | None]] = (),
        graphics: Collection[tuple[int, int | None]] = (),
        persistence: int = 1,
        mig: int = 0,
        clock_mhz: int = 1410,
    ) -> None:
        """`refused` functions raise, `absent` ones do not exist; `bits` are the throttle reasons of nvml.h.

        `compute` and `graphics` list processes as (pid, bytes). With `prefix` ``MIG-`` the device is a slice.
        """
        processes = {"Compute": compute, "Graphics": graphics}
        self._prefix = prefix
        self._refused = refused
        self._absent = absent
        self.asked: list[tuple[str, tuple[Any, ...]]] = []
        self._answers: dict[str, Any] = {
            "nvmlInit": None,
            "nvmlDeviceGetCount": 1,
            "nvmlDeviceGetDeviceHandleFromMigDeviceHandle": "whole",
            "nvmlDeviceGetCurrentClocksEventReasons": bits,
            "nvmlDeviceGetCurrentClocksThrottleReasons": bits,
            "nvmlDeviceGetClockInfo": clock_mhz,
            "nvmlDeviceGetTemperature": 61,
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=80 << 30, used=3 << 30),
            "nvmlDeviceGetName": b"NVIDIA H100",
            "nvmlSystemGetDriverVersion": "570.1",
            "nvmlDeviceGetPersistenceMode": persistence,
            "nvmlDeviceGetEccMode": [1, 0],
            "nvmlDeviceGetMigMode": [mig, 1 - mig],
            "nvmlDeviceGetPowerManagementLimit": 700_500,
            "nvmlDeviceGetMaxClockInfo": 1980,
            "nvmlDeviceGetApplicationsClock": 1755,
            **{
                f"nvmlDeviceGet{kind}RunningProcesses": [
                    SimpleNamespace(pid=pid, usedGpuMemory=memory) for pid, memory in listed
                ]
                for kind, listed in processes.items()
            },
        }

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        """Only the right prefix finds the device."""
        if uuid != self._prefix + UUID:
            raise NVMLError("Not Found")
        return "part" if self._prefix == "MIG-" else "whole"

    def __getattr__(self, name: str) -> Any:
        if name in self._absent or name not in self._answers:
            raise AttributeError(name)

        def answer(*arguments: Any) -> Any:
            self.asked.append((name, arguments))
            if name in self._refused:
                raise NVMLError("Not Supported")
            return self._answers[name]

        return answer
