"""What the machine is like between the blocks of a timed pass, kept as it is seen."""

from __future__ import annotations

import gc
import time

from harness.instruments import Instruments
from harness.record import Condition
from harness.runs import RunFolder

__all__ = ["Watch"]


class Watch:
    """Looks at the machine for one attempt of one process."""

    def __init__(self, folder: RunFolder, instruments: Instruments, *, process: int, attempt: int) -> None:
        """The time of its conditions begins now."""
        self._folder, self._instruments = folder, instruments
        self._process, self._attempt = process, attempt
        self._start = time.monotonic()

    def look(self, sequence: int) -> None:
        """Keep a condition, and collect garbage, so that neither happens inside a timed block.

        `sequence` is how many calls the process has measured.
        """
        gc.collect()
        sensors, load = self._instruments.sensors, self._instruments.load
        cpu, cpu_reason = load.shares()
        state, state_reason = sensors.state()
        foreign, foreign_reason = sensors.foreign()
        condition = Condition(
            process=self._process,
            attempt=self._attempt,
            sequence=sequence,
            at_seconds=time.monotonic() - self._start,
            sentinel_seconds=self._instruments.sentinel(self._instruments.clock),
            cpu=cpu,
            cpu_reason=cpu_reason,
            cpu_mhz=load.cpu_mhz(),
            device_state=state,
            device_state_reason=state_reason,
            foreign=foreign,
            foreign_reason=foreign_reason,
        )
        self._folder.append_condition(condition)
