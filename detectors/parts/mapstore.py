"""Feature maps of training images on disk, so that each image is convolved once and not for every mini-batch.

SPP-net's convolutions do not learn, so that their maps stay as they are while the layers above are fine-tuned; the
release writes those of all images and sizes to disk first (spp_exp_cache_features_voc.m).
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch

from detectors.contract import notice
from detectors.parts.scales import ImagePyramid

__all__ = ["Convolved", "MapStore"]

_PREFIX = "maps-"


@dataclass(frozen=True, slots=True)
class Convolved:
    """An image at some sizes, after the convolutions."""

    pyramid: ImagePyramid
    """Where boxes lie at each size."""
    maps: tuple[torch.Tensor, ...]
    """One of (1, C, H, W) a size."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """An image whose maps are on disk."""

    pyramid: ImagePyramid
    """Without the images."""
    paths: tuple[Path, ...]
    factors: tuple[float, ...]
    """By which the maps were multiplied."""
    device: torch.device


class MapStore:
    """Keeps maps in a folder of its own while it is open, up to a number of bytes; what does not fit is made anew.

    Differs from [SPP spp_exp_cache_features_voc.m]: maps are kept in float16, each times a power of two that brings its
    largest value near to 1, so that an activation is right to 2^-11 of itself, or to 2^-25 of the largest: half the
    disk, and half the reading, which is what a mini-batch costs here.
    """

    def __init__(self, above: Path, most_bytes: int) -> None:
        """Nothing is touched yet; the folder will be made in `above`."""
        self._above, self._left = above, most_bytes
        self._kept: dict[Hashable, _Kept] = {}

    def __enter__(self) -> Self:
        self._above.mkdir(parents=True, exist_ok=True)
        for left in self._above.glob(f"{_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)  # by a fit that was killed
        self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._above))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def get(self, key: Hashable, make: Callable[[], Convolved]) -> Convolved:
        """What `make` gave for this key, in float16's precision, on the device that it was made on."""
        if (kept := self._kept.get(key)) is not None:
            read = (torch.from_numpy(np.load(path)).to(kept.device) for path in kept.paths)
            return Convolved(kept.pyramid, _restored(read, kept.factors))
        made = make()
        # Rounded when it is made, too: what a fit learns must not depend on what fitted on the disk.
        factors = tuple(_factor(one) for one in made.maps)
        halves = tuple((one * factor).half() for one, factor in zip(made.maps, factors, strict=True))
        self._keep(key, made.pyramid, halves, factors)
        return Convolved(made.pyramid, _restored(halves, factors))

    def _keep(
        self, key: Hashable, pyramid: ImagePyramid, halves: Sequence[torch.Tensor], factors: tuple[float, ...]
    ) -> None:
        wanted = sum(one.numel() * one.element_size() for one in halves)
        if wanted > self._left:
            return
        paths = tuple(self._folder / f"{len(self._kept)}-{place}.npy" for place in range(len(halves)))
        try:
            for path, one in zip(paths, halves, strict=True):
                np.save(path, one.cpu().numpy())
        except OSError as error:
            # What else is to be written to this disk, as checkpoints are, counts more.
            self._left, self._kept = 0, {}
            for path in self._folder.iterdir():
                path.unlink()
            notice(f"feature maps are no longer kept ({error.strerror}): they are made whenever they are needed")
            return
        self._left -= wanted
        self._kept[key] = _Kept(replace(pyramid, images=()), paths, factors, halves[0].device)


def _factor(one: torch.Tensor) -> float:
    """The power of two that brings the largest value to between 1/2 and 1."""
    largest = float(one.abs().max()) if one.numel() else 0.0
    return 2.0 ** -math.frexp(largest)[1] if math.isfinite(largest) else 1.0


def _restored(halves: Iterable[torch.Tensor], factors: Sequence[float]) -> tuple[torch.Tensor, ...]:
    return tuple(one.float() / factor for one, factor in zip(halves, factors, strict=True))
