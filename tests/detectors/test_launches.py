"""How many pieces of work a GPU is given for an image: what SPP-net and Fast R-CNN wait for where each is small."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import detectors
from harness.flops import ImageShape, count_image

_MOST = {
    "spp": {"prepare": 5, "pool": 28, "fc": 5, "decode": 15},
    "spp:5": {"prepare": 13, "pool": 83, "fc": 5, "decode": 15},
    "spp:code": {"prepare": 5, "pool": 28, "fc": 5, "decode": 15},
    "fast": {"prepare": 5, "pool": 12, "fc": 5, "decode": 19},
    "fast:5": {"prepare": 13, "pool": 50, "fc": 5, "decode": 19},
    "fast:svd": {"prepare": 5, "pool": 12, "fc": 7, "decode": 19},
}
"""Whatever the network. Two of PREPARE are the copies to the device, which a count leaves out."""
_OF_CONVOLUTIONS = {"mini": 12, "caffenet": 34, "zf5": 38, "vgg16": 30, "squeezenet1_1": 61}
"""Of one image."""


def _launches(name: str, backbone: str, proposals: int = 40) -> dict[str, int]:
    method = detectors.load(name)
    network = detectors.load_backbone(backbone, "random", generator=torch.Generator().manual_seed(0))
    make: Any = method.detector
    detector = make(4, replace(method.config, fc_width=16), network, torch.device("cpu"))
    detector.initialise(generator=torch.Generator().manual_seed(0))
    return count_image(detector, ImageShape(375, 500, proposals)).launches


@pytest.mark.parametrize("name", _MOST)
def test_launches_around_the_convolutions_are_few(name: str) -> None:
    """No more than were counted when they were last cut; whoever needs another one should know."""
    found = _launches(name, "caffenet")
    assert {stage: found[stage] for stage in _MOST[name] if found[stage] > _MOST[name][stage]} == {}


@pytest.mark.parametrize("backbone", _OF_CONVOLUTIONS)
def test_launches_of_the_convolutions_are_those_of_the_layers(backbone: str) -> None:
    """Once for the image, and for R-CNN once for each chunk of crops."""
    assert _launches("fast", backbone)["conv"] <= _OF_CONVOLUTIONS[backbone]


@pytest.mark.parametrize("name", ["spp", "fast"])
def test_launches_do_not_depend_on_the_number_of_boxes(name: str) -> None:
    """Boxes are worked on together."""
    assert _launches(name, "mini", 3) == _launches(name, "mini", 2000)
