"""The papers' speed-ups taken apart, and the operations that they are set against, by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from math import ceil, floor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness import operating_point as counting
from harness.claims import Claim, read_claims
from harness.flops import ImageShape
from harness.quantities.published_anatomy import operating_point, published_anatomy
from harness.rendering import published_anatomy as rendered
from harness.rendering.cells import Notes

ROOT = Path(__file__).parents[2]
BOXES = 2000

# Layers as (kernel, stride, padding over whole images, inputs of a group * outputs); None inputs: max pooling.
ZF5 = [
    (7, 2, 3, 3 * 96),
    (3, 2, 1, None),
    (5, 2, 2, 96 * 256),
    (3, 2, 1, None),
    (3, 1, 1, 256 * 384),
    (3, 1, 1, 384 * 384),
    (3, 1, 1, 384 * 256),
]
"""[SPP Table 1], padded by floor(p/2) [SPP App. A]."""
CAFFENET = [
    (11, 4, 5, 3 * 96),
    (3, 2, 1, None),
    (5, 1, 2, 48 * 256),
    (3, 2, 1, None),
    (3, 1, 1, 256 * 384),
    (3, 1, 1, 192 * 384),
    (3, 1, 1, 192 * 256),
]
"""Two groups in conv2, conv4 and conv5; padded as Fast R-CNN's release is (models/CaffeNet)."""
VGG16: list[tuple[int, int, int, int | None]] = [
    layer
    for count, inputs, outputs in ((2, 3, 64), (2, 64, 128), (3, 128, 256), (3, 256, 512), (3, 512, 512))
    for layer in [
        *((3, 1, 1, (inputs if at == 0 else outputs) * outputs) for at in range(count)),
        (2, 2, 0, None),
    ]
][:-1]
"""Simonyan and Zisserman's configuration D without its last pooling [FRCN 4.1]."""

CROPS = {
    # Padding of crops: as released for ZF-5 and as in R-CNN for CaffeNet, both without any at pooling.
    "zf5": (224, [(7, 2, 1), (3, 2, 0), (5, 2, 0), (3, 2, 0)]),
    "caffenet": (227, [(11, 4, 0), (3, 2, 0), (5, 1, 2), (3, 2, 0)]),
    "vgg16": (224, []),
}
NETWORKS: dict[str, Sequence[tuple[int, int, int, int | None]]] = {"zf5": ZF5, "caffenet": CAFFENET, "vgg16": VGG16}
FC = {"zf5": (12_800, 4096, 4096), "caffenet": (9216, 4096, 4096), "vgg16": (25_088, 4096, 4096)}


def operations(height: int, width: int, layers: Sequence[tuple[int, int, int, int | None]]) -> int:
    """Of convolutions over an image, layer by layer; pooling rounds up, but no window begins in the padding."""
    total = 0
    for kernel, stride, padding, channels in layers:
        sides = []
        for side in (height, width):
            whole = (side + 2 * padding - kernel) / stride
            cells = (floor(whole) if channels else ceil(whole)) + 1
            if not channels and (cells - 1) * stride >= side + padding:
                cells -= 1
            sides.append(cells)
        height, width = sides
        if channels:
            total += 2 * kernel**2 * channels * height * width
    return total


def scaled(short: int) -> tuple[int, int]:
    """500 x 375 px with this shorter side: 4 to 3 in both."""
    return short, round(short * 500 / 375)


@pytest.mark.parametrize("network", NETWORKS)
def test_convolutions_by_hand(network: str) -> None:
    """Of 2,000 crops, of one image of 688 px, of five sizes, and of one image of 600 px."""
    layers, found = NETWORKS[network], operating_point()["operations"][network]
    side, padding = CROPS[network]
    of_crop = [(*first, layer[3]) for first, layer in zip(padding, layers, strict=False)] + list(layers[len(padding) :])
    assert found["rcnn"]["conv"] == BOXES * operations(side, side, of_crop)
    assert found["spp"]["conv"] == operations(*scaled(688), layers)
    assert found["spp:5"]["conv"] == sum(operations(*scaled(each), layers) for each in (480, 576, 688, 864, 1200))
    assert found["fast"]["conv"] == found["fast:svd"]["conv"] == operations(*scaled(600), layers)


