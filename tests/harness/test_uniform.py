"""Boxes for timing: as many as asked for, of all sizes, the same for the same image, and to be had at no cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from harness.datasets.shapes import Shapes
from harness.proposals import ProposalError, source
from harness.proposals.cache import gather
from harness.proposals.uniform import Uniform


def blank(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.zeros((height, width, 3), np.uint8)


@given(st.integers(1, 900), st.integers(1, 900), st.integers(1, 64), st.integers(0, 99))
def test_boxes_are_as_many_as_asked_for_inside_and_not_empty(height: int, width: int, count: int, seed: int) -> None:
    """Whatever the image, down to one pixel: float32, half-open, with area."""
    boxes = Uniform(count, seed).propose("image", blank(height, width))
    assert boxes.dtype == np.float32
    assert boxes.shape == (count, 4)
    assert (boxes >= 0).all()
    assert (boxes <= [width, height, width, height]).all()
    assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_areas_and_aspects_are_what_they_say() -> None:
    """Areas are log-uniform from 20 px squared to the image, small aspects from 1:3 to 3:1, and places are uniform."""
    boxes = Uniform(20_000).propose("image", blank(375, 500)).astype(np.float64)
    sides = boxes[:, 2:] - boxes[:, :2]
    area, aspect = sides.prod(axis=1), sides[:, 0] / sides[:, 1]
    low, high = np.log(20**2), np.log(375 * 500)
    assert kstest((np.log(area) - low) / (high - low), "uniform").pvalue > 0.001
    free = area < 375**2 / 3  # below this even the longest fits
    assert kstest((np.log(aspect[free]) + np.log(3)) / (2 * np.log(3)), "uniform").pvalue > 0.001
    assert aspect.min() > 1 / 3.001
    assert aspect.max() < 3.001
    share = boxes[free, :2] / (np.array([500, 375]) - sides[free])
    for axis in (0, 1):
        assert kstest(share[:, axis], "uniform").pvalue > 0.001


def test_boxes_depend_on_name_and_seed_and_fewer_are_the_first() -> None:
    """So that a sweep over the number of boxes takes the same ones, and two images have different ones."""
    image = blank(100, 120)
    boxes = Uniform(50).propose("a", image)
    assert np.array_equal(Uniform(50).propose("a", image), boxes)
    assert np.array_equal(Uniform(7).propose("a", image), boxes[:7])
    assert not np.array_equal(Uniform(50).propose("b", image), boxes)
    assert not np.array_equal(Uniform(50, seed=1).propose("a", image), boxes)


def test_the_cap_reaches_the_source_and_nothing_is_kept(tmp_path: Path) -> None:
    """Named on the command line it gives as many boxes as the cap allows; looking for them has no time of its own."""
    made = source("uniform", max_proposals=2345)
    assert made.settings == {"name": "uniform", "count": 2345, "seed": 0}
    found = gather(Shapes("test", 2), made, max_proposals=2345, cache_dir=tmp_path, workers=2)
    assert [len(boxes) for boxes in found.boxes] == [2345, 2345]
    assert found.seconds == (None, None)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_draw_is_refused() -> None:
    """Neither no boxes nor a seed that NumPy has not; a misspelt name is answered with this one among the others."""
    for arguments in ((0, 0), (5, -1)):
        with pytest.raises(ProposalError, match="expected count >= 1 and seed >= 0"):
            Uniform(*arguments)
    with pytest.raises(
        ProposalError, match=r"no proposals 'uniforms': expected selective-search, .*, uniform, a \.npz"
    ):
        source("uniforms")
