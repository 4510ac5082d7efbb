"""The measured samples of a run, arranged by method, process and image: what every statistic is computed from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.record import Sample

__all__ = ["Floats", "Ints", "Observations", "observe"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_Seconds = dict[int, dict[str, dict[str, float]]]


@dataclass(frozen=True, slots=True)
class Observations:
    """What was measured of one method."""

    seconds: Mapping[int, Mapping[str, Mapping[str, float]]]
    """By process, image and stage: the mean over repeats."""
    positions: Mapping[int, Mapping[str, float]]
    """By process and image: place in the order of its block, the mean over repeats; 0 is first."""
    block_by_image: Mapping[str, int] | None
    """Number of the block that an image was measured in; None where the run kept none."""

    @property
    def images(self) -> list[str]:
        """Every image that was measured, in the order of the first process."""
        return list(dict.fromkeys(image for of in self.seconds.values() for image in of))

    @property
    def stages(self) -> list[str]:
        """Names of the times that every measured image has."""
        named = [list(times) for of in self.seconds.values() for times in of.values()]
        return [name for name in named[0] if all(name in names for names in named)] if named else []

    @property
    def processes(self) -> list[int]:
        """Those that measured every image; where none did, those that measured any."""
        n_images = len(self.images)
        whole = [process for process, of in self.seconds.items() if len(of) == n_images]
        return sorted(whole or self.seconds)

    def values(self, name: str, images: Sequence[str], processes: Sequence[int] | None = None) -> Floats:
        """Seconds of a stage, (P, I): a row a process, a column an image.

        Where no process measured every image, one row holds the mean over those that measured each.
        """
        rows = [self.seconds[process] for process in (self.processes if processes is None else processes)]
        if all(image in of for of in rows for image in images):
            return np.array([[of[image][name] for image in images] for of in rows])
        return np.array([[np.mean([of[image][name] for of in rows if image in of]) for image in images]])

    def lag(self, other: Observations, images: Sequence[str], processes: Sequence[int]) -> Floats:
        """How many places later than `other` this method ran on each image, (I,): mean over `processes`."""
        lags = [
            [mine.get(image, 0.0) - theirs.get(image, 0.0) for image in images]
            for mine, theirs in ((self.positions[process], other.positions[process]) for process in processes)
        ]
        mean: Floats = np.array(lags, dtype=np.float64).mean(axis=0)
        return mean

    def blocks(self, images: Iterable[str]) -> Ints | None:
        """The block of each image, (I,); None where the run kept none, so that each image counts as its own."""
        if self.block_by_image is None:
            return None
        return np.array([self.block_by_image[image] for image in images], dtype=np.int64)


def observe(samples: Iterable[Sample], *, in_blocks: bool) -> dict[str, Observations]:
    """Observations by method, of the samples that succeeded. `in_blocks` says whether their blocks were recorded."""
    gathered: dict[str, dict[int, dict[str, dict[str, list[float]]]]] = {}
    places: dict[str, dict[int, dict[str, list[int]]]] = {}
    blocks: dict[str, dict[str, int]] = defaultdict(dict)
    for sample in samples:
        if sample.status != "ok" or sample.seconds is None:
            continue
        times = gathered.setdefault(sample.method, {}).setdefault(sample.process, {}).setdefault(sample.image, {})
        for name, seconds in sample.seconds.items():
            times.setdefault(name, []).append(seconds)
        of_process = places.setdefault(sample.method, {}).setdefault(sample.process, {})
        of_process.setdefault(sample.image, []).append(sample.position)
        blocks[sample.method].setdefault(sample.image, sample.block)
    return {
        method: Observations(_means(of_method), _mean_places(places[method]), blocks[method] if in_blocks else None)
        for method, of_method in gathered.items()
    }


def _means(gathered: Mapping[int, Mapping[str, Mapping[str, list[float]]]]) -> _Seconds:
    return {
        process: {
            image: {name: float(np.mean(values)) for name, values in times.items()} for image, times in of.items()
        }
        for process, of in gathered.items()
    }


def _mean_places(gathered: Mapping[int, Mapping[str, list[int]]]) -> dict[int, dict[str, float]]:
    return {
        process: {image: float(np.mean(places)) for image, places in of.items()} for process, of in gathered.items()
    }
