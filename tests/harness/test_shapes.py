"""The drawn data set: the same each time, hard in the ways of photographs, and not to be told by colour."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.svm import LinearSVC

from harness.datasets import DatasetError, Truth, open_dataset
from harness.datasets.shapes import CLASSES, SPLITS, Pose, Shapes, _scene, draw_scene


def _same(a: Truth, b: Truth) -> bool:
    return all(np.array_equal(getattr(a, key), getattr(b, key)) for key in ("boxes", "labels", "difficult"))


def test_scenes_are_drawn_the_same_each_time() -> None:
    """A scene depends on seed, split and index alone: drawn afresh it has the same pixels and objects."""
    dataset = Shapes("test", 3)
    first = [(dataset.image(i).copy(), dataset.truth(i)) for i in range(3)]
    _scene.cache_clear()
    for i in (2, 0, 1):
        assert np.array_equal(dataset.image(i), first[i][0])
        assert _same(dataset.truth(i), first[i][1])
    assert not np.array_equal(Shapes("test", 1, seed=1).image(0).ravel()[:300], first[0][0].ravel()[:300])


def test_drawing_leaves_the_global_stream_alone() -> None:
    """NumPy's global generator is not used."""
    before = np.random.get_state(legacy=False)["state"]["pos"]  # noqa: NPY002
    draw_scene(np.random.default_rng(0))
    assert np.random.get_state(legacy=False)["state"]["pos"] == before  # noqa: NPY002


def test_a_longer_split_begins_with_the_shorter() -> None:
    """More images of a split are the same images and more."""
    short, long = Shapes("val", 2), Shapes("val", 4)
    assert long.ids[:2] == short.ids
    assert len(set(long.ids)) == 4
    for i in range(2):
        assert np.array_equal(short.image(i), long.image(i))
        assert _same(short.truth(i), long.truth(i))


def test_splits_share_no_image() -> None:
    """No two scenes of any splits are alike, so that what is tested was never trained on."""
    images = [Shapes(split, 4).image(i) for split in SPLITS for i in range(4)]
    assert len({image.tobytes() for image in images}) == len(images)
    assert {"pretrain", "train", "val", "test"} <= set(SPLITS)
    assert len(set(SPLITS.values())) == len(SPLITS)


def test_types() -> None:
    """Images are uint8 (H, W, 3), boxes float32, labels int64 in 1..K, flags bool."""
    dataset = Shapes("train", 5)
    assert dataset.name == "shapes"
    assert dataset.classes == CLASSES
    for i in range(5):
        image, truth = dataset.image(i), dataset.truth(i)
        assert image.dtype == np.uint8
        assert image.shape[2] == 3
        dtypes = [part.dtype for part in (truth.boxes, truth.labels, truth.difficult)]
        assert dtypes == [np.dtype(np.float32), np.dtype(np.int64), np.dtype(np.bool_)]
        assert truth.boxes.shape == (len(truth.labels), 4)
        assert truth.difficult.shape == truth.labels.shape
        assert set(truth.labels.tolist()) <= set(range(1, len(CLASSES) + 1))


@pytest.mark.parametrize(
    ("split", "length", "message"),
    [
        ("trainval", 3, "shapes has no split 'trainval'; there are pretrain, train, val, test"),
        ("train", 0, "shapes needs at least 1 image, got 0"),
        ("train", -2, "shapes needs at least 1 image, got -2"),
    ],
)
def test_wrong_splits_and_lengths_are_refused(split: str, length: int, message: str) -> None:
    """A split that is not there is answered with those that are, and a split of nothing is refused."""
    with pytest.raises(DatasetError, match=message):
        Shapes(split, length)


def test_opened_by_name() -> None:
    """`shapes` opens with the asked length, or one that keeps a comparison short; other names are refused."""
    assert len(open_dataset("shapes", "train", length=7, training=True).ids) == 7
    assert len(open_dataset("shapes", "test", length=None, training=False).ids) > 7
    with pytest.raises(DatasetError, match="no data set 'shape'; there are shapes and voc:DIR"):
        open_dataset("shape", "train", length=1, training=True)