@pytest.mark.parametrize("network", FC)
def test_fully_connected_layers_by_hand(network: str) -> None:
    """fc6 and fc7 of every box; with SVD two layers of ranks 1024 and 256 each [FRCN 4.4]."""
    inputs, fc6, fc7 = FC[network]
    found = operating_point()["operations"][network]
    assert found["rcnn"]["fc"] == 2 * BOXES * (inputs * fc6 + fc6 * fc7)
    # ZF-5 is made for a pyramid of 50 bins; Fast R-CNN pools to one grid of 6 x 6, and SPP-net always to a pyramid.
    channels = 512 if network == "vgg16" else 256
    assert found["spp"]["fc"] == found["spp:5"]["fc"] == 2 * BOXES * (50 * channels * fc6 + fc6 * fc7)
    grid = channels * (49 if network == "vgg16" else 36)
    assert found["fast"]["fc"] == 2 * BOXES * (grid * fc6 + fc6 * fc7)
    assert found["fast:svd"]["fc"] == 2 * BOXES * (1024 * (grid + fc6) + 256 * (fc6 + fc7))


@pytest.mark.parametrize(
    ("method", "printed", "sizes"), [("spp", 160, (688,)), ("spp:5", 24, (480, 576, 688, 864, 1200))]
)
def test_the_complexity_that_the_paper_derives(method: str, printed: float, sizes: tuple[int, ...]) -> None:
    """Pixels alone come to 160 and 24 [SPP 4.3]: between crops with the padding of the release and with an image's."""
    found = operating_point()["operations"]["zf5"]
    padded = BOXES * operations(224, 224, ZF5) / sum(operations(*scaled(each), ZF5) for each in sizes)
    assert found["rcnn"]["conv"] / found[method]["conv"] < printed < padded


def test_the_table_is_as_counted() -> None:
    """`python -m harness.operating_point` would write the same for a network; its image is the one that it says."""
    table = json.loads(counting.TABLE.read_text(encoding="utf-8"))
    assert table["operations"]["zf5"] == counting.operations("zf5")
    assert table["image"] == {"height": 375, "width": 500, "proposals": BOXES}
    assert table["classes"] == 20
    for of in table["operations"].values():
        assert set(of) == set(counting.METHODS)


