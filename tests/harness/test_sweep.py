"""Inputs that are changed on purpose."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from detectors.contract import Example
from harness.plan import Plan, PlanError
from harness.sweep import Sweep


@pytest.fixture
def example() -> Example:
    generator = torch.Generator().manual_seed(3)
    # Smooth, so that interpolations of different programs agree.
    coarse = torch.rand(1, 3, 6, 8, generator=generator)
    image = torch.nn.functional.interpolate(coarse, (300, 400), mode="bicubic").clamp(0, 1)[0]
    boxes = torch.tensor([[0.0, 0, 400, 300], [40, 30, 80, 90]])
    return Example(
        "a",
        (255 * image).to(torch.uint8),
        boxes[1:],
        torch.tensor([1]),
        torch.tensor([False]),
        boxes.repeat(50, 1),
    )


def test_a_sweep_of_proposals_takes_the_first_ones(example: Example) -> None:
    """They come best first; the image and its objects stay as they are."""
    sweep = Sweep.of("proposals=10,1000")
    few, all_there_are = (sweep.apply(example, value) for value in sweep.values)
    assert torch.equal(few.proposals, example.proposals[:10])
    assert torch.equal(all_there_are.proposals, example.proposals)
    assert few.image is example.image
    assert [sweep.point(value) for value in sweep.values] == ["proposals=10", "proposals=1000"]


def test_a_sweep_of_megapixels_resizes_image_and_boxes_alike(example: Example) -> None:
    """A box covers the same part of the image as before, and the pixels are those that Pillow makes, give or take 2."""
    sweep = Sweep.of("megapixels=0.03,0.48")
    for value, sides in zip(sweep.values, ((150, 200), (600, 800)), strict=True):
        changed = sweep.apply(example, value)
        assert changed.image.shape == (3, *sides)
        scale = sides[0] / 300
        assert torch.allclose(changed.proposals, example.proposals * scale)
        assert torch.allclose(changed.boxes, example.boxes * scale)
        pillow = Image.fromarray(example.image.permute(1, 2, 0).numpy()).resize(sides[::-1], Image.Resampling.BILINEAR)
        difference = np.asarray(pillow).astype(int) - changed.image.permute(1, 2, 0).numpy().astype(int)
        assert abs(difference).max() <= 2
    assert sweep.point(0.03) == "megapixels=0.03"


def test_an_image_of_any_shape_keeps_a_pixel_a_side() -> None:
    """A line of pixels does not vanish."""
    line = Example(
        "line",
        torch.zeros(3, 1, 4000, dtype=torch.uint8),
        torch.zeros(0, 4),
        torch.zeros(0, dtype=torch.int64),
        torch.zeros(0, dtype=torch.bool),
        torch.tensor([[0.0, 0, 4000, 1]]),
    )
    assert Sweep.of("megapixels=0.001,1").apply(line, 0.001).image.shape == (3, 1, 2000)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("boxes=1,2", "expected proposals=100,300,... or megapixels=0.1,0.5,..., got 'boxes=1,2'"),
        ("proposals", "expected proposals=100"),
        ("proposals=", "expected numbers with commas between after proposals=, got ''"),
        ("proposals=1,x", "expected numbers with commas between after proposals=, got '1,x'"),
        ("proposals=1.5,2", "expected a whole number from 1 to 1e+06 for each of proposals, got 1.5"),
        ("proposals=0,2", "got 0"),
        ("megapixels=nan,1", "expected a number from 0.001 to 100 for each of megapixels, got nan"),
        ("megapixels=0.1", "expected two different megapixels at least, each once, got '0.1'"),
        ("proposals=5,5", "expected two different proposals at least"),
        ("proposals=10,3000", "there are 2000 boxes an image at most; raise --max-proposals or sweep fewer"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused_in_one_line(text: str, words: str) -> None:
    """Before anything is fitted."""
    with pytest.raises(PlanError) as error:
        Plan.of({"sweep": text})
    assert str(error.value).startswith("--sweep: ")
    assert words in str(error.value)
    assert "\n" not in str(error.value)
