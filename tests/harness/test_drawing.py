"""Boxes and labels on a photograph: where they stand, what lies on top, and that letters can be read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageColor

from harness.drawing import colours_of, draw
from harness.rendering.palette import INK

GREY = 127
BLUE, ORANGE, YELLOW = "#0072B2", "#E69F00", "#F0E442"


def grey(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), GREY, dtype=np.uint8)


def drawn(image: npt.NDArray[np.uint8], *found: tuple[tuple[float, ...], str, str]) -> npt.NDArray[np.uint8]:
    """The picture with (box, label, colour) each, best first."""
    boxes = np.array([box for box, _, _ in found], dtype=np.float32).reshape(-1, 4)
    picture = draw(image, boxes, [label for _, label, _ in found], [colour for _, _, colour in found])
    return np.asarray(picture)


def of_colour(picture: npt.NDArray[np.uint8], colour: str) -> npt.NDArray[np.bool_]:
    return np.asarray((picture == np.array(ImageColor.getrgb(colour))).all(axis=2))


def extent(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """x1 y1 x2 y2 of what is set, half-open."""
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_without_boxes_the_photograph_is_as_it_was() -> None:
    """And what is drawn on is a copy."""
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    before = image.copy()
    assert (drawn(image) == image).all()
    drawn(image, ((5, 5, 20, 20), "cat 0.9", BLUE))
    assert (image == before).all()


def test_the_frame_ends_where_the_half_open_box_does() -> None:
    """Pixels x1 to x2 - 1 and y1 to y2 - 1; what lies within the frame is not touched."""
    picture = drawn(grey(300, 300), ((60, 100, 200, 240), "", BLUE))
    changed = (picture != GREY).any(axis=2)
    changed[:100] = False  # the label's margins stand above
    assert extent(changed) == (60, 100, 200, 240)
    assert not changed[112:228, 72:188].any()


def test_the_best_lies_on_top() -> None:
    """Two frames in one place show the colour of the first."""
    box = (60.0, 60.0, 200.0, 200.0)
    picture = drawn(grey(300, 300), (box, "best", BLUE), (box, "second", ORANGE))
    assert of_colour(picture[150:151], BLUE).any()
    assert not of_colour(picture[150:151], ORANGE).any()


@pytest.mark.parametrize(
    "box",
    [
        (100, 100, 200, 200),
        (280, 100, 300, 200),
        (0, 0, 40, 40),
        (0, 0, 300, 300),
        (290, 290, 300, 300),
        (-5, 260, 20, 320),
    ],
)
def test_no_label_is_cut_off(box: tuple[int, ...]) -> None:
    """A label has as many pixels at any edge as in the middle."""
    with_text, without = (drawn(grey(300, 300), (box, text, YELLOW)) for text in ("motorbike 0.87", ""))
    middle = drawn(grey(300, 300), ((100, 100, 200, 200), "motorbike 0.87", YELLOW))
    assert (with_text != without).any()
    assert np.count_nonzero(of_colour(with_text, "#000000")) == np.count_nonzero(of_colour(middle, "#000000"))


def test_labels_of_one_place_do_not_cover_each_other() -> None:
    """Each of two has all of its letters."""
    box = (60.0, 100.0, 200.0, 200.0)
    one = np.count_nonzero(of_colour(drawn(grey(300, 300), (box, "horse 0.9", YELLOW)), "#000000"))
    both = drawn(grey(300, 300), (box, "horse 0.9", YELLOW), (box, "horse 0.9", YELLOW))
    assert np.count_nonzero(of_colour(both, "#000000")) == 2 * one > 0


def test_letters_grow_with_the_photograph() -> None:
    """On a photograph of four times the side, they are four times as high, give or take a pixel."""

    def height(side: int) -> int:
        picture = drawn(grey(side, side), ((side // 4, side // 2, side // 2, side - 1), "HHH", YELLOW))
        _, top, _, bottom = extent(of_colour(picture[: side // 2], "#000000"))
        return bottom - top

    assert height(400) >= 8
    assert abs(height(1600) - 4 * height(400)) <= 4


@pytest.mark.parametrize("count", [1, 6, 20])
def test_classes_have_colours_that_are_no_ink(count: int) -> None:
    """Six, and each of them as often as the next; black would be lost in shadows."""
    colours = list(colours_of(f"class {number}" for number in range(count)).values())
    assert len(colours) == count
    assert INK not in colours
    assert len(set(colours)) == min(count, 6)
    assert colours[6:] == colours[: max(0, count - 6)]
    assert colours == list(colours_of(f"class {number}" for number in range(count + 5)).values())[:count]


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2, contrast ratio, for two colours."""
    lights = []
    for colour in (one, other):
        linear = []
        for value in ImageColor.getrgb(colour):
            share = value / 255
            linear.append(share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4)
        red, green, blue = linear
        lights.append(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    return (max(lights) + 0.05) / (min(lights) + 0.05)


@pytest.mark.parametrize("colour", sorted(set(colours_of(str(n) for n in range(20)).values())))
def test_letters_have_the_contrast_that_accessibility_asks_for(colour: str) -> None:
    """At least 4.5, and the better of black and white [WCAG 2.2, 1.4.3]."""
    picture = drawn(grey(200, 200), ((50, 100, 190, 190), "HHHH", colour))[:98]
    letters = max(("#000000", "#FFFFFF"), key=lambda one: np.count_nonzero(of_colour(picture, one)))
    assert np.count_nonzero(of_colour(picture, letters)) > 20
    assert _contrast(letters, colour) >= max(4.5, *(_contrast(one, colour) for one in ("#000000", "#FFFFFF")))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.lists(st.tuples(*[st.floats(-5, 70, width=32) for _ in range(4)]), max_size=5),
)
def test_any_box_can_be_drawn(height: int, width: int, boxes: list[tuple[float, ...]]) -> None:
    """Thin, empty or beyond the edge; the photograph keeps its size."""
    picture = drawn(grey(height, width), *((tuple(sorted(box)), "a long label 1.00", BLUE) for box in boxes))
    assert picture.shape == (height, width, 3)
