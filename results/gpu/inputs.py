"""The photographs and boxes that all parts share, made beforehand where OpenCV contrib is at hand.

One folder, in the layout of a VOC year, so that `--dataset voc:DIR --split val` reads it, with ``boxes.npz`` beside it
and a manifest with the sha256 of everything. Photographs are taken in the order of a split; one on which selective
search finds too few boxes is passed over, so that every photograph comes with as many as the papers speak of. Its
quality mode is used, since OpenCV's fast one finds fewer than 2,000 on most photographs.

Without photographs, scenes of `shapes` are drawn in their size. They stand for photographs as far as time goes, which
depends on the number of pixels and boxes alone: their eight outlines are filed under the first eight classes of VOC,
and boxes that selective search does not find there are drawn by chance.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
from campaign import CampaignError
from PIL import Image

from harness.datasets import First, Truth
from harness.datasets.shapes import draw_scene
from harness.datasets.voc import CLASSES, Voc
from harness.proposals.cache import default_cache_dir, gather
from harness.proposals.selective_search import SelectiveSearch
from harness.storage import write_json, write_text

__all__ = ["MOST_BYTES", "Wanted", "prepare"]

MOST_BYTES = 40 * 2**20
"""Of the folder, which may have to travel to the machine with the GPU."""
_SPLIT = "val"
_SEED = 20
_JPEG_QUALITY = 92

Boxes = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many photographs with how many boxes, and the size of scenes, height and width in px."""

    images: int
    boxes: int
    scene_px: tuple[int, int] = (375, 500)


def prepare(folder: Path, wanted: Wanted, voc: Path | None, split: str, on_progress: Progress) -> dict[str, Any]:
    """Fill an empty `folder`, from the photographs of a VOC year folder or from drawn scenes; returns the manifest.

    Raises:
        CampaignError: the folder is in use, too few photographs have so many boxes, or the folder becomes too large.
        DatasetError, ProposalError: the photographs cannot be read, or boxes not be made.
    """
    if folder.exists() and any(folder.iterdir()):
        raise CampaignError(f"{folder} is not empty; remove it, or choose another --inputs")
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if voc is None:
        found = _scenes(folder, wanted, on_progress)
    else:
        found = _photographs(folder, wanted, voc, split, on_progress)
    boxes_path = folder / "boxes.npz"
    # Corners are whole numbers below 2**16, which take half the room.
    small: dict[str, Any] = {name: boxes.astype(np.uint16) for name, boxes in found.items()}
    np.savez_compressed(boxes_path, **small)
    manifest = _manifest(folder, found, "drawn scenes" if voc is None else f"{voc.name}, split {split}")
    write_json(folder / "manifest.json", manifest)
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if total > MOST_BYTES:
        raise CampaignError(f"{folder} takes {total / 2**20:.0f} MiB of {MOST_BYTES // 2**20}; take fewer --images")
    return manifest


def _manifest(folder: Path, found: dict[str, Boxes], source: str) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "source": source,
        "proposals": dict(_search().settings),
        "images": {
            name: {"boxes": len(boxes), "sha256": _sha256(next((folder / "JPEGImages").glob(f"{name}.*")))}
            for name, boxes in found.items()
        },
        "boxes_sha256": _sha256(folder / "boxes.npz"),
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _search() -> SelectiveSearch:
    return SelectiveSearch(mode="quality")


def _names(folder: Path, names: list[str]) -> None:
    write_text(folder / "ImageSets" / "Main" / f"{_SPLIT}.txt", "".join(f"{name}\n" for name in names))


def _photographs(folder: Path, wanted: Wanted, voc: Path, split: str, on_progress: Progress) -> dict[str, Boxes]:
    """Copies of the first photographs with enough boxes."""
    whole = Voc(voc, split)
    kept: dict[str, Boxes] = {}
    looked_at = 0
    while len(kept) < wanted.images and looked_at < len(whole.ids):
        looked_at = min(len(whole.ids), looked_at + wanted.images - len(kept))
        found = _gathered(First(whole, looked_at), wanted.boxes, on_progress)
        kept = {name: boxes for name, boxes in found.items() if len(boxes) == wanted.boxes}
    if len(kept) < wanted.images:
        raise CampaignError(
            f"{len(kept)} of {len(whole.ids)} photographs of split {split} have {wanted.boxes} boxes; "
            f"ask for fewer than {wanted.images} --images, or for fewer --boxes"
        )
    for name in kept:
        picture = next(path for path in (voc / "JPEGImages").glob(f"{name}.*") if path.suffix in (".jpg", ".png"))
        shutil.copyfile(picture, folder / "JPEGImages" / picture.name)
        shutil.copyfile(voc / "Annotations" / f"{name}.xml", folder / "Annotations" / f"{name}.xml")
    _names(folder, list(kept))
    return kept


def _scenes(folder: Path, wanted: Wanted, on_progress: Progress) -> dict[str, Boxes]:
    """Drawn scenes, the boxes that are found on them, and as many by chance as are missing."""
    names = [f"scene-{index:04d}" for index in range(wanted.images)]
    for index, name in enumerate(names):
        scene = draw_scene(np.random.default_rng([_SEED, index]), size_px=wanted.scene_px)
        Image.fromarray(scene.image).save(folder / "JPEGImages" / f"{name}.jpg", quality=_JPEG_QUALITY)
        _annotate(folder / "Annotations" / f"{name}.xml", scene.truth)
    _names(folder, names)
    found = _gathered(Voc(folder, _SPLIT), wanted.boxes, on_progress)
    return {name: _filled_up(boxes, wanted, index) for index, (name, boxes) in enumerate(found.items())}


def _gathered(dataset: Voc | First, at_most: int, on_progress: Progress) -> dict[str, Boxes]:
    found = gather(
        dataset,
        _search(),
        max_proposals=at_most,
        cache_dir=default_cache_dir(),
        workers=os.cpu_count() or 1,
        on_progress=on_progress,
    )
    return dict(zip(found.ids, found.boxes, strict=True))


def _filled_up(boxes: Boxes, wanted: Wanted, index: int) -> Boxes:
    """So many boxes: those that were found, then others with sides of 20 px or more, inside the scene."""
    rng, short = np.random.default_rng([_SEED, index, 1]), wanted.boxes - len(boxes)
    size = np.array(wanted.scene_px[::-1], dtype=np.float64)
    sides = rng.uniform(20, size, (short, 2))
    corner = rng.uniform(0, 1, (short, 2)) * (size - sides)
    drawn = np.concatenate([np.floor(corner), np.floor(corner) + np.floor(sides)], axis=1)
    return np.concatenate([boxes, drawn.astype(np.float32)])


def _annotate(path: Path, truth: Truth) -> None:
    """An annotation as the devkit has it: corners 1-based and inclusive."""
    top = ElementTree.Element("annotation")
    for (x1, y1, x2, y2), label, difficult in zip(truth.boxes, truth.labels, truth.difficult, strict=True):
        thing = ElementTree.SubElement(top, "object")
        ElementTree.SubElement(thing, "name").text = CLASSES[int(label) - 1]
        ElementTree.SubElement(thing, "difficult").text = str(int(difficult))
        frame = ElementTree.SubElement(thing, "bndbox")
        for key, value in {"xmin": x1 + 1, "ymin": y1 + 1, "xmax": x2, "ymax": y2}.items():
            ElementTree.SubElement(frame, key).text = str(int(value))
    ElementTree.ElementTree(top).write(path)
