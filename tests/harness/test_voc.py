from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.datasets import DatasetError
from harness.datasets.voc import CLASSES, Voc

OBJECT = (
    "<object><name>{name}</name>{difficult}<part><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax>"
    "</bndbox></part><bndbox><xmin>{box[0]}</xmin><ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax>"
    "</bndbox></object>"
)


def an_object(name: str, *box: object, difficult: str = "<difficult>0</difficult>") -> str:
    return OBJECT.format(name=name, box=box, difficult=difficult)


def annotation(*objects: str) -> str:
    return f"<annotation><folder>VOC</folder>{''.join(objects)}</annotation>"


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    """Two images: 000001 with a dog and a difficult person, 000002 (a palette PNG) with nothing."""
    root = tmp_path / "VOC2007"
    for folder in ("ImageSets/Main", "Annotations", "JPEGImages"):
        (root / folder).mkdir(parents=True)
    (root / "ImageSets/Main/train.txt").write_text("000001\n\n000002\n")
    (root / "ImageSets/Main/one.txt").write_text("000001\n")
    (root / "ImageSets/Main/dog_train.txt").write_text("000001  1\n000002 -1\n")
    Image.new("RGB", (30, 20), (250, 10, 20)).save(root / "JPEGImages/000001.jpg", quality=100, subsampling=0)
    Image.new("P", (12, 10)).save(root / "JPEGImages/000002.png")
    (root / "Annotations/000001.xml").write_text(
        annotation(
            an_object("dog", 1, 2, 30, 20, difficult=""),
            an_object("person", 5, 6, 5, 6, difficult="<difficult>1</difficult>"),
        )
    )
    (root / "Annotations/000002.xml").write_text(annotation())
    return root


def test_boxes_are_turned_from_1_based_inclusive_to_0_based_half_open(devkit: Path) -> None:
    """A box over all of a 30 x 20 image but its first row is 0 1 30 20; a box of one pixel is 1 wide and 1 high."""
    truth = Voc(devkit, "train").truth(0)
    assert truth.boxes.dtype == np.float32
    assert truth.boxes.tolist() == [[0, 1, 30, 20], [4, 5, 5, 6]]
    assert truth.labels.tolist() == [12, 15]
    assert truth.labels.dtype == np.int64
    assert truth.difficult.tolist() == [False, True]


def test_an_image_without_objects_has_an_empty_truth(devkit: Path) -> None:
    """The arrays keep their shapes and types when G is 0."""
    truth = Voc(devkit, "train").truth(1)
    assert truth.boxes.shape == (0, 4)
    assert truth.boxes.dtype == np.float32
    assert truth.labels.dtype == np.int64
    assert truth.difficult.dtype == np.bool_


def test_images_are_rgb_whatever_the_file_holds(devkit: Path) -> None:
    """A red JPEG has its red in channel 0; a palette PNG has three channels too."""
    data = Voc(devkit, "train")
    red, palette = data.image(0), data.image(1)
    assert red.shape == (20, 30, 3)
    assert red.dtype == np.uint8
    assert red[..., 0].min() > 230
    assert red[..., 1:].max() < 40
    assert palette.shape == (10, 12, 3)


def test_a_split_says_what_it_is(devkit: Path) -> None:
    """Name, split and ids are those of the command line and of the list; a class list may be a split."""
    data = Voc(str(devkit), "train")
    assert (data.name, data.split, data.ids) == (f"voc:{devkit}", "train", ("000001", "000002"))
    assert Voc(devkit, "dog_train").ids == data.ids
    assert (len(data.classes), data.classes[0], data.classes[-1]) == (20, "aeroplane", "tvmonitor")
    assert list(CLASSES) == sorted(CLASSES)


def test_a_data_set_travels_to_another_process(devkit: Path) -> None:
    """A pickled copy reads the same images and truths."""
    data = Voc(devkit, "train")
    copy = pickle.loads(pickle.dumps(data))
    assert copy.ids == data.ids
    assert copy.truth(0).boxes.tolist() == data.truth(0).boxes.tolist()


