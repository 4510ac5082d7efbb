"""Resizing whole images, against OpenCV."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.parts.resize import resize, resized_size

cv2 = pytest.importorskip("cv2")


@pytest.mark.parametrize(("height", "width"), [(40, 60), (60, 40), (33, 33), (97, 31)])
@pytest.mark.parametrize("short_side_px", [17, 40, 101])
def test_equals_opencv(height: int, width: int, short_side_px: int) -> None:
    """Pixels are those of cv2.resize with INTER_LINEAR, as Fast R-CNN's released code resizes, up and down."""
    image = np.random.default_rng(0).normal(size=(height, width, 3)).astype(np.float32)
    found, factors = resize(torch.from_numpy(image).permute(2, 0, 1), short_side_px=short_side_px)
    size = found.shape[3], found.shape[2]
    expected = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    assert found.shape[:2] == (1, 3)
    assert min(size) == short_side_px
    np.testing.assert_allclose(found[0].permute(1, 2, 0).numpy(), expected, atol=1e-4)
    assert factors.tolist() == pytest.approx([size[0] / width, size[1] / height] * 2)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 80), st.integers(1, 80), st.integers(1, 90), st.one_of(st.none(), st.integers(1, 120)))
def test_sides_and_factors(height: int, width: int, short_px: int, cap_px: int | None) -> None:
    """The short side has its length unless the long one would pass the cap; factors carry the image over."""
    found, factors = resize(torch.zeros(1, height, width), short_side_px=short_px, long_side_cap_px=cap_px)
    new_height, new_width = found.shape[2:]
    long = short_px * max(height, width) / min(height, width)
    if cap_px is None or long <= cap_px:
        assert min(new_height, new_width) == short_px
        assert abs(max(new_height, new_width) - long) <= 0.5 + 1e-6
    else:
        assert max(new_height, new_width) == cap_px
        assert abs(min(new_height, new_width) - max(1, cap_px * min(height, width) / max(height, width))) <= 0.5 + 1e-6
    whole = torch.tensor([0.0, 0.0, width, height])
    assert (whole * factors).tolist() == pytest.approx([0, 0, new_width, new_height], rel=1e-6)
    assert factors.dtype == torch.float32


def test_the_published_sizes() -> None:
    """500 x 375 px become 688 high for SPP-net and 800 x 600 for Fast R-CNN; a panorama is capped at 1,000."""
    photograph, panorama = torch.zeros(1, 375, 500), torch.zeros(1, 200, 800)
    assert resize(photograph, short_side_px=688)[0].shape[2:] == (688, 917)
    assert resize(photograph, short_side_px=600, long_side_cap_px=1000)[0].shape[2:] == (600, 800)
    assert resize(panorama, short_side_px=600, long_side_cap_px=1000)[0].shape[2:] == (250, 1000)


_BUDGET_PX = 8 * 688**2


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (1, 1, (688, 688)),
        # sqrt(8 * 688^2 / 4000) = 30.77 px of height, rounded up: the width gives way, 3,786,752 / 31 = 122,153.3
        (1, 4000, (31, 122_153)),
        (4000, 1, (122_153, 31)),
        # sqrt(8 * 688^2 / 200,000) = 4.3513: 87,025.8 x 43.5, and 44 * 87,026 would pass the budget
        (20000, 10, (86_062, 44)),
        (375, 500, (688, 917)),
        # 1:8 exactly is within the budget, 1:9 is not
        (100, 800, (688, 5504)),
        (100, 900, (649, 5834)),
    ],
)
def test_budget_bounds_images_of_extreme_shape(height: int, width: int, expected: tuple[int, int]) -> None:
    """An image keeps its shape and becomes smaller until it has no more pixels than the budget."""
    size, _ = resized_size(height, width, short_side_px=688, most_px=_BUDGET_PX)
    assert size == expected
    assert size[0] * size[1] <= _BUDGET_PX


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 30_000), st.integers(1, 30_000), st.integers(1, 60))
def test_budget_and_least_side(height: int, width: int, smallest_px: int) -> None:
    """No side is below the least, the area is within the budget, and shapes up to 1:8 are left as they are."""
    bounded, factor = resized_size(height, width, short_side_px=197, smallest_px=smallest_px, most_px=8 * 197**2)
    assert min(bounded) >= smallest_px
    assert bounded[0] * bounded[1] <= 8 * 197**2
    if max(height, width) < 8 * min(height, width):
        assert bounded == resized_size(height, width, short_side_px=197)[0]
        assert factor == 197 / min(height, width)


def test_least_side_stretches_a_thin_image() -> None:
    """A 2 x 4000 image capped at 1,000 px would be half a pixel high; it is stretched to 15 px, and its boxes too."""
    found, factors = resize(torch.rand(1, 2, 4000), short_side_px=600, long_side_cap_px=1000, smallest_px=15)
    assert found.shape[2:] == (15, 1000)
    assert factors.tolist() == [0.25, 7.5, 0.25, 7.5]


def test_bounds_leave_ordinary_images_as_they_were() -> None:
    """With bounds that do not bind, pixels and factors are the same to the bit."""
    image = torch.rand(3, 97, 131)
    plain, bounded = resize(image, short_side_px=101), resize(image, short_side_px=101, smallest_px=31, most_px=81608)
    assert torch.equal(plain[0], bounded[0])
    assert torch.equal(plain[1], bounded[1])


def test_a_line_of_4000_px_becomes_an_image_within_the_budget() -> None:
    """The pixels are there, not only their number."""
    found, factors = resize(torch.rand(3, 1, 4000), short_side_px=64, most_px=8 * 64**2)
    assert found.numel() <= 3 * 8 * 64**2
    assert found.isfinite().all()
    carried = torch.tensor([0.0, 0.0, 4000.0, 1.0]) * factors
    assert carried.tolist() == pytest.approx([0, 0, found.shape[3], found.shape[2]], rel=1e-6)
