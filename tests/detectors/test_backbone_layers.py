"""Backbones: what each kind of layer computes, against literal loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from detectors.parts import backbones
from detectors.parts.backbones import Backbone, FcStack
from detectors.parts.backbones.normalisation import AcrossChannelNorm, WithinChannelNorm
from detectors.parts.pooling import spatial_pyramid_pool

Array = np.ndarray[Any, Any]


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _network(name: str) -> Backbone:
    return backbones.load(name, "random", generator=_generator())


def _run(layer: nn.Module, maps: Array) -> Array:
    """One image's maps (C, H, W) through a layer."""
    with torch.no_grad():
        found: Array = layer(torch.from_numpy(maps)[None])[0].numpy()
    return found


# Max pooling.


def _caffe_max_pool(maps: Array, kernel: int, stride: int, padding: int) -> Array:
    """Caffe's pooling_layer.cpp, word by word: sides rounded up, less a last window that starts in the padding."""

    def cells(side: int) -> int:
        count = math.ceil((side + 2 * padding - kernel) / stride) + 1
        if padding and (count - 1) * stride >= side + padding:
            count -= 1
        return count

    channels, height, width = maps.shape
    pooled = np.full((channels, cells(height), cells(width)), -np.inf, maps.dtype)
    for channel in range(channels):
        for row in range(pooled.shape[1]):
            for column in range(pooled.shape[2]):
                for y in range(row * stride - padding, row * stride - padding + kernel):
                    for x in range(column * stride - padding, column * stride - padding + kernel):
                        if 0 <= y < height and 0 <= x < width:
                            here = pooled[channel, row, column]
                            pooled[channel, row, column] = max(here, maps[channel, y, x])
    return pooled


_POOLINGS = [
    ("caffenet", "crops", "pool1", (3, 2, 0)),
    ("caffenet", "crops", "pool2", (3, 2, 0)),
    ("caffenet", "images", "pool1", (3, 2, 1)),
    ("caffenet", "images", "pool2", (3, 2, 1)),
    ("zf5", "crops", "pool1", (3, 2, 0)),
    ("zf5", "crops", "pool2", (3, 2, 0)),
    ("zf5", "images", "pool1", (3, 2, 1)),
    ("zf5", "images", "pool2", (3, 2, 1)),
    ("vgg-m", "crops", "pool1", (3, 2, 0)),
    ("vgg-m", "crops", "pool2", (3, 2, 0)),
    ("vgg16", "crops", "pool1", (2, 2, 0)),
    ("vgg16", "crops", "pool4", (2, 2, 0)),
]
"""Kernel, stride and padding of the prototxts."""


@pytest.mark.parametrize(("name", "form", "pool", "numbers"), _POOLINGS)
def test_pooling_is_caffes(name: str, form: str, pool: str, numbers: tuple[int, int, int]) -> None:
    """Sides are rounded up and a window that reaches over the edge is cut there, at odd and even sides alike."""
    network = _network(name).for_images() if form == "images" else _network(name)
    layer = network.features.get_submodule(pool)
    rng = np.random.default_rng(0)
    for side in range(4, 12):
        maps = rng.standard_normal((2, side, side + 3))
        np.testing.assert_array_equal(_run(layer, maps), _caffe_max_pool(maps, *numbers))


# Local response normalisation.


