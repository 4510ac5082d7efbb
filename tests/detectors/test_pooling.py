"""Pyramid and RoI pooling, against plain loops over cells with integer or rational arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from detectors.parts.pooling import MapRule, map_windows, roi_pool, spatial_pyramid_pool

_ALL_LEVELS = [(6, 3, 2, 1), (4, 2, 1), (7,), (5, 3)]


def _features(height: int, width: int, channels: int = 3, images: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(height * 1000 + width)
    return torch.randn(images, channels, height, width, generator=generator)


def _windows(height: int, width: int, count: int) -> torch.Tensor:
    rng = np.random.default_rng(count)
    x = np.sort(rng.integers(0, width, (count, 2)), axis=1)
    y = np.sort(rng.integers(0, height, (count, 2)), axis=1)
    return torch.from_numpy(np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], axis=1))


def _pyramid(cells: np.ndarray, window: list[int], levels: tuple[int, ...]) -> list[float]:
    """[SPP App. A], bin by bin."""
    left, top, right, bottom = window
    width, height = right - left + 1, bottom - top + 1
    values = []
    for n in levels:
        for channel in cells:
            for i in range(n):
                for j in range(n):
                    rows = slice(top + i * height // n, top - (-(i + 1) * height // n))
                    columns = slice(left + j * width // n, left - (-(j + 1) * width // n))
                    values.append(float(channel[rows, columns].max()))
    return values


@pytest.mark.parametrize("levels", _ALL_LEVELS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (13, 13), (38, 60)])
def test_pyramid_equals_a_loop_over_bins(levels: tuple[int, ...], shape: tuple[int, int]) -> None:
    """Each value is the maximum of its bin, in the order level, channel, row, column."""
    features, windows = _features(*shape), _windows(*shape, 15)
    expected = [_pyramid(features[0].numpy(), window, levels) for window in windows.tolist()]
    assert spatial_pyramid_pool(features, windows, levels).tolist() == expected


@pytest.mark.parametrize("levels", [*_ALL_LEVELS, (1, 2, 3, 6), (8, 7, 5)])
def test_pyramid_equals_adaptive_pooling(levels: tuple[int, ...]) -> None:
    """torch's adaptive pooling of the cut-out window is the same, up to windows of 150 cells."""
    features, windows = _features(150, 121), _windows(150, 121, 12)
    windows[0] = torch.tensor([0, 0, 120, 149])
    windows[1] = torch.tensor([3, 5, 59, 118])
    for window, row in zip(windows.tolist(), spatial_pyramid_pool(features, windows, levels), strict=True):
        left, top, right, bottom = window
        cut = features[:, :, top : bottom + 1, left : right + 1]
        assert torch.equal(row, torch.cat([functional.adaptive_max_pool2d(cut, n).flatten() for n in levels]))


