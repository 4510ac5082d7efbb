"""Which methods are in memory: all of them while the device holds them, else the one whose turn it is."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence

import torch

from detectors.contract import Detector

__all__ = ["Residence"]


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

    @property
    def names(self) -> Sequence[str]:
        """The methods, in the order of the plan."""
        return self._names

    def evict(self, reason: str) -> None:
        """From now on keep one method at a time."""
        self.resident, self.reason = False, reason
        self._kept.clear()
        _release()

    def enter(self, name: str) -> tuple[Detector, bool]:
        """The detector of a method, and whether it had to be loaded."""
        if name in self._kept:
            return self._kept[name], False
        self._kept.clear()
        _release()
        self._kept[name] = self._load(name)
        return self._kept[name], True


def _release() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
