"""Photographs from files and folders: which are taken, how they are turned, and what is said of those that are not."""

from __future__ import annotations

import pickle
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from harness.datasets import DatasetError
from harness.datasets.picture import read_picture
from harness.photographs import Photographs

CLASSES = ("cat", "dog")


def picture(path: Path, size: tuple[int, int] = (6, 4), **saved: object) -> Path:
    """A file with a picture of noise of this width and height."""
    width, height = size
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **saved)  # type: ignore[arg-type]
    return path


def test_a_folder_gives_its_photographs_by_name(tmp_path: Path) -> None:
    """JPEG and PNG files, in capitals, too; nothing else, and nothing from folders within."""
    for name in ("b.png", "a.JPG", "c.jpeg", "d.gif"):
        picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no photograph")
    (tmp_path / "inner.jpg").mkdir()
    picture(tmp_path / "inner.jpg" / "e.png")
    found, skipped = Photographs.found([tmp_path], CLASSES)
    assert [file.name for file in found.files] == ["a.JPG", "b.png", "c.jpeg"]
    assert found.ids == ("a", "b", "c")
    assert found.classes == CLASSES
    assert skipped == ()


def test_places_keep_their_order_and_a_named_file_may_be_of_any_kind(tmp_path: Path) -> None:
    """A file that is named was meant."""
    (tmp_path / "folder").mkdir()
    picture(tmp_path / "folder" / "z.png")
    last = picture(tmp_path / "a.gif")
    found, _ = Photographs.found([tmp_path / "folder", last], CLASSES)
    assert found.ids == ("z", "a")
    assert found.image(1).shape == (4, 6, 3)


def test_photographs_stand_upright(tmp_path: Path) -> None:
    """EXIF orientation 6: what is stored first is the right edge, from top to bottom."""
    stored = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(tmp_path / "turned.png", exif=exif)
    found, _ = Photographs.found([tmp_path / "turned.png"], CLASSES)
    seen = found.image(0)
    assert seen.shape == (5, 3, 3)
    for row in range(5):
        for column in range(3):
            assert (seen[row, column] == stored[2 - column, row]).all()


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_every_orientation_is_turned_as_pillow_turns_it(tmp_path: Path, orientation: int, suffix: str) -> None:
    """0 and 9 mean nothing, and the picture stays as it is."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)).save(path, exif=exif)
    found, _ = Photographs.found([path], CLASSES)
    with Image.open(path) as stored:
        assert np.array_equal(found.image(0), np.array(ImageOps.exif_transpose(stored).convert("RGB")))


def test_exif_data_that_are_damaged_cost_no_photograph(tmp_path: Path) -> None:
    """A resolution that is text, as some programs write it; Pillow's own turning fails on that."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x011A] = 72.0
    path = tmp_path / "odd.jpg"
    Image.new("RGB", (12, 8)).save(path, exif=exif)
    content = path.read_bytes()
    order = ">" if b"MM\x00*" in content else "<"
    rational, text = struct.pack(f"{order}HHI", 0x011A, 5, 1), struct.pack(f"{order}HHI4s", 0x011A, 2, 4, b"odd")
    at = content.index(rational)
    path.write_bytes(content[:at] + text + content[at + len(text) :])
    with Image.open(path) as stored, pytest.raises(TypeError):
        ImageOps.exif_transpose(stored)
    found, skipped = Photographs.found([tmp_path], CLASSES)
    assert skipped == ()
    assert found.image(0).shape == (12, 8, 3)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_gets_past_a_line(tmp_path: Path, data: st.DataObject) -> None:
    """Any bytes of a good file changed: a picture of the same kind, or one line."""
    suffix = data.draw(st.sampled_from(["jpg", "png", "gif", "webp", "tif", "bmp"]))
    path = tmp_path / f"damaged.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3)).save(path, exif=exif)
    content = bytearray(path.read_bytes())
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), min_size=1)):
        content[at] = byte
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    said, seen = "", None
    try:
        seen = read_picture(path, upright=True)
    except DatasetError as error:
        said = str(error)
    assert seen is not None or str(path) in said
    assert "\n" not in said
    assert seen is None or seen.mode == "RGB"


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    """A white picture is white in whatever form it was kept."""
    suffix = ".jpg" if mode == "CMYK" else ".png"
    Image.new("RGB", (8, 8), "white").convert(mode).save(tmp_path / f"white{suffix}")
    found, _ = Photographs.found([tmp_path], CLASSES)
    assert found.image(0).dtype == np.uint8
    assert (found.image(0) >= 254).all()
    assert found.image(0).shape == (8, 8, 3)


