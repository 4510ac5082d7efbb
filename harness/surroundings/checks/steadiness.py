"""What a few seconds of measuring tell: who else works here, how fine the timer, whether equal work takes as long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.clocks import clock_for
from harness.surroundings.checks import Check, Verdict
from harness.surroundings.load import LoadMeter, busiest_others
from harness.surroundings.sensors import Sensors
from harness.surroundings.sentinel import Sentinel
from harness.tolerances import NOISE_SHARE, OTHERS_SHARE, STEAL_SHARE, STEP_SHARE, middle_half

__all__ = ["Watched", "examine_load", "examine_steadiness", "examine_timer", "steadiness", "watch"]

_WIDE_SPREAD, _SLIGHT_DRIFT = 0.03, 0.02
"""Of the time of equal work within seconds: not bad, and better avoided."""
_SLOW_SOURCES = ("hpet", "acpi_pm", "jiffies", "pit", "refined-jiffies")


@dataclass(frozen=True, slots=True)
class Watched:
    """Equal work for some seconds."""

    seconds: tuple[float, ...]
    """Of each repetition, in order."""
    states: tuple[dict[str, Any], ...]
    """Of the device, after each few of them."""

    @property
    def spread(self) -> float:
        """As `harness.tolerances.middle_half`."""
        return middle_half([(one,) for one in self.seconds])

    @property
    def drift(self) -> float:
        """Median of the last third over that of the first, less one."""
        third = len(self.seconds) // 3
        return float(np.median(self.seconds[-third:]) / np.median(self.seconds[:third])) - 1


def watch(device: str, seconds: float, sensors: Sensors) -> Watched:
    """Have a sentinel work on `device` for `seconds`, three looks at the least."""
    sentinel, clock = Sentinel(device), clock_for(device)
    times: list[float] = []
    states = []
    end = clock.now() + seconds
    while clock.now() < end or len(times) < 15:
        times += sentinel.run(clock)
        state, _reason = sensors.state()
        if state is not None:
            states.append(state)
    return Watched(tuple(times), tuple(states))


def examine_load(meter: LoadMeter, seconds: float) -> Check:
    """What others take while this process waits for `seconds`."""
    meter.shares()
    busiest = busiest_others(seconds)
    shares, reason = meter.shares()
    if shares is None:
        return Check("other load", "unknown", str(reason))
    found = f"others take {shares['others']:.1%} of the processors' time"
    if shares["others"] <= OTHERS_SHARE:
        return Check("other load", "ok", found)
    names = ", ".join(f"{name} ({pid})" for name, pid, _share in busiest[:3])
    return Check("other load", "bad", found, f"End or pause them: {names}" if names else "Their processes are hidden.")


def examine_steadiness(meter: LoadMeter, watched: Watched) -> Iterator[Check]:
    """`meter` was looked at before `watched` began: a host steals only from those who want to work."""
    shares, reason = meter.shares()
    if shares is None:
        yield Check("steal", "unknown", str(reason))
    else:
        found = f"the host took {shares['steal']:.1%} of the time while this process worked"
        if shares["steal"] > STEAL_SHARE:
            advice = "Neighbours on the same host: use a dedicated one, or come back later."
            yield Check("steal", "bad", found, advice)
        else:
            yield Check("steal", "ok", found)
    seen = shares or {"others": 0.0, "steal": 0.0}
    yield steadiness("steadiness", watched, disturbed=seen["others"] > OTHERS_SHARE or seen["steal"] > STEAL_SHARE)


def steadiness(name: str, watched: Watched, *, disturbed: bool = False) -> Check:
    """Judge the times of equal work. `disturbed` is whether somebody was seen to take the processors meanwhile."""
    median, spread, drift = float(np.median(watched.seconds)), watched.spread, watched.drift
    found = f"{len(watched.seconds)} x the same {median * 1e3:.1f} ms: spread {spread:.1%}, drift {drift:+.1%}"
    if spread <= _WIDE_SPREAD and abs(drift) <= _SLIGHT_DRIFT:
        return Check(name, "ok", found)
    verdict: Verdict = "bad" if spread > NOISE_SHARE or abs(drift) > STEP_SHARE else "warn"
    if disturbed:
        return Check(name, verdict, found, "Others took the processors meanwhile: see other load and steal.")
    return Check(
        name,
        verdict,
        found,
        "Nobody was seen to disturb it. Ask again; if it stays, measure with --processes 5.",
    )


def examine_timer(root: Path, seconds: float = 0.2) -> Check:
    """Read the timer without pause: its steps, and the gaps in which this process did not run."""
    reads = [time.perf_counter()]
    while reads[-1] - reads[0] < seconds:
        reads.append(time.perf_counter())
    steps = np.diff(reads)
    step, gap = float(np.median(steps[steps > 0])), float(steps.max())
    source = _source(root)
    found = (
        f"a reading takes {step * 1e9:.0f} ns ({source or 'source unknown'}); longest interruption {gap * 1e3:.2f} ms"
    )
    if source in _SLOW_SOURCES or step > 1e-6:
        return Check(
            "timer", "warn", found, "Boot with clocksource=tsc tsc=reliable, if the processor has a steady TSC."
        )
    return Check("timer", "ok", found)


def _source(root: Path) -> str:
    try:
        path = root / "sys/devices/system/clocksource/clocksource0/current_clocksource"
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