def test_scenes_of_one_size() -> None:
    """Width before height; other scenes than those of `shapes`, as large a VOC photograph, with objects inside."""
    dataset = open_dataset("shapes:500x375", "test", length=3, training=False)
    assert dataset.name == "shapes:500x375"
    plain = Shapes("test", 3)
    for i in range(3):
        assert dataset.image(i).shape == (375, 500, 3)
        boxes = dataset.truth(i).boxes
        assert len(boxes) > 0
        assert (boxes >= 0).all()
        assert (boxes <= [500, 375, 500, 375]).all()
        assert not _same(dataset.truth(i), plain.truth(i))
    again = Shapes.of("500x375", "test", 1)
    assert np.array_equal(again.image(0), dataset.image(0))
    assert not np.array_equal(Shapes.of("500x375", "train", 1).image(0), again.image(0))
    assert Shapes.of("375x500", "test", 1).image(0).shape == (500, 375, 3)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("shapes:", "no data set 'shapes:'; there are shapes and voc:DIR, or shapes:WxH"),
        ("shapes:500", "no data set 'shapes:500'; write shapes:WIDTHxHEIGHT in pixels, as in shapes:500x375"),
        ("shapes:500x-3", "no data set 'shapes:500x-3'; write "),
        ("shapes:500x375.5", "no data set 'shapes:500x375.5'; write "),
        ("shapes:500x63", "shapes:500x63: sides go from 64 to 2048 px, as in shapes:500x375"),
        ("shapes:99999x375", "shapes:99999x375: sides go from 64 to 2048 px"),
    ],
)
def test_a_size_that_cannot_be_is_refused(spec: str, words: str) -> None:
    """One line says how a size is written, or how large it may be."""
    with pytest.raises(DatasetError, match=f"^{words}") as caught:
        open_dataset(spec, "test", length=1, training=False)
    assert "\n" not in str(caught.value)


def _typical_box(objects: list[tuple[int, Pose]], index: int) -> tuple[float, ...]:
    """The box of object `index` over nine scenes, clutter and bars differing: the one seen most often."""
    seen: Counter[tuple[float, ...]] = Counter()
    for seed in range(9):
        truth = draw_scene(np.random.default_rng(seed), size_px=(120, 160), objects=objects).truth
        if len(truth.boxes) == len(objects):
            seen[tuple(truth.boxes[index].tolist())] += 1
    return seen.most_common(1)[0][0]


_DISC, _SQUARE = CLASSES.index("disc") + 1, CLASSES.index("square") + 1


def test_a_box_encloses_the_pixels_of_its_object() -> None:
    """A disc of radius 30 about (80, 60) covers the pixels 50 to 110 and 30 to 90, half-open; an ellipse as much."""
    assert _typical_box([(_DISC, Pose(80, 60, 30, 30, 0))], 0) == (50, 30, 110, 90)
    assert _typical_box([(_DISC, Pose(80, 60, 40, 20, 0))], 0) == (40, 40, 120, 80)
    turned = _typical_box([(_DISC, Pose(80, 60, 40, 20, np.pi / 2))], 0)
    assert turned == (60, 20, 100, 100)


def test_a_box_ends_at_the_edge_of_the_image() -> None:
    """What lies outside the image is not in the box."""
    assert _typical_box([(_DISC, Pose(10, 60, 30, 30, 0))], 0) == (0, 30, 40, 90)


def test_a_box_encloses_the_visible_part_alone() -> None:
    """A square of half side 43 over the right half of a disc leaves the box of the left half."""
    objects = [(_DISC, Pose(60, 60, 40, 40, 0)), (_SQUARE, Pose(103, 60, 50, 50, 0))]
    assert _typical_box(objects, 0) == (20, 20, 60, 100)
    assert _typical_box(objects, 1) == (60, 17, 146, 103)


