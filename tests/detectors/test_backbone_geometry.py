"""Backbones: where their cells look, and how many cells an input gives."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from detectors.parts import backbones
from detectors.parts.backbones import Backbone

FORMS = [(name, "crops") for name in backbones.names()] + [("caffenet", "images"), ("zf5", "images")]
every_form = pytest.mark.parametrize(("name", "form"), FORMS, ids=["-".join(pair) for pair in FORMS])


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _network(name: str, form: str = "crops") -> Backbone:
    network = backbones.load(name, "random", generator=_generator())
    return network.for_images() if form == "images" else network


# Where a cell looks.


def _slim(network: Backbone) -> Backbone:
    """The network with an eighth of the channels, positive weights and no bias: its fields are the same.

    ReLU then changes nothing, no two paths cancel, and the signal neither fades nor grows.
    """
    network = network.copy()
    for module in list(network.modules()):
        for key, layer in list(module.named_children()):
            if isinstance(layer, nn.Conv2d):
                inputs = layer.in_channels if layer.in_channels == 3 else layer.in_channels // 8
                made = nn.Conv2d(
                    inputs,
                    layer.out_channels // 8,
                    layer.kernel_size[0],
                    layer.stride[0],
                    int(layer.padding[0]),
                    groups=layer.groups,
                    bias=False,
                )
                weight = 0.5 + torch.rand(made.weight.shape, generator=_generator(1))
                made.weight = nn.Parameter(weight / weight[0].numel())
                setattr(module, key, made)
    return network


def _averaging(network: Backbone) -> Backbone:
    """The same network with means in place of maxima, over the same cells: smooth, so a gradient shows every input."""
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        for key, layer in list(module.named_children()):
            if isinstance(layer, nn.MaxPool2d):
                mean = nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, ceil_mode=layer.ceil_mode)
                setattr(module, key, mean)
    return network


def _without_norms(network: Backbone) -> Backbone:
    """The same network without normalisation, whose neighbours act through a divisor only."""
    network = copy.deepcopy(network)
    for key, _ in list(network.features.named_children()):
        if key.startswith("norm"):
            setattr(network.features, key, nn.Identity())
    return network


def _extent(network: Backbone, size_px: int, row: int, column: int) -> tuple[int, int, int, int]:
    """First and last column, first and last row of the pixels that one output cell depends on."""
    pixels = torch.ones(1, 3, size_px, size_px, requires_grad=True)
    _averaging(network)(pixels)[0, :, row, column].sum().backward()
    assert pixels.grad is not None
    seen = pixels.grad[0].abs().sum(0) > 0
    columns, rows = seen.any(0).nonzero().flatten().tolist(), seen.any(1).nonzero().flatten().tolist()
    return columns[0], columns[-1], rows[0], rows[-1]


@every_form
def test_stride_and_centre_of_cell_0(name: str, form: str) -> None:
    """Cell i depends on pixels symmetric about cell0 + stride * i, so both stated numbers are the network's own."""
    network = _slim(_network(name, form))
    geometry = network.geometry
    cells, size_px = ((7, 8, 9), 368) if geometry.stride_px == 16 else ((6, 7, 9), 144)
    for column, row in zip(cells, reversed(cells), strict=True):
        left, right, top, bottom = _extent(network, size_px, row, column)
        assert left > 0, "the image is too small to show the whole field"
        assert right < size_px - 1
        assert (left + right) / 2 == geometry.cell0_px + geometry.stride_px * column
        assert (top + bottom) / 2 == geometry.cell0_px + geometry.stride_px * row
        assert right - left == bottom - top


@pytest.mark.parametrize(
    ("name", "field_px"),
    [
        ("zf5", 139),  # [SPP v2 App. A.1]: "x - 139/2"
        ("caffenet", 163),  # 11 + 2 * 4 + 4 * 8 + 2 * 8 + 3 * 2 * 16, k - 1 times the stride so far
        ("vgg16", 196),  # 1 + 4 * 1 + 1 + 4 * 2 + 2 + 6 * 4 + 4 + 6 * 8 + 8 + 6 * 16, likewise
    ],
)
def test_the_receptive_field_is_as_published(name: str, field_px: int) -> None:
    """A cell of the last layer sees as many pixels a side as SPP-net's appendix says, or as its kernels add up to."""
    left, right, _, _ = _extent(_without_norms(_slim(_network(name))), 368, 8, 8)
    assert right - left + 1 == field_px


@every_form
def test_an_impulse_inside_the_field_is_felt_and_one_beside_it_is_not(name: str, form: str) -> None:
    """With its real maxima the network answers a line of pixels at the edge of a cell's field, and not one further."""
    network = _without_norms(_slim(_network(name, form)))
    cell, size_px = (7, 368) if network.geometry.stride_px == 16 else (6, 144)
    left, right, _, _ = _extent(network, size_px, cell, cell)
    columns = [left - 1, left, right, right + 1]
    pixels = torch.zeros(4, 3, size_px, size_px)
    for index, column in enumerate(columns):
        pixels[index, :, :, column] = 1e6
    with torch.no_grad():
        felt = network(pixels)[:, :, cell, cell].sum(1) > 0
    assert felt.tolist() == [False, True, True, False]