@pytest.mark.parametrize("cells", [150, 2000])
@pytest.mark.parametrize("n", range(1, 9))
def test_bins_are_exact_for_every_size(n: int, cells: int) -> None:
    """The last cell of bin j is ceil((j + 1) w / n) - 1, the first floor(j w / n), for 1 to 8 bins and all sizes."""
    ramp = torch.arange(float(cells)).reshape(1, 1, 1, cells)
    sizes = range(1, cells + 1)
    windows = torch.tensor([[0, 0, size - 1, 0] for size in sizes])
    last = spatial_pyramid_pool(ramp, windows, (n,)).reshape(cells, n, n)[:, 0]
    first = -spatial_pyramid_pool(-ramp, windows, (n,)).reshape(cells, n, n)[:, 0]
    assert last.tolist() == [[-(-(j + 1) * size // n) - 1 for j in range(n)] for size in sizes]
    assert first.tolist() == [[j * size // n for j in range(n)] for size in sizes]


def test_pyramid_6_3_2_1_has_50_bins() -> None:
    """[SPP 4.1]: 36 + 9 + 4 + 1 bins of 256 channels are 12,800 values."""
    assert spatial_pyramid_pool(torch.rand(1, 256, 7, 7), torch.tensor([[0, 0, 6, 6]])).shape == (1, 12_800)


@pytest.mark.parametrize(("level", "kernel", "stride"), [(3, 5, 4), (2, 7, 6), (1, 13, 13)])
def test_figure_4_pools_a_map_of_13_cells(level: int, kernel: int, stride: int) -> None:
    """[SPP figure 4]: at 13 cells windows of ceil(13 / n) every floor(13 / n) cells are the bins of the appendix."""
    assert (kernel, stride) == (-(-13 // level), 13 // level)
    features = _features(13, 13)
    published = functional.max_pool2d(features, kernel, stride).flatten(1)
    assert torch.equal(spatial_pyramid_pool(features, torch.tensor([[0, 0, 12, 12]]), (level,)), published)


def test_sliding_windows_do_not_do_for_10_cells() -> None:
    """At 10 cells that rule gives 9 and not 6 bins a side; the appendix's gives 6 [SPP 2.3, App. A]."""
    features = _features(10, 10)
    assert functional.max_pool2d(features, 2, 1).shape[2:] == (9, 9)
    assert spatial_pyramid_pool(features, torch.tensor([[0, 0, 9, 9]]), (6,)).shape == (1, 3 * 36)


@pytest.mark.parametrize("coarse", [3, 2, 1])
def test_coarse_levels_are_bit_equal_to_their_own_pass(coarse: int) -> None:
    """The maximum over fine bins is the coarse bin itself."""
    features, windows = _features(37, 50), _windows(37, 50, 200)
    joined = spatial_pyramid_pool(features, windows, (6, coarse))[:, 3 * 36 :]
    assert torch.equal(joined, spatial_pyramid_pool(features, windows, (coarse,)))


def test_pyramid_of_no_windows_and_of_two_images() -> None:
    """No windows give no rows; two maps without an index are refused."""
    assert spatial_pyramid_pool(_features(5, 5), torch.zeros(0, 4, dtype=torch.int64)).shape == (0, 150)
    with pytest.raises(ValueError, match="boxes of 2 maps: expected batch_index, got None"):
        spatial_pyramid_pool(_features(5, 5, images=2), torch.zeros(1, 4, dtype=torch.int64))


@pytest.mark.parametrize("levels", [*_ALL_LEVELS, (1, 2, 3, 6)])
@pytest.mark.parametrize("largest", [2, 30])
def test_pyramid_of_several_maps_equals_each_by_itself(levels: tuple[int, ...], largest: int) -> None:
    """Each window reads the map that its index names, whether windows are small or large."""
    features, windows = _features(40, 31, images=3), _windows(40, 31, 60)
    windows[:, 2:] = windows[:, 2:].minimum(windows[:, :2] + largest)
    index = torch.arange(60) % 3
    found = spatial_pyramid_pool(features, windows, levels, index)
    for window, which, row in zip(windows.tolist(), index.tolist(), found, strict=True):
        left, top, right, bottom = window
        cut = features[which : which + 1, :, top : bottom + 1, left : right + 1]
        assert torch.equal(row, torch.cat([functional.adaptive_max_pool2d(cut, n).flatten() for n in levels]))


@pytest.mark.parametrize("window", [(0, 0, 0, 0), (8, 6, 8, 6), (0, 6, 8, 6), (8, 0, 8, 6), (0, 0, 8, 6), (4, 3, 5, 3)])
def test_pyramid_of_windows_at_the_border_and_of_one_cell(window: tuple[int, ...]) -> None:
    """A window of one cell fills every bin with it; rows, columns and corners of the map are read whole."""
    features = _features(7, 9)
    expected = _pyramid(features[0].numpy(), list(window), (6, 3, 2, 1))
    assert spatial_pyramid_pool(features, torch.tensor([window])).tolist() == [expected]


def test_pyramid_of_bfloat16_comes_back_as_bfloat16() -> None:
    """Maxima are exact in either precision, so the result is that of the same numbers in float32."""
    features, windows = _features(20, 30).bfloat16(), _windows(20, 30, 40)
    found = spatial_pyramid_pool(features, windows)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found.float(), spatial_pyramid_pool(features.float(), windows))


def test_pyramid_does_not_depend_on_the_memory_format() -> None:
    """Channels-last maps, which convolutions give, pool to the same."""
    features, windows = _features(20, 30), _windows(20, 30, 40)
    last = features.contiguous(memory_format=torch.channels_last)
    assert torch.equal(spatial_pyramid_pool(last, windows), spatial_pyramid_pool(features, windows))


@pytest.mark.parametrize("levels", [(3, 1), (7,)])
def test_pyramid_gradient_reaches_the_maxima(levels: tuple[int, ...]) -> None:
    """Each bin sends its gradient to the one cell it took: torch's adaptive pooling agrees."""
    features = _features(60, 57).requires_grad_()
    window = torch.tensor([[0, 0, 56, 59]])
    (found,) = torch.autograd.grad(spatial_pyramid_pool(features, window, levels).sum(), features)
    total = torch.stack([functional.adaptive_max_pool2d(features, n).sum() for n in levels]).sum()
    assert torch.equal(found, torch.autograd.grad(total, features)[0])


def _round(value: Fraction) -> int:
    return int(math.copysign(math.floor(abs(value) + Fraction(1, 2)), value))


def _roi(cells: np.ndarray, box: list[float], size: int, stride: int, offset: float) -> np.ndarray:
    """Caffe's layer, in exact arithmetic."""
    channels, height, width = cells.shape
    inclusive = (box[0], box[1], box[2] - 1, box[3] - 1)
    x1, y1, x2, y2 = (_round((Fraction(v) - Fraction(offset)) / stride) for v in inclusive)
    across, down = Fraction(max(x2 - x1 + 1, 1), size), Fraction(max(y2 - y1 + 1, 1), size)
    pooled = np.zeros((channels, size, size), np.float32)
    for i in range(size):
        for j in range(size):
            rows = [min(max(v + y1, 0), height) for v in (math.floor(i * down), math.ceil((i + 1) * down))]
            columns = [min(max(v + x1, 0), width) for v in (math.floor(j * across), math.ceil((j + 1) * across))]
            window = cells[:, slice(*rows), slice(*columns)]
            if window.size:
                pooled[:, i, j] = window.max(axis=(1, 2))
    return pooled


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(-60, 700)] * 4), min_size=1, max_size=6),
    st.sampled_from([16, 12]),
    st.sampled_from([0.0, 15.0, 7.5]),
)
def test_roi_pool_equals_caffe_in_exact_arithmetic(corners: list[tuple[int, ...]], stride: int, offset: float) -> None:
    """Boxes on and beyond all borders, thin and empty ones too, pool as the published layer does."""
    boxes = [[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d in corners]
    rois = torch.tensor(boxes, dtype=torch.float32) / 2 + 0.5
    features = _features(19, 20)
    pooled = roi_pool(features, rois, size=6, stride=stride, offset_px=offset).numpy()
    for box, found in zip(rois.tolist(), pooled, strict=True):
        np.testing.assert_array_equal(found, _roi(features[0].numpy(), box, 6, stride, offset))


def test_roi_pool_rounds_half_away_from_zero() -> None:
    """8 / 16 is cell 1 and 40 / 16 is cell 3, where rounding to even would say 0 and 2; -8 / 16 is cell -1."""
    features = torch.arange(8.0).reshape(1, 1, 1, 8)
    rois = torch.tensor([[8.0, 0.0, 9.0, 1.0], [40.0, 0.0, 41.0, 1.0], [-8.0, 0.0, -7.0, 1.0]])
    assert roi_pool(features, rois, size=1)[:, 0, 0, 0].tolist() == [1, 3, 0]


def test_roi_pool_half_open_boxes_are_inclusive_ones() -> None:
    """A published RoI 0 0 31 31 is the box 0 0 32 32: cells 0 to 2, for 31 / 16 rounds to 2."""
    features = torch.arange(5.0).reshape(1, 1, 1, 5)
    assert roi_pool(features, torch.tensor([[0.0, 0.0, 32.0, 32.0]]), size=1).item() == 2


def test_roi_pool_of_several_images() -> None:
    """Each box reads the image that its index names; without indices several images are refused."""
    features, rois = _features(9, 9, images=2), torch.tensor([[0.0, 0.0, 99.0, 99.0], [16.0, 20.0, 80.0, 90.0]])
    index = torch.tensor([1, 0])
    both = roi_pool(features, rois, size=7, batch_index=index)
    assert torch.equal(both[0], roi_pool(features[1:], rois[:1], size=7)[0])
    assert torch.equal(both[1], roi_pool(features[:1], rois[1:], size=7)[0])
    with pytest.raises(ValueError, match="batch_index"):
        roi_pool(features, rois, size=7)


def test_roi_pool_of_no_boxes() -> None:
    """No boxes give no grids."""
    assert roi_pool(_features(4, 4), torch.zeros(0, 4), size=6).shape == (0, 3, 6, 6)


@pytest.mark.parametrize(
    ("box", "offset", "window"),
    [
        # left 33: floor(33/16) + 1 = 3; top 32: 32/16 + 1 = 3; last pixel 159: ceil(9.94) - 1 = 9; 160: 10 - 1 = 9
        ((33.0, 32.0, 160.0, 161.0), 0.0, (3, 3, 9, 9)),
        # the same box seen by cells whose first is centred on 15: (18, 17, 144, 145) / 16
        ((33.0, 32.0, 160.0, 161.0), 15.0, (2, 2, 8, 9)),
        # 0..15: l = 1, r = ceil(15/16) - 1 = 0 collapse to floor(1/2) = 0; the same downwards
        ((0.0, 0.0, 16.0, 16.0), 0.0, (0, 0, 0, 0)),
        # one pixel on the centre of cell 2: l = 3, r = 1, both become 2
        ((32.0, 32.0, 33.0, 33.0), 0.0, (2, 2, 2, 2)),
        # one pixel between cells 2 and 3: l = 3, r = 2, half-way 2.5 goes down
        ((40.0, 40.0, 41.0, 41.0), 0.0, (2, 2, 2, 2)),
        # l = floor(-10/16) + 1 = 0, r = ceil(999/16) - 1 = 62, beyond the last of 20 and of 30 cells
        ((-10.0, -10.0, 1000.0, 1000.0), 0.0, (0, 0, 29, 19)),
        # all of the box lies beyond the map: its edge
        ((900.0, 900.0, 1000.0, 1000.0), 0.0, (29, 19, 29, 19)),
    ],
)
def test_map_windows_by_hand(box: tuple[float, ...], offset: float, window: tuple[int, ...]) -> None:
    """[SPP App. A]: floor(x / S) + 1 and ceil(x / S) - 1 of the inclusive corners."""
    found = map_windows(torch.tensor([box]), stride=16, offset_px=offset, height=20, width=30)
    assert found.dtype == torch.int64
    assert tuple(found[0].tolist()) == window


@given(st.lists(st.tuples(*[st.floats(-50, 700, width=32)] * 4), max_size=5), st.sampled_from([0.0, 15.0]))
def test_map_windows_are_always_on_the_map(rows: list[tuple[float, ...]], offset: float) -> None:
    """Whatever the box, the window holds a cell of the map and can be pooled, on a map of one cell too."""
    boxes = torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)
    boxes = torch.cat([boxes[:, :2].minimum(boxes[:, 2:]), boxes[:, :2].maximum(boxes[:, 2:])], dim=1)
    for height, width in ((1, 1), (20, 13)):
        windows = map_windows(boxes, stride=16, offset_px=offset, height=height, width=width)
        assert ((windows[:, :2] >= 0) & (windows[:, :2] <= windows[:, 2:])).all()
        assert (windows[:, 2:] < torch.tensor([width, height])).all()
        assert spatial_pyramid_pool(_features(height, width), windows).isfinite().all()


_CELLS = 140
_map_zf5 = partial(map_windows, stride=16, offset_px=20.0, height=_CELLS, width=_CELLS)
"""Padded as in training: its cell 1 is centred on pixel 21, counted from 1."""


def _v2(x: int) -> tuple[int, int]:
    """[SPP v2 App. A.1] as printed, 1-based: the left or top cell, the right or bottom one."""
    return math.floor((x - 139 / 2 + 63) / 16) + 1, math.ceil((x + 139 / 2 - 75) / 16) - 1


def _code(x: int) -> tuple[int, int]:
    """spm_response_boxes.m as written, 1-based, with the constants of ZF-5."""
    offset0, offset, step = 21, 6.5, 16
    return math.floor((x - offset0 + offset) / step + 0.5) + 1, math.ceil((x - offset0 - offset) / step - 0.5) + 1


def _v4(x: int) -> tuple[int, int]:
    """[SPP v4 App. A] as printed, cells counted as there: cell x' is centred on 16 x', so from 0."""
    return math.floor(x / 16) + 1, math.ceil(x / 16) - 1


def _edges(rule: MapRule) -> tuple[list[int], list[int]]:
    """Left edges of boxes that begin at pixel x and right edges of boxes that end there, x from 1 to 1999, 1-based."""
    x = torch.arange(1, 2000, dtype=torch.float32)
    # Pixel x counted from 1 begins at x - 1 and ends at x. Far edges keep the windows from collapsing.
    begins = torch.stack([x - 1, x - 1, torch.full_like(x, 9000), torch.full_like(x, 9000)], dim=1)
    ends = torch.stack([torch.full_like(x, -9000), torch.full_like(x, -9000), x, x], dim=1)
    left = _map_zf5(begins, rule=rule)
    right = _map_zf5(ends, rule=rule)
    assert torch.equal(left[:, 0], left[:, 1])
    assert torch.equal(right[:, 2], right[:, 3])
    return (left[:, 0] + 1).tolist(), (right[:, 2] + 1).tolist()


@pytest.mark.parametrize(("rule", "printed"), [("v2", _v2), ("code", _code)])
def test_mapping_of_zf5_is_the_printed_formula(rule: MapRule, printed: Callable[[int], tuple[int, int]]) -> None:
    """For every x from 1 to 1999 the cell is the printed one, moved to the edge of the map where it lies beyond."""
    left, right = _edges(rule)
    assert left == [min(max(printed(x)[0], 1), _CELLS) for x in range(1, 2000)]
    assert right == [min(max(printed(x)[1], 1), _CELLS) for x in range(1, 2000)]


def test_mapping_v4_is_the_printed_formula() -> None:
    """With cell 0 on pixel 0 the window is floor(x / 16) + 1 to ceil(x / 16) - 1 for every x of 1 to 1999."""
    x = torch.arange(1, 2000, dtype=torch.float32)
    boxes = torch.stack([x, torch.full_like(x, -9000), torch.full_like(x, 9000), x + 1], dim=1)
    cells = map_windows(boxes, stride=16, offset_px=0.0, height=_CELLS, width=_CELLS)
    assert cells[:, 0].tolist() == [_v4(x)[0] for x in range(1, 2000)]
    assert cells[:, 3].tolist() == [max(_v4(x)[1], 0) for x in range(1, 2000)]


def test_v2_and_code_share_left_edges_and_differ_at_right_ones() -> None:
    """Left edges agree for all x; right ones differ at 2 of every 16 pixels: ceil((x - 5.5) / 16) and x - 3.5."""
    (left_v2, right_v2), (left_code, right_code) = _edges("v2"), _edges("code")
    assert left_v2 == left_code
    # From 37 on the first cell is no longer the edge of the map.
    differ = [a != b for a, b in zip(right_v2[36:], right_code[36:], strict=True)]
    assert all(sum(differ[start : start + 16]) == 2 for start in range(len(differ) - 16))


@given(st.integers(1, 1900), st.integers(0, 40), st.sampled_from(["v2", "code"]))
def test_windows_that_collapse_become_the_cell_half_way(x: int, side: int, rule: MapRule) -> None:
    """Where l > r both become int((l + r) / 2), counted from 1, and then move onto the map (spm_response_boxes.m)."""
    left, right = {"v2": _v2, "code": _code}[rule](x)[0], {"v2": _v2, "code": _code}[rule](x + side)[1]
    if left > right:
        left = right = int((left + right) / 2)
    expected = [min(max(left, 1), _CELLS) - 1, min(max(right, 1), _CELLS) - 1]
    box = torch.tensor([[x - 1.0, x - 1.0, x + side, x + side]])
    found = _map_zf5(box, rule=rule)[0].tolist()
    assert found == [expected[0], expected[0], expected[1], expected[1]]


@pytest.mark.parametrize("rule", ["v4", "v2", "code"])
def test_mapping_bounds_each_box_by_its_own_map(rule: MapRule) -> None:
    """Sizes given per box bound each box as they would alone."""
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(50, 2, generator=generator) * 400 - 40
    boxes = torch.cat([low, low + torch.rand(50, 2, generator=generator) * 300], dim=1)
    heights, widths = torch.arange(50) % 7 + 1, torch.arange(50) % 11 + 1
    found = map_windows(boxes, stride=16, offset_px=15.0, height=heights, width=widths, rule=rule)
    for box, height, width, cells in zip(boxes, heights.tolist(), widths.tolist(), found, strict=True):
        alone = map_windows(box[None], stride=16, offset_px=15.0, height=height, width=width, rule=rule)
        assert torch.equal(cells, alone[0])
