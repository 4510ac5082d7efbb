from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from harness.datasets import Truth
from harness.datasets.shapes import Shapes
from harness.proposals import ProposalError, ProposalSet, ProposalSource
from harness.proposals.cache import default_cache_dir, gather
from harness.proposals.precomputed import Precomputed
from harness.proposals.selective_search import SelectiveSearch


@dataclass
class Pictures:
    """Images of one grey each."""

    greys: tuple[int, ...]
    name: str = "pictures"
    split: str = "test"
    classes: tuple[str, ...] = ("thing",)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(f"image-{index}" for index in range(len(self.greys)))

    def image(self, index: int) -> npt.NDArray[np.uint8]:
        return np.full((8, 9, 3), self.greys[index], np.uint8)

    def truth(self, index: int) -> Truth:
        return Truth(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_))


@dataclass
class Counting:
    """As many boxes as the image is grey, and a record of who asked."""

    version: int = 1
    asked: list[str] = field(default_factory=list)
    fails_at: str = ""

    @property
    def settings(self) -> Mapping[str, str | int | float]:
        return {"name": "counting", "version": self.version}

    def propose(self, image_id: str, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.asked.append(image_id)
        if image_id == self.fails_at:
            raise ProposalError(f"no boxes for {image_id}")
        return np.arange(4 * int(image[0, 0, 0]), dtype=np.float32).reshape(-1, 4)


def gathered(source: ProposalSource, folder: Path, *greys: int, max_proposals: int = 100) -> ProposalSet:
    return gather(Pictures(greys), source, max_proposals=max_proposals, cache_dir=folder, workers=0)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_is_in_the_cache_is_not_computed_again(tmp_path: Path) -> None:
    """A second run asks nothing and gives the same boxes and the seconds of the first."""
    source = Counting()
    first = gathered(source, tmp_path, 3, 0, 5)
    second = gathered(source, tmp_path, 3, 0, 5)
    assert source.asked == ["image-0", "image-1", "image-2"]
    assert [len(boxes) for boxes in second.boxes] == [3, 0, 5]
    assert second.sha256 == first.sha256
    assert second.seconds == first.seconds
    assert all(seconds is not None and seconds > 0 for seconds in first.seconds)


def test_the_cache_goes_by_content_and_settings(tmp_path: Path) -> None:
    """The same picture under another name is found; another picture or another setting of the source is not."""
    gathered(Counting(), tmp_path, 3, 4)
    source = Counting()
    gathered(source, tmp_path, 4, 3)
    assert source.asked == []
    gathered(source, tmp_path, 4, 6)
    assert source.asked == ["image-1"]
    newer = Counting(version=2)
    gathered(newer, tmp_path, 4)
    assert newer.asked == ["image-0"]


def test_the_cap_takes_the_first_boxes_and_leaves_the_cache_whole(tmp_path: Path) -> None:
    """A run with a cap does not spoil the cache for a run without."""
    source = Counting()
    capped = gathered(source, tmp_path, 5, max_proposals=2)
    assert capped.boxes[0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(gathered(source, tmp_path, 5).boxes[0]) == 5
    assert source.asked == ["image-0"]


def test_a_run_that_is_broken_off_keeps_what_it_had(tmp_path: Path) -> None:
    """Images that were done before the failure are not computed again, and no half-written file is left."""
    with pytest.raises(ProposalError, match="no boxes for image-2"):
        gathered(Counting(fails_at="image-2"), tmp_path, 1, 2, 3, 4)
    assert len(files(tmp_path)) == 2
    source = Counting()
    gathered(source, tmp_path, 1, 2, 3, 4)
    assert source.asked == ["image-2", "image-3"]


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text", "other"])
def test_a_damaged_cache_file_is_computed_again(tmp_path: Path, damage: str) -> None:
    """And written anew, so that the next run finds it."""
    gathered(Counting(), tmp_path, 7)
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    middle = len(whole) // 4
    if damage == "other":
        with path.open("wb") as file:
            np.savez(file, boxes=np.zeros(3), seconds=np.float64(1))
    else:
        flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
        path.write_bytes({"empty": b"", "cut": whole[:-30], "flipped": flipped, "text": b"boxes"}[damage])
    source = Counting()
    assert len(gathered(source, tmp_path, 7).boxes[0]) == 7
    gathered(source, tmp_path, 7)
    assert source.asked == ["image-0"]


def test_a_key_is_two_digits_of_folder_and_a_digest(tmp_path: Path) -> None:
    """<2 hex>/<64 hex>.npz, the folder being the digest's first digits."""
    gathered(Counting(), tmp_path, 7)
    (path,) = files(tmp_path)
    assert path.suffix == ".npz"
    assert len(path.stem) == 64
    assert path.parent == tmp_path / path.stem[:2]


def test_progress_counts_every_image_once(tmp_path: Path) -> None:
    """From the cache or not, 1 to n of n."""
    heard: list[tuple[int, int]] = []
    gathered(Counting(), tmp_path, 1)
    gather(
        Pictures((2, 1, 3)),
        Counting(),
        max_proposals=9,
        cache_dir=tmp_path,
        workers=0,
        on_progress=lambda done, total: heard.append((done, total)),
    )
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    """The digest does not depend on the number of workers; a third run is served from the second one's cache."""
    data = Shapes("test", 5)
    runs = [
        gather(data, SelectiveSearch(), max_proposals=50, cache_dir=tmp_path / folder, workers=workers)
        for folder, workers in (("one", 0), ("two", 2), ("two", 2))
    ]
    assert len({run.sha256 for run in runs}) == 1
    assert all(len(boxes) == 50 for boxes in runs[0].boxes)
    assert runs[1].seconds == runs[2].seconds


def test_boxes_of_a_file_are_neither_cached_nor_timed(tmp_path: Path) -> None:
    """Looking a box up says nothing about how long finding it took: seconds are None."""
    (tmp_path / "boxes.json").write_text('{"image-0": [[0, 0, 5, 5], [1, 1, 4, 4]], "image-1": []}')
    found = gathered(Precomputed(tmp_path / "boxes.json"), tmp_path / "cache", 1, 2, max_proposals=1)
    assert [boxes.tolist() for boxes in found.boxes] == [[[0, 0, 5, 5]], []]
    assert found.seconds == (None, None)
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The message says what to set."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ProposalError, match=r"proposal cache .*file cannot be written .* set HARNESS_CACHE"):
        gathered(Counting(), tmp_path / "file", 1)


def test_bad_counts_are_refused(tmp_path: Path) -> None:
    """At least one box, at least no worker."""
    with pytest.raises(ProposalError, match="max_proposals >= 1"):
        gathered(Counting(), tmp_path, 1, max_proposals=0)
    with pytest.raises(ProposalError, match="workers >= 0, got 5 and -1"):
        gather(Pictures((1,)), Counting(), max_proposals=5, cache_dir=tmp_path, workers=-1)


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """HARNESS_CACHE first, then XDG_CACHE_HOME, then the home folder."""
    monkeypatch.setenv("HARNESS_CACHE", "a/b")
    monkeypatch.setenv("XDG_CACHE_HOME", "c")
    assert default_cache_dir() == Path("a/b")
    monkeypatch.setenv("HARNESS_CACHE", "")
    assert default_cache_dir() == Path("c/rcnn-harness")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache_dir() == Path.home() / ".cache/rcnn-harness"
