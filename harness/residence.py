"""Which methods are in memory: all of them while the device holds them, else the one whose turn it is."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import Self

import torch

from detectors.contract import Detector, is_out_of_memory

__all__ = ["Residence", "release_memory"]


def release_memory() -> None:
    """Give back to the device and to other processes what nobody holds any more."""
    gc.unfreeze()  # what was frozen is not collected
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class Residence:
    """Hands out the detectors of a pass.

    Methods that take turns must not pay for being loaded, so all stay in memory. Where that is too much, each is loaded
    for its turn, outside the stopwatch, and `resident` says so.
    """

    def __init__(self, detectors: dict[str, Detector], load: Callable[[str], Detector]) -> None:
        """`load` makes a detector ready to detect again, as it was fitted.

        `detectors` is kept and emptied, not copied: what the caller held on to could not make room.
        """
        self._names, self._kept, self._load = tuple(detectors), detectors, load
        self.resident = True
        self.reason: str | None = None
        """Why they are not all in memory."""

    @classmethod
    def loaded(cls, names: Sequence[str], load: Callable[[str], Detector]) -> Self:
        """All methods, or as many as there is room for.

        Raises:
            Exception: whatever `load` raises, but for a lack of memory.
        """
        residence = cls({}, load)
        residence._names = tuple(names)
        for name in names:
            try:
                residence._kept[name] = load(name)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                reason = f"out of memory while {name} was loaded beside the others"
            else:
                continue
            residence.evict(reason)  # outside of the handler, which holds on to what the failed call made
            break
        return residence

    @property
    def names(self) -> Sequence[str]:
        """The methods, in the order of the plan."""
        return self._names

    def evict(self, reason: str) -> None:
        """From now on keep one method at a time."""
        self.resident, self.reason = False, reason
        self._kept.clear()
        release_memory()

    def enter(self, name: str) -> tuple[Detector, bool]:
        """The detector of a method, and whether it had to be loaded; nobody may hold on to the one before."""
        if name in self._kept:
            return self._kept[name], False
        self._kept.clear()
        release_memory()
        self._kept[name] = self._load(name)
        return self._kept[name], True
