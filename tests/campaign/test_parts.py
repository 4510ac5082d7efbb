"""The parts of the campaign are what campaign.toml says, in time and in number."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from campaigning import FOLDER, where_it_is
from harness.flops import ImageShape, count
from harness.plan import Plan
from harness.preparation import prepare as opened

pytestmark = where_it_is


def options_of(command: tuple[str, ...]) -> dict[str, str]:
    """``--name value`` of a command, by the name of the plan's field; flags left out."""
    pairs = itertools.pairwise(command)
    return {
        name.removeprefix("--").replace("-", "_"): value
        for name, value in pairs
        if name.startswith("--") and not value.startswith("--")
    }


@pytest.mark.parametrize("quick", [False, True])
def test_every_comparison_is_a_plan(campaign: Callable[..., Any], quick: bool) -> None:
    """No option is misspelt, in the large form and in the small one, and no two parts write to one folder."""
    outs = []
    for part in campaign(quick=quick).parts:
        for command in part.commands:
            assert command[0] in ("harness", "pytest")
            if command[:2] == ("harness", "compare"):
                values = options_of(command)
                outs.append(values.pop("out"))
                assert Plan.of(values).images == part.images
                assert not Plan.of(values).trained
    assert len(set(outs)) == len(outs) == 17


def test_all_networks_and_precisions_are_there(campaign: Callable[..., Any]) -> None:
    """Four networks in three precisions at 2,000 boxes on a GPU, two of them in three processes."""
    parts = {part.name: options_of(part.commands[0]) for part in campaign().parts}
    for backbone in ("zf5", "caffenet", "vgg16", "squeezenet1_1"):
        for precision in ("fp32", "tf32", "bf16"):
            values = parts[f"speed-{backbone}-{precision}"]
            assert (values["backbone"], values["precision"], values["max_proposals"]) == (backbone, precision, "2000")
            assert (values["methods"], values["device"]) == ("rcnn,spp,spp:5,fast,fast:svd", "cuda")
    assert parts["headline-zf5"]["processes"] == parts["headline-caffenet"]["processes"] == "3"


def test_photographs_follow_from_the_arithmetic(campaign: Callable[..., Any]) -> None:
    """VGG16 in fp32: 67 TFLOP at 15 TFLOP/s are 4.47 s a call, 240 s hold 53.7, less 12, a photograph takes 2.2."""
    images = {part.name: part.images for part in campaign().parts}
    assert images["speed-vgg16-fp32"] == int((240 / (67 / 15) - 12) / 2.2) == 18
    assert images["speed-zf5-fp32"] == images["speed-vgg16-bf16"] == 24
    assert images["headline-zf5"] == images["headline-caffenet"] == 64
    assert images["doctor"] is None
    assert {part.images for part in campaign(most_images=3).parts} == {3, None}


def test_seconds_follow_from_the_arithmetic(campaign: Callable[..., Any]) -> None:
    """40 s for each process, and the calls of each; the gate is two runs, the sweep 1.7 times as much again."""
    seconds = {part.name: part.seconds for part in campaign().parts}
    assert seconds["speed-vgg16-fp32"] == pytest.approx(2 * 40 + (12 + 2.2 * 18) * 67 / 15)
    assert seconds["headline-zf5"] == pytest.approx(4 * 40 + 3 * (12 + 2.2 * 64) * 5.86 / 15)
    assert seconds["gate"] == pytest.approx(2 * (2 * 40 + (12 + 2.2 * 24) * 3.90 / 15))
    assert seconds["sweep"] == pytest.approx(2 * 40 + (1 + 3400 / 2000) * (12 + 2.2 * 24) * 5.86 / 15)


def test_what_matters_most_comes_first(campaign: Callable[..., Any]) -> None:
    """The four networks in fp32, then intervals over processes, and the benchmarks last."""
    names = [part.name for part in campaign().parts]
    assert names[:5] == ["doctor", *(f"speed-{name}-fp32" for name in ("vgg16", "zf5", "caffenet", "squeezenet1_1"))]
    rest = ["headline-zf5", "tests", "speed-vgg16-bf16", "speed-vgg16-tf32", "sweep", "gate", "benchmarks"]
    assert [name for name in names if name in rest] == rest
    assert names[-1] == "benchmarks"


