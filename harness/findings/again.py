"""First calls on an image against later calls on the same one: what a first touch costs where no warm-up reached it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.findings.evidence import Evidence, Start
from harness.record import Sample

__all__ = ["Again", "first_calls"]

_FEWEST_BLOCKS = 5
"""All of five to one side is one case in 16 by accident, and five images at least are timed without marks as well."""


@dataclass(frozen=True, slots=True)
class Again:
    """Of one method: its first calls on images over later ones, in shares of the later ones."""

    value: float
    low: float
    high: float
    images: int
    """That were called twice or more, counted in each process."""
    in_mean: float
    """What such first calls add to the mean of all measured samples, as a share of it."""

    @property
    def certain(self) -> bool:
        """Whether first calls take longer beyond doubt."""
        return self.low > 0


def first_calls(evidence: Evidence, method: str) -> Again | None:
    """The median over blocks of images of first over later; None where too little was called twice.

    A block counts once, for its images share the state of the machine. What the machine did between the first call and
    the later ones is taken out by the sentinel beside each, where there is one. The interval is by ranks, of 93 % or
    more.
    """
    blocks: dict[tuple[Start, int], list[float]] = {}
    first = images = 0
    for (start, name, _), calls in evidence.by_call.items():
        if name != method:
            continue
        earliest, later = calls[0], calls[1:]
        first += earliest.role == "measured"
        # Not the call without marks: right behind another on the same image, it finds all that belongs to the image in
        # the caches, which no call of a stream of images does.
        later = [one for one in later if one.repeat != earliest.repeat]
        if later:
            images += 1
            usual = np.median([_pace(evidence, start, one) for one in later])
            ratio = _pace(evidence, start, earliest) - float(usual)
            block = earliest.index if earliest.block is None else earliest.block
            blocks.setdefault((start, block), []).append(ratio)
    if len(blocks) < _FEWEST_BLOCKS:
        return None
    value, low, high = (float(np.expm1(each)) for each in _median([float(np.mean(of)) for of in blocks.values()]))
    share = first / len(evidence.by_method[method]) if evidence.by_method.get(method) else 0.0
    return Again(value, low, high, images, share * value / (1 + share * value))


def _pace(evidence: Evidence, start: Start, sample: Sample) -> float:
    """The logarithm of a sample's time over that of the sentinel's in the looks before and after it."""
    log = float(np.log((sample.seconds or {})["total"]))
    if start not in evidence.paces:
        return log
    sequences, paces = evidence.paces[start]
    place = bisect_right(sequences, sample.sequence)
    return log - float(np.mean(paces[max(0, place - 1) : place + 1]))


def _median(values: Sequence[float]) -> tuple[float, float, float]:
    """Median and its interval by ranks: the binomial chance that so few lie to one side is 3.2 % at most."""
    from scipy import special

    ordered, n = sorted(values), len(values)
    below = 0
    while below + 1 < n / 2 and special.bdtr(below + 1, n, 0.5) <= 0.032:
        below += 1
    return float(np.median(ordered)), ordered[below], ordered[n - 1 - below]
