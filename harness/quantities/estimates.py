"""From one value an image and process to one estimate with the interval that the run allows, and what that covers.

An interval over images says what other images would give in this process. Another process lays out its memory anew and
may be steadily faster or slower, so from three processes on the interval is over processes and covers that, too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from harness import statistics
from harness.quantities.observations import Floats, Ints
from harness.statistics import PROCESSES_FOR_INTERVAL, Estimate

__all__ = ["as_dict", "geometric_over", "interval_over", "mean_over", "missing", "over_images", "ratio_over"]


def interval_over(n_processes: int) -> str:
    """What an interval from so many processes covers, to stand behind "95 % interval"."""
    if n_processes >= PROCESSES_FOR_INTERVAL:
        return f"over {n_processes} processes"
    return (
        "over images within one process" if n_processes < 2 else f"over images within each of {n_processes} processes"
    )


def over_images(n_processes: int) -> str:
    """The same for what is computed over images always, each with its mean over processes."""
    if n_processes < PROCESSES_FOR_INTERVAL:
        return interval_over(n_processes)
    return f"over images, each with its mean of {n_processes} processes"


def mean_over(values: Floats, blocks: Ints | None) -> Estimate:
    """Mean of `values`, (P, I): a row a process, a column an image. `blocks`, (I,): which block each image was in."""
    if len(values) >= PROCESSES_FOR_INTERVAL:
        # The plain mean, so that means of stages add up to that of the total.
        return replace(statistics.over_processes(values.mean(axis=1)), value=float(values.mean()))
    return statistics.mean(values.mean(axis=0), blocks)


def ratio_over(above: Floats, below: Floats, blocks: Ints | None, lag: Floats | None) -> Estimate:
    """Ratio of the means of two such arrays, of the same processes and images; `lag` as of `ratio_of_means`."""
    if not below.any():
        return Estimate(None, None, None, "the method has no such stage")
    if len(above) >= PROCESSES_FOR_INTERVAL:
        return statistics.over_processes(above.mean(axis=1) / below.mean(axis=1))
    return statistics.ratio_of_means(above.mean(axis=0), below.mean(axis=0), blocks, lag)


def geometric_over(above: Floats, below: Floats, blocks: Ints | None, lag: Floats | None) -> Estimate:
    """Geometric mean over images of the ratio of each; arguments as of `ratio_over`."""
    if len(above) < PROCESSES_FOR_INTERVAL:
        return statistics.geometric_mean_ratio(above.mean(axis=0), below.mean(axis=0), blocks, lag)
    found = [statistics.geometric_mean_ratio(one, other) for one, other in zip(above, below, strict=True)]
    values = [each.value for each in found if each.value is not None]
    return statistics.over_processes(values) if len(values) == len(found) else found[0]


def as_dict(estimate: Estimate, key: str = "value") -> dict[str, Any]:
    """As the result model keeps an estimate; `reason` says what is missing, the value or its interval."""
    return {key: estimate.value, "low": estimate.low, "high": estimate.high, "reason": estimate.reason}


def missing(reason: str) -> dict[str, Any]:
    """In place of a number that is not known."""
    return {"value": None, "low": None, "high": None, "reason": reason}
