"""Hours that training would take, extrapolated from short fits.

Training to the papers' length takes a day, and what it takes can be told from minutes of it. The seconds of
fine-tuning are taken to be ``a + b i + c i d``: i mini-batches, each of which takes regions of d images; those of all
else, features, SVMs and regressors, ``a' + c' n`` for n training images. Fits of two lengths and two numbers of images
tell the five numbers, none of which can be below 0. What is extrapolated is no measurement: every report says so, and
no claim is decided by it. The images of a short fit are in memory; reading and decoding them is left out.

Where the B regions of a mini-batch are drawn over all images, they are of ``d = n (1 - (1 - 1/n)**B)`` of them: few
where there are few images, nearly B where there are thousands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.claims import Claim
from harness.intervals import Estimate
from harness.networks import is_printed_as
from harness.quantities.comparability import differences
from harness.quantities.estimates import as_dict
from harness.quantities.judged import Judged, judged
from harness.statistics import PROCESSES_FOR_INTERVAL, over_processes

__all__ = [
    "LEFT_OUT",
    "FitTime",
    "Schedule",
    "extrapolated",
    "images_taken",
    "judge_training",
    "training_hours",
    "training_speedup",
]

_SECONDS_AN_HOUR = 3600.0

_QUANTITIES = ("train", "speedup_train")

_BEYOND = "extrapolated from short fits, beyond what was fitted"
"""Why no ratio of hours is decided, however narrow its interval: that is over repeats of the short fits."""

LEFT_OUT = "reading and decoding images left out"
"""What the papers' hours may hold and these do not."""


@dataclass(frozen=True, slots=True)
class FitTime:
    """What one short fit of a method took."""

    method: str
    repeat: int
    iterations: int
    """Mini-batches of fine-tuning."""
    images: int
    finetune_seconds: float
    rest_seconds: float
    """All but fine-tuning."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Training as published."""

    iterations: int
    images: int
    regions: int | None = None
    """Of a mini-batch, drawn over all images; None where it takes a fixed number of images."""


def images_taken(images: int, regions: int) -> float:
    """Of how many images a mini-batch takes regions on average, if its `regions` are drawn over all `images`."""
    return images * (1.0 - (1.0 - 1.0 / images) ** regions)


def extrapolated(fits: Sequence[FitTime], schedule: Schedule) -> float:
    """Seconds of the whole training of one method, from fits of at least two lengths and two numbers of images."""

    def finetuning(iterations: int, images: int) -> list[float]:
        row = [1.0, float(iterations)]
        return row if schedule.regions is None else [*row, iterations * images_taken(images, schedule.regions)]

    tuned = _line([finetuning(fit.iterations, fit.images) for fit in fits], [fit.finetune_seconds for fit in fits])
    rest = _line([[1.0, float(fit.images)] for fit in fits], [fit.rest_seconds for fit in fits])
    seconds = np.dot(tuned, finetuning(schedule.iterations, schedule.images)) + np.dot(rest, [1.0, schedule.images])
    return float(seconds)


def _line(rows: Sequence[Sequence[float]], values: Sequence[float]) -> npt.NDArray[np.float64]:
    """Coefficients of the columns, none below 0, that come nearest to the values."""
    from scipy.optimize import nnls

    columns = np.array(rows, dtype=np.float64)
    # Columns of one size: without it the solver's tolerance would be that of the largest.
    sizes = np.abs(columns).max(axis=0)
    found = nnls(columns / sizes, np.array(values, dtype=np.float64))[0]
    return np.asarray(found / sizes, dtype=np.float64)


def training_hours(fits: Iterable[FitTime], schedule: Schedule) -> Estimate:
    """Hours, with a t interval over repeats from three of them on."""
    return _over_repeats([seconds / _SECONDS_AN_HOUR for seconds in _each(fits, schedule).values()])


def training_speedup(
    baseline: Iterable[FitTime], own: Iterable[FitTime], of_baseline: Schedule, of_own: Schedule
) -> Estimate:
    """How many times the hours of a method the baseline takes, repeat by repeat."""
    above, below = _each(baseline, of_baseline), _each(own, of_own)
    return _over_repeats([above[repeat] / below[repeat] for repeat in above if below.get(repeat)])


