"""Boxes that somebody else found, read from a file by the name of the image.

    .npz            image id -> (P, 4) numbers, x1 y1 x2 y2, half-open
    .json           {image id: [[x1, y1, x2, y2], ...]}, half-open
    .mat            the boxes of R-CNN and Fast R-CNN: cell arrays `images` (names) and `boxes`, each y1 x1 y2 x2,
                    1-based and inclusive
    <id>_boxes.mat  one image, as the demo of Fast R-CNN has it: `boxes`, x1 y1 x2 y2, 0-based and inclusive;
                    or a folder of such files

Inclusive boxes become half-open here and nowhere else. The order of the file is kept: it should be best first, or a cap
on the number of boxes takes the wrong ones. The demo boxes of Fast R-CNN are sorted by position; do not cap those.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.proposals import ProposalError
from harness.storage import parse_json

__all__ = ["Precomputed"]

Boxes = npt.NDArray[np.float32]

_VARIABLES = ("boxes", "images")
_ONE_IMAGE = "_boxes.mat"
_INCLUSIVE = np.array([0, 0, 1, 1])
"""Added to 0-based inclusive corners, gives half-open ones."""
_ONE_BASED = np.array([-1, -1, 0, 0])
"""Added to 1-based inclusive corners, gives 0-based half-open ones."""


def _numbers(rows: object, where: str) -> npt.NDArray[np.float64]:
    """(P, 4) as float64: the originals are uint16, in which 0 - 1 is 65535."""
    try:
        array = np.asarray(rows)
    except ValueError:
        raise ProposalError(f"{where}: expected shape (P, 4), got rows of different lengths") from None
    if array.size == 0:
        return np.zeros((0, 4))
    if array.dtype.kind not in "iuf":
        raise ProposalError(f"{where}: expected numbers, got {array.dtype}")
    if array.ndim != 2 or array.shape[1] != 4:
        raise ProposalError(f"{where}: expected shape (P, 4), got {array.shape}")
    return array.astype(np.float64)


def _boxes(corners: npt.NDArray[np.float64], where: str) -> Boxes:
    with np.errstate(over="ignore"):
        boxes = corners.astype(np.float32)
    finite = np.isfinite(boxes).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise ProposalError(f"{where}: expected finite numbers, got {boxes[row].tolist()} in row {row}")
    valid = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    if not valid.all():
        row = int(np.argmin(valid))
        raise ProposalError(
            f"{where}: expected half-open x1 < x2 and y1 < y2, got x1 y1 x2 y2 {boxes[row].tolist()} in row {row}"
        )
    return boxes


def _from_npz(path: Path, wanted: frozenset[str]) -> dict[str, Boxes]:
    try:
        # Opened here because NumPy leaves a damaged file open.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise ValueError("it is one array, not an archive with an array for each image id")
            rows = {name: archive[name] for name in archive.files if not wanted or name in wanted}
    except Exception as error:  # noqa: BLE001  (NumPy evaluates what a header says, which damage can break in any way)
        raise ProposalError(f"{path} cannot be read as .npz: {_reason(error)}") from None
    return {name: _boxes(_numbers(each, f"{path}, {name}"), f"{path}, {name}") for name, each in rows.items()}


def _from_json(path: Path, wanted: frozenset[str]) -> dict[str, Boxes]:
    try:
        rows = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ProposalError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(rows, dict):
        raise ProposalError(f"{path}: expected an object of image id to boxes, got a {type(rows).__name__}")
    return {
        name: _boxes(_numbers(each, f"{path}, {name}"), f"{path}, {name}")
        for name, each in rows.items()
        if not wanted or name in wanted
    }


def _load_mat(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        content: dict[str, Any] = loadmat(path, variable_names=_VARIABLES)
    except NotImplementedError:
        raise ProposalError(f"{path} is a MATLAB 7.3 file: save it with -v7") from None
    except Exception as error:  # noqa: BLE001  (SciPy trusts lengths and types of a file, so damage can do anything)
        raise ProposalError(f"{path} cannot be read as .mat: {_reason(error)}") from None
    if "boxes" not in content:
        raise ProposalError(f"{path} has no variable `boxes`")
    return content


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _from_cells(path: Path, content: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Boxes]:
    if "images" not in content:
        raise ProposalError(f"{path} has no variable `images` that names the image of each cell of `boxes`")
    names = [str(np.ravel(cell)[0]).strip() if np.size(cell) else "" for cell in content["images"].ravel()]
    cells = content["boxes"].ravel()
    if len(names) != len(cells) or len(set(names)) < len(names):
        raise ProposalError(
            f"{path}: expected one image name for each of {len(cells)} cells, got {len(set(names))} different names"
        )
    found = {}
    for name, cell in zip(names, cells, strict=True):
        if not wanted or name in wanted:
            corners = _numbers(cell, f"{path}, {name}")[:, [1, 0, 3, 2]]
            found[name] = _boxes(corners + _ONE_BASED, f"{path}, {name}")
    return found


def _from_mat(path: Path, wanted: frozenset[str]) -> dict[str, Boxes]:
    content = _load_mat(path)
    if content["boxes"].dtype == object:
        return _from_cells(path, content, wanted)
    if not path.name.endswith(_ONE_IMAGE):
        raise ProposalError(f"{path} has the boxes of one image: expected a file name <image id>{_ONE_IMAGE}")
    return {path.name.removesuffix(_ONE_IMAGE): _boxes(_numbers(content["boxes"], str(path)) + _INCLUSIVE, str(path))}


def _files(path: Path, wanted: frozenset[str]) -> list[Path]:
    """The files that hold the boxes of the wanted images."""
    if not path.is_dir():
        return [path]
    files = sorted(path.glob(f"*{_ONE_IMAGE}"))
    if not files:
        raise ProposalError(f"{path} has no file <image id>{_ONE_IMAGE}")
    return [file for file in files if not wanted or file.name.removesuffix(_ONE_IMAGE) in wanted]


_READERS = {".npz": _from_npz, ".json": _from_json, ".mat": _from_mat}


_READ_ALL = """
import sys
from scipy.io import loadmat
for name in sys.stdin.read().split("\\0"):
    print(name, flush=True)
    try:
        loadmat(name, variable_names=sys.argv[1:])
    except Exception:
        pass
