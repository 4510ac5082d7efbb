"""Resizing whole images, against OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.parts.resize import resize


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
