"""What can be told of a CUDA device: that it is there and usable, set for timing, cool, and alone with this process."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.surroundings.checks import Check, Verdict
from harness.surroundings.checks.steadiness import Watched, steadiness
from harness.surroundings.sensors import NvmlSensors, Sensors, gpus_of_driver
from harness.tolerances import CLOCK_SPREAD, THROTTLED_SHARE, clock_spread
from harness.wording import gibibytes, listed

__all__ = ["cuda_is_usable", "examine_absent_gpu", "examine_gpu", "examine_working_gpu"]


def cuda_is_usable() -> tuple[bool, str]:
    """Whether torch can compute on a CUDA device, and what it complains of if it cannot."""
    import torch

    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        usable = torch.cuda.is_available()
    return usable, " ".join(str(complaint.message) for complaint in complaints)


def examine_absent_gpu(complaint: str) -> Check:
    """Say why there is none, which is no fault unless the driver knows better."""
    import torch

    count, reason = gpus_of_driver()
    if not count:
        return Check("GPU", "ok", f"none; runs time the CPU ({reason or 'the driver has no device'})")
    found = f"the driver has {count}, torch {torch.__version__} can use none"
    if os.environ.get("CUDA_VISIBLE_DEVICES") is not None:
        return Check("GPU", "warn", found, "unset CUDA_VISIBLE_DEVICES")
    if torch.version.cuda is None:
        return Check("GPU", "warn", found, "Install a build of torch with CUDA: https://pytorch.org/get-started")
    return Check(
        "GPU", "warn", found, complaint.partition(" (Triggered")[0] or "Update the driver, or use an older torch."
    )


def examine_gpu(sensors: Sensors) -> Iterator[Check]:
    """Of torch's first device, at rest."""
    import torch

    about = sensors.describe()
    properties = torch.cuda.get_device_properties(0)
    others = torch.cuda.device_count() - 1
    more = f"; {others} more, choose by CUDA_VISIBLE_DEVICES" if others else ""
    yield Check("GPU", "ok", f"{properties.name}, {properties.total_memory / (1 << 30):.0f} GiB{more}")
    if about["driver"] is None:
        advice = "Runs work, but their clocks, throttling and neighbours go unseen; in a container, hand NVML through."
        yield Check("driver", "unknown", about["reasons"]["driver"], advice)
        return
    yield Check("driver", "ok", f"{about['driver']}, torch built for CUDA {torch.version.cuda}")
    yield _switch(
        about,
        "persistence_mode",
        "persistence",
        good=True,
        found="off: the driver unloads between processes, and settings with it",
        advice="sudo nvidia-smi --persistence-mode=1",
    )
    yield _switch(
        about,
        "mig",
        "MIG",
        good=False,
        found="on: this is a slice, and others share the power and the clock",
        advice="Keep the other slices idle while measuring.",
    )
    yield _foreign(sensors)


def examine_working_gpu(sensors: Sensors, watched: Watched) -> Iterator[Check]:
    """Of the same device, by what was seen while it worked."""
    yield steadiness("GPU steady", watched)
    if isinstance(sensors, NvmlSensors):
        yield _clock(sensors, watched)
        yield _throttling(watched, str(sensors.state()[1]))


def _clock(sensors: NvmlSensors, watched: Watched) -> Check:
    seen = [state["clock_mhz"] for state in watched.states if state["clock_mhz"] is not None]
    if not seen:
        return Check("GPU clock", "unknown", "not told", "Nobody will see throttling: look at the drift of a run.")
    low, high = min(seen), max(seen)
    span = f"{low} MHz" if low == high else f"{low} to {high} MHz"
    found = f"{span} under load, of at most {sensors.describe()['max_clock_mhz'] or 'unknown'}"
    is_set, _reason = sensors.clock_is_set()
    advice = f"sudo nvidia-smi --lock-gpu-clocks={low} (afterwards: --reset-gpu-clocks)"
    if clock_spread(seen) > CLOCK_SPREAD:
        return Check("GPU clock", "bad", found, advice)
    if is_set:
        return Check("GPU clock", "ok", f"{found}, held by a setting")
    return Check("GPU clock", "warn", f"{found}, free to change", advice)


def _throttling(watched: Watched, reason: str) -> Check:
    known = [state["throttle"] for state in watched.states if state["throttle"] is not None]
    if not known:
        return Check("throttling", "unknown", f"not told ({reason})")
    names = sorted({name for throttle in known for name in throttle})
    if not names:
        return Check("throttling", "ok", "none under load")
    share = sum(bool(throttle) for throttle in known) / len(known)
    thermal = any("thermal" in name for name in names)
    advice = "Let it cool, and see to its fans." if thermal else "Lock the clock lower, as above, until it stays away."
    verdict: Verdict = "bad" if share > THROTTLED_SHARE else "warn"
    return Check("throttling", verdict, f"{', '.join(names)} in {share:.0%} of the looks under load", advice)


def _foreign(sensors: Sensors) -> Check:
    foreign, reason = sensors.foreign()
    if foreign is None:
        return Check("GPU alone", "unknown", str(reason), "Look from the host: nvidia-smi")
    if not foreign:
        return Check("GPU alone", "ok", "no other process is on it")
    if all(one.get("graphics") for one in foreign):
        found = f"only what draws is on it: {_listed(foreign)}"
        return Check("GPU alone", "warn", found, "Leave its screen alone while measuring.")
    found = f"other processes are on it: {_listed(foreign)}"
    return Check("GPU alone", "bad", found, "End them, or choose another GPU.")


def _listed(foreign: Sequence[Mapping[str, Any]]) -> str:
    return listed((f"{one['pid']} ({_gib(one['memory_bytes'])})" for one in foreign), 4)


def _switch(about: dict[str, Any], field: str, name: str, *, good: bool, found: str, advice: str) -> Check:
    value = about[field]
    if value is None:
        return Check(name, "unknown", f"not told ({about['reasons'][field]})")
    return Check(name, "ok", "on" if value else "off") if value == good else Check(name, "warn", found, advice)


def _gib(memory_bytes: int | None) -> str:
    return "memory unknown" if memory_bytes is None else gibibytes(memory_bytes)