def test_what_cannot_be_read_in_a_folder_is_told_and_left_out(tmp_path: Path) -> None:
    """A line each; the others are taken."""
    picture(tmp_path / "good.png")
    (tmp_path / "empty.jpg").touch()
    whole = picture(tmp_path / "torn.png", (60, 40)).read_bytes()
    (tmp_path / "torn.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "deep.png")
    found, skipped = Photographs.found([tmp_path], CLASSES)
    assert found.ids == ("good",)
    assert len(skipped) == 3
    for name, line in zip(("deep.png", "empty.jpg", "torn.png"), skipped, strict=True):
        assert str(tmp_path / name) in line
        assert "\n" not in line
    assert "more than 8 bits a channel" in skipped[0]


def test_a_photograph_of_gigabytes_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At Pillow's limit, where Pillow itself only warns."""
    picture(tmp_path / "good.png", (10, 10))
    picture(tmp_path / "large.png", (10, 11))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    found, skipped = Photographs.found([tmp_path], CLASSES)
    assert found.ids == ("good",)
    assert "decompression bomb" in skipped[0]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["none.jpg"], "no image or folder .*none.jpg"),
        (["empty"], "no photograph in .*empty: expected .jpg, .jpeg or .png files"),
        (["bad"], "no photograph in .*bad: .* 1 cannot be read, such as: image .*bad.jpg cannot be read"),
        (["bad/bad.jpg"], "image .*bad.jpg cannot be read"),
        (["good.png", "good.jpg"], "good.png and .*good.jpg have one name, good,"),
        (["good.png", "good.png"], "have one name, good,"),
        (["good.png", "capitals"], "have one name, GOOD,"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, names: list[str], words: str) -> None:
    """What, where, what instead."""
    for folder in ("empty", "bad", "capitals"):
        (tmp_path / folder).mkdir()
    (tmp_path / "bad/bad.jpg").write_bytes(b"no JPEG")
    for name in ("good.png", "good.jpg", "capitals/GOOD.png"):
        picture(tmp_path / name)
    with pytest.raises(DatasetError) as caught:
        Photographs.found([tmp_path / name for name in names], CLASSES)
    assert re.search(words, str(caught.value))
    assert "\n" not in str(caught.value)


@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(1, 2000))
def test_shrinking_keeps_shape_and_never_enlarges(height: int, width: int, limit_px: int) -> None:
    """Longer side at most the limit, ratio of sides kept to half a pixel, small ones left alone."""
    small = Photographs((), CLASSES).shrunk(limit_px).size_of(height, width)
    if max(height, width) <= limit_px:
        assert small == (height, width)
        return
    assert max(small) == limit_px
    factor = limit_px / max(height, width)
    assert abs(small[0] - height * factor) <= max(0.5, 1 - height * factor)
    assert abs(small[1] - width * factor) <= max(0.5, 1 - width * factor)


def test_what_was_shrunk_has_the_size_that_was_promised(tmp_path: Path) -> None:
    """And still shows the same: a grey picture stays grey."""
    Image.new("RGB", (90, 31), (10, 20, 30)).save(tmp_path / "grey.png")
    found, _ = Photographs.found([tmp_path], CLASSES)
    small = found.shrunk(40)
    assert found.image(0).shape == (31, 90, 3)
    assert small.image(0).shape[:2] == small.size_of(31, 90) == (14, 40)
    assert (small.image(0) == (10, 20, 30)).all()


def test_they_are_a_data_set_without_truth(tmp_path: Path) -> None:
    """And travel to processes that make boxes."""
    picture(tmp_path / "one.png")
    found, _ = Photographs.found([tmp_path], CLASSES)
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    assert (again.image(0) == found.image(0)).all()
    truth = again.truth(0)
    assert truth.boxes.shape == (0, 4)
    assert len(truth.labels) == len(truth.difficult) == 0
