"""What can be reproduced: every preset stands for a table of a paper, and its plans are as the paper measured."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import detectors
from harness.networks import AS_PRINTED, split
from harness.papertables import names as layouts
from harness.plan import PlanError
from harness.presets import Options, Part, PresetError, catalogue, chosen

PRESETS = (
    *("spp-table-9", "spp-table-10", "spp-table-11", "spp-table-12", "spp-complexity", "spp-conv-only"),
    "rcnn-seconds",
    *(f"fast-table-{number}" for number in (4, 5, 6, 7, 8)),
    *("fast-figure-2", "fast-figure-3"),
)
PARTS = {part.name: part for preset in catalogue().presets for part in preset.parts}
DOABLE = [part for part in PARTS.values() if part.cannot is None]


def part(name: str) -> Part:
    return PARTS[name]


def test_all_that_is_promised_is_there() -> None:
    """Each table and figure that the README names has a preset, and each preset a layout of the same name."""
    assert tuple(preset.name for preset in catalogue().presets) == PRESETS
    assert set(PRESETS) <= set(layouts())


@pytest.mark.parametrize("each", DOABLE, ids=lambda each: each.name)
def test_plans_name_what_is_there(each: Part) -> None:
    """Every plan is valid, and its methods, variants and networks exist; the networks are those of the papers."""
    plan = catalogue().plan(each, Options())
    assert set(plan.networks) <= set(AS_PRINTED)
    for name in plan.methods:
        assert detectors.load(split(name)[0]).name == split(name)[0]


@pytest.mark.parametrize("each", [one for one in DOABLE if one.kind == "speed"], ids=lambda each: each.name)
def test_speed_is_measured_as_in_the_papers(each: Part) -> None:
    """100 images and about 2,000 boxes, in float32, with random weights [papers.md 6: SPP 4.3]."""
    plan = catalogue().plan(each, Options())
    assert (plan.images, plan.precision, plan.weights, plan.trained) == (100, "fp32", "random", False)
    assert plan.max_proposals == (4000 if each.name == "speed-proposals" else 2000)


def test_the_mixed_table_has_each_method_on_its_own_network() -> None:
    """SPP-net's Table 9 has R-CNN on AlexNet and SPP-net on ZF-5; Table 10 has both on ZF-5."""
    mixed = catalogue().plan(part("speed-zf5-caffenet"), Options())
    assert {name: split(name)[1] or mixed.backbone for name in mixed.methods} == {
        "rcnn@caffenet": "caffenet",
        "spp": "zf5",
        "spp:5": "zf5",
    }
    assert catalogue().plan(part("speed-zf5"), Options()).networks == ("zf5",)


def test_accuracy_is_that_of_the_papers_split_and_schedule() -> None:
    """Fits on trainval are as long as published, and are scored on the whole of test."""
    options = Options(dataset="voc:VOCdevkit/VOC2007", weights={"zf5": "zf5.caffemodel"})
    plan = catalogue().plan(part("accuracy-zf5"), options)
    assert (plan.train_split, plan.split, plan.iterations) == ("trainval", "test", "paper")
    assert (plan.images, plan.train_images, plan.weights) == (None, None, "zf5.caffemodel")
    assert plan.policy == "paper"


def test_options_change_what_they_may() -> None:
    """The number of images, the device and the data are the user's; what the paper fixes stays."""
    options = Options(images=2, device="cpu", dataset="voc:VOC2007", seed=3, processes=4)
    plan = catalogue().plan(part("speed-zf5"), options)
    given = (plan.images, plan.device, plan.dataset, plan.seed, plan.processes)
    assert given == (2, "cpu", "voc:VOC2007", 3, 4)
    assert (plan.max_proposals, plan.methods) == (2000, ("rcnn", "spp", "spp:5"))


@pytest.mark.parametrize("each", DOABLE, ids=lambda each: each.name)
def test_quick_is_quick(each: Part) -> None:
    """A smoke version has few boxes on few images, whatever the part."""
    plan = catalogue().plan(each, Options(quick=True, dataset="voc:V", weights={each.backbone: "torchvision"}))
    if each.kind != "count":
        assert plan.max_proposals <= 64
        assert plan.images is not None
        assert plan.images <= 2
        assert plan.iterations in (None, 2)


def test_two_presets_share_a_plan() -> None:
    """What the conv-only ratios need is what Tables 9 and 10 need: the same parts, so the same digests."""
    alone = {one.name for one in catalogue().preset("spp-conv-only").parts}
    assert alone == {"speed-zf5", "speed-zf5-caffenet"}
    assert all(any(one.name in alone for one in catalogue().preset(name).parts) for name in PRESETS[:2])


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("spp-table-99", "did you mean spp-table-9? "),
        ("Fast-Table-4", "did you mean fast-table-4? "),
        ("xyzzy", ""),
        ("spp-table-1O", "did you mean spp-table-10? "),
    ],
)
def test_an_unknown_name_is_one_line(name: str, meant: str) -> None:
    """Who misspells a preset is told which is meant, or where they are listed; `all` is every one."""
    with pytest.raises(PlanError) as caught:
        chosen(name)
    expected = f"nothing to reproduce is called {name!r}; {meant}`harness reproduce list` shows all"
    assert str(caught.value) == expected
    assert chosen("all") == catalogue().presets


def test_no_torch_is_loaded_to_list() -> None:
    """Presets and what they need are listed at once."""
    code = "import sys; from harness.needs import lines, listing; lines(listing()); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"images": "none"}, "--images: input should be a valid integer"),
        ({"processes": 0}, "--processes: input should be greater than or equal to 1, got 0"),
        ({"device": "tpu"}, "--device: input should be 'auto', 'cpu' or 'cuda', got 'tpu'"),
        ({"weights": ["zf5"]}, "--weights: expected BACKBONE=FILE such as zf5=zf5.caffemodel, got 'zf5'"),
        ({"weights": ["zf5=a", "zf5=b"]}, "--weights: zf5 is given twice"),
    ],
)
def test_bad_options_are_one_line(values: dict[str, Any], words: str) -> None:
    """The option is named, with what was given and what is expected."""
    with pytest.raises(PresetError) as caught:
        Options.of(values)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_come_as_text() -> None:
    """Numbers and pairs are read as the command line has them."""
    options = Options.of({"images": "2", "weights": ["zf5=a=b.caffemodel", "vgg16=torchvision"], "quick": True})
    assert (options.images, options.quick) == (2, True)
    assert options.weights == {"zf5": "a=b.caffemodel", "vgg16": "torchvision"}
