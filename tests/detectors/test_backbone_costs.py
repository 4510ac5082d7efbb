"""Backbones: what each layer costs, and what the fc layers behind it take.

Multiply-adds of a crop are written out by hand as cells * outputs * (inputs of a group * kernel).
"""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from detectors.parts import backbones
from detectors.parts.backbones import Backbone, FcStack


def _network(name: str) -> Backbone:
    return backbones.load(name, "random", generator=torch.Generator().manual_seed(0))


_FC = 4096 * 4096
_COSTS: dict[str, dict[str, int]] = {
    "caffenet": {
        "conv1": 55 * 55 * 96 * (3 * 121),
        "conv2": 27 * 27 * 256 * (48 * 25),
        "conv3": 13 * 13 * 384 * (256 * 9),
        "conv4": 13 * 13 * 384 * (192 * 9),
        "conv5": 13 * 13 * 256 * (192 * 9),
        "fc6": 6 * 6 * 256 * 4096,
        "fc7": _FC,
    },
    "zf5": {
        "conv1": 110 * 110 * 96 * (3 * 49),
        "conv2": 26 * 26 * 256 * (96 * 25),
        "conv3": 13 * 13 * 384 * (256 * 9),
        "conv4": 13 * 13 * 384 * (384 * 9),
        "conv5": 13 * 13 * 256 * (384 * 9),
        "fc6": 50 * 256 * 4096,  # 12,800 inputs [SPP 4.1]
        "fc7": _FC,
    },
    "vgg-m": {
        "conv1": 109 * 109 * 96 * (3 * 49),
        "conv2": 26 * 26 * 256 * (96 * 25),
        "conv3": 13 * 13 * 512 * (256 * 9),
        "conv4": 13 * 13 * 512 * (512 * 9),
        "conv5": 13 * 13 * 512 * (512 * 9),
        "fc6": 6 * 6 * 512 * 4096,
        "fc7": 4096 * 1024,
    },
    "vgg16": {
        "conv1_1": 224 * 224 * 64 * (3 * 9),
        "conv1_2": 224 * 224 * 64 * (64 * 9),
        "conv2_1": 112 * 112 * 128 * (64 * 9),
        "conv2_2": 112 * 112 * 128 * (128 * 9),
        "conv3_1": 56 * 56 * 256 * (128 * 9),
        "conv3_2": 56 * 56 * 256 * (256 * 9),
        "conv3_3": 56 * 56 * 256 * (256 * 9),
        "conv4_1": 28 * 28 * 512 * (256 * 9),
        "conv4_2": 28 * 28 * 512 * (512 * 9),
        "conv4_3": 28 * 28 * 512 * (512 * 9),
        "conv5_1": 14 * 14 * 512 * (512 * 9),
        "conv5_2": 14 * 14 * 512 * (512 * 9),
        "conv5_3": 14 * 14 * 512 * (512 * 9),
        "fc6": 25_088 * 4096,
        "fc7": _FC,
    },
    "alexnet": {
        "conv1": 55 * 55 * 64 * (3 * 121),
        "conv2": 27 * 27 * 192 * (64 * 25),
        "conv3": 13 * 13 * 384 * (192 * 9),
        "conv4": 13 * 13 * 256 * (384 * 9),
        "conv5": 13 * 13 * 256 * (256 * 9),
        "fc6": 6 * 6 * 256 * 4096,
        "fc7": _FC,
    },
    "mini": {
        "conv1": 32 * 32 * 24 * (3 * 25),
        "conv2": 16 * 16 * 48 * (24 * 9),
        "conv3": 8 * 8 * 96 * (48 * 9),
        "conv4": 8 * 8 * 96 * (96 * 9),
        "conv5": 8 * 8 * 64 * (96 * 9),
    },
    # A fire module: squeeze 1x1, then expand 1x1 and expand 3x3 side by side, of equal width [SqueezeNet Table 1].
    "squeezenet1_0": {
        "conv1": 111 * 111 * 96 * (3 * 49),
        "fire2": 55 * 55 * (96 * 16 + 16 * 64 + 16 * 64 * 9),
        "fire3": 55 * 55 * (128 * 16 + 16 * 64 + 16 * 64 * 9),
        "fire4": 55 * 55 * (128 * 32 + 32 * 128 + 32 * 128 * 9),
        "fire5": 27 * 27 * (256 * 32 + 32 * 128 + 32 * 128 * 9),
        "fire6": 27 * 27 * (256 * 48 + 48 * 192 + 48 * 192 * 9),
        "fire7": 27 * 27 * (384 * 48 + 48 * 192 + 48 * 192 * 9),
        "fire8": 27 * 27 * (384 * 64 + 64 * 256 + 64 * 256 * 9),
        "fire9": 13 * 13 * (512 * 64 + 64 * 256 + 64 * 256 * 9),
    },
    "squeezenet1_1": {
        "conv1": 111 * 111 * 64 * (3 * 9),
        "fire2": 55 * 55 * (64 * 16 + 16 * 64 + 16 * 64 * 9),
        "fire3": 55 * 55 * (128 * 16 + 16 * 64 + 16 * 64 * 9),
        "fire4": 27 * 27 * (128 * 32 + 32 * 128 + 32 * 128 * 9),
        "fire5": 27 * 27 * (256 * 32 + 32 * 128 + 32 * 128 * 9),
        "fire6": 13 * 13 * (256 * 48 + 48 * 192 + 48 * 192 * 9),
        "fire7": 13 * 13 * (384 * 48 + 48 * 192 + 48 * 192 * 9),
        "fire8": 13 * 13 * (384 * 64 + 64 * 256 + 64 * 256 * 9),
        "fire9": 13 * 13 * (512 * 64 + 64 * 256 + 64 * 256 * 9),
    },
}


