"""Images with ground truth. NumPy only: proposal workers import this, and must start without loading torch.

A data set is one split of one source. Conventions of `detectors.contract`: boxes float32 ``x1 y1 x2 y2``, 0-based,
half-open; labels 1..K.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from detectors.plugins import Plugin, PluginError, find, missing, not_callable

__all__ = ["Dataset", "DatasetError", "First", "Truth", "open_dataset"]


class DatasetError(ValueError):
    """A data set cannot be read as asked; the message is one line: what, where, what instead."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The objects of one image."""

    boxes: npt.NDArray[np.float32]
    """(G, 4) px, half-open. G may be 0."""
    labels: npt.NDArray[np.int64]
    """(G,), 1..K."""
    difficult: npt.NDArray[np.bool_]
    """(G,)."""


class Dataset(Protocol):
    """One split of one data set. Picklable, since it travels to the processes that make boxes."""

    @property
    def name(self) -> str:
        """How the command line names it, such as ``shapes`` or ``voc:DIR``."""

    @property
    def split(self) -> str:
        """Such as ``train``."""

    @property
    def classes(self) -> tuple[str, ...]:
        """K names; label k is ``classes[k - 1]``."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Image names, unique, in order."""

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        """RGB, (H, W, 3)."""

    def truth(self, index: int) -> Truth:
        """The objects of that image."""


_SHAPES_IMAGES = {"training": 300, "testing": 120}
"""So many scenes keep the default comparison within minutes on two cores."""
_BUILT_IN = frozenset({"shapes", "voc"})


def open_dataset(spec: str, split: str, *, length: int | None, training: bool) -> Dataset:
    """Open ``shapes``, ``shapes:500x375``, ``voc:DIR`` or a plug-in.

    `length` takes the first images of the split, None all of them.

    A plug-in is an entry point of the group ``harness.datasets``, opened by ``NAME`` or ``NAME:ARG``. It stands for a
    callable ``(arg, split, *, length, training)`` that returns a `Dataset`: `arg` is what follows the colon, or ``""``;
    `length` may be left alone, as images beyond it are cut off here; None is all images, or as many as a data set
    without end finds fit for `training` or for testing. It raises DatasetError for a wrong `arg` or `split`.

    Raises:
        DatasetError: no such data set, split, fewer images than asked for, or a plug-in that cannot be used.
    """
    plugins = find("harness.datasets", _BUILT_IN)
    kind, _, where = spec.partition(":")
    if kind == "shapes" and (where or spec == kind):
        from harness.datasets.shapes import Shapes

        return Shapes.of(where, split, length or _SHAPES_IMAGES["training" if training else "testing"])
    if kind == "voc" and where:
        from harness.datasets.voc import Voc

        return First.of(Voc(where, split), length)
    if kind in plugins:
        return First.of(_plugged_in(plugins[kind], where, split, length=length, training=training), length)
    others = f"; plug-ins: {', '.join(plugins)}" if plugins else ""
    raise DatasetError(
        f"no data set {spec!r}; there are shapes and voc:DIR, or shapes:WxH for scenes of one size{others}"
    )


def _plugged_in(plugin: Plugin, arg: str, split: str, *, length: int | None, training: bool) -> Dataset:
    try:
        opened: Dataset = plugin.load(not_callable)(arg, split, length=length, training=training)
    except PluginError as error:
        raise DatasetError(str(error)) from error
    absent = missing(opened, Dataset)
    if absent:
        raise DatasetError(f"{plugin} gives no data set: {absent}")
    return opened


@dataclass(frozen=True, slots=True)
class First:
    """The first images of another data set."""

    whole: Dataset
    length: int

    @classmethod
    def of(cls, whole: Dataset, length: int | None) -> Dataset:
        """`whole` itself where no length is asked for.

        Raises:
            DatasetError: `whole` is shorter.
        """
        if length is None:
            return whole
        if length > len(whole.ids):
            raise DatasetError(f"{whole.name} has {len(whole.ids)} images in split {whole.split}, not {length}")
        return cls(whole, length)

    @property
    def name(self) -> str:
        """The other's."""
        return self.whole.name

    @property
    def split(self) -> str:
        """The other's."""
        return self.whole.split

    @property
    def classes(self) -> tuple[str, ...]:
        """The other's."""
        return self.whole.classes

    @property
    def ids(self) -> tuple[str, ...]:
        """The first of the other's."""
        return self.whole.ids[: self.length]

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        """The other's."""
        return self.whole.image(index)

    def truth(self, index: int) -> Truth:
        """The other's."""
        return self.whole.truth(index)
