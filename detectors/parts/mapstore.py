"""Feature maps of training images on disk, so that each image is convolved once and not for every mini-batch.

SPP-net's convolutions do not learn, so that their maps stay as they are while the layers above are fine-tuned; the
release writes those of all images and sizes to disk first (spp_exp_cache_features_voc.m).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch

from detectors.contract import notice
from detectors.parts.scales import ImagePyramid

__all__ = ["Convolved", "MapStore"]


@dataclass(frozen=True, slots=True)
class Convolved:
    """An image at some sizes, after the convolutions."""

    pyramid: ImagePyramid
    """Where boxes lie at each size."""
    maps: tuple[torch.Tensor, ...]
    """One of (1, C, H, W) a size."""


class MapStore:
    """Keeps maps in a folder of its own while it is open, up to a number of bytes; what does not fit is made anew.

    Differs from [SPP spp_exp_cache_features_voc.m]: maps are kept in float16, since half the disk and the reading count
    more than the last of their digits, of which dropout halves the number anyway.
    """

    def __init__(self, above: Path, most_bytes: int) -> None:
        """Nothing is touched yet; the folder will be made in `above`."""
        self._above, self._left = above, most_bytes
        self._pyramids: dict[Hashable, tuple[int, ImagePyramid]] = {}

    def __enter__(self) -> Self:
        self._above.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="maps-", dir=self._above))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def get(self, key: Hashable, make: Callable[[], Convolved]) -> Convolved:
        """What `make` gave for this key, in float16's precision, on the device that it is on."""
        if key in self._pyramids:
            number, pyramid = self._pyramids[key]
            return Convolved(pyramid, tuple(self._read(number, len(pyramid.factors), pyramid.images[0].device)))
        made = make()
        # Rounded when it is made, too: what a fit learns must not depend on what fitted on the disk.
        halves = tuple(one.half() for one in made.maps)
        if self._keep(halves):
            # Of the images only the device is wanted.
            images = tuple(one.new_empty(0) for one in made.pyramid.images)
            self._pyramids[key] = len(self._pyramids), replace(made.pyramid, images=images)
        return Convolved(made.pyramid, tuple(one.float() for one in halves))

    def _keep(self, maps: tuple[torch.Tensor, ...]) -> bool:
        wanted = sum(one.numel() * one.element_size() for one in maps)
        if wanted > self._left:
            return False
        try:
            for place, one in enumerate(maps):
                np.save(self._path(len(self._pyramids), place), one.cpu().numpy())
        except OSError as error:
            self._left = 0
            notice(f"feature maps are no longer kept ({error.strerror}): the rest of them are made whenever needed")
            return False
        self._left -= wanted
        return True

    def _read(self, number: int, count: int, device: torch.device) -> list[torch.Tensor]:
        paths = [self._path(number, place) for place in range(count)]
        return [torch.from_numpy(np.load(path)).to(device).float() for path in paths]

    def _path(self, number: int, place: int) -> Path:
        return self._folder / f"{number}-{place}.npy"
