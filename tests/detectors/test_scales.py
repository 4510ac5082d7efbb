"""Several sizes of one image: which a box is looked at, against literal loops, and pooling from all in one call."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from detectors.parts.pooling import map_windows, spatial_pyramid_pool
from detectors.parts.scales import (
    SCALES_CODE,
    SCALES_PAPER,
    ImagePyramid,
    Rule,
    map_sizes,
    stack_maps,
)


def _pyramid(height: int, width: int, scales_px: tuple[int, ...] = SCALES_PAPER, **bounds: float) -> ImagePyramid:
    return ImagePyramid.of(torch.zeros(1, height, width), scales_px, **bounds)  # type: ignore[arg-type]


def _boxes(height: int, width: int, count: int = 400) -> torch.Tensor:
    """Whole-pixel boxes of all sizes, one pixel and the whole image among them."""
    generator = torch.Generator().manual_seed(height + width)
    limit = torch.tensor([width, height])
    corners = (torch.rand(count, 2, 2, generator=generator) ** 2 * limit).floor()
    low, high = corners.min(dim=1).values, corners.max(dim=1).values
    boxes = torch.cat([low, torch.minimum(high, limit - 1) + 1], dim=1)
    boxes[0] = torch.tensor([0, 0, width, height])
    boxes[1] = torch.tensor([width - 1, height - 1, width, height])
    return boxes


def _by_area(box: list[float], height: int, width: int, scales_px: tuple[int, ...], cap_px: float) -> int:
    """lib/fast_rcnn/test.py of Fast R-CNN: inclusive corners, areas with +1."""
    x1, y1, x2, y2 = box[0], box[1], box[2] - 1, box[3] - 1
    area = (x2 - x1 + 1) * (y2 - y1 + 1)
    differences = []
    for target in scales_px:
        scale = target / min(height, width)
        if round(scale * max(height, width)) > cap_px:
            scale = cap_px / max(height, width)
        differences.append(abs(area * scale**2 - 224 * 224))
    return differences.index(min(differences))


def _by_side(box: list[float], height: int, width: int, scales_px: tuple[int, ...]) -> int:
    """spm_expected_scale.m: 1-based inclusive corners, areas with +1, MATLAB's rounding."""
    x1, y1, x2, y2 = box[0] + 1, box[1] + 1, box[2], box[3]
    area = (x2 - x1 + 1) * (y2 - y1 + 1)
    expected = math.floor(13 * 16 * min(height, width) / math.sqrt(area) + 0.5)
    differences = [abs(scale - expected) for scale in scales_px]
    return differences.index(min(differences))


_SHAPES = [(375, 500), (500, 333), (100, 101), (64, 400)]


@pytest.mark.parametrize(("height", "width"), _SHAPES)
@pytest.mark.parametrize("scales_px", [SCALES_PAPER, SCALES_CODE])
def test_paper_rule_brings_the_area_closest_to_224(height: int, width: int, scales_px: tuple[int, ...]) -> None:
    """A box is looked at where its scaled area comes closest to 224 x 224 px [SPP 4.1]."""
    boxes = _boxes(height, width)
    found = _pyramid(height, width, scales_px).choose(boxes, "paper").tolist()
    assert found == [_by_area(box, height, width, scales_px, math.inf) for box in boxes.tolist()]
    assert len(set(found)) == 5


@pytest.mark.parametrize(("height", "width"), _SHAPES)
def test_fast_rcnn_caps_the_long_side_before_it_chooses(height: int, width: int) -> None:
    """A factor is that of the capped image, so sizes above the cap are all the same (lib/fast_rcnn/test.py)."""
    boxes = _boxes(height, width)
    for cap_px in (700, 2000):
        found = _pyramid(height, width, long_side_cap_px=cap_px).choose(boxes, "paper").tolist()
        assert found == [_by_area(box, height, width, SCALES_PAPER, cap_px) for box in boxes.tolist()]


@pytest.mark.parametrize(("height", "width"), _SHAPES)
@pytest.mark.parametrize("scales_px", [SCALES_PAPER, SCALES_CODE])
def test_code_rule_compares_sides(height: int, width: int, scales_px: tuple[int, ...]) -> None:
    """A box is looked at in the image whose shorter side is closest to the one that makes it 208 px."""
    boxes = _boxes(height, width)
    found = _pyramid(height, width, scales_px).choose(boxes, "code").tolist()
    assert found == [_by_side(box, height, width, scales_px) for box in boxes.tolist()]


def test_code_rule_of_a_tie_takes_the_first() -> None:
    """A box of 375 * 208 / 528 = 147.727 px expects 528, half-way from 480 to 576, and gets 480."""
    box = torch.tensor([[0.0, 0.0, 147.727, 147.727]])
    assert _pyramid(375, 500, SCALES_CODE).choose(box, "code").tolist() == [0]


def test_the_two_rules_differ() -> None:
    """130 px of 375 are 224 px at 646, next to which lies 688, and 208 px at 600, next to which lies 576."""
    pyramid = _pyramid(375, 500, SCALES_CODE)
    box = torch.tensor([[10.0, 10.0, 140.0, 140.0]])
    assert pyramid.choose(box, "paper").tolist() == [2]
    assert pyramid.choose(box, "code").tolist() == [1]


