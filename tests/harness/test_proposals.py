from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.datasets import Truth
from harness.proposals import ProposalError, ProposalSet, source
from harness.proposals.precomputed import Precomputed
from harness.proposals.recall import recall
from harness.proposals.selective_search import SelectiveSearch

cv2 = pytest.importorskip("cv2")
pytest.importorskip("cv2.ximgproc", reason="needs OpenCV contrib")

Boxes = npt.NDArray[np.float32]


def scene(seed: int, height: int = 90, width: int = 120) -> npt.NDArray[np.uint8]:
    """Rectangles of random colours on noise."""
    rng = np.random.default_rng(seed)
    image = rng.integers(90, 110, (height, width, 3))
    for _ in range(5):
        y, x = rng.integers(0, height - 25), rng.integers(0, width - 25)
        image[y : y + rng.integers(22, 60), x : x + rng.integers(22, 60)] = rng.integers(0, 256, 3)
    return image.astype(np.uint8)


def rows(boxes: Boxes) -> set[tuple[float, ...]]:
    return {tuple(row) for row in boxes.tolist()}


def test_selective_search_repeats_itself_to_the_bit() -> None:
    """Same image and settings, same boxes in the same order, whatever else has drawn from the C library's generator."""
    image = scene(0)
    first = SelectiveSearch().propose("a", image)
    SelectiveSearch(seed=5).propose("b", scene(1))
    again = SelectiveSearch().propose("a", image)
    assert first.dtype == np.float32
    assert len(first) > 5
    assert first.tobytes() == again.tobytes()


def test_the_seed_decides_the_order_alone() -> None:
    """Seeds 0, 1 and 2 give three orders of one set of boxes. (The C library takes its seeds 0 and 1 for the same.)"""
    found = [SelectiveSearch(seed=seed).propose("a", scene(3, 200, 240)) for seed in (0, 1, 2)]
    assert rows(found[0]) == rows(found[1]) == rows(found[2])
    assert len({boxes.tobytes() for boxes in found}) == 3


def test_boxes_are_those_of_opencv_filtered_and_turned() -> None:
    """An own call of OpenCV, with its x y width height turned and filtered in a loop, gives the same set."""
    image = scene(4)
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    search.switchToSelectiveSearchFast()
    expected = {(x, y, x + w, y + h) for x, y, w, h in np.asarray(search.process()).tolist() if w >= 20 and h >= 20}
    assert rows(SelectiveSearch().propose("a", image)) == expected


def test_channels_reach_opencv_in_its_order() -> None:
    """An image with red and blue exchanged is another image: RGB is not taken for BGR somewhere in silence."""
    image = scene(6)
    quality = SelectiveSearch(mode="quality", min_side_px=1)
    assert rows(quality.propose("a", image)) != rows(quality.propose("a", image[..., ::-1]))


def test_a_rectangle_that_stands_out_is_proposed() -> None:
    """A box encloses a plain rectangle to within a pixel or two a side, in x1 y1 x2 y2 order."""
    image = np.full((100, 160, 3), 40, np.uint8)
    image[30:70, 90:150] = (220, 60, 30)
    boxes = SelectiveSearch().propose("a", image)
    assert np.abs(boxes - np.array([90, 30, 150, 70])).max(axis=1).min() <= 2


@settings(max_examples=15, deadline=None)
@given(
    pixels=arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))),
    scale=st.integers(1, 3),
    min_side_px=st.integers(1, 30),
)
def test_boxes_lie_inside_the_image_and_are_long_enough(
    pixels: npt.NDArray[np.uint8], scale: int, min_side_px: int
) -> None:
    """For any image: corners in [0, W] x [0, H], sides of min_side_px or more, no box twice, input unchanged."""
    image = pixels.repeat(scale, 0).repeat(scale, 1)
    before = image.copy()
    boxes = SelectiveSearch(min_side_px=min_side_px).propose("a", image)
    height, width = image.shape[:2]
    assert boxes.shape == (len(boxes), 4)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= [width, height]).all()
    assert (boxes[:, 2:] - boxes[:, :2] >= min_side_px).all()
    assert len(rows(boxes)) == len(boxes)
    assert (image == before).all()
    assert len(boxes) == 0 or min(height, width) >= min_side_px


def test_a_shorter_least_side_only_adds_boxes() -> None:
    """The boxes at 20 px are those at 1 px that have both sides of 20 px, in the same order [RCNN]."""
    every = SelectiveSearch(min_side_px=1).propose("a", scene(7))
    long_enough = every[((every[:, 2:] - every[:, :2]) >= 20).all(axis=1)]
    assert SelectiveSearch().propose("a", scene(7)).tobytes() == long_enough.tobytes()
    assert len(long_enough) < len(every)


