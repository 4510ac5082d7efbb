"""`voc:DIR`: one year folder of a PASCAL VOC devkit, such as ``VOCdevkit/VOC2007``.

Boxes in the devkit are 1-based and inclusive; ``(xmin, ymin, xmax, ymax)`` there is
``(xmin - 1, ymin - 1, xmax, ymax)`` here, so that the devkit's IoU with its +1 is plain IoU. This file is the only
place that turns them.

Opening a split looks for every image and annotation that it names, and reads none of them.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from harness.datasets import DatasetError, Truth
from harness.datasets.picture import read_picture, size_of

__all__ = ["CLASSES", "Voc"]

CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""The classes of 2007 to 2012 in the order of the devkit [VOC07 VOCinit.m]."""

_SUFFIXES = (".jpg", ".png")
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]+)?", re.ASCII)
_SAFE = re.compile(r"[\w.-]+")
"""Names that cannot leave their folder, once ``..`` is refused as well."""


class _Builder(ElementTree.TreeBuilder):
    """Refuses a document type at its declaration, before any entity of it is expanded ("billion laughs")."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Called by the parser where a document type begins."""
        raise DatasetError("it declares a document type, which VOC annotations do not have")


def _text(element: ElementTree.Element, name: str) -> str:
    found = element.find(name)
    if found is None or not (found.text or "").strip():
        raise DatasetError(f"<{element.tag}> has no <{name}>")
    return (found.text or "").strip()


def _box(element: ElementTree.Element, size: tuple[int, int]) -> tuple[float, float, float, float]:
    frame = element.find("bndbox")
    if frame is None:
        raise DatasetError("<object> has no <bndbox>")
    printed = [_text(frame, name) for name in ("xmin", "ymin", "xmax", "ymax")]
    if not all(_NUMBER.fullmatch(value) for value in printed):
        raise DatasetError(f"expected a box of four numbers, got {' '.join(printed)}")
    xmin, ymin, xmax, ymax = (float(value) for value in printed)
    height, width = size
    if not (1 <= xmin <= xmax <= width and 1 <= ymin <= ymax <= height):
        raise DatasetError(
            f"expected a 1-based box with xmin <= xmax <= {width} and ymin <= ymax <= {height}, the size of its image; "
            f"got xmin ymin xmax ymax {' '.join(printed)}"
        )
    return xmin - 1, ymin - 1, xmax, ymax


def _label(element: ElementTree.Element) -> int:
    name = _text(element, "name")
    if name not in CLASSES:
        raise DatasetError(f"{name!r} is not one of the 20 VOC classes {', '.join(CLASSES)}")
    return CLASSES.index(name) + 1


def _difficult(element: ElementTree.Element) -> bool:
    if element.find("difficult") is None:
        return False
    flag = _text(element, "difficult")
    if flag not in ("0", "1"):
        raise DatasetError(f"<difficult>: expected 0 or 1, got {flag!r}")
    return flag == "1"


def _read_truth(path: Path, size: tuple[int, int]) -> Truth:
    try:
        parser = ElementTree.XMLParser(target=_Builder())
        # Bytes, so that the parser goes by the encoding that the file declares.
        parser.feed(path.read_bytes())
        root = parser.close()
        if root.tag != "annotation":
            raise DatasetError(f"expected <annotation>, got <{root.tag}>")
        objects = root.findall("object")
        boxes = [_box(element, size) for element in objects]
        return Truth(
            np.array(boxes, dtype=np.float32).reshape(-1, 4),
            np.array([_label(element) for element in objects], dtype=np.int64),
            np.array([_difficult(element) for element in objects], dtype=np.bool_),
        )
    # LookupError, and a ValueError that is no DatasetError: an encoding that Python does not know or expat cannot take.
    except (ElementTree.ParseError, OSError, LookupError, ValueError) as error:
        raise DatasetError(f"annotation {path} cannot be read: {error}") from None