@pytest.mark.parametrize("rule", ["paper", "code"])
def test_choice_is_the_same_for_a_backbone_of_smaller_crops(rule: Rule) -> None:
    """With all sizes at a quarter, a box has the same best size: what it should look like shrinks as well."""
    boxes = _boxes(400, 600)
    scales_px = (480, 576, 688, 864, 1200)
    whole = _pyramid(400, 600, scales_px).choose(boxes, rule)
    quarter = _pyramid(400, 600, scales_px, relative_size=0.25)
    assert [image.shape[2] for image in quarter.images] == [120, 144, 172, 216, 300]
    same = whole == quarter.choose(boxes, rule)
    # Rounding of the expected side is coarser at a quarter of the size.
    assert same.float().mean() > (0.97 if rule == "code" else 0.999)


def test_boxes_without_area_count_as_a_pixel() -> None:
    """Nothing is divided by zero: an empty box goes where the smallest one goes."""
    pyramid = _pyramid(375, 500)
    boxes = torch.tensor([[5.0, 5.0, 5.0, 5.0], [5.0, 5.0, 6.0, 6.0], [9.0, 9.0, 4.0, 4.0]])
    for rule in ("paper", "code"):
        assert pyramid.choose(boxes, rule).tolist() == [4, 4, 4]


def test_one_size_takes_every_box() -> None:
    """With one size there is nothing to choose, and boxes grow by its factors."""
    pyramid = _pyramid(375, 500, (688,))
    boxes = _boxes(375, 500)
    placed, index = pyramid.place(boxes, "paper")
    assert index is None
    assert torch.equal(placed, boxes * torch.tensor(pyramid.factors[0] * 2))


def test_the_published_sizes_and_what_they_cost() -> None:
    """With an aspect of 4/3, R-CNN's 2,000 crops of 227 px are 160 times one scale and 24 times five [SPP 4.3]."""
    assert SCALES_PAPER == (480, 576, 688, 864, 1200)
    assert SCALES_CODE == (480, 576, 688, 874, 1200)
    crops = 2000 * 227**2
    assert crops / (4 / 3 * 688**2) == pytest.approx(160, rel=0.025)
    assert crops / (4 / 3 * sum(side**2 for side in SCALES_PAPER)) == pytest.approx(24, rel=0.025)
    pixels = [image.shape[2] * image.shape[3] for image in _pyramid(375, 500).images]
    assert crops / sum(pixels) == pytest.approx(24, rel=0.025)


@pytest.mark.parametrize(("height", "width"), [(1, 4000), (4000, 1), (1, 1), (20000, 10)])
def test_extreme_images_stay_within_the_budget(height: int, width: int) -> None:
    """No size of an image of extreme shape has more pixels than one of 1:8."""
    pyramid = _pyramid(height, width, relative_size=64 / 224, smallest_px=15)
    for image, scale_px in zip(pyramid.images, SCALES_PAPER, strict=True):
        assert image.shape[2] * image.shape[3] <= 8 * round(scale_px * 64 / 224) ** 2
        assert min(image.shape[2:]) >= 15
    whole = torch.tensor([[0.0, 0.0, width, height]])
    placed, index = pyramid.place(whole, "paper")
    assert index is not None
    image = pyramid.images[int(index)]
    assert placed[0].tolist() == pytest.approx([0, 0, image.shape[3], image.shape[2]], rel=1e-6)


def test_stacked_maps_pool_as_each_map_alone() -> None:
    """Windows of maps of several sizes, pooled in one call, are those of each map by itself."""
    generator = torch.Generator().manual_seed(0)
    maps = [torch.rand(1, 4, h, w, generator=generator) for h, w in ((5, 9), (8, 13), (12, 20))]
    boxes = _boxes(200, 330, 90)
    index = torch.arange(90) % 3
    heights, widths = map_sizes(maps, index)
    windows = map_windows(boxes, stride=16, offset_px=3.0, height=heights, width=widths)
    found = spatial_pyramid_pool(stack_maps(maps), windows, (6, 3, 2, 1), index)
    for box, which, row in zip(boxes, index.tolist(), found, strict=True):
        one = maps[which]
        window = map_windows(box[None], stride=16, offset_px=3.0, height=one.shape[2], width=one.shape[3])
        left, top, right, bottom = window[0].tolist()
        cut = one[:, :, top : bottom + 1, left : right + 1]
        assert torch.equal(row, torch.cat([functional.adaptive_max_pool2d(cut, n).flatten() for n in (6, 3, 2, 1)]))


def test_stacked_maps_let_gradients_through() -> None:
    """Each map receives the gradient of its own cells."""
    maps = [torch.rand(1, 2, 3, 4, requires_grad=True), torch.rand(1, 2, 5, 3, requires_grad=True)]
    stacked = stack_maps(maps)
    assert stacked.shape == (2, 2, 5, 4)
    stacked.sum().backward()
    assert all(torch.equal(one.grad, torch.ones_like(one)) for one in maps if one.grad is not None)
    assert stack_maps(maps[:1]) is maps[0]
