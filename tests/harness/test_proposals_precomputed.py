from __future__ import annotations

import json
import os
import shutil
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy.io import savemat

from harness.proposals import ProposalError
from harness.proposals.precomputed import Precomputed

IMAGE = np.zeros((50, 80, 3), np.uint8)
"""80 px wide, 50 px high."""


def cells(*values: object) -> npt.NDArray[np.object_]:
    column = np.empty((len(values), 1), object)
    for row, value in enumerate(values):
        column[row, 0] = value
    return column


def test_npz_keeps_half_open_boxes_and_their_order(tmp_path: Path) -> None:
    """What is written comes back as float32, in the order of the file; an image may have no boxes."""
    boxes = np.array([[10.5, 2, 20, 30], [0, 0, 80, 50]])
    arrays: dict[str, Any] = {"a": boxes, "b": np.zeros((0, 4)), "2008_000001": boxes[:1].astype(np.uint16)}
    np.savez(tmp_path / "boxes.npz", **arrays)
    source = Precomputed(tmp_path / "boxes.npz", ["a", "b"])
    assert source.propose("a", IMAGE).dtype == np.float32
    assert source.propose("a", IMAGE).tolist() == boxes.tolist()
    assert source.propose("b", IMAGE).shape == (0, 4)
    assert Precomputed(tmp_path / "boxes.npz").propose("2008_000001", IMAGE).tolist() == [[10, 2, 20, 30]]


def test_json_keeps_half_open_boxes_and_their_order(tmp_path: Path) -> None:
    """The same boxes as text."""
    (tmp_path / "boxes.json").write_text('{"a": [[10.5, 2, 20, 30], [0, 0, 80, 50]], "b": []}')
    source = Precomputed(tmp_path / "boxes.json", ["a", "b"])
    assert source.propose("a", IMAGE).tolist() == [[10.5, 2, 20, 30], [0, 0, 80, 50]]
    assert source.propose("b", IMAGE).shape == (0, 4)


def test_cells_of_a_mat_file_are_1_based_inclusive_and_y_first(tmp_path: Path) -> None:
    """y1 x1 y2 x2 = 1 1 50 80 is the whole of 80 x 50 px; 3 7 3 7 is one pixel [FRCN lib/datasets/pascal_voc.py]."""
    whole_and_pixel = np.array([[1, 1, 50, 80], [3, 7, 3, 7]], np.uint16)
    path = tmp_path / "voc_2007_test.mat"
    savemat(path, {"images": cells("000001", "000002"), "boxes": cells(whole_and_pixel, whole_and_pixel[:1]).T})
    source = Precomputed(path, ["000001"])
    assert source.propose("000001", IMAGE).tolist() == [[0, 0, 80, 50], [6, 2, 7, 3]]
    assert Precomputed(path).propose("000002", IMAGE).tolist() == [[0, 0, 80, 50]]


def test_a_mat_file_of_one_image_is_0_based_inclusive(tmp_path: Path) -> None:
    """x1 y1 x2 y2 = 0 0 79 49 is the whole of an 80 x 50 image; the file's name is the image's."""
    savemat(tmp_path / "a_boxes.mat", {"boxes": np.array([[0, 0, 79, 49], [6, 2, 6, 2]], np.uint16)})
    savemat(tmp_path / "b_boxes.mat", {"boxes": np.array([[1, 1, 2, 2]], np.uint16)})
    expected = [[0, 0, 80, 50], [6, 2, 7, 3]]
    assert Precomputed(tmp_path / "a_boxes.mat", ["a"]).propose("a", IMAGE).tolist() == expected
    folder = Precomputed(tmp_path, ["b", "a"])
    assert folder.propose("a", IMAGE).tolist() == expected
    assert folder.propose("b", IMAGE).tolist() == [[1, 1, 3, 3]]


def test_16_bit_boxes_do_not_wrap_around(tmp_path: Path) -> None:
    """A 65,535 in a uint16 file is a number like others: plus 1 it is 65,536; a 1-based 0 less 1 is not 65,535."""
    savemat(tmp_path / "a_boxes.mat", {"boxes": np.array([[0, 0, 65535, 65535]], np.uint16)})
    big = np.broadcast_to(np.uint8(0), (65536, 65536, 3))
    assert Precomputed(tmp_path / "a_boxes.mat").propose("a", big).tolist() == [[0, 0, 65536, 65536]]
    savemat(tmp_path / "cells.mat", {"images": cells("a"), "boxes": cells(np.array([[0, 0, 5, 5]], np.uint16))})
    assert Precomputed(tmp_path / "cells.mat").propose("a", IMAGE).tolist() == [[0, 0, 5, 5]]


