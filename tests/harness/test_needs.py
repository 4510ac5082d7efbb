"""What a preset needs is said before anything is measured, with what is missing and how to get it."""

from __future__ import annotations

import pytest

from harness.needs import Need, idle_weights, lines, listing, needs, together, why_not_run
from harness.presets import Options, catalogue

VOC = "voc:VOCdevkit/VOC2007"


def missing(name: str, options: Options) -> list[str]:
    found = needs(catalogue().preset(name), options, gpu=True)
    return [each.what for each in found if not each.there]


def test_time_needs_no_data_and_no_weights() -> None:
    """The speed of SPP-net over R-CNN can be measured by whoever has installed the package."""
    assert missing("spp-conv-only", Options()) == []


def test_accuracy_needs_data_and_weights() -> None:
    """Of two networks both are asked for; what is given is asked for no more."""
    every = ["PASCAL VOC 2007", "weights of caffenet", "weights of zf5"]
    assert missing("spp-table-9", Options()) == every
    assert missing("spp-table-9", Options(dataset=VOC)) == every[1:]
    given = Options(dataset=VOC, weights={"zf5": "a.caffemodel", "caffenet": "b.caffemodel"})
    assert missing("spp-table-9", given) == []


def test_drawn_scenes_are_no_voc() -> None:
    """A data set of another kind does not stand for VOC 2007."""
    assert "PASCAL VOC 2007" in missing("spp-table-10", Options(dataset="shapes"))


@pytest.mark.parametrize("gpu", [True, False])
def test_a_gpu_is_a_wish(gpu: bool) -> None:
    """Without a GPU a preset is slow, not impossible."""
    found = needs(catalogue().preset("spp-table-10"), Options(), gpu=gpu)
    asked = [each for each in found if each.what == "a GPU"]
    assert asked
    assert all(each.there == gpu and not each.must for each in asked)


def test_how_to_get_it_is_a_command() -> None:
    """Each missing thing comes with the option or the command that brings it."""
    rows = listing(Options(), gpu=False)
    how = {each["what"]: each["how"] for row in rows for each in row["missing"]}
    assert how["PASCAL VOC 2007"] == "harness data fetch voc2007, then --dataset voc:data/VOCdevkit/VOC2007"
    assert how["weights of zf5"].startswith("--weights zf5=FILE")
    assert how["weights of vgg16"].endswith("--weights vgg16=torchvision")
    assert "--images 2" in how["a GPU"] or "--quick" in how["a GPU"]


def test_why_a_part_is_not_run() -> None:
    """A part says what it lacks, or that it cannot be had; one that lacks nothing says nothing."""
    parts = {part.name: part for preset in catalogue().presets for part in preset.parts}
    assert why_not_run(parts["accuracy-zf5"], Options()) == "PASCAL VOC 2007 and weights of zf5 missing"
    assert why_not_run(parts["accuracy-zf5"], Options(dataset=VOC)) == "weights of zf5 missing"
    assert why_not_run(parts["accuracy-zf5"], Options(dataset=VOC, weights={"zf5": "x"})) is None
    assert "two ZF-5" in str(why_not_run(parts["accuracy-second"], Options()))
    assert all(why_not_run(part, Options()) is None for part in parts.values() if part.kind == "speed")


def test_the_list_fits_a_terminal() -> None:
    """Every preset is named, no line is wider than 80 columns but for a word, and commands are not broken."""
    rows = listing(Options(), gpu=False)
    shown = lines(rows)
    assert [row["name"] for row in rows] == [preset.name for preset in catalogue().presets]
    assert all(any(line.startswith(f"{row['name']}  (") for line in shown) for row in rows)
    assert max(map(len, shown)) <= 80
    assert sum("VOC 2007: harness data fetch" in line for line in shown) == 1
    text = " ".join(" ".join(shown).split())
    assert "time: here, but hours to days without a GPU; --images 2 takes minutes" in text
    assert "mAP: needs PASCAL VOC 2007, weights of zf5, caffenet, vgg-m and vgg16" in text
    assert "weights of caffenet, zf5, vgg-m and vgg16: --weights caffenet=FILE and so on" in text


def test_what_is_there_is_said_to_be_here() -> None:
    """With a GPU, VOC and weights a preset needs nothing, and the list says no more."""
    shown = lines(listing(Options(dataset=VOC, weights={"zf5": "a"}), gpu=True))
    at = next(number for number, line in enumerate(shown) if line.startswith("spp-table-10 "))
    assert [line.strip() for line in shown[at + 2 : at + 4]] == ["time: here", "mAP: here"]


def test_networks_are_told_together() -> None:
    """One thing, two and three, in the words of a sentence."""
    assert together(["weights of a"]) == "weights of a"
    assert together(["VOC", "weights of a", "weights of b", "weights of a"]) == "VOC, weights of a and b"
    assert together(["weights of a", "weights of b", "weights of c"]) == "weights of a, b and c"
    assert together([]) == ""


def test_weights_that_nothing_uses_are_named() -> None:
    """Weights without photographs, and of a network that a preset has no accuracy on, would be given in vain."""
    table = [catalogue().preset("spp-table-10")]
    assert idle_weights(table, Options()) is None
    assert idle_weights(table, Options(dataset=VOC, weights={"zf5": "a"})) is None
    alone = idle_weights(table, Options(weights={"zf5": "a"}))
    assert str(alone).startswith("--weights zf5=a will not be used: accuracy needs PASCAL VOC 2007")
    other = idle_weights(table, Options(dataset=VOC, weights={"zf5": "a", "vgg16": "torchvision"}))
    assert other == "--weights vgg16=torchvision will not be used: no accuracy on that network is asked for"


def test_needs_are_told_once() -> None:
    """Two parts that need the same ask for it once."""
    found = needs(catalogue().preset("fast-table-4"), Options(), gpu=True)
    assert len(found) == len(set(found))
    assert all(isinstance(each, Need) for each in found)
