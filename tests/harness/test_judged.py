"""Published numbers beside a run's own: the same stages of the same methods, and all that differs named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from harness.claims import Claim, read_claims
from harness.quantities.judged import Judged, judge, judged
from harness.quantities.observations import Observed, observe
from harness.record import Sample
from recorded import simulate_records

IMAGES = 24
SAMPLES, _CONDITIONS, _MANIFEST = simulate_records(3, images=IMAGES)
PLAN = {
    "methods": ["rcnn", "spp", "fast"],
    "dataset": "voc:VOCdevkit/VOC2007",
    "train_split": "trainval",
    "split": "test",
    "backbone": "zf5",
    "weights": "zf5.caffemodel",
    "proposals": "boxes/voc_2007_test.mat",
    "policy": "paper",
    "iterations": "paper",
    "precision": "fp32",
}
SOUND = {"verdict": "ok", "reasons": [], "findings": []}


TWO_MACHINES = "two machines: one GPU, and another"


def claim(**changes: Any) -> Claim:
    """SPP-net over R-CNN, both on ZF-5, by conv and fc; `changes` are laid over it."""
    values: dict[str, Any] = {
        "source": "SPP",
        "version": "1406.4729v4",
        "locator": "Table 10",
        "method": "spp",
        "variant": "",
        "backbone": "ZF-5",
        "train": "",
        "test": "100 random VOC images",
        "stages": ("conv", "fc"),
        "quantity": "speedup_total",
        "part": "",
        "printed": "10",
        "reading": "printed",
        "unit": "x",
        "relative_to": "rcnn@ZF-5",
        "hardware": "a GPU",
        "note": "",
    }
    return Claim(**values | changes)


SECONDS = {"quantity": "total", "unit": "s", "relative_to": None, "printed": "0.20"}
SCORE = {
    **{"quantity": "map", "unit": "%", "relative_to": None, "stages": (), "hardware": None},
    **{"printed": "58.0", "train": "VOC07", "test": "VOC07 test"},
}


def about(**changes: Any) -> dict[str, Any]:
    score = {"value": 0.585, "low": 0.575, "high": 0.59, "reason": None}
    values = {
        "status": "ok",
        "reason": None,
        "trained": True,
        "map": {"voc07": score},
        "ap": {"aeroplane": 0.64, "bicycle": None},
        "flops": {"conv": 8e9},
    }
    return values | changes


def summary(plan: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    values = {
        "plan": PLAN | (plan or {}),
        "machine": {"device": "cuda:0", "gpu": "Some GPU", "cpu": "Some CPU"},
        "dataset": {"images": 4952, "train_images": 5011, "proposals_per_image": {"mean": 2010.0}},
        "trust": SOUND,
        "methods": {"rcnn": about(flops={"conv": 1.28e12}), "spp": about(), "fast": about()},
        "other_sources": [],
    }
    return values | changes


def observed(samples: Sequence[Sample] = SAMPLES) -> Observed:
    measured = [one for one in samples if one.role == "measured"]
    images = sorted({one.image for one in measured})
    methods = dict.fromkeys(one.method for one in measured)
    return observe({name: [one for one in measured if one.method == name] for name in methods}, images)


def one(of: Claim, model: dict[str, Any] | None = None, seen: Observed | None = None, **more: Any) -> Judged:
    (found,) = judge([of], model or summary(), seen or observed(), **more)
    return found


def mean_seconds(method: str, stages: Sequence[str]) -> float:
    """A literal loop over all samples: each image counts alike, and so does each of its repeats."""
    by_image: dict[str, list[float]] = {}
    for sample in SAMPLES:
        if sample.method == method and sample.role == "measured" and sample.seconds:
            by_image.setdefault(sample.image, []).append(sum(sample.seconds[name] for name in stages))
    return sum(sum(values) / len(values) for values in by_image.values()) / len(by_image)


@pytest.mark.parametrize("stages", [("conv", "fc"), ("conv",), ("prepare", "conv", "pool", "fc")])
def test_a_ratio_covers_the_stages_of_its_claim(stages: tuple[str, ...]) -> None:
    """Baseline over own mean time of just these stages, as a literal loop has it; the truth is 10."""
    found = one(claim(stages=stages))
    expected = mean_seconds("rcnn", stages) / mean_seconds("spp", stages)
    assert found["measured"]["value"] == pytest.approx(expected, rel=1e-12)
    assert found["measured"]["low"] < 10 < found["measured"]["high"]
    assert found["measured"]["interval"] == "over images within one process"
    assert found["measured_as"] == {"method": "spp", "baseline": "rcnn", "stages": list(stages)}
    assert found["verdict"] == "met"


def test_all_columns_of_the_claim_stand_there() -> None:
    """The row of the reference table can be had back."""
    original = claim()
    found = one(original)
    columns = {name: found[name] for name in asdict(original)}
    assert Claim(**columns | {"stages": tuple(columns["stages"])}) == original


def test_what_a_narrow_claim_leaves_out_is_said() -> None:
    """Conv and fc alone: neither cropping nor pooling is in either time."""
    assert one(claim(source="FRCN"))["reason"] == "over conv + fc; prepare, pool, decode, suppress left out"
    assert one(claim(stages=("prepare", "conv", "pool", "fc", "decode")))["reason"] is not None
    assert one(claim(quantity="speedup_conv", stages=("conv",)))["reason"] is None


def test_a_source_that_names_no_stages_is_held_against_the_total() -> None:
    """All of it, with what lies between the stages."""
    found = one(claim(stages=()))
    assert found["measured_as"]["stages"] == ["total"]
    assert found["measured"]["value"] == pytest.approx(mean_seconds("rcnn", ["total"]) / mean_seconds("spp", ["total"]))


@pytest.mark.parametrize(
    ("printed", "verdict"), [("10", "met"), ("9.0", "met"), ("10.5", "met"), ("13", "not met"), ("90", "not met")]
)
def test_the_verdict_follows_the_interval(printed: str, verdict: str) -> None:
    """The truth is 10, known to a few per cent."""
    found = one(claim(printed=printed))
    assert found["verdict"] == verdict
    assert found["delta"] == pytest.approx(found["measured"]["value"] / float(printed) - 1)


def test_seconds_are_never_comparable_but_told() -> None:
    """Both machines are named, and the number stands."""
    found = one(claim(**SECONDS))
    assert found["verdict"] == "not comparable"
    assert found["reason"] == "other hardware: a GPU there, GPU (Some GPU) here"
    assert found["measured"]["value"] == pytest.approx(mean_seconds("spp", ["conv", "fc"]))
    on_cpu = summary(machine={"device": "cpu", "gpu": None, "cpu": "Some CPU"})
    assert "CPU (Some CPU) here" in one(claim(**SECONDS, hardware=None), on_cpu)["reason"]


def test_the_full_system_adds_the_boxes_of_each_image() -> None:
    """13 s cover proposals; one image whose boxes nobody timed leaves no number."""
    of = claim(quantity="full_system", unit="s", relative_to=None, stages=("proposals", "conv", "fc"))
    spent = {image: 0.5 + 0.01 * at for at, image in enumerate(sorted({one.image for one in SAMPLES}))}
    found = one(of, proposal_seconds=spent)
    expected = mean_seconds("spp", ["conv", "fc"]) + float(np.mean(list(spent.values())))
    assert found["measured"]["value"] == pytest.approx(expected)
    found = one(of, proposal_seconds={**spent, "000000": None})
    assert (found["measured"]["value"], found["measured"]["reason"]) == (
        None,
        "what making the boxes took is not known",
    )


@pytest.mark.parametrize(
    ("of", "plan", "changes", "reason"),
    [
        (claim(), {"backbone": "mini"}, {}, "network mini, ZF-5 there"),
        (claim(relative_to="rcnn@Alex-5"), {}, {}, "the baseline's network zf5, Alex-5 there"),
        (claim(), {"precision": "bf16"}, {}, "precision bf16, float32 there"),
        (
            claim(),
            {},
            {"dataset": {"proposals_per_image": {"mean": 1164.7}}},
            "1,165 boxes an image, about 2,000 there",
        ),
        (claim(part="1000 proposals"), {}, {}, "2,010 boxes an image, 1,000 there"),
        (claim(), {}, {"dataset": {}}, "boxes an image not recorded, about 2,000 there"),
        (claim(relative_to="dpm@HOG"), {}, {}, "no dpm in this run, which it is relative to"),
        (claim(), {"backbone": "alexnet", "precision": "tf32"}, {}, "network alexnet, ZF-5 there; precision tf32, "),
        (claim(**SCORE), {"weights": "random"}, {}, "untrained"),
        (claim(**SCORE), {"iterations": "quick"}, {}, "iterations quick, the paper's there"),
        (claim(**SCORE), {"weights": "torchvision"}, {}, "pretrained weights of torchvision"),
        (claim(**SCORE), {"split": "val"}, {}, "test set voc:VOCdevkit/VOC2007 val (4952 images), VOC07 test there"),
        (claim(**SCORE | {"test": "VOC10 test"}), {}, {}, "VOC10 test there"),
        (claim(**SCORE | {"train": "VOC07+12"}), {}, {}, "training set voc:VOCdevkit/VOC2007 trainval (5011 images), "),
        (claim(**SCORE), {"proposals": "uniform"}, {}, "proposals drawn at random, selective search there"),
        (
            claim(**SCORE),
            {"proposals": "selective-search"},
            {},
            "selective search of OpenCV, the authors' boxes there",
        ),
        (claim(**SCORE), {"proposals": "selective-search:quality"}, {}, "selective search of OpenCV (quality), the au"),
        (claim(**SCORE), {"proposals": "edges:boxes.mat"}, {}, "proposals edges:boxes.mat, the authors' boxes there"),
        (claim(**SCORE), {"proposals": None}, {}, "source of the proposals not recorded, the authors' boxes there"),
        (claim(**SCORE), {"policy": "shared"}, {}, "policy shared, the paper's there"),
        (claim(hardware=TWO_MACHINES), {}, {}, "its two times are of two machines there"),
        (
            claim(**SCORE | {"part": "1000 proposals"}),
            {"max_proposals": 2000},
            {},
            "at most 2000 boxes an image, 1000 ",
        ),
        (claim(relative_to="spp@VGG16"), {}, {}, "no spp@VGG16 in this run, which it is relative to"),
    ],
)
def test_each_difference_is_named(of: Claim, plan: dict[str, Any], changes: dict[str, Any], reason: str) -> None:
    """One thing differs, and the reason says which, with both sides; without it the two are comparable."""
    found = one(of, summary(plan, **changes))
    assert found["verdict"] == "not comparable"
    assert found["reason"].startswith(reason) or reason in found["reason"]
    if found["reason"] == reason and of in (claim(), claim(**SCORE)):
        assert one(of)["verdict"] != "not comparable"


@pytest.mark.parametrize("proposals", ["boxes.npz", "boxes.json", "data/boxes"])
def test_boxes_of_a_file_may_be_those_of_the_authors(proposals: str) -> None:
    """Which these are nobody can tell from their place, so that nothing is said against them."""
    assert one(claim(**SCORE), summary({"proposals": proposals}))["verdict"] == "met"


def test_where_boxes_are_from_is_nothing_to_a_time() -> None:
    """Nor which detections are kept: their number is what counts."""
    plan = {"proposals": "uniform", "policy": "shared"}
    assert one(claim(), summary(plan))["verdict"] == "met"


def test_a_ratio_of_two_machines_is_told_and_not_judged() -> None:
    """Of the published 20x one time was provided by others: however the run comes out it says nothing of it."""
    (published,) = [c for c in read_claims() if (c.printed, c.name, c.relative_to) == ("20", "spp:5", "rcnn@VGG16")]
    plan = {"methods": ["rcnn", "spp:5"], "backbone": "vgg16"}
    model = summary(plan, methods={name: about() for name in plan["methods"]})
    found = one(published, model, observed(renamed({"spp": "spp:5"})))
    assert (found["verdict"], found["reason"]) == ("not comparable", "its two times are of two machines there")
    assert found["delta"] == pytest.approx(found["measured"]["value"] / 20 - 1)


def test_a_run_that_did_not_keep_its_network_is_comparable_with_nothing() -> None:
    """It is named so, and no error."""
    model = summary()
    model["plan"] = {name: value for name, value in PLAN.items() if name != "backbone"}
    assert one(claim(), model)["reason"] == "network not recorded, ZF-5 there"


def test_a_ratio_is_comparable_with_random_weights_on_any_hardware() -> None:
    """Time does not depend on the values of weights, and ratios are what is asked for."""
    untrained = {name: about(trained=False) for name in PLAN["methods"]}
    model = summary({"weights": "random"}, methods=untrained, machine={"device": "cpu", "cpu": "Some CPU"})
    assert one(claim(), model)["verdict"] == "met"


def test_an_untrained_accuracy_is_no_number() -> None:
    """Neither a value nor a difference, and the reason is the one word."""
    model = summary({"weights": "random"}, methods={"spp": about(trained=False)})
    found = one(claim(**SCORE), model)
    assert found["measured"]["value"] is None
    assert found["measured"]["reason"] == found["reason"] == "untrained"
    assert found["delta"] is None


def test_an_accuracy_is_in_percent() -> None:
    """58.5 [57.5, 59.0] meets 58.0, half a point above."""
    found = one(claim(**SCORE))
    assert [found["measured"][end] for end in ("value", "low", "high")] == pytest.approx([58.5, 57.5, 59.0])
    assert (found["verdict"], found["delta"]) == ("met", pytest.approx(0.5))


def test_a_class_stands_there_only_where_it_is_comparable() -> None:
    """Ten tables of twenty classes would bury the rest; a class has no interval, so it is never decided."""
    of = claim(**SCORE | {"quantity": "ap", "part": "aeroplane", "printed": "65.5"})
    assert judge([of], summary({"backbone": "mini"}), observed()) == []
    found = one(of)
    assert (found["measured"]["value"], found["verdict"]) == (pytest.approx(64.0), "inconclusive")
    assert "no interval" in found["reason"]
    assert one(replace(of, part="bicycle"))["measured"]["value"] is None


def test_a_count_is_exact() -> None:
    """A ratio of pixels is counted without a run, so that a run does not judge it; with no width it is decided."""
    of = claim(quantity="pixel_ratio_conv", printed="160", reading="about", stages=("conv",), hardware=None)
    assert judge([of], summary(), observed()) == []
    for pixels, verdict in ((163.3, "met"), (136.0, "not met")):
        number = {"value": pixels, "low": pixels, "high": pixels, "reason": None, "interval": None}
        assert judged(of, None, number)["verdict"] == verdict


def pooling(share: float) -> Observed:
    """As if pooling took SPP-net this share of its conv and fc, and R-CNN nothing."""

    def pooled(sample: Sample) -> Sample:
        if not sample.seconds or "conv" not in sample.seconds:
            return sample
        spent = share * (sample.seconds["conv"] + sample.seconds["fc"]) if sample.method == "spp" else 0.0
        return replace(sample, seconds={**sample.seconds, "pool": spent})

    return observed([pooled(one) for one in SAMPLES])


@pytest.mark.parametrize(
    ("share", "printed", "verdict", "other"),
    [
        (0.02, "10", "met", "met"),
        (1.0, "10", "inconclusive", "not met"),  # 10x without, 5x with
        (0.02, "13", "not met", "not met"),
        (1.0, "90", "not met", "not met"),
    ],
)
def test_what_is_open_in_the_paper_must_not_decide(share: float, printed: str, verdict: str, other: str) -> None:
    """With pooling inside and without it: where the two decide otherwise nothing is decided. The number is without."""
    found = one(claim(printed=printed), seen=pooling(share))
    assert found["verdict"] == verdict
    assert found["measured"]["value"] == pytest.approx(10, rel=0.05)
    assert found["measured_as"]["stages"] == ["conv", "fc"]
    assert found["reason"].endswith(f": {other}")
    told = float(found["reason"].rpartition("with pool ")[2].partition("×")[0])
    assert told == pytest.approx(10 / (1 + share), rel=0.05)
    assert ("depends on whether pooling is inside" in found["reason"]) == (verdict == "inconclusive")


def test_only_where_the_paper_leaves_it_open_pooling_is_told() -> None:
    """Of conv alone, of more than conv and fc, of seconds and of other papers it is not."""
    others = [claim(source="FRCN"), claim(stages=("conv", "pool", "fc")), claim(**SECONDS)]
    others.append(claim(quantity="speedup_conv", stages=("conv",)))
    assert not [found for found in (one(each, seen=pooling(1.0)) for each in others) if "with pool" in str(found)]
    doubtful = one(claim(), summary(trust={"verdict": "inconclusive", "reasons": ["drift"]}), pooling(1.0))
    assert doubtful["verdict"] == "inconclusive"
    assert doubtful["reason"].startswith("not decided: drift")
    assert doubtful["reason"].endswith(": inconclusive")


def finding(name: str) -> dict[str, str]:
    return {"name": name, "verdict": "inconclusive", "text": f"{name} is too large"}


def test_a_run_that_is_not_trusted_decides_no_time() -> None:
    """Whatever the interval says; of accuracy it may."""
    model = summary(trust={"verdict": "inconclusive", "reasons": [], "findings": [finding("drift")]})
    found = one(claim(), model)
    assert (found["verdict"], found["measured"]["value"] is not None) == ("inconclusive", True)
    assert found["reason"].startswith("not decided: drift: drift is too large")
    assert one(claim(**SCORE), model)["verdict"] == "met"
    mixed = one(claim(), summary(other_sources=[{"commit": "abc"}]))
    assert "more than one state of the source" in mixed["reason"]
    old = summary(trust={"verdict": "inconclusive", "reasons": ["no verdict was kept"]})
    assert one(claim(), old)["verdict"] == "inconclusive"


def test_a_wide_interval_alone_is_no_doubt() -> None:
    """The verdict looks at the interval itself."""
    model = summary(trust={"verdict": "inconclusive", "reasons": [], "findings": [finding("interval")]})
    assert one(claim(), model)["verdict"] == "met"


def test_two_images_in_one_block_decide_nothing() -> None:
    """There is a ratio and no interval; the reason is that of the estimate."""
    few = [one for one in SAMPLES if one.image == "000000"]
    found = one(claim(), seen=observed(few))
    assert found["measured"]["value"] is not None
    assert found["measured"]["low"] is None
    assert found["verdict"] == "inconclusive"
    assert found["reason"].startswith(str(found["measured"]["reason"]))


def test_a_method_that_failed_has_its_failure_for_a_reason() -> None:
    """Neither met nor missed."""
    failed = {"rcnn": about(), "spp": {"status": "oom", "reason": "out of memory on 000012"}}
    found = one(claim(), summary(methods=failed))
    assert (found["verdict"], found["measured"]["value"]) == ("inconclusive", None)
    assert found["reason"].startswith("spp: oom: out of memory on 000012")


def renamed(names: dict[str, str]) -> list[Sample]:
    return [replace(one, method=names.get(one.method, one.method)) for one in SAMPLES]


def test_methods_on_several_networks_each_find_their_claim() -> None:
    """Of rcnn@caffenet and rcnn@zf5, the one that the ratio is over is the baseline."""
    plan = {"methods": ["rcnn@caffenet", "spp@zf5", "rcnn@zf5"], "backbone": "mini"}
    names = {"rcnn": "rcnn@caffenet", "spp": "spp@zf5", "fast": "rcnn@zf5"}
    model = summary(plan, methods={name: about() for name in plan["methods"]})
    seen = observed(renamed(names))
    found = [one(claim(relative_to=f"rcnn@{network}"), model, seen) for network in ("Alex-5", "ZF-5", "VGG_CNN_M_1024")]
    assert [each["measured_as"]["baseline"] for each in found] == ["rcnn@caffenet", "rcnn@zf5", "rcnn@caffenet"]
    assert [each["measured_as"]["method"] for each in found] == ["spp@zf5"] * 3
    assert [each["verdict"] for each in found[:2]] == ["met", "not met"]
    assert found[2]["reason"] == "the baseline's network caffenet, VGG_CNN_M_1024 there"


def test_three_processes_and_more_give_an_interval_over_them() -> None:
    """Labelled so."""
    samples, _conditions, _manifest = simulate_records(4, images=8, processes=3)
    found = one(claim(), seen=observed(samples))
    assert found["measured"]["interval"] == "over 3 processes"


def test_a_share_is_of_the_forward_pass() -> None:
    """In percent, as a literal loop has it; fc6 and fc7 are one stage here, so neither has a share of its own.

    Preparing is no part of it: 146 ms are 46.3 % of the 316 ms of all parts, and not of the 320 ms. [FRCN Figure 2]
    """
    decoding = [replace(one, seconds={**(one.seconds or {}), "decode": 0.0}) for one in SAMPLES]
    of = claim(method="fast", quantity="share", unit="%", relative_to=None, printed="63", stages=("conv",), part="conv")
    found = one(of, seen=observed(decoding))
    whole = mean_seconds("fast", ["conv", "pool", "fc", "unattributed"])
    assert found["measured"]["value"] == pytest.approx(100 * mean_seconds("fast", ["conv"]) / whole)
    assert found["verdict"] == "met"
    assert one(replace(of, printed="50"), seen=observed(decoding))["verdict"] == "not met"
    rest = one(replace(of, part="other", stages=(), printed="1.0"), seen=observed(decoding))
    assert rest["measured_as"]["stages"] == ["decode", "unattributed"]
    alone = one(replace(of, part="fc6", stages=("fc",)), seen=observed(decoding))
    assert (alone["measured"]["value"], alone["reason"]) == (None, "fc6 and fc7 are timed together, as fc")


def test_only_what_the_run_measures_is_judged() -> None:
    """Other methods, hours of training, and the ratio of a method to itself have no verdict."""
    others = [
        claim(method="dpm"),
        claim(variant="5"),
        claim(quantity="train", unit="h", relative_to=None),
        claim(method="rcnn"),
    ]
    assert judge(others, summary(), observed()) == []


def test_every_published_number_of_a_run_is_judged_once() -> None:
    """On the reference tables as they are: none twice, none with neither verdict nor number, all with a reason."""
    found = judge(read_claims(), summary(), observed())
    keys = {tuple(map(str, (each[name] for name in asdict(claim())))) for each in found}
    assert len(keys) == len(found) > 30
    for each in found:
        assert each["reason"] or each["verdict"] in ("met", "not met")
        assert each["measured"]["value"] is not None or each["measured"]["reason"]
        assert each["method"] in ("rcnn", "spp", "fast")


def test_another_measurement_can_be_judged_alike() -> None:
    """Hours are told, never judged; a ratio of hours is."""
    hours = {"value": 3.0, "low": 2.5, "high": 3.5, "reason": None, "interval": "over 3 fits"}
    assert judged(claim(quantity="train", unit="h", relative_to=None), None, hours)["verdict"] == "not comparable"
    ratio = judged(claim(quantity="speedup_train", printed="3.4"), None, hours)
    assert (ratio["verdict"], ratio["measured_as"]) == ("inconclusive", None)
    assert "too wide" in ratio["reason"] or "reaches" in ratio["reason"]