def test_settings_hold_all_that_decides_the_boxes() -> None:
    """Each argument changes the settings, and OpenCV's version is among them."""
    plain = SelectiveSearch()
    assert plain.settings["opencv"] == cv2.__version__
    others = [replace(plain, mode="quality"), replace(plain, seed=1), replace(plain, min_side_px=10)]
    assert all(other.settings != plain.settings for other in others)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "slow"}, "no mode 'slow'; there are fast, quality"),
        ({"seed": -1}, "expected a seed from 0"),
        ({"seed": 2**32}, "expected a seed from 0"),
        ({"min_side_px": 0}, "min_side_px of at least 1, got 0"),
    ],
)
def test_bad_settings_are_refused(arguments: dict[str, int], message: str) -> None:
    """The message says what there is instead."""
    with pytest.raises(ProposalError, match=message):
        SelectiveSearch(**arguments)  # type: ignore[arg-type]


def test_an_image_in_another_layout_is_refused() -> None:
    """Channels first is not taken for a picture of 3 px."""
    with pytest.raises(ProposalError, match=r"image a: expected uint8 \(H, W, 3\), got uint8 \(3, 90, 120\)"):
        SelectiveSearch().propose("a", scene(0).transpose(2, 0, 1))


def test_the_command_line_names_a_source(tmp_path: Path) -> None:
    """A known name gives selective search with the plan's seed, a path the file, anything else an answer in words."""
    assert source("selective-search", seed=7) == SelectiveSearch(seed=7)
    assert source("selective-search:quality") == SelectiveSearch(mode="quality")
    path = tmp_path / "boxes.json"
    path.write_text('{"a": [[0, 0, 1, 1]]}')
    assert isinstance(source(str(path), ["a"]), Precomputed)
    with pytest.raises(ProposalError, match="no boxes for 1 of 2 images, such as b"):
        source(str(path), ["a", "b"])
    with pytest.raises(ProposalError, match="no proposals 'edge-boxes': expected selective-search"):
        source("edge-boxes")


def test_workers_start_without_torch() -> None:
    """What a worker process imports is light: no torch, no pandas, and OpenCV and SciPy only when they are used."""
    code = (
        "import sys, harness.proposals.cache, harness.proposals.selective_search, harness.datasets.voc; "
        "print(sorted({'torch', 'pandas', 'cv2', 'scipy'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def a_set(*boxes: list[list[float]], ids: tuple[str, ...] = ("a", "b")) -> ProposalSet:
    arrays = tuple(np.array(each, np.float32).reshape(-1, 4) for each in boxes)
    return ProposalSet(ids, arrays, (None,) * len(arrays))


def test_the_digest_of_a_set_tells_boxes_order_and_names_apart() -> None:
    """Sets that differ in any way that a detector could see have different digests; equal sets have equal ones."""
    one, two = [0.0, 0, 1, 1], [0.0, 0, 2, 2]
    sets = [
        a_set([one, two], []),
        a_set([two, one], []),
        a_set([one], [two]),
        a_set([], [one, two]),
        a_set([one, two], [], ids=("a", "c")),
        a_set([one, two], [], ids=("ab", "")),
    ]
    assert len({each.sha256 for each in sets}) == len(sets)
    assert a_set([one, two], []).sha256 == sets[0].sha256
    assert pickle.loads(pickle.dumps(sets[0])).sha256 == sets[0].sha256


def test_a_set_refuses_what_does_not_fit_together() -> None:
    """Counts, type and shape are checked on construction."""
    with pytest.raises(ProposalError, match="for 2 images, got 1 and 1"):
        a_set([])
    with pytest.raises(ProposalError, match="boxes of a: expected float32"):
        ProposalSet(("a",), (np.zeros((0, 4)),), (None,))  # type: ignore[arg-type]
    with pytest.raises(ProposalError, match="boxes of a: expected float32"):
        ProposalSet(("a",), (np.zeros(4, np.float32),), (None,))


def loop_iou(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union


corner = st.integers(0, 12)
box = st.tuples(corner, corner, st.integers(1, 12), st.integers(1, 12)).map(
    lambda b: [float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3])]
)


@given(
    images=st.lists(
        st.tuples(st.lists(box, max_size=4), st.lists(st.tuples(box, st.booleans()), max_size=4)), max_size=3
    ),
    iou=st.sampled_from([0.25, 0.5, 0.7, 1.0]),
)
def test_recall_is_what_a_loop_over_all_pairs_counts(
    images: list[tuple[list[list[float]], list[tuple[list[float], bool]]]], iou: float
) -> None:
    """Found is an object, not difficult, with a proposal of its own image at that IoU; nothing to find gives None."""
    flags = [
        any(loop_iou(truth, proposal) >= iou for proposal in proposals)
        for proposals, objects in images
        for truth, difficult in objects
        if not difficult
    ]
    boxes = [np.array(proposals, np.float32).reshape(-1, 4) for proposals, _ in images]
    truths = [
        Truth(
            np.array([truth for truth, _ in objects], np.float32).reshape(-1, 4),
            np.ones(len(objects), np.int64),
            np.array([difficult for _, difficult in objects], np.bool_),
        )
        for _, objects in images
    ]
    assert recall(boxes, truths, iou) == (sum(flags) / len(flags) if flags else None)