def test_a_detector_without_values_asks_what_one_that_ran_asked() -> None:
    """On an image of a recorded run, whose detectors were real ones."""
    run = ROOT / "results" / "runs" / "caffenet-speed"
    recorded = json.loads((run / "flops.json").read_text(encoding="utf-8"))["methods"]
    image = json.loads((run / "truth.json").read_text(encoding="utf-8"))["images"][0]
    lines = (run / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    boxes = next(one["boxes"] for one in map(json.loads, lines) if one["image"] == image["id"])
    shape = ImageShape(image["height"], image["width"], boxes)
    found = counting.operations("caffenet", counting.METHODS, shape)
    assert found == {name: recorded[name]["images"][image["id"]] for name in counting.METHODS}


# The papers' numbers

CLAIMS = read_claims()
FOUND = {
    (one["locator"], one["method"], one["backbone"], one["stage"]): one
    for one in published_anatomy(CLAIMS)
    if one["version"] in ("1406.4729v4", "1504.08083v2")
}


def test_the_printed_102_is_operations_times_rate_and_mix() -> None:
    """[SPP Table 10]: 14.37 + 0.089 s against 0.053 + 0.089 s, on the operations that hand arithmetic gives."""
    found = FOUND["Table 10", "spp", "ZF-5", "total"]
    fc = 2 * BOXES * (12_800 * 4096 + 4096 * 4096)
    crop = [(7, 2, 1, 3 * 96), (3, 2, 0, None), (5, 2, 0, 96 * 256), (3, 2, 0, None), *ZF5[4:]]
    above, below = BOXES * operations(224, 224, crop) + fc, operations(*scaled(688), ZF5) + fc
    assert found["printed"] == "102"
    assert found["operations"] == [above, below]
    assert [rate["value"] for rate in found["rate"]] == pytest.approx([above / 14.46, below / 0.142])
    assert found["flop_ratio"] == pytest.approx(above / below)
    assert found["utilisation_ratio"]["value"] == pytest.approx(14.46 / 0.142 * below / above)
    assert found["speedup"]["low"] == pytest.approx(14.455 / 0.1425)
    assert found["speedup"]["high"] == pytest.approx(14.465 / 0.1415)


def test_the_102_is_mostly_the_algorithm_at_the_rates_of_that_day() -> None:
    """[SPP Table 10]: at R-CNN's 14.37 s for its convolutions SPP-net's take so much, and fc as long as it did."""
    found = FOUND["Table 10", "spp", "ZF-5", "total"]
    counted = operating_point()["operations"]["zf5"]
    crops, image = (counted[method]["conv"] for method in ("rcnn", "spp"))
    at_old_rates = image / (crops / 14.37) + 0.089
    assert found["algorithm_ratio"]["value"] == pytest.approx(14.46 / at_old_rates)
    assert found["mix_ratio"]["value"] == pytest.approx(14.46 / at_old_rates / found["flop_ratio"])
    assert found["rate_ratio"]["value"] == pytest.approx(at_old_rates / 0.142)
    assert found["rate_ratio"]["value"] < found["mix_ratio"]["value"] < found["algorithm_ratio"]["value"]


@pytest.mark.parametrize(
    "place", [("Table 9", "spp"), ("Table 9", "spp:5"), ("Table 10", "spp"), ("Table 10", "spp:5")]
)
@given(data=st.data())
def test_what_the_digits_allow_is_within_the_ends(place: tuple[str, str], data: st.DataObject) -> None:
    """Whatever the true seconds behind the printed ones, both factors that they give are in their intervals."""
    locator, method = place
    node = {stage: FOUND[locator, method, "ZF-5", stage] for stage in ("conv", "fc", "total")}
    true = {
        stage: [data.draw(st.floats(of["low"], of["high"])) for of in node[stage]["seconds"]]
        for stage in ("conv", "fc")
    }
    base, own = (sum(true[stage][at] for stage in true) for at in (0, 1))
    for at, total in ((0, base), (1, own)):
        printed = node["total"]["seconds"][at]
        assume(printed["low"] <= total <= printed["high"])
    moved = sum(true[stage][0] / node[stage]["flop_ratio"] for stage in true)
    factors = {"algorithm_ratio": base / moved, "rate_ratio": moved / own}
    factors["mix_ratio"] = factors["algorithm_ratio"] / node["total"]["flop_ratio"]
    for key, value in factors.items():
        ends = node["total"][key]
        assert ends["low"] * (1 - 1e-12) <= value <= ends["high"] * (1 + 1e-12)


def test_three_factors_are_the_speed_up_where_both_stages_are_printed() -> None:
    """Exactly, and what totals alone are printed of has two, with the reason."""
    apart = {key for key, one in FOUND.items() if one["mix_ratio"] is not None}
    assert apart == {(f"Table {at}", method, "ZF-5", "total") for at in (9, 10) for method in ("spp", "spp:5")}
    for key, one in FOUND.items():
        if key in apart:
            product = one["flop_ratio"] * one["mix_ratio"]["value"] * one["rate_ratio"]["value"]
            assert product == pytest.approx(one["speedup"]["value"], rel=1e-12)
            assert one["flop_ratio"] * one["mix_ratio"]["value"] == pytest.approx(one["algorithm_ratio"]["value"])
            assert one["reason"] is None
        else:
            assert one["rate_ratio"] is one["algorithm_ratio"] is None
            assert one["reason"]


def test_the_ratio_of_pixels_stands_beside_the_convolutions_that_it_is_about() -> None:
    """[SPP 4.3]: n * 227^2 over r * s^2 is 163 and 24.0, printed as about 160 and 24; operations are fewer by less."""
    for method, sizes in (("spp", (688,)), ("spp:5", (480, 576, 688, 864, 1200))):
        one = FOUND["Table 10", method, "ZF-5", "conv"]
        printed = one["printed_pixel_ratio"]
        pixels = BOXES * 227**2 / (4 / 3 * sum(size**2 for size in sizes))
        assert printed["locator"] == "Section 4.3"
        assert float(printed["printed"]) == pytest.approx(pixels, rel=0.03)
        assert one["flop_ratio"] < float(printed["printed"])
    elsewhere = [one for key, one in FOUND.items() if key[0] != "Table 10" or key[3] != "conv"]
    assert all(one["printed_pixel_ratio"] is None for one in elsewhere)


def test_the_printed_fc_times_follow_the_operations() -> None:
    """[SPP Table 9]: 0.07 s for 9,216 inputs and 0.089 s for 12,800 are one rate, so hardly any is left unexplained."""
    node = FOUND["Table 9", "spp", "ZF-5", "fc"]["utilisation_ratio"]
    assert node["low"] < 1 < node["high"]


def test_a_ratio_of_few_digits_is_taken_as_printed() -> None:
    """[FRCN Table 4]: 9.8 over 0.06 s could be 150 to 179; the paper knew its seconds better and prints 169."""
    found = FOUND["Table 4", "fast:svd", "CaffeNet", "total"]
    assert found["speedup"] == {"value": 169, "low": 168.5, "high": 169.5}
    assert "prepare" in found["stages"]
    unsaid = FOUND["Table 4", "spp:5", "VGG16", "total"]
    assert unsaid["note"]
    assert unsaid["stages"] == ["prepare", "propose", "conv", "pool", "fc", "decode"]


def test_every_one_is_two_factors_within_what_the_digits_allow() -> None:
    """And the baseline is none of its own."""
    assert FOUND
    for one in FOUND.values():
        assert one["method"] != "rcnn"
        for end in ("value", "low", "high"):
            assert one["flop_ratio"] * one["utilisation_ratio"][end] == pytest.approx(one["speedup"][end])
        for node in (one["speedup"], one["utilisation_ratio"], *one["rate"], *one["seconds"]):
            assert node["low"] < node["value"] < node["high"]
        rates = one["rate"][1]["value"] / one["rate"][0]["value"]
        seconds = one["seconds"][0]["value"] / one["seconds"][1]["value"]
        assert rates * one["flop_ratio"] == pytest.approx(seconds)


def test_versions_that_print_the_same_are_one() -> None:
    """The latest stands for them; one that prints another number stands for itself."""
    chosen = [one for one in CLAIMS if (one.version, one.locator) == ("1406.4729v4", "Table 10")]
    earlier = [replace(one, version="1406.4729v3") for one in chosen]
    other = [replace(one, version="1406.4729v2", printed="9.99") if one.unit == "s" else one for one in earlier]
    other = [replace(one, version="1406.4729v2") for one in other]
    for claims, versions in (
        ([*earlier, *chosen], {"1406.4729v4"}),
        ([*chosen, *earlier], {"1406.4729v4"}),
        ([*chosen, *other], {"1406.4729v4", "1406.4729v2"}),
    ):
        assert {one["version"] for one in published_anatomy(claims)} == versions


def claim(**changes: Any) -> Claim:
    base = next(one for one in CLAIMS if one.quantity == "total" and one.name == "spp" and one.backbone == "ZF-5")
    return replace(base, **changes)


@pytest.mark.parametrize(
    "claims",
    [
        [],
        [claim()],
        [claim(), claim(method="rcnn", backbone="Alex-5")],
        [claim(backbone="Overfeat-7"), claim(quantity="speedup_total", unit="x", relative_to="rcnn@ZF-5")],
        [claim(part="aeroplane"), claim(quantity="speedup_total", unit="x", relative_to="rcnn@ZF-5")],
    ],
)
def test_what_has_no_baseline_or_no_count_is_left_out(claims: list[Claim]) -> None:
    """Seconds without a ratio, or of a network that is not here, or of a part of an image."""
    assert published_anatomy(claims) == []


def test_only_the_methods_asked_for() -> None:
    """By name, variants apart."""
    assert {one["method"] for one in published_anatomy(CLAIMS, ["spp:5", "fast"])} == {"spp:5", "fast"}
    assert published_anatomy(CLAIMS, ["rcnn"]) == []


def test_the_report_does_not_split_what_totals_alone_do_not() -> None:
    """[FRCN Table 4]: the second factor holds both, and each of them is a dash with the reason."""
    found = published_anatomy(CLAIMS, ["fast"])
    notes = Notes()
    text = "\n\n".join(rendered.blocks(found, notes))
    assert "by rate and mix of layers" in text
    assert "faster code" not in text
    assert "Counted in pixels" not in text
    assert text.count("–[^1]") == 2 * len(found)
    assert "prints no seconds" in notes.lines()[0]


def test_the_report_says_how_much_was_the_algorithm() -> None:
    """Of the methods that the run has, with or without a network in their names."""
    apart = published_anatomy(CLAIMS)
    summary = {"plan": {"methods": ["rcnn@zf5", "spp@zf5"]}, "published_anatomy": apart}
    notes = Notes()
    text = "\n\n".join(rendered.section(summary, notes))
    assert "**102×** of spp (ZF-5) over rcnn (ZF-5), SPP Table 10" in text
    one = next(one for one in apart if one["printed"] == "102")
    algorithm, rate = one["algorithm_ratio"]["value"], one["rate_ratio"]["value"]
    assert f"{algorithm:.1f}× was the algorithm, at the rates of that day" in text
    assert f"and {rate:.2f}× faster code" in text
    assert "implementation" not in text
    assert text.count("Counted in pixels") == 1
    assert "fast (" not in text
    assert "14.46 → 0.142" in text
    assert (
        rendered.section({"plan": {"methods": ["rcnn"]}, "published_anatomy": published_anatomy(CLAIMS)}, notes) == []
    )
    assert rendered.section({}, notes) == []