def test_an_annotation_is_read_once_and_only_when_asked_for(devkit: Path) -> None:
    """A damaged annotation does not stop its split from opening, and a truth once read needs no file any more."""
    (devkit / "Annotations/000002.xml").write_text("<annotation>")
    data = Voc(devkit, "train")
    first = data.truth(0)
    (devkit / "Annotations/000001.xml").unlink()
    assert data.truth(0) is first


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        ("ImageSets/Main", "no folder .*Main: expected a VOC year folder"),
        ("Annotations", "no folder .*Annotations"),
        ("JPEGImages", "no folder .*JPEGImages"),
        ("JPEGImages/000002.png", r"no image .*000002.jpg \(or .png\), which split 'train' names"),
        ("Annotations/000001.xml", "no annotation .*000001.xml, which split 'train' names"),
        ("ImageSets/Main/train.txt", "has no split 'train'; there are one$"),
    ],
)
def test_a_missing_file_is_refused_before_any_work(devkit: Path, remove: str, message: str) -> None:
    """Opening the split names what is missing, in one line; class lists are not offered as splits."""
    (devkit / remove).rename(devkit / "away")
    with pytest.raises(DatasetError, match=message) as error:
        Voc(devkit, "train")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("../000001\n", "'../000001' is not the name of an image"),
        ("a/b\n", "'a/b' is not"),
        ("a\\b\n", "is not the name of an image"),
        ("..\n", "is not the name of an image"),
        ("\n \n", "names no image"),
        ("000001\n000002\n000001\n", "names 000001 twice"),
        ("\x00\n", "is not the name of an image"),
    ],
)
def test_a_bad_list_is_refused(devkit: Path, text: str, message: str) -> None:
    """A list cannot lead out of the folder, be empty, or name an image twice."""
    (devkit / "ImageSets/Main/bad.txt").write_text(text)
    with pytest.raises(DatasetError, match=message):
        Voc(devkit, "bad")


def test_a_split_cannot_lead_out_of_its_folder(devkit: Path) -> None:
    """A split is the name of a list, not a path."""
    (devkit / "ImageSets/secret.txt").write_text("000001\n")
    with pytest.raises(DatasetError, match=r"has no split '\.\./secret'"):
        Voc(devkit, "../secret")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation>", "no element found"),
        ("", "no element found"),
        ("<?xml version='1.0' encoding='no-such'?><annotation/>", "unknown encoding"),
        ("<!DOCTYPE annotation><annotation/>", "declares a document type"),
        ("<!DOCTYPE a [<!ENTITY b 'dog'>]><annotation>&b;</annotation>", "declares a document type"),
        (annotation(an_object("unicorn", 1, 1, 2, 2)), "'unicorn' is not one of the 20 VOC classes aeroplane"),
        (annotation(an_object("dog", 1, 1, "x", 2)), "expected a box of four numbers, got 1 1 x 2"),
        (annotation(an_object("dog", 3, 1, 2, 2)), "xmin <= xmax .* got xmin ymin xmax ymax 3 1 2 2"),
        (annotation(an_object("dog", 0, 1, 2, 2)), "expected a 1-based box"),
        (annotation(an_object("dog", 0.5, 1, 2, 2)), "expected a 1-based box"),
        (annotation(an_object("dog", "nan", 1, 2, 2)), "expected a box of four numbers, got nan"),
        (annotation(an_object("dog", 1, 1, "inf", 2)), "expected a box of four numbers, got 1 1 inf"),
        (annotation(an_object("dog", 1, 1, "1e300", 2)), "expected a box of four numbers, got 1 1 1e300"),
        (annotation(an_object("dog", 1, 1, "1_0", 2)), "expected a box of four numbers, got 1 1 1_0"),
        (annotation(an_object("dog", 1, 1, 31, 2)), "xmax <= 30 and ymin <= ymax <= 20, the size of its image; got"),
        (annotation(an_object("dog", 1, 1, 2, 21)), "ymax <= 20"),
        ("<html/>", "expected <annotation>, got <html>"),
        (annotation(an_object("dog", 1, 1, 2, "")), "<bndbox> has no <ymax>"),
        (annotation(an_object("dog", 1, 1, 2, 2, difficult="<difficult>2</difficult>")), "expected 0 or 1, got '2'"),
        (annotation("<object><name>dog</name></object>"), "<object> has no <bndbox>"),
        (annotation(an_object("", 1, 1, 2, 2)), "<object> has no <name>"),
    ],
)
def test_a_bad_annotation_is_refused_with_its_file(devkit: Path, text: str, message: str) -> None:
    """One line says which file and what is wrong with it."""
    (devkit / "Annotations/000001.xml").write_text(text)
    with pytest.raises(DatasetError, match=f"annotation .*000001.xml cannot be read: .*{message}") as error:
        Voc(devkit, "train").truth(0)
    assert "\n" not in str(error.value)