def _listing(folder: Path) -> frozenset[str]:
    """Names in a folder: one listing is far cheaper than a question for each of thousands of files."""
    try:
        return frozenset(entry.name for entry in folder.iterdir())
    except OSError:
        raise DatasetError(
            f"no folder {folder}: expected a VOC year folder such as VOCdevkit/VOC2007, "
            "with ImageSets/Main, Annotations and JPEGImages"
        ) from None


def _read_ids(root: Path, split: str) -> tuple[str, ...]:
    folder = root / "ImageSets" / "Main"
    names = _listing(folder)
    if f"{split}.txt" not in names:
        splits = sorted(name.removesuffix(".txt") for name in names if name.endswith(".txt"))
        # The devkit has 20 lists of each split beside it, one a class.
        general = [name for name in splits if not name.startswith(tuple(f"{label}_" for label in CLASSES))]
        raise DatasetError(f"{root} has no split {split!r}; there are {', '.join(general or splits) or 'none'}")
    path = folder / f"{split}.txt"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"split list {path} cannot be read: {error}") from None
    ids = tuple(line.split()[0] for line in lines if line.strip())
    if not ids:
        raise DatasetError(f"split list {path} names no image")
    for image_id in ids:
        if not _SAFE.fullmatch(image_id) or ".." in image_id:
            raise DatasetError(f"split list {path}: {image_id!r} is not the name of an image")
    if len(set(ids)) < len(ids):
        twice = next(image_id for position, image_id in enumerate(ids) if image_id in ids[:position])
        raise DatasetError(f"split list {path} names {twice} twice")
    return ids


class Voc:
    """One split of a VOC year folder.

    Raises:
        DatasetError: no such folder or split, or an image or annotation of the split is missing.
    """

    def __init__(self, root: Path | str, split: str) -> None:
        self._root = Path(root)
        self._split = split
        self._name = f"voc:{root}"
        self._ids = _read_ids(self._root, split)
        self._files = self._find_files()
        self._truths: dict[int, Truth] = {}

    def _find_files(self) -> tuple[str, ...]:
        """File name of each image, once it is known that all are there with their annotations."""
        images, annotations = _listing(self._root / "JPEGImages"), _listing(self._root / "Annotations")
        files = []
        for image_id in self._ids:
            names = [image_id + suffix for suffix in _SUFFIXES if image_id + suffix in images]
            if not names:
                raise DatasetError(
                    f"no image {self._root / 'JPEGImages' / image_id}.jpg (or .png), which split {self._split!r} names"
                )
            if f"{image_id}.xml" not in annotations:
                raise DatasetError(
                    f"no annotation {self._root / 'Annotations' / image_id}.xml, which split {self._split!r} names"
                )
            files.append(names[0])
        return tuple(files)

    @property
    def name(self) -> str:
        """``voc:DIR``, with the folder as it was given."""
        return self._name

    @property
    def split(self) -> str:
        """The name of a list in ``ImageSets/Main``."""
        return self._split

    @property
    def classes(self) -> tuple[str, ...]:
        """The 20 classes, in alphabetical order."""
        return CLASSES

    @property
    def ids(self) -> tuple[str, ...]:
        """Such as ``000009``, in the order of the list."""
        return self._ids

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        """RGB, (H, W, 3).

        Raises:
            DatasetError: the file is no image, is damaged, or has more than 8 bits a channel.
        """
        # As it is stored: that is what boxes are drawn on.
        return np.array(read_picture(self._image(index), upright=False), dtype=np.uint8)

    def truth(self, index: int) -> Truth:
        """The objects of an image, half-open; read at the first call.

        Raises:
            DatasetError: the annotation is damaged, names another class, or has a box that the image does not hold.
        """
        if index not in self._truths:
            path = self._root / "Annotations" / f"{self._ids[index]}.xml"
            self._truths[index] = _read_truth(path, size_of(self._image(index)))
        return self._truths[index]

    def _image(self, index: int) -> Path:
        return self._root / "JPEGImages" / self._files[index]