def _caffe_across(maps: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    """lrn_layer.cpp, ACROSS_CHANNELS: the sum over neighbouring channels, alpha divided by their number."""
    found = np.empty_like(maps)
    for channel, row, column in np.ndindex(maps.shape):
        squares = 0.0
        for other in range(channel - size // 2, channel + size // 2 + 1):
            if 0 <= other < len(maps):
                squares += maps[other, row, column] ** 2
        found[channel, row, column] = maps[channel, row, column] / (k + alpha / size * squares) ** beta
    return found


def _caffe_within(maps: Array, size: int, alpha: float, beta: float) -> Array:
    """lrn_layer.cpp, WITHIN_CHANNEL: squares, average pooling with padding size / 2, power (1 + alpha x) ^ -beta.

    Average pooling divides by the part of the window inside the padded map (pooling_layer.cpp), here all of it.
    """
    _, height, width = maps.shape
    half, found = size // 2, np.empty_like(maps)
    for channel, row, column in np.ndindex(maps.shape):
        top, left = row - half, column - half
        bottom, right = min(top + size, height + half), min(left + size, width + half)
        squares = 0.0
        for y in range(max(top, 0), min(bottom, height)):
            for x in range(max(left, 0), min(right, width)):
                squares += maps[channel, y, x] ** 2
        mean = squares / ((bottom - top) * (right - left))
        found[channel, row, column] = maps[channel, row, column] * (1 + alpha * mean) ** -beta
    return found


@pytest.mark.parametrize(
    ("name", "alpha", "k"),
    [("caffenet", 1e-4, 1.0), ("vgg-m", 5e-4, 2.0)],  # rcnn_batch_256_output_fc7.prototxt, models/VGG_CNN_M_1024
)
def test_normalisation_across_channels_is_caffes(name: str, alpha: float, k: float) -> None:
    """Five neighbouring channels, fewer at the ends, at the size of responses to inputs of 0-255."""
    network = _network(name)
    maps = np.random.default_rng(1).standard_normal((9, 2, 3)) * 200
    for norm in ("norm1", "norm2"):
        found = _run(network.features.get_submodule(norm), maps)
        np.testing.assert_allclose(found, _caffe_across(maps, 5, alpha, 0.75, k), rtol=1e-12)
        assert np.abs(found - maps).max() > 10


@pytest.mark.parametrize("norm", ["norm1", "norm2"])
@pytest.mark.parametrize("shape", [(2, 5, 4), (3, 1, 1), (1, 1, 6), (2, 2, 2)])
def test_normalisation_within_a_channel_is_caffes(norm: str, shape: tuple[int, int, int]) -> None:
    """3x3 cells with alpha 5e-5 and beta 0.75 (Zeiler_conv5.prototxt), divided by 9 at the edges too."""
    maps = np.random.default_rng(2).standard_normal(shape) * 300
    found = _run(_network("zf5").features.get_submodule(norm), maps)
    np.testing.assert_allclose(found, _caffe_within(maps, 3, 5e-5, 0.75), rtol=1e-12)
    assert np.abs(found - maps).max() > 5


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([3, 5, 7]), st.integers(1, 12), st.floats(1e-5, 1.0), st.floats(0.5, 1.0), st.floats(0.5, 2.0))
def test_normalisation_across_channels_is_torchs(size: int, channels: int, alpha: float, beta: float, k: float) -> None:
    """The layer of torch's gives the same numbers, whatever the settings."""
    responses = torch.randn(2, channels, 3, 4, generator=_generator(5)) * 20
    expected = functional.local_response_norm(responses, size, alpha, beta, k)
    torch.testing.assert_close(AcrossChannelNorm(size, alpha=alpha, beta=beta, k=k)(responses), expected)


@pytest.mark.parametrize(
    "norm", [AcrossChannelNorm(5, alpha=0.1, beta=0.75), WithinChannelNorm(3, alpha=0.1, beta=0.75)]
)
def test_normalisation_can_be_trained_through(norm: nn.Module) -> None:
    """Its gradient is that of finite differences, and its input is left as it was."""
    responses = torch.randn(1, 6, 3, 4, dtype=torch.float64, generator=_generator(6), requires_grad=True)
    before = responses.detach().clone()
    assert torch.autograd.gradcheck(norm, (responses,))
    assert torch.equal(responses.detach(), before)


@pytest.mark.parametrize(
    "norm", [AcrossChannelNorm(5, alpha=0.1, beta=0.75), WithinChannelNorm(3, alpha=0.1, beta=0.75)]
)
def test_normalisation_of_bfloat16_is_rounded_once(norm: nn.Module) -> None:
    """It is the float32 result, rounded; so it is in the memory format that the responses came in."""
    responses = torch.randn(2, 8, 5, 6, generator=_generator(7)).bfloat16()
    found = norm(responses)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, norm(responses.float()).bfloat16())
    last = responses.float().to(memory_format=torch.channels_last)
    assert norm(last).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(norm(last), norm(responses.float()))


# Grouped convolution and the order of layers.


def _literal_convolution(
    maps: Array, weight: Array, bias: Array, groups: int, out: int, row: int, column: int
) -> float:
    """One output of a 3x3 or 5x5 convolution, stride 1, padded to the same size: cross-correlation, as Caffe's."""
    per_group, reach = weight.shape[1], weight.shape[2] // 2
    first = out // (len(weight) // groups) * per_group
    total = float(bias[out])
    for channel in range(per_group):
        for y in range(-reach, reach + 1):
            for x in range(-reach, reach + 1):
                if 0 <= row + y < maps.shape[1] and 0 <= column + x < maps.shape[2]:
                    pixel = maps[first + channel, row + y, column + x]
                    total += float(weight[out, channel, y + reach, x + reach]) * float(pixel)
    return total