"""
"""What another process does with .mat files before this one reads them."""


def _check_survives(files: Sequence[Path]) -> None:
    """See in another process that reading .mat files ends at all: a damaged one can crash SciPy, and Python with it."""
    if not files:
        return
    done = subprocess.run(
        [sys.executable, "-c", _READ_ALL, *_VARIABLES],
        input="\0".join(map(str, files)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        culprit = (done.stdout.splitlines() or [str(files[0])])[-1]
        raise ProposalError(f"{culprit} cannot be read as .mat: it is damaged so that reading it ends in a crash")


class Precomputed:
    """The boxes of a file or folder; only those of `ids`, or all where `ids` is empty.

    Raises:
        ProposalError: it cannot be read, has a box that is none, or lacks an image of `ids`.
    """

    def __init__(self, path: Path, ids: Iterable[str] = ()) -> None:
        wanted = frozenset(ids)
        self._path = path
        self._boxes: dict[str, Boxes] = {}
        digest = hashlib.sha256()
        files = _files(path, wanted)
        _check_survives([file for file in files if file.suffix == ".mat" and file.is_file()])
        for file in files:
            if file.suffix not in _READERS:
                raise ProposalError(f"{file}: expected a file that ends in {', '.join(_READERS)}")
            self._boxes.update(_READERS[file.suffix](file, wanted))
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        self._sha256 = digest.hexdigest()
        missing = sorted(wanted - self._boxes.keys())
        if missing:
            raise ProposalError(f"{path} has no boxes for {len(missing)} of {len(wanted)} images, such as {missing[0]}")

    @property
    def settings(self) -> dict[str, str | int | float]:
        """The file's name, and the digest of what was read."""
        return {"name": "precomputed", "file": self._path.name, "sha256": self._sha256}

    def propose(self, image_id: str, image: npt.NDArray[np.uint8]) -> Boxes:
        """Boxes of one RGB (H, W, 3) image, (P, 4) px, half-open, in the order of the file, clipped to the image.

        Raises:
            ProposalError: no boxes for that image, or a box that lies outside of it.
        """
        if image_id not in self._boxes:
            raise ProposalError(f"{self._path} has no boxes for image {image_id}")
        height, width = image.shape[:2]
        clipped = self._boxes[image_id].clip(0, np.array([width, height, width, height], np.float32))
        if not (clipped[:, 2:] > clipped[:, :2]).all():
            row = int(np.argmin((clipped[:, 2:] > clipped[:, :2]).all(axis=1)))
            box = self._boxes[image_id][row].tolist()
            raise ProposalError(
                f"{self._path}, {image_id}: box {box} in row {row} lies outside the image of {width} x {height} px"
            )
        return clipped