def test_what_the_readme_selects_ends_in_its_time(
    campaign: Callable[..., Any], script: Callable[[str], ModuleType]
) -> None:
    """Each command in less than ten minutes with the time to end and to pack, all of them in 25."""
    found, total = campaign(), 0.0
    lines = re.findall(r"measure\.py run (.+) --total (\d+); .* pack$", (FOLDER / "README.md").read_text(), re.M)
    for words, limit in lines:
        expected = sum(part.seconds for part in found.chosen(words.split()))
        assert expected < int(limit) - script("execution")._GRACE_SECONDS
        assert int(limit) <= 550
        total += expected
    assert len(lines) == 3
    assert 24 * 60 < total < 25 * 60


def test_no_part_is_expected_to_reach_its_limit(
    campaign: Callable[..., Any], script: Callable[[str], ModuleType]
) -> None:
    """With the time that interrupting takes, each is under eight minutes."""
    execution = script("execution")
    found = campaign()
    assert found.part_seconds + execution._GRACE_SECONDS + 2 < 480
    assert all(part.seconds < found.part_seconds for part in found.parts)


@pytest.mark.slow
def test_operations_of_a_photograph_are_those_that_are_counted(campaign: Callable[..., Any], tmp_path: Path) -> None:
    """What campaign.toml says of SqueezeNet agrees with a count; R-CNN's VGG16 is 2,000 crops of 30.94 GFLOP."""
    told = campaign().content["tera_flop_per_image"]
    boxes: dict[str, Any] = {"test-000000": np.array([[0, 0, 50, 50]])}
    np.savez(tmp_path / "boxes.npz", **boxes)
    methods = "rcnn,spp,spp:5,fast,fast:svd"
    values = {"backbone": "squeezenet1_1", "weights": "random", "methods": methods, "images": 1, "device": "cpu"}
    prepared = opened(Plan.of({**values, "proposals": str(tmp_path / "boxes.npz")}))
    total = 0
    for method in prepared.methods:
        detector: Any = prepared.detector(method, prepared.config(method))
        detector.initialise(generator=prepared.stream("any"))
        total += count(detector, {"one": ImageShape(375, 500, 2000)})["images"]["one"]["total"]
    assert told["squeezenet1_1"] == pytest.approx(total / 1e12, rel=0.01)
    assert 1 < told["vgg16"] / (2000 * 30.94e9 / 1e12) < 1.1


def test_quick_takes_what_a_cpu_has(campaign: Callable[..., Any]) -> None:
    """No tf32, no GPU."""
    words = {word for part in campaign(quick=True).parts for command in part.commands for word in command}
    assert words.isdisjoint({"tf32", "cuda", "--require-gpu"})


def test_quick_takes_one_part_of_each_kind(campaign: Callable[..., Any]) -> None:
    """All that stand in campaign.toml by themselves, both precisions that a CPU has, and no commands twice."""
    found = campaign(quick=True)
    parts = found.chosen(found.content["quick"]["parts"])
    kinds = {part.name.partition("-")[0] for part in found.parts}
    assert {part.name.partition("-")[0] for part in parts} == kinds
    assert {options_of(part.commands[0]).get("precision") for part in parts} == {"fp32", "bf16", None}
    work = [re.sub(r"out/\S+", "", shlex.join(itertools.chain(*part.commands))) for part in parts]
    assert len(set(work)) == len(work)


def test_values_may_hold_others(campaign: Callable[..., Any], tmp_path: Path) -> None:
    """Each is taken apart into options; a folder with a blank stays one word."""
    path = tmp_path / "campaign.toml"
    path.write_text(
        "schema_version = 1\nlimits = {fixed_seconds = 1}\nquick = {}\n"
        'values = {all = "harness compare {data}", data = "--dataset voc:{inputs} --images {images}"}\n'
        'part = [{name = "one", about = "", seconds = 1, commands = ["{all} --out {out}/one"]}]\n'
    )
    (part,) = campaign(path, inputs="my in", out="my out").parts
    assert part.commands == (
        ("harness", "compare", "--dataset", "voc:my in", "--images", "None", "--out", "my out/one"),
    )


def test_parts_are_chosen_by_name(campaign: Callable[..., Any]) -> None:
    """Whole names, beginnings, or all; what is not there is refused with what is."""
    chosen = [part.name for part in campaign().chosen(["speed-vgg16-*", "doctor"])]
    assert chosen == ["doctor", "speed-vgg16-fp32", "speed-vgg16-bf16", "speed-vgg16-tf32"]
    with pytest.raises(ValueError, match=r"no part 'speed'; there are doctor, .*, and all"):
        campaign().chosen(["speed"])