@pytest.mark.parametrize("layer", ["conv2", "conv4", "conv5"])
def test_a_filter_of_caffenet_sees_one_half_of_the_channels(layer: str) -> None:
    """Filters of the first half see the first half, the others the second; conv1 and conv3 see all."""
    convolution = _network("caffenet").features.get_submodule(layer)
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(convolution.bias, nn.Parameter)
    nn.init.normal_(convolution.bias, generator=_generator(8))
    maps = np.random.default_rng(3).standard_normal((convolution.in_channels, 3, 4)).astype(np.float32)
    found = _run(convolution, maps)
    weight, bias = convolution.weight.detach().numpy(), convolution.bias.detach().numpy()
    half = convolution.out_channels // 2
    for out, row, column in [(0, 0, 0), (half - 1, 2, 3), (half, 0, 3), (2 * half - 1, 1, 1)]:
        expected = _literal_convolution(maps, weight, bias, 2, out, row, column)
        assert found[out, row, column] == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_only_caffenet_has_groups() -> None:
    """conv2, conv4 and conv5 of it, two groups each."""
    found = {
        (name, key)
        for name in backbones.names()
        for key, layer in _network(name).features.named_modules()
        if isinstance(layer, nn.Conv2d) and layer.groups == 2
    }
    assert found == {("caffenet", "conv2"), ("caffenet", "conv4"), ("caffenet", "conv5")}


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("caffenet", ["conv1", "relu1", "pool1", "norm1", "conv2", "relu2", "pool2", "norm2"]),
        ("zf5", ["conv1", "relu1", "norm1", "pool1", "conv2", "relu2", "norm2", "pool2"]),
        ("vgg-m", ["conv1", "relu1", "norm1", "pool1", "conv2", "relu2", "norm2", "pool2"]),
    ],
)
def test_pooling_comes_before_normalisation_in_caffenet_only(name: str, block: list[str]) -> None:
    """The order of the prototxts; behind it conv3 to conv5 with nothing between but ReLU, and no pool5."""
    rest = ["conv3", "relu3", "conv4", "relu4", "conv5", "relu5"]
    assert [key for key, _ in _network(name).features.named_children()] == block + rest


# The layout of what fc6 takes.


@pytest.mark.parametrize("stack", [FcStack((1, 2, 3, 6), (5, 4)), FcStack((6,), (5, 4)), FcStack((7,), (5, 4))])
def test_fc6_takes_grids_one_by_one_each_channel_by_channel(stack: FcStack) -> None:
    """Level, channel, row, column, the last one fastest: so Caffe flattens, and so `spatial_pyramid_pool` does."""
    maps = torch.randn(1, 3, 13, 13, generator=_generator(9))
    weight = torch.randn(stack.shapes(3)["fc6.weight"], generator=_generator(10))
    expected, index = torch.zeros(5), 0
    for level in stack.levels:
        for channel in range(3):
            for row in range(level):
                for column in range(level):
                    rows = slice(row * 13 // level, -(-(row + 1) * 13 // level))
                    columns = slice(column * 13 // level, -(-(column + 1) * 13 // level))
                    expected += weight[:, index] * maps[0, channel, rows, columns].max()
                    index += 1
    assert index == weight.shape[1]
    pooled = spatial_pyramid_pool(maps, torch.tensor([[0, 0, 12, 12]]), levels=stack.levels)
    torch.testing.assert_close(functional.linear(pooled, weight)[0], expected)


@pytest.mark.parametrize(("level", "kernel", "stride"), [(6, 3, 2), (3, 5, 4), (2, 7, 6), (1, 13, 13)])
def test_the_bins_of_a_crop_are_the_windows_that_zf5_was_trained_with(level: int, kernel: int, stride: int) -> None:
    """On 13x13 cells each level is a sliding window [SPP Fig. 4]; the release's 2x2 level is 7x7 at stride 7."""
    maps = torch.rand(1, 4, 13, 13, generator=_generator(11))
    pooled = spatial_pyramid_pool(maps, torch.tensor([[0, 0, 12, 12]]), levels=(level,))
    assert torch.equal(pooled, functional.max_pool2d(maps, kernel, stride).flatten(1))