def test_entities_are_refused_in_any_encoding(devkit: Path) -> None:
    """A document type is found by the parser and not by its bytes, so UTF-16 does not hide it."""
    text = "<?xml version='1.0' encoding='utf-16'?><!DOCTYPE a [<!ENTITY b 'dog'>]><annotation>&b;</annotation>"
    (devkit / "Annotations/000001.xml").write_bytes(text.encode("utf-16"))
    with pytest.raises(DatasetError, match="declares a document type"):
        Voc(devkit, "train").truth(0)


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff"])
def test_a_damaged_image_is_refused_with_its_file(devkit: Path, content: bytes) -> None:
    """One line names the file."""
    (devkit / "JPEGImages/000001.jpg").write_bytes(content)
    with pytest.raises(DatasetError, match=r"image .*000001\.jpg cannot be read"):
        Voc(devkit, "train").image(0)


def test_an_image_of_more_than_8_bits_is_refused(devkit: Path) -> None:
    """Pillow would cut it off at white."""
    (devkit / "JPEGImages/000001.jpg").unlink()
    Image.fromarray(np.full((20, 30), 40_000, np.uint16)).save(devkit / "JPEGImages/000001.png")
    with pytest.raises(DatasetError, match=r"000001\.png has more than 8 bits a channel"):
        Voc(devkit, "train").image(0)


def test_an_image_is_taken_as_it_is_stored(devkit: Path) -> None:
    """Its boxes are drawn on that, whatever its EXIF data say of how to hold it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(devkit / "JPEGImages/000001.jpg", exif=exif)
    assert Voc(devkit, "train").image(0).shape == (20, 30, 3)
    assert len(Voc(devkit, "train").truth(0).boxes) == 2


def test_a_cut_off_image_is_refused(devkit: Path) -> None:
    """Half a file is no image, though its header is whole."""
    path = devkit / "JPEGImages/000001.jpg"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DatasetError, match="cannot be read"):
        Voc(devkit, "train").image(0)


@pytest.mark.skipif("HARNESS_SHARED" not in os.environ, reason="HARNESS_SHARED is not set")
def test_real_photographs_of_voc_2007() -> None:
    """The shared 1,500 images are whole: split sizes, all classes, and the horse of 000009 at its published place."""
    root = Path(os.environ["HARNESS_SHARED"]) / "VOCdevkit/VOC2007"
    splits = {name: Voc(root, name) for name in ("train", "val", "train_small", "val_small")}
    assert {name: len(data.ids) for name, data in splits.items()} == {
        "train": 1000,
        "val": 500,
        "train_small": 100,
        "val_small": 50,
    }
    seen = {
        label
        for data in (splits["train"], splits["val"])
        for index in range(len(data.ids))
        for label in data.truth(index).labels.tolist()
    }
    assert seen == set(range(1, 21))
    assert not set(splits["train"].ids) & set(splits["val"].ids)
    data = next(data for data in splits.values() if "000009" in data.ids)
    index = data.ids.index("000009")
    # VOC 2007 Annotations/000009.xml: horse, 69 172 270 330.
    assert data.truth(index).boxes[0].tolist() == [68, 171, 270, 330]
    assert data.classes[data.truth(index).labels[0] - 1] == "horse"
    assert data.image(index).shape == (375, 500, 3)
