"""The result model: every number follows from the records of a run, and what is not on record has its reason."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from harness.agreement import digest_of_rows
from harness.claims import read_claims
from harness.record import Sample
from harness.report import excerpt, markdown, page
from harness.runs import RunFolder
from harness.summary import summarise

DATA = Path(__file__).parent / "data"
METHODS = ("rcnn", "spp", "fast")
STAGES = ("prepare", "propose", "conv", "pool", "fc", "decode", "suppress")
WARM_UP = [
    {"bucket": "64x64 512", "image": "i0", "seconds": [0.5, 0.125, 0.25], "steady": True},
    {"bucket": "96x64 512", "image": "i1", "seconds": [0.375, 0.25], "steady": False},
]


def seconds(total: float) -> dict[str, float]:
    """Of a method that spends half of its time in conv."""
    named = dict.fromkeys(STAGES, 0.0) | {"prepare": total / 8, "conv": total / 2, "fc": total / 4}
    return {**named, "unattributed": total / 8, "features": total * 7 / 8, "total": total}


def sample(method: str, image: int, total: float, *, process: int = 0, repeat: int = 0, **others: Any) -> Sample:
    """A successful one; blocks hold two images."""
    place: dict[str, Any] = {
        "index": image,
        "position": METHODS.index(method),
        "block": image // 2,
        "boxes": 100 + 10 * image,
    }
    about: dict[str, Any] = {
        "detections": 1,
        "digest": digest_of_rows([row(f"i{image}")]),
        "marks": 14,
        "tail_seconds": 0.0,
    }
    values = {"process": process, "repeat": repeat, "method": method, "image": f"i{image}", "status": "ok"}
    return Sample.from_values({**values, **place, **about, "seconds": seconds(total), **others})


def row(image: str) -> dict[str, Any]:
    return {"image_id": image, "category_id": 1, "bbox": [1.0, 2.0, 20.0, 30.0], "score": 0.75}


def manifest(schema_version: int = 2, processes: int = 1, **others: Any) -> dict[str, Any]:
    about: dict[str, Any] = {
        "mark_seconds": 1e-6,
        "block_images": 2,
        "first_turn": 0,
        "resident": True,
        "resident_reason": None,
    }
    about |= {"threads": 2, "warm_up": dict.fromkeys(METHODS, WARM_UP), "status": "ok", "reason": None}
    plan: dict[str, Any] = {
        "methods": list(METHODS),
        "weights": "auto",
        "iterations": None,
        "seed": 3,
        "processes": processes,
    }
    return {
        "schema_version": schema_version,
        "status": "complete",
        "created": "2026-01-02T03:04:05+00:00",
        "command": "harness compare",
        "plan": plan,
        "machine": {"device": "cpu", "cpu": "Some CPU", "threads": 2},
        "software": {"python": "3.11"},
        "source": {"commit": None, "dirty": None, "reason": "no repository"},
        "dataset": {"proposal_seconds_by_image": {f"i{image}": 0.5 for image in range(60)}, "images": 60},
        "methods": {method: {"status": "ok", "reason": None, "paper": "P", "trained": True} for method in METHODS},
        **({"processes": [{"process": number, **about} for number in range(processes)]} if schema_version > 1 else {}),
        **others,
    }


def folder(path: Path, samples: Sequence[Sample], about: Mapping[str, Any]) -> RunFolder:
    """A run folder that holds these samples and, for each method and image, the one detection."""
    run = RunFolder(path)
    run.start(dict(about))
    images = list(dict.fromkeys(one.image for one in samples))
    truth = [{"id": at + 1, **row(image), "area": 600.0, "iscrowd": 0, "ignore": 0} for at, image in enumerate(images)]
    sizes = [{"id": image, "file_name": image, "width": 200, "height": 100 + at} for at, image in enumerate(images)]
    run.write_truth({"images": sizes, "annotations": truth, "categories": [{"id": 1, "name": "disc"}]})
    for one in samples:
        run.append_sample(one)
    for method in METHODS:
        for image in images:
            run.append_detections(method, image, [row(image)])
    return run


def totals(n_images: int, process: int = 0, repeat: int = 0) -> dict[str, list[float]]:
    """Seconds by method and image, with a spread over images and a factor of each process."""
    generator = np.random.default_rng([n_images, process, repeat])
    size = generator.lognormal(0, 0.3, n_images)
    factor = {method: float(np.exp(0.02 * generator.normal())) for method in METHODS}
    base = {"rcnn": 8.0, "spp": 0.5, "fast": 0.25}
    return {
        method: [float(base[method] * factor[method] * each * np.exp(0.01 * generator.normal())) for each in size]
        for method in METHODS
    }


def measured(n_images: int, processes: int = 1, repeats: int = 1) -> list[Sample]:
    return [
        sample(method, image, total, process=process, repeat=repeat)
        for process in range(processes)
        for repeat in range(repeats)
        for method, of in totals(n_images, process, repeat).items()
        for image, total in enumerate(of)
    ]


def by_hand(samples: Sequence[Sample], method: str, processes: Sequence[int]) -> list[float]:
    """Total by image: mean over repeats, then over processes."""
    images = dict.fromkeys(one.image for one in samples)
    values = []
    for image in images:
        of_processes = []
        for process in processes:
            own = [each for each in samples if (each.method, each.image, each.process) == (method, image, process)]
            of_processes.append(sum((each.seconds or {})["total"] for each in own) / len(own))
        values.append(sum(of_processes) / len(of_processes))
    return values


def test_means_and_ratios_are_those_of_the_measured_samples(tmp_path: Path) -> None:
    """An image counts once whatever its repeats; what was timed without marks or swept does not count."""
    samples = measured(12, repeats=2)
    others = [sample("rcnn", 0, 1e3, role="unmarked"), sample("rcnn", 1, 1e3, role="sweep", point="proposals=7")]
    found = summarise(folder(tmp_path / "run", [*samples, *others], manifest()))
    own = {method: by_hand(samples, method, [0]) for method in METHODS}
    for method in METHODS:
        total = found["methods"][method]["seconds"]["total"]
        assert total["mean"] == pytest.approx(sum(own[method]) / 12, rel=1e-12)
        assert 0 < total["low"] < total["mean"] < total["high"]
        assert total["interval"] == "over images within one process"
        full = found["methods"][method]["seconds"]["full_system"]
        assert full["mean"] == pytest.approx(total["mean"] + 0.5)
    ratio = found["speedup"]["spp"]["total"]
    assert ratio["value"] == pytest.approx(sum(own["rcnn"]) / sum(own["spp"]), rel=1e-12)
    logs = [np.log(above / below) for above, below in zip(own["rcnn"], own["spp"], strict=True)]
    assert ratio["geometric_mean"]["value"] == pytest.approx(np.exp(sum(logs) / 12), rel=1e-12)
    assert ratio["processes"] == {"0": pytest.approx(ratio["value"])}
    assert found["speedup"]["fast"]["conv"]["interval"] == "over images within one process"


def test_two_processes_are_averaged_and_named(tmp_path: Path) -> None:
    """Two are too few for an interval over them."""
    samples = measured(10, processes=2)
    ratio = summarise(folder(tmp_path / "run", samples, manifest(processes=2)))["speedup"]["spp"]["total"]
    above, below = (by_hand(samples, method, [0, 1]) for method in ("rcnn", "spp"))
    assert ratio["value"] == pytest.approx(sum(above) / sum(below), rel=1e-12)
    assert ratio["interval"] == "over images within each of 2 processes"
    assert list(ratio["processes"]) == ["0", "1"]


def test_from_three_processes_on_the_interval_is_over_them(tmp_path: Path) -> None:
    """Student's t on the logarithms of each process's ratio of means."""
    samples = measured(10, processes=4)
    found = summarise(folder(tmp_path / "run", samples, manifest(processes=4)))
    ratio = found["speedup"]["spp"]["total"]
    each = [
        np.log(sum(by_hand(samples, "rcnn", [number])) / sum(by_hand(samples, "spp", [number]))) for number in range(4)
    ]
    half = stats.t.ppf(0.975, 3) * np.std(each, ddof=1) / 2
    expected = np.exp([np.mean(each), np.mean(each) - half, np.mean(each) + half])
    assert [ratio[key] for key in ("value", "low", "high")] == pytest.approx(expected.tolist(), rel=1e-9)
    assert ratio["interval"] == "over 4 processes"
    parts = found["methods"]["spp"]["seconds"]
    closure = sum(parts[name]["mean"] for name in (*STAGES, "unattributed"))
    assert closure == pytest.approx(parts["total"]["mean"], rel=1e-12)
    assert parts["propose"] == {**parts["propose"], "mean": 0.0, "low": None, "high": None, "interval": None}
    assert parts["propose"]["reason"]


def test_a_process_that_broke_off_does_not_count(tmp_path: Path) -> None:
    """Its few images would shift the means; the figures are those of the processes that went through."""
    samples = measured(8, processes=2)
    cut = [each for each in samples if each.process == 0 or each.index < 3]
    found = summarise(folder(tmp_path / "run", cut, manifest(processes=2)))
    ratio = found["speedup"]["spp"]["total"]
    above, below = (by_hand([each for each in cut if each.process == 0], method, [0]) for method in ("rcnn", "spp"))
    assert ratio["value"] == pytest.approx(sum(above) / sum(below), rel=1e-12)
    assert ratio["interval"] == "over images within one process"
    assert [each["process"] for each in found["processes"]] == [0, 1]


def test_images_of_a_block_are_not_independent(tmp_path: Path) -> None:
    """All images in one block give no interval, and the reason says so."""
    samples = [replace(each, block=0) for each in measured(8)]
    ratio = summarise(folder(tmp_path / "run", samples, manifest()))["speedup"]["spp"]["total"]
    assert ratio["value"] > 1
    assert (ratio["low"], ratio["high"], ratio["interval"]) == (None, None, None)
    assert "block" in ratio["reason"]


def test_percentiles_are_given_where_there_are_images_enough(tmp_path: Path) -> None:
    """60 images are enough for the lower end of p95, and not for p99."""
    samples = measured(60)
    percentiles = summarise(folder(tmp_path / "run", samples, manifest()))["percentiles"]["spp"]
    found, values = percentiles["total"], by_hand(samples, "spp", [0])
    assert percentiles["interval"] == "over images within one process"
    assert found["p50"]["value"] == pytest.approx(np.median(values))
    assert found["p90"]["low"] <= found["p90"]["value"] <= found["p90"]["high"] <= max(values)
    assert (found["p95"]["high"], found["p95"]["value"]) == (None, pytest.approx(np.quantile(values, 0.95)))
    assert found["p99"] == {"value": None, "low": None, "high": None, "reason": "p99 needs 299 images, there are 60"}


def test_overhead_is_bounded_and_compared(tmp_path: Path) -> None:
    """14 marks of the dearest process over the mean total; pairs are of the same process, repeat and image."""
    samples = [sample(method, image, 2.0) for method in METHODS for image in range(6)]
    pairs = [sample("spp", image, 1.6, role="unmarked") for image in range(4)]
    about = manifest(processes=2)
    about["processes"][1]["mark_seconds"] = 4e-6
    found = summarise(folder(tmp_path / "run", [*samples, *pairs], about))["overhead"]
    assert found["spp"]["bound"] == pytest.approx(14 * 4e-6 / 2.0)
    assert found["spp"]["unmarked"]["value"] == pytest.approx(2.0 / 1.6)
    assert found["spp"]["unmarked"]["images"] == 4
    assert found["rcnn"]["unmarked"] == {**found["rcnn"]["unmarked"], "value": None, "images": 0}
    assert found["rcnn"]["unmarked"]["reason"] == "no image was timed without marks"


def test_cold_calls_say_nothing_of_what_marks_cost(tmp_path: Path) -> None:
    """A pair counts where both are warm and follow each other; with none, there is a reason."""
    samples = [sample(method, image, 2.0, attempt=int(image == 5)) for method in METHODS for image in range(8)]
    samples = [replace(each, warm=False, seconds=seconds(50.0)) if each.index == 2 else each for each in samples]
    pairs = [sample("spp", image, 1.6, role="unmarked") for image in range(6)]
    pairs[3] = replace(pairs[3], warm=False, seconds={"total": 90.0})
    pairs[5] = replace(pairs[5], seconds={"total": 90.0})
    cold = [replace(sample("fast", image, 9.0, role="unmarked"), warm=False) for image in range(3)]
    found = summarise(folder(tmp_path / "run", [*samples, *pairs, *cold], manifest()))["overhead"]
    assert found["spp"]["unmarked"]["value"] == pytest.approx(2.0 / 1.6)
    assert found["spp"]["unmarked"]["images"] == 3
    assert found["spp"]["unmarked"]["interval"] == "over images within one process"
    assert found["spp"]["bound"] == pytest.approx(14 * 1e-6 / 2.0)
    assert "not warmed up" in found["fast"]["unmarked"]["reason"]


def test_first_touch_is_kept_as_its_own_number(tmp_path: Path) -> None:
    """Beyond the mean of later calls: 0.5 - 0.1875 of the first shape and 0.375 - 0.25 of the second, given up."""
    samples = [replace(each, warm=each.index != 5) for each in measured(6)]
    found = summarise(folder(tmp_path / "run", samples, manifest()))["warm_up"]["spp"]
    assert found == {
        **{"first_seconds": 0.5, "steady_seconds": 0.1875, "first_touch_seconds": 0.4375, "buckets": 2, "unsteady": 1},
        **{"cold_samples": 1, "samples": 6, "reason": None},
    }


def test_lines_are_over_the_sweep_where_there_is_one(tmp_path: Path) -> None:
    """Seconds of 0.1 + 0.002 a box are found again; without a sweep, boxes of the images as they are count."""
    swept = [
        sample("spp", image, 0.1 + 0.002 * boxes, role="sweep", point=f"proposals={boxes}", boxes=boxes)
        for image in range(6)
        for boxes in (300, 100, 1000)
    ]
    failed = replace(swept[-1], method="fast", status="oom", reason="no memory", seconds=None)
    found = summarise(folder(tmp_path / "run", [*measured(6), *swept, failed], manifest()))
    line = found["lines"]["spp"]["proposals"]
    assert (line["over"], line["points"], line["images"]) == ("sweep", 18, 6)
    assert line["intercept"]["value"] == pytest.approx(0.1)
    assert line["slope"]["value"] == pytest.approx(0.002)
    assert found["lines"]["spp"]["megapixels"]["over"] == "images"
    assert found["lines"]["rcnn"]["proposals"]["reason"] == "it was not measured there"
    assert found["sweep"]["points"] == ["proposals=100", "proposals=300", "proposals=1000"]
    assert found["sweep"]["seconds"]["spp"]["proposals=300"]["mean"] == pytest.approx(0.7)
    assert found["sweep"]["seconds"]["fast"]["proposals=1000"]["reason"] == "oom: no memory"
    assert found["methods"]["fast"]["status"] == "ok"


def sweep(points: Mapping[int, Sequence[int]], method: str = "spp", process: int = 0) -> list[Sample]:
    """Seconds of 0.1 + 0.002 a box, by number of boxes the images that were measured there."""
    return [
        sample(method, image, 0.1 + 0.002 * boxes, role="sweep", point=f"proposals={boxes}", boxes=boxes)
        for boxes, images in points.items()
        for image in images
    ]


def test_a_point_of_the_sweep_counts_where_every_image_was_measured(tmp_path: Path) -> None:
    """Where one failed or is missing, the point has its reason, stands in no line, and the report says so."""
    every, few = range(6), range(4)
    points = sweep({100: every, 300: every, 1000: few})
    wrong: dict[str, Any] = {"status": "oom", "reason": "no memory", "seconds": None}
    other = [replace(each, **(wrong if each.index == 2 else {})) for each in sweep({100: every}, "fast")]
    found = summarise(folder(tmp_path / "run", [*measured(6, processes=3), *points, *other], manifest(processes=3)))
    line = found["lines"]["spp"]["proposals"]
    assert (line["points"], line["interval"]) == (12, "over images within process 0")
    assert line["left_out"] == {"proposals=1000": "4 of 6 images were measured there"}
    failed = found["lines"]["fast"]["proposals"]
    assert (failed["slope"]["value"], failed["reason"], failed["over"]) == (
        None,
        "oom: no memory; it was not measured there",
        "sweep",
    )
    over_images = "over images, each with its mean of 3 processes"
    assert found["lines"]["spp"]["megapixels"]["interval"] == found["percentiles"]["spp"]["interval"] == over_images
    swept = found["sweep"]
    assert swept["interval"] == "over images within process 0"
    assert swept["seconds"]["spp"]["proposals=1000"]["reason"] == "4 of 6 images were measured there"
    assert swept["seconds"]["fast"]["proposals=300"]["reason"] == "it was not measured there"
    text = markdown(found)
    assert "spp at proposals=1000 (4 of 6 images were measured there)" in text
    assert "all else being equal (in brackets: 95 % interval over images within process 0)" in text
    assert nulls(found) == []


def figures(summary: Mapping[str, Any]) -> dict[str, Any]:
    """All that is computed from times."""
    keys = ("speedup", "percentiles", "overhead", "warm_up", "lines", "sweep")
    return {**{key: summary[key] for key in keys}, "seconds": [of["seconds"] for of in summary["methods"].values()]}


@pytest.mark.parametrize(
    ("processes", "repeats", "kept", "left_out"),
    [
        (2, 1, lambda one: one.process == 0 or one.index < 3, (1, 0)),
        (1, 2, lambda one: one.repeat == 0 or one.index < 5, (0, 1)),
        (3, 1, lambda one: one.process != 1 or one.method != "fast" or one.index, (1, 0)),
    ],
    ids=["stopped in process 1", "stopped in repeat 1", "one method lacks one image"],
)
def test_what_is_not_complete_enters_nothing(
    tmp_path: Path, processes: int, repeats: int, kept: Any, left_out: Any
) -> None:
    """Neither a time, nor a ratio, percentile, line or overhead moves; what was left out is named."""
    samples = [each for each in measured(12, processes, repeats) if kept(each)]
    pairs = [replace(each, role="unmarked", seconds={"total": 0.25}) for each in samples if each.index % 3 == 0]
    # As slow as could be, so that it would show wherever it counted.
    slow = [
        replace(each, seconds=seconds(1e4)) if (each.process, each.repeat) == left_out else each for each in samples
    ]
    whole = [each for each in samples if (each.process, each.repeat) != left_out]
    about = manifest(processes=processes)
    found = summarise(folder(tmp_path / "cut", [*slow, *pairs], about))
    assert figures(found) == figures(summarise(folder(tmp_path / "whole", [*whole, *pairs], about)))
    process, repeat = left_out
    assert found["passes"]["left_out"] == [{"process": process, "repeat": repeat}]
    assert f"process {process} (repeat {repeat})" in markdown(found)
    assert {about["status"] for about in found["methods"].values()} == {"ok"}


def test_a_method_without_a_complete_pass_does_not_take_others_down(tmp_path: Path) -> None:
    """Nor one that failed on an image: each has its reason, and the others all passes that they have in common."""
    samples = measured(8, processes=3)
    lacking = [each for each in samples if each.method != "fast" or each.index != each.process]
    found = summarise(folder(tmp_path / "lacking", lacking, manifest(processes=3)))
    assert found["methods"]["fast"]["status"] == "skipped"
    assert found["methods"]["fast"]["reason"] == "7 of 8 images were measured, and in no process or repeat more"
    assert set(found["speedup"]["spp"]["total"]["processes"]) == {"0", "1", "2"}
    wrong: dict[str, Any] = {"status": "oom", "reason": "no memory", "seconds": None}
    failed = [replace(each, **wrong) if (each.method, each.index) == ("fast", 2) else each for each in samples]
    found = summarise(folder(tmp_path / "failed", failed, manifest(processes=3)))
    assert found["methods"]["fast"]["status"] == "oom"
    assert len(found["passes"]["complete"]) == 3
    assert found["speedup"]["spp"]["total"]["interval"] == "over 3 processes"


@pytest.mark.parametrize(
    "kept",
    [
        lambda one: one.index < 5,
        lambda one: one.process == METHODS.index(one.method),
        lambda one: False,
        lambda one: (one.process == 0 and one.index < 7) or (one.process == 1 and one.index == 7),
    ],
    ids=["a part", "each in another process", "nothing", "two parts that make a whole"],
)
def test_without_a_complete_pass_there_is_no_number(tmp_path: Path, kept: Any) -> None:
    """A reason for each method, and a report."""
    run = folder(tmp_path / "run", every := measured(8, processes=3), about := manifest(processes=3))
    (run.path / "samples.jsonl").write_text("".join(each.as_line() + "\n" for each in every if kept(each)))
    found = summarise(run)
    assert {of["status"] for of in found["methods"].values()} == {"skipped"}
    assert all(of["reason"] for of in found["methods"].values())
    assert found["speedup"] == found["percentiles"] == found["lines"] == {}
    assert found["passes"]["complete"] == []
    assert "skipped: " in markdown(found, read_claims())
    assert about["processes"]


def test_a_run_without_blocks_has_each_image_for_itself(tmp_path: Path) -> None:
    """As in schema 1; where some blocks are known, the other images stand alone."""
    samples = [replace(each, block=None) for each in measured(8)]
    found = summarise(folder(tmp_path / "none", samples, manifest()))["speedup"]["spp"]["total"]
    alone = [replace(each, block=each.index) for each in samples]
    expected = summarise(folder(tmp_path / "alone", alone, manifest()))["speedup"]["spp"]["total"]
    assert found == expected
    assert found["low"] < found["value"] < found["high"]
    some = [replace(each, block=0 if each.index < 2 else None) for each in samples]
    expected = [replace(each, block=max(each.index - 1, 0)) for each in samples]
    totals_of = [
        summarise(folder(tmp_path / str(at), of, manifest()))["methods"]["spp"]["seconds"]["total"]
        for at, of in enumerate((some, expected))
    ]
    assert totals_of[0] == pytest.approx(totals_of[1])


def test_samples_on_disk_are_counted(tmp_path: Path) -> None:
    """One that was measured again counts twice: the later one makes the figures."""
    run = folder(tmp_path / "run", measured(4), manifest())
    assert summarise(run)["samples"] == 12
    before = summarise(run)["methods"]["spp"]["seconds"]["total"]["mean"]
    run.append_sample(sample("spp", 0, 1e3, attempt=1))
    found = summarise(run)
    assert found["samples"] == 13
    assert found["methods"]["spp"]["seconds"]["total"]["mean"] > 100 * before


def test_map_has_an_interval_and_a_difference(tmp_path: Path) -> None:
    """Over images; equal detections differ by nothing."""
    run = folder(tmp_path / "run", measured(8), manifest())
    for image in ("i0", "i1", "i2"):
        run.append_detections("spp", image, [])
    found = summarise(run)
    spp = found["methods"]["spp"]["map"]["voc10"]
    assert spp["value"] == pytest.approx(5 / 8)
    assert 0 <= spp["low"] < 5 / 8 < spp["high"] <= 1
    difference = found["map_difference"]["spp"]["voc10"]
    assert difference["value"] == pytest.approx(-3 / 8)
    assert difference["low"] < -3 / 8 < difference["high"] <= 0
    assert found["map_difference"]["fast"]["voc10"]["value"] == 0
    assert set(found["map_difference"]) == {"spp", "fast"}


def test_scored_detections_that_were_not_timed_are_named(tmp_path: Path) -> None:
    """An edited file costs the trust."""
    run = folder(tmp_path / "run", measured(8), manifest())
    assert summarise(run)["proofs"] == {"rcnn": [], "spp": [], "fast": []}
    run.append_detections("spp", "i3", [{**row("i3"), "score": 0.5}])
    found = summarise(run)
    assert found["proofs"] == {"rcnn": [], "spp": ["i3"], "fast": []}
    assert found["trust"]["verdict"] == "inconclusive"
    verdicts = {each["name"]: each["verdict"] for each in found["trust"]["findings"]}
    assert verdicts["proof"] == "inconclusive"


def test_without_the_baseline_there_is_no_comparison(tmp_path: Path) -> None:
    """Neither of times nor of mAP; the others keep theirs."""
    samples = measured(6)
    samples[0] = replace(samples[0], status="error", reason="the dog ate it", seconds=None)
    found = summarise(folder(tmp_path / "run", samples, manifest()))
    assert found["methods"]["rcnn"]["status"] == "error"
    assert found["speedup"] == found["map_difference"] == {}
    assert found["methods"]["spp"]["map"]["voc07"]["value"] == 1
    assert set(found["percentiles"]) == {"spp", "fast"}


def test_the_peak_and_each_stages_share_of_it_are_kept(tmp_path: Path) -> None:
    """Operations and bytes of the counts over the mean seconds over the peak; processes keep theirs."""
    about, stages = manifest(), dict.fromkeys((*STAGES[:-1], "total"), 0)
    peak = {"matmul_flops_per_second": 4e9, "copy_bytes_per_second": 2e9, "precision": "fp32", "matmul_size": 1024}
    about["processes"][0] |= {"peak": {**peak, "copy_bytes": 2**28}, "peak_reason": None}
    run = folder(tmp_path / "run", [sample("spp", image, 2.0) for image in range(4)], about)
    kinds = {"images": 1e9, "bytes": 1e8, "launches": 7}
    counts = {kind: {f"i{at}": {**stages, "conv": value} for at in range(4)} for kind, value in kinds.items()}
    run.write_flops({"spp": {"reason": None, **counts}})
    found = summarise(run)
    spp = found["methods"]["spp"]
    assert spp["seconds"]["conv"]["mean"] == 1
    assert spp["peak_share"]["conv"] == {"compute": 0.25, "memory": 0.05, "reason": None}
    assert (spp["bytes"]["conv"], spp["launches"]["conv"]) == (1e8, 7)
    assert (spp["bytes_reason"], spp["launches_reason"]) == (None, None)
    assert found["peak"]["matmul_flops_per_second"] == 4e9
    assert found["peak"]["processes"] == [{"process": 0, **peak, "copy_bytes": 2**28}]
    assert found["processes"][0]["peak"] == {**peak, "copy_bytes": 2**28}
    assert "4.00 GFLOP/s in a product of matrices of side 1,024 (fp32)" in markdown(found)
    assert set(found["peak"]) >= {"copy_bytes_per_second", "precision"}


def test_a_run_without_a_peak_says_so(tmp_path: Path) -> None:
    """As those were that came before it was measured: null with its reason, for the run and for each stage."""
    found = summarise(folder(tmp_path / "run", measured(4), manifest()))
    assert found["peak"] is None
    assert found["peak_reason"] == "the run did not keep what its device gives at most"
    shares = [share for of in found["methods"].values() for share in of["peak_share"].values()]
    assert len(shares) == 3 * (len(STAGES) + 2)
    assert all(share["compute"] is share["memory"] is None and share["reason"] for share in shares)
    assert "Share of the device's peak" not in markdown(found)


NUMBERS = (
    *("value", "mean", "low", "slope", "bound", "first_seconds", "flags"),
    *("flops", "peak", "bytes", "launches", "compute", "memory"),
)


def nulls(node: Any, path: str = "") -> list[str]:
    """Where a number is None and no reason stands beside it."""
    if not isinstance(node, dict):
        return []
    bare = [
        f"{path}.{key}"
        for key, value in node.items()
        if value is None and key in NUMBERS
        if not (node.get("reason") or node.get(f"{key}_reason"))
    ]
    return bare + [each for key, value in node.items() for each in nulls(value, f"{path}.{key}")]


def test_a_run_of_schema_1_is_read(tmp_path: Path) -> None:
    """With what it kept; the rest is null and has its reason, and the report can be made."""
    kept = (DATA / "samples-v1.jsonl").read_text(encoding="utf-8").splitlines()
    lines = [line.replace("000009", image) for image in ("000009", "000010", "000011") for line in kept]
    samples = [Sample.from_values(json.loads(line)) for line in lines]
    methods = list(dict.fromkeys(each.method for each in samples))
    images = list(dict.fromkeys(each.image for each in samples))
    about = manifest(schema_version=1)
    about["plan"] |= {"methods": methods, "weights": "random"}
    about["dataset"]["proposal_seconds_by_image"] = dict.fromkeys(images)
    about["methods"] = {method: {"status": "ok", "reason": None, "trained": False} for method in methods}
    run = RunFolder(tmp_path / "run")
    run.start(about)
    sizes = [{"id": image, "file_name": image, "width": 500, "height": 375} for image in images]
    run.write_truth({"images": sizes, "annotations": [], "categories": [{"id": 1, "name": "disc"}]})
    (run.path / "samples.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for method in methods:
        run.append_detections(method, images[0], [row(images[0])])
    found = summarise(run)
    assert set(found["speedup"]) == set(methods[1:])
    assert all(of["total"]["value"] > 0 for of in found["speedup"].values())
    assert found["processes"] == []
    assert {each["bound"] for each in found["overhead"].values()} == {None}
    assert {each["proposals"]["slope"]["value"] for each in found["lines"].values()} == {None}
    assert nulls(found) == []
    for text in (markdown(found, read_claims()), page(found, figures=""), excerpt(found, figures="")):
        assert methods[0] in text
    assert "The warm-up is not known: the run kept no calls of its warm-up by shape of input." in markdown(found)


def test_every_null_has_its_reason(tmp_path: Path) -> None:
    """In a run of one image, of which there is next to nothing to say."""
    found = summarise(folder(tmp_path / "run", measured(1), manifest()))
    assert nulls(found) == []
    assert found["trust"]["verdict"] == "inconclusive"
    assert markdown(found, read_claims())