def _each(fits: Iterable[FitTime], schedule: Schedule) -> dict[int, float]:
    """Seconds of the whole training, by repeat; one that was not finished is left out."""
    by_repeat: dict[int, list[FitTime]] = {}
    for fit in fits:
        by_repeat.setdefault(fit.repeat, []).append(fit)
    sizes = {repeat: {(fit.iterations, fit.images) for fit in of} for repeat, of in by_repeat.items()}
    most = max((len(each) for each in sizes.values()), default=0)
    return {
        repeat: seconds
        for repeat, of in sorted(by_repeat.items())
        if len(sizes[repeat]) == most and (seconds := extrapolated(of, schedule)) > 0
    }


def _over_repeats(values: Sequence[float]) -> Estimate:
    if not values:
        return Estimate(None, None, None, "no fit was finished")
    found = over_processes(values)
    if len(values) < PROCESSES_FOR_INTERVAL:
        told = f"an interval needs {PROCESSES_FOR_INTERVAL} fits of each size, there are {len(values)}"
        return Estimate(found.value, None, None, told)
    return found


def judge_training(
    claims: Iterable[Claim],
    fits: Sequence[FitTime],
    schedules: Mapping[str, Schedule],
    about: Mapping[str, Any],
    stands_for: Mapping[str, str],
) -> list[Judged]:
    """Published hours of training and their ratios beside those that follow from the fits of one network.

    Args:
        claims: all there are; those of other quantities, methods and networks, and of a part of training alone such
            as fine-tuning, are left out.
        fits: those that were finished, of all methods.
        schedules: by method, its training as published.
        about: ``plan``, ``machine`` and ``dataset`` as in a result model.
        stands_for: by method, the name by which the claims know it.
    """
    network = str(about["plan"]["backbone"])
    of_name = {stands_for.get(method, method): method for method in schedules}
    found = []
    for claim in claims:
        method = of_name.get(claim.name)
        to_itself = claim.relative_to == f"{claim.name}@{claim.backbone}"
        if claim.quantity not in _QUANTITIES or claim.part or method is None or to_itself:
            continue
        if is_printed_as(network, claim.backbone):
            found.append(_judge_one(claim, method, fits, schedules, about, of_name))
    return found


def _judge_one(
    claim: Claim,
    method: str,
    fits: Sequence[FitTime],
    schedules: Mapping[str, Schedule],
    about: Mapping[str, Any],
    of_name: Mapping[str, str],
) -> Judged:
    own = [fit for fit in fits if fit.method == method]
    baseline = None if claim.relative_to is None else of_name.get(claim.relative_to.partition("@")[0])
    if claim.relative_to is None:
        hours = training_hours(own, schedules[method])
    elif baseline is None:
        hours = Estimate(None, None, None, f"no {claim.relative_to} was fitted")
    else:
        above = [fit for fit in fits if fit.method == baseline]
        hours = training_speedup(above, own, schedules[baseline], schedules[method])
    interval = None if hours.low is None else f"over {len({fit.repeat for fit in own})} fits of each size"
    measured = {**as_dict(hours), "interval": interval}
    measured_as: dict[str, Any] = {"method": method, "baseline": baseline, "stages": []}
    result = judged(claim, measured_as, measured, differences(claim, about, method, baseline))
    if hours.value is not None:
        if result["verdict"] != "not comparable":
            result |= {"verdict": "inconclusive", "reason": _BEYOND}
        else:
            result["reason"] += "; extrapolated from short fits"
        result["reason"] = f"{result['reason']}; {_told(own)}"
    return result


def _told(fits: Sequence[FitTime]) -> str:
    """From what it was extrapolated."""
    iterations, images = ([getattr(fit, name) for fit in fits] for name in ("iterations", "images"))
    sizes = f"{min(iterations)} to {max(iterations)} mini-batches on {min(images)} to {max(images)} images"
    return f"the fits had {sizes}, {LEFT_OUT}"