def test_boxes_are_clipped_to_the_image(tmp_path: Path) -> None:
    """A box that sticks out loses that part; one that lies outside is refused, since it cannot be of this image."""
    (tmp_path / "boxes.json").write_text('{"a": [[-3, 4, 90, 51]], "b": [[0, 0, 5, 5], [80, 0, 90, 10]]}')
    source = Precomputed(tmp_path / "boxes.json")
    assert source.propose("a", IMAGE).tolist() == [[0, 4, 80, 50]]
    with pytest.raises(ProposalError, match=r"b: box \[80.0, 0.0, 90.0, 10.0\] in row 1 lies outside .* 80 x 50 px"):
        source.propose("b", IMAGE)


def test_settings_change_with_the_content_and_not_with_the_place(tmp_path: Path) -> None:
    """The manifest tells two files of one name apart, and knows a file that was moved."""
    (tmp_path / "other").mkdir()
    path, moved = tmp_path / "boxes.json", tmp_path / "other/boxes.json"
    path.write_text('{"a": []}')
    shutil.copy(path, moved)
    assert Precomputed(path).settings == Precomputed(moved).settings
    moved.write_text('{"a": [[0, 0, 1, 1]]}')
    assert Precomputed(path).settings != Precomputed(moved).settings


def test_an_image_without_an_entry_is_refused_when_the_file_is_opened(tmp_path: Path) -> None:
    """The message counts them and names one; an image that was never announced is refused when it is asked for."""
    (tmp_path / "boxes.json").write_text('{"a": []}')
    with pytest.raises(ProposalError, match=r"boxes.json has no boxes for 2 of 3 images, such as b$"):
        Precomputed(tmp_path / "boxes.json", ["c", "a", "b"])
    with pytest.raises(ProposalError, match="has no boxes for image b"):
        Precomputed(tmp_path / "boxes.json").propose("b", IMAGE)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[0, 0, float("nan"), 1]], "expected finite numbers, got .* in row 0"),
        ([[0, 0, 1, 1], [0, 0, float("inf"), 1]], "in row 1"),
        ([[0, 0, 1e300, 1]], "expected finite numbers"),
        ([[0, 0, 1]], r"expected shape \(P, 4\), got \(1, 3\)"),
        ([0, 0, 1, 1], r"expected shape \(P, 4\), got \(4,\)"),
        ([[0, 0, 1, 1], [0, 0, 1]], "rows of different lengths"),
        ([["0", "0", "1", "1"]], "expected numbers"),
        ([[0, 0, 10**30, 1]], "expected numbers"),
        ([[True, False, True, True]], "expected numbers"),
        ({"x": 1}, "expected numbers"),
        (None, "expected numbers"),
        ([[5, 0, 5, 9]], r"expected half-open x1 < x2 and y1 < y2, got x1 y1 x2 y2 \[5.0, 0.0, 5.0, 9.0\] in row 0"),
    ],
)
def test_bad_boxes_are_refused_with_file_image_and_row(tmp_path: Path, value: object, message: str) -> None:
    """One line says where and what was expected."""
    (tmp_path / "boxes.json").write_text(json.dumps({"a": value}))
    with pytest.raises(ProposalError, match=f"boxes.json, a: .*{message}") as error:
        Precomputed(tmp_path / "boxes.json")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("boxes.npz", b"", "cannot be read as .npz"),
        ("boxes.npz", b"PK\x03\x04 no archive", "cannot be read as .npz"),
        ("boxes.json", b"{", "cannot be read as JSON"),
        ("boxes.json", b"\xff\xfe\xff", "cannot be read as JSON"),
        ("boxes.json", b"[[0, 0, 1, 1]]", "expected an object of image id to boxes, got a list"),
        ("boxes.mat", b"", "cannot be read as .mat"),
        ("boxes.mat", b"x" * 300, "cannot be read as .mat"),
        ("boxes.csv", b"a,0,0,1,1", "expected a file that ends in .npz, .json, .mat"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    """One line names the file, whatever the reader of the format had to say."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ProposalError, match=f"{name}.*{message}"):
        Precomputed(tmp_path / name)


def test_a_mat_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    """At any place: no error of the reader comes through."""
    path = tmp_path / "a_boxes.mat"
    savemat(path, {"boxes": np.random.default_rng(0).integers(1, 99, (50, 4))}, do_compression=True)
    whole = path.read_bytes()
    for length in range(0, len(whole), 53):
        path.write_bytes(whole[:length])
        with pytest.raises(ProposalError):
            Precomputed(path)


@pytest.mark.parametrize(("offset", "byte"), [(144, 5), (212, 17), (232, 0)])
def test_a_mat_file_that_crashes_its_reader_is_refused(tmp_path: Path, offset: int, byte: int) -> None:
    """One byte changed, such as the class of an array from cells to a sparse matrix: SciPy 1.17 dies of it."""
    path = tmp_path / "boxes.mat"
    savemat(path, {"boxes": cells(np.array([[1, 1, 5, 5]], np.uint16)), "images": cells("a")})
    content = bytearray(path.read_bytes())
    content[offset] = byte
    path.write_bytes(content)
    with pytest.raises(ProposalError, match=r"boxes\.mat cannot be read as \.mat"):
        Precomputed(path)


@pytest.mark.parametrize("text", ["{'descr': '<f8', 'shape': (1, 4", "{'descr': '<f8', 1: 2}", "{" * 40])
def test_an_npz_with_a_damaged_header_is_refused(tmp_path: Path, text: str) -> None:
    """NumPy evaluates it, and leaves what comes of that to its caller."""
    header = text.encode() + b"\n"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(32)
    with zipfile.ZipFile(tmp_path / "boxes.npz", "w") as archive:
        archive.writestr("a.npy", array)
    with pytest.raises(ProposalError, match=r"boxes\.npz cannot be read as \.npz") as error:
        Precomputed(tmp_path / "boxes.npz")
    assert "\n" not in str(error.value)


def test_one_array_is_not_taken_for_an_archive(tmp_path: Path) -> None:
    """A .npy content under a .npz name is refused in words."""
    with (tmp_path / "boxes.npz").open("wb") as file:
        np.save(file, np.zeros((3, 4)))
    with pytest.raises(ProposalError, match="it is one array"):
        Precomputed(tmp_path / "boxes.npz")


def test_mat_files_in_another_layout_are_refused(tmp_path: Path) -> None:
    """No `boxes`, no `images`, counts that differ, names that repeat, one image without a name, an empty folder."""
    one = np.ones((1, 4))
    for content, message in (
        ({"other": one}, "has no variable `boxes`"),
        ({"boxes": cells(one)}, "has no variable `images`"),
        ({"boxes": cells(one), "images": cells("a", "b")}, "for each of 1 cells, got 2 different names"),
        ({"boxes": cells(one, one), "images": cells("a", "a")}, "for each of 2 cells, got 1 different names"),
        ({"boxes": one}, "expected a file name <image id>_boxes.mat"),
    ):
        savemat(tmp_path / "x.mat", content)
        with pytest.raises(ProposalError, match=message):
            Precomputed(tmp_path / "x.mat")
    with pytest.raises(ProposalError, match=r"has no file <image id>_boxes\.mat"):
        Precomputed(tmp_path)


@pytest.mark.skipif("HARNESS_SHARED" not in os.environ, reason="HARNESS_SHARED is not set")
def test_the_original_boxes_of_the_fast_rcnn_demo() -> None:
    """2,888 and 2,057 boxes of the MATLAB selective search, all inside their photographs as they are."""
    folder = Path(os.environ["HARNESS_SHARED"]) / "proposals/original_selective_search"
    source = Precomputed(folder, ["000004", "001551"])
    for image_id, count in (("000004", 2888), ("001551", 2057)):
        with Image.open(folder / f"{image_id}.jpg") as picture:
            size = picture.size
            image = np.asarray(picture.convert("RGB"))
        boxes = source.propose(image_id, image)
        assert len(boxes) == count
        # Some box reaches the last column and some the last row: inclusive corners would miss both by a pixel.
        assert tuple(boxes[:, 2:].max(axis=0)) == size
