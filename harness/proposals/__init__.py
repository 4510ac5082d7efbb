"""Object proposals: boxes that may hold an object, of whatever class. NumPy only, and light to import: workers load it.

Boxes are float32 ``x1 y1 x2 y2``, 0-based pixels, half-open, best first. P is the number of boxes of one image. All
methods of a comparison are given the same `ProposalSet`, and its digest goes into the run's manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from detectors.plugins import Plugin, PluginError, find, missing, not_callable

__all__ = ["MOST", "ProposalError", "ProposalSet", "ProposalSource", "source"]

MOST = 2000
"""Boxes an image unless another number is asked for; about as many have all three papers."""
_BUILT_IN = ("selective-search", "selective-search:quality", "uniform")


class ProposalError(ValueError):
    """Proposals cannot be had as asked; the message is one line: what, where, what instead."""


class ProposalSource(Protocol):
    """Where boxes come from. Picklable, since it travels to worker processes."""

    @property
    def settings(self) -> Mapping[str, str | int | float]:
        """All that decides the boxes besides the image, versions of libraries included; ``name`` is among it.

        Boxes are kept on disk under these settings: boxes made otherwise need other settings.
        """

    def propose(self, image_id: str, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Boxes of one RGB (H, W, 3) image: (P, 4) px, half-open, inside the image, best first. P may be 0."""


@dataclass(frozen=True, slots=True)
class ProposalSet:
    """The boxes of all images of a data set, in its order."""

    ids: tuple[str, ...]
    """Names of the images."""
    boxes: tuple[npt.NDArray[np.float32], ...]
    """(P, 4) px for each image, half-open, best first."""
    seconds: tuple[float | None, ...]
    """What finding the boxes of each image took when they were looked for; None where they were read or drawn."""

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.boxes) == len(self.seconds):
            raise ProposalError(
                f"expected boxes and seconds for {len(self.ids)} images, got {len(self.boxes)} and {len(self.seconds)}"
            )
        for image_id, boxes in zip(self.ids, self.boxes, strict=True):
            if boxes.dtype != np.float32 or boxes.ndim != 2 or boxes.shape[1] != 4:
                raise ProposalError(
                    f"boxes of {image_id}: expected float32 of shape (P, 4), got {boxes.dtype} {boxes.shape}"
                )

    @property
    def sha256(self) -> str:
        """64 hex digits over names and boxes in order: two runs with the same digest saw the same boxes."""
        digest = hashlib.sha256()
        for image_id, boxes in zip(self.ids, self.boxes, strict=True):
            # The counts keep one image's bytes apart from the next one's.
            digest.update(f"{len(image_id.encode())}:{image_id}:{len(boxes)}:".encode())
            digest.update(np.ascontiguousarray(boxes, dtype="<f4").tobytes())
        return digest.hexdigest()


def source(spec: str, ids: Iterable[str] = (), *, seed: int = 0, max_proposals: int = MOST) -> ProposalSource:
    """The source that the command line names: ``selective-search[:quality]``, ``uniform``, a plug-in, a file or folder.

    A plug-in is an entry point of the group ``harness.proposals``, named by ``NAME`` or ``NAME:ARG``. It stands for a
    callable ``(arg, *, seed)`` that returns a `ProposalSource`; `arg` is what follows the colon, or ``""``, and
    ProposalError is raised for a wrong one. A file of the same name is reached as ``./NAME``.

    `ids` are the images that will be asked for; a file without one of them is refused here, before any slow work.
    `max_proposals` are the boxes an image that will be used: as many as ``uniform`` draws.

    Raises:
        ProposalError: nothing of that name, a plug-in that cannot be used, or a file that cannot be read or lacks an
            image.
    """
    plugins = find("harness.proposals", frozenset({"selective-search", "uniform"}))
    if spec in ("selective-search", "selective-search:fast", "selective-search:quality"):
        from harness.proposals.selective_search import SelectiveSearch

        return SelectiveSearch(mode="quality" if spec.endswith(":quality") else "fast", seed=seed)
    if spec == "uniform":
        from harness.proposals.uniform import Uniform

        return Uniform(max_proposals, seed)
    kind, _, arg = spec.partition(":")
    if kind in plugins:
        return _plugged_in(plugins[kind], arg, seed)
    path = Path(spec)
    if not path.exists():
        raise ProposalError(
            f"no proposals {spec!r}: expected {', '.join([*_BUILT_IN, *plugins])}, "
            "a .npz, .json or .mat file, or a folder of <image id>_boxes.mat"
        )
    from harness.proposals.precomputed import Precomputed

    return Precomputed(path, ids)


def _plugged_in(plugin: Plugin, arg: str, seed: int) -> ProposalSource:
    try:
        made: ProposalSource = plugin.load(not_callable)(arg, seed=seed)
    except PluginError as error:
        raise ProposalError(str(error)) from error
    wrong = missing(made, ProposalSource)
    if wrong is None and "name" not in made.settings:
        wrong = "its settings have no 'name'"
    if wrong is not None:
        raise ProposalError(f"{plugin} gives no source of boxes: {wrong}")
    return made