def _counted(network: Backbone) -> dict[str, int]:
    """torch's own count of multiply-adds for one crop, layer by layer, fc6 and fc7 from the stated shapes."""
    network, geometry = network.copy().to("meta"), network.geometry
    cost, pixels = {}, torch.zeros(1, 3, geometry.crop_px, geometry.crop_px, device="meta")
    names = iter(network.layers)
    with torch.no_grad():
        for layer in network.features.children():
            with FlopCounterMode(display=False) as counter:
                pixels = layer(pixels)
            if counter.get_total_flops():
                cost[next(names)] = counter.get_total_flops() // 2
        shapes = {} if geometry.fc is None else geometry.fc.shapes(geometry.channels)
        for name in ("fc6", "fc7") if shapes else ():
            weight = torch.zeros(shapes[f"{name}.weight"], device="meta")
            bias = torch.zeros(shapes[f"{name}.bias"], device="meta")
            with FlopCounterMode(display=False) as counter:
                nn.functional.linear(torch.zeros(1, weight.shape[1], device="meta"), weight, bias)
            cost[name] = counter.get_total_flops() // 2
    return cost


@pytest.mark.parametrize("name", backbones.names())
def test_multiply_adds_of_every_layer(name: str) -> None:
    """Each layer costs what its kernel, its groups and its output size come to by hand."""
    assert _counted(_network(name)) == _COSTS[name]


@pytest.mark.parametrize(
    ("name", "classifier", "published"),
    [("caffenet", 4096 * 1000, 0.724), ("alexnet", 4096 * 1000, 0.714), ("vgg16", 4096 * 1000, 15.470)],
)
def test_multiply_adds_of_a_whole_network(name: str, classifier: int, published: float) -> None:
    """With the 1000-way layer they come to the known totals in 10^9, of which torchvision prints 0.714 and 15.47."""
    assert (sum(_COSTS[name].values()) + classifier) / 1e9 == pytest.approx(published, abs=5e-4)


@pytest.mark.parametrize(
    ("name", "stack", "inputs"),
    [
        ("caffenet", FcStack((6,), (4096, 4096)), 9216),  # [RCNN 3.1: pool5 is 6x6x256 = 9216]
        ("alexnet", FcStack((6,), (4096, 4096)), 9216),
        ("zf5", FcStack((1, 2, 3, 6), (4096, 4096)), 12_800),  # [SPP 4.1: 12,800-d]
        ("vgg-m", FcStack((6,), (4096, 1024)), 18_432),
        ("vgg16", FcStack((7,), (4096, 4096)), 25_088),  # [FRCN 4.4: the 25088 x 4096 matrix of fc6]
    ],
)
def test_the_fc_layers_take_what_the_papers_say(name: str, stack: FcStack, inputs: int) -> None:
    """Grids, widths and the number of inputs of fc6."""
    geometry = _network(name).geometry
    assert geometry.fc == stack
    shapes = stack.shapes(geometry.channels)
    assert shapes == {
        "fc6.weight": (4096, inputs),
        "fc6.bias": (4096,),
        "fc7.weight": (stack.widths[1], 4096),
        "fc7.bias": (stack.widths[1],),
    }


def test_networks_without_fc_layers_say_so() -> None:
    """`mini` and the SqueezeNets were never published with any."""
    assert all(_network(name).geometry.fc is None for name in ("mini", "squeezenet1_0", "squeezenet1_1"))
