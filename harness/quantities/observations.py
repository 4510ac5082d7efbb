"""The samples that make the figures, arranged by method, process and image: what every statistic is computed from.

A pass is one process going once through all images: its process and the number of its repeat. Only passes that are
complete for every method count. A mean over more images or over other processes than that of another method would not
be comparable with it, and of a pass that broke off there are just such means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.record import Sample

__all__ = ["Floats", "Ints", "Observations", "Observed", "Pass", "clusters", "observe", "pass_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

Pass = tuple[int, int]
"""Process and repeat."""


@dataclass(frozen=True)
class Observations:
    """What was measured of one method in complete passes, of which there is one at least."""

    samples: Sequence[Sample]
    images: Sequence[str]
    """In the order of the split."""

    @cached_property
    def _by_process(self) -> dict[int, dict[str, list[Sample]]]:
        gathered: dict[int, dict[str, list[Sample]]] = {}
        for sample in sorted(self.samples, key=pass_of):
            gathered.setdefault(sample.process, {}).setdefault(sample.image, []).append(sample)
        return gathered

    @property
    def processes(self) -> list[int]:
        """Those with a complete pass."""
        return list(self._by_process)

    @property
    def stages(self) -> list[str]:
        """Names of the times that every sample has."""
        named = [sample.seconds or {} for sample in self.samples]
        return [name for name in named[0] if all(name in names for names in named)]

    def values(self, name: str) -> Floats:
        """Seconds of a stage, (P, I): a row a process, a column an image, each the mean over repeats."""
        return self._means(lambda sample: (sample.seconds or {})[name])

    def lag(self, other: Observations) -> Floats:
        """How many places later in its block than `other` this method ran on each image, (I,): mean over processes."""
        mine, theirs = (each._means(lambda sample: sample.position) for each in (self, other))
        lag: Floats = (mine - theirs).mean(axis=0)
        return lag

    def _means(self, of: Any) -> Floats:
        rows = [[np.mean([of(one) for one in by[image]]) for image in self.images] for by in self._by_process.values()]
        return np.array(rows, dtype=np.float64)

    @property
    def blocks(self) -> Ints | None:
        """The block of each image, (I,); None where the run kept none, so that each image counts as its own."""
        known = {sample.image: sample.block for sample in self.samples if sample.block is not None}
        return clusters(self.images, known)


@dataclass(frozen=True, slots=True)
class Observed:
    """All that makes the figures of a run."""

    passes: tuple[Pass, ...]
    """Complete ones, common to all methods that were not `lacking`."""
    left_out: tuple[Pass, ...]
    """Those that were begun besides."""
    by_method: Mapping[str, Observations]
    lacking: Mapping[str, str]
    """Why a method has no observations."""

    def covers(self, sample: Sample) -> bool:
        """Whether a sample was taken in a complete pass."""
        return pass_of(sample) in self.passes


def pass_of(sample: Sample) -> Pass:
    """The pass that a sample was taken in."""
    return sample.process, sample.repeat


def clusters(images: Iterable[str], known: Mapping[str, int]) -> Ints | None:
    """The block of each image from what is `known`; one whose block is not is its own. None where none is known."""
    if not known:
        return None
    return np.array([known.get(image, -1 - at) for at, image in enumerate(images)], dtype=np.int64)


def observe(samples: Mapping[str, Sequence[Sample]], images: Sequence[str]) -> Observed:
    """Find the complete passes and what was observed in them.

    Args:
        samples: measured ones of each method that did not fail; one that has no complete pass of its own is `lacking`,
            and does not take the others down.
        images: all that a complete pass goes through.
    """
    succeeded = {method: [one for one in of if one.status == "ok" and one.seconds] for method, of in samples.items()}
    whole = {method: _complete(of, images) for method, of in succeeded.items()}
    begun = {pass_of(one) for of in succeeded.values() for one in of}
    lacking = {method: _lack(of, images) for method, of in succeeded.items() if not whole[method]}
    there = [passes for passes in whole.values() if passes]
    common = set.intersection(*there) if there else set()
    if not common:
        reason = "the methods went through all images in different processes or repeats, in none of them together"
        lacking |= {method: reason for method in succeeded if method not in lacking}
    by_method = {
        method: Observations([one for one in of if pass_of(one) in common], list(images))
        for method, of in succeeded.items()
        if method not in lacking
    }
    return Observed(tuple(sorted(common)), tuple(sorted(begun - common)), by_method, lacking)


def _complete(samples: Iterable[Sample], images: Sequence[str]) -> set[Pass]:
    """Passes in which each of the images was measured."""
    return {key for key, found in _images_by_pass(samples).items() if images and found.issuperset(images)}


def _lack(samples: Sequence[Sample], images: Sequence[str]) -> str:
    """Why there is no complete pass."""
    gathered = _images_by_pass(samples)
    most = max((len(found.intersection(images)) for found in gathered.values()), default=0)
    among = ", and in no process or repeat more" if len(gathered) > 1 else ""
    return f"{most} of {len(images)} images were measured{among}"


def _images_by_pass(samples: Iterable[Sample]) -> dict[Pass, set[str]]:
    gathered: dict[Pass, set[str]] = {}
    for sample in samples:
        gathered.setdefault(pass_of(sample), set()).add(sample.image)
    return gathered