def test_what_is_hardly_visible_is_difficult_or_left_out() -> None:
    """A disc is easy when half is hidden no more than a little, difficult when most is, gone when nearly all is."""

    def disc(hidden_from: float) -> Truth:
        square = Pose(hidden_from + 43, 60, 50, 50, 0)
        objects = [(_DISC, Pose(60, 60, 40, 40, 0)), (_SQUARE, square)]
        return draw_scene(np.random.default_rng(3), size_px=(120, 160), objects=objects).truth

    flags = [disc(x).difficult.tolist()[:-1] for x in (92, 45, 22)]
    assert flags == [[False], [True], []]


@pytest.fixture(scope="module")
def hundred() -> list[Truth]:
    dataset = Shapes("train", 100)
    return [dataset.truth(i) for i in range(100)]


def test_boxes_lie_in_their_image_and_have_area(hundred: list[Truth]) -> None:
    """Every box has whole, positive sides inside its image, and no scene holds two equal boxes."""
    dataset = Shapes("train", 100)
    for i, truth in enumerate(hundred):
        height, width = dataset.image(i).shape[:2]
        assert (truth.boxes[:, :2] >= 0).all()
        assert (truth.boxes[:, 2:] <= [width, height]).all()
        assert (truth.boxes[:, 2:] - truth.boxes[:, :2] >= 1).all()
        assert np.array_equal(truth.boxes, truth.boxes.round())
        assert len(np.unique(truth.boxes, axis=0)) == len(truth.boxes)


def test_scenes_vary_as_photographs_do(hundred: list[Truth]) -> None:
    """Six classes or more, each often; sizes over a factor of 4; some objects difficult; one to five a scene."""
    labels = np.concatenate([truth.labels for truth in hundred])
    boxes = np.concatenate([truth.boxes for truth in hundred])
    difficult = np.concatenate([truth.difficult for truth in hundred])
    counts = np.bincount(labels, minlength=len(CLASSES) + 1)[1:]
    assert len(CLASSES) >= 6
    assert counts.min() > 0.4 * counts.mean()
    long_side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    assert long_side.max() / long_side.min() > 4
    assert np.quantile(long_side, 0.9) / np.quantile(long_side, 0.1) > 2.5
    assert 0.02 < difficult.mean() < 0.35
    per_scene = [len(truth.labels) for truth in hundred]
    assert max(per_scene) <= 5
    assert len(set(per_scene)) >= 4


def test_images_vary_in_size(hundred: list[Truth]) -> None:
    """Heights and widths differ, portrait and landscape."""
    dataset = Shapes("train", 30)
    ratios = [dataset.image(i).shape[0] / dataset.image(i).shape[1] for i in range(30)]
    assert min(ratios) < 0.9
    assert max(ratios) > 1.1


_COLOURS = 4
"""Bins a channel."""


def _histograms(split: str, length: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Root of the colour shares of each ground-truth crop, (N, 64), and its label."""
    dataset = Shapes(split, length)
    found, labels = [], []
    for i in range(length):
        truth = dataset.truth(i)
        for x1, y1, x2, y2 in truth.boxes.astype(int):
            pixels = dataset.image(i)[y1:y2, x1:x2].reshape(-1, 3)
            counts, _ = np.histogramdd(pixels, bins=(_COLOURS,) * 3, range=[(0, 256)] * 3)
            found.append(np.sqrt(counts.ravel() / len(pixels)))
        labels.append(truth.labels)
    return np.array(found), np.concatenate(labels)


def test_colour_does_not_tell_the_classes_apart() -> None:
    """A linear SVM on colour histograms of the true boxes names the class less than twice as often as chance."""
    histograms, labels = _histograms("train", 150)
    tested, truth = _histograms("val", 60)
    predicted = LinearSVC(C=1.0, random_state=0, max_iter=20_000).fit(histograms, labels).predict(tested)
    assert float((predicted == truth).mean()) < 2.0 / len(CLASSES)