@every_form
def test_one_more_stride_of_image_is_one_more_cell(name: str, form: str) -> None:
    """Far from any edge the feature map moves by one cell when the image moves by one stride."""
    network = _slim(_network(name, form))
    stride = network.geometry.stride_px
    size_px = 368 if stride == 16 else 144
    picture = torch.rand(1, 3, size_px + stride, size_px + stride, generator=_generator(2))
    with torch.no_grad():
        first = network(picture[:, :, :size_px, :size_px])
        moved = network(picture[:, :, stride:, stride:])
    middle = first.shape[2] // 2
    torch.testing.assert_close(first[:, :, middle + 1, middle + 1], moved[:, :, middle, middle], rtol=1e-4, atol=1e-5)


def test_whole_images_are_padded_where_the_papers_do_so() -> None:
    """Cell 0 then looks at pixel 0 [SPP App. A, Fast R-CNN's CaffeNet]; the others run as they are."""
    for name in backbones.names():
        network = _network(name)
        images = network.for_images()
        if name in ("caffenet", "zf5"):
            assert images.geometry.cell0_px == 0
            assert images.geometry.smallest_px == 1
            assert (images.geometry.channels, images.geometry.fc) == (network.geometry.channels, network.geometry.fc)
        else:
            assert images.geometry == network.geometry
        assert images.for_images().geometry == images.geometry


# How many cells an input gives.


def _sides(network: Backbone, size_px: int) -> dict[str, int]:
    """Output side of every layer of a square input, by the layer's key."""
    network, sides, side = network.copy().to("meta"), {}, torch.zeros(1, 3, size_px, size_px, device="meta")
    with torch.no_grad():
        for key, layer in network.features.named_children():
            side = layer(side)
            assert side.shape[2] == side.shape[3]
            sides[key] = side.shape[2]
    return sides


_PUBLISHED = {
    ("zf5", 224): {"conv1": 110, "pool1": 55, "conv2": 26, "pool2": 13, "conv3": 13, "conv4": 13, "conv5": 13},
    ("zf5", 180): {"conv1": 88, "pool1": 44, "conv2": 20, "pool2": 10, "conv3": 10, "conv4": 10, "conv5": 10},
    ("caffenet", 227): {"conv1": 55, "pool1": 27, "conv2": 27, "pool2": 13, "conv3": 13, "conv5": 13},
    ("vgg16", 600): {"pool1": 300, "pool2": 150, "pool3": 75, "pool4": 38, "conv5_3": 38},
    ("vgg16", 224): {"pool1": 112, "pool2": 56, "pool3": 28, "pool4": 14, "conv5_3": 14},
    ("vgg-m", 224): {"conv1": 109, "pool1": 54, "conv2": 26, "pool2": 13, "conv3": 13, "conv5": 13},
    ("alexnet", 224): {"0": 55, "2": 27, "3": 27, "5": 13, "6": 13, "10": 13},
}
"""zf5: Zeiler_conv5.prototxt at SPP-net's two training sizes; caffenet: [Krizhevsky et al. 2012] with R-CNN's 227 px;
vgg16: Caffe's rounding up, as Fast R-CNN's 600 px meet it; the rest by hand, such as ceil((109 - 3) / 2) + 1 = 54."""


@pytest.mark.parametrize(("name", "size_px"), _PUBLISHED)
def test_sizes_of_the_published_tables(name: str, size_px: int) -> None:
    """Each layer gives as many cells as the papers' networks give."""
    found = _sides(_network(name), size_px)
    assert {key: found[key] for key in _PUBLISHED[name, size_px]} == _PUBLISHED[name, size_px]


@every_form
def test_smallest_px_gives_one_cell_and_one_pixel_less_gives_none(name: str, form: str) -> None:
    """The stated least side is the least; so it is for one side of a long image."""
    network = _network(name, form).to("meta")
    smallest_px = network.geometry.smallest_px
    with torch.no_grad():
        for size in ((smallest_px, smallest_px), (smallest_px, 300), (300, smallest_px)):
            cells = network(torch.zeros(1, 3, *size, device="meta")).shape[2:]
            assert min(cells) == 1
        if smallest_px > 1:
            with pytest.raises(RuntimeError):
                network(torch.zeros(1, 3, smallest_px - 1, 300, device="meta"))


@every_form
def test_a_crop_gives_no_fewer_cells_than_are_pooled(name: str, form: str) -> None:
    """So no bin of the fc layers' grid is empty, and none covers a whole crop by accident."""
    network = _network(name, form).to("meta")
    geometry = network.geometry
    with torch.no_grad():
        cells = network(torch.zeros(1, 3, geometry.crop_px, geometry.crop_px, device="meta")).shape
    assert cells[1] == geometry.channels
    assert geometry.pooled <= cells[2] == cells[3] <= geometry.crop_px / geometry.stride_px + 1
    if geometry.fc is not None:
        assert max(geometry.fc.levels) == geometry.pooled
