"""What figures need of single measurements: the very numbers of the samples, and few enough of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.quantities.observations import Observations, Observed, observe
from harness.quantities.series import series
from pictured import observed, samples_and_truth
from recorded import METHODS


def short(value: float) -> float:
    return float(f"{value:.7g}")


def test_times_of_images_are_means_over_processes() -> None:
    """Of each image in the order of the split, by hand from the samples, to seven digits."""
    samples, truth = samples_and_truth()
    found = series(observed(samples, truth), samples, truth)
    assert found["images"]["id"] == [image["id"] for image in truth["images"]]
    for at, image in enumerate(truth["images"]):
        assert found["images"]["megapixels"][at] == short(image["width"] * image["height"] / 1e6)
        for method in METHODS:
            own = [one for one in samples if (one.method, one.image, one.role) == (method, image["id"], "measured")]
            assert len(own) == 2
            mean = sum((one.seconds or {})["total"] for one in own) / 2
            assert found["total_seconds"][method][at] == pytest.approx(mean, rel=1e-6)
            assert found["images"]["boxes"][at] == own[0].boxes


def test_a_progression_goes_on_as_the_process_did() -> None:
    """Each measured call once, at the sum of all calls of its process until then, marked or not, one by one."""
    samples, truth = samples_and_truth()
    found = series(observed(samples, truth), samples, truth)["progression"]
    assert found["methods"] == list(METHODS)
    assert found["every"] == 1
    for of in found["processes"]:
        spent, expected = 0.0, []
        for one in (one for one in samples if one.process == of["process"]):
            spent += (one.seconds or {})["total"]
            if one.role == "measured":
                expected.append((METHODS.index(one.method), one.block, (one.seconds or {})["total"], spent))
        columns = (of["method"], of["block"], of["total_seconds"], of["elapsed_seconds"])
        assert list(zip(*columns, strict=True)) == [(m, b, short(t), short(s)) for m, b, t, s in expected]
        assert of["elapsed_seconds"] == sorted(of["elapsed_seconds"])


def test_what_makes_no_figures_is_left_out() -> None:
    """A method that failed and a pass that broke off are in none of the series; the others are."""
    samples, truth = samples_and_truth()
    kept = [one for one in samples if not (one.process == 1 and one.index == 2)]
    found = series(observed(kept, truth), kept, truth)
    assert [of["process"] for of in found["progression"]["processes"]] == [0]
    failed = [replace(one, status="oom", seconds=None) if one.method == "spp" else one for one in samples]
    ids = [image["id"] for image in truth["images"]]
    of = observe({name: [one for one in failed if one.method == name] for name in ("rcnn", "fast")}, ids)
    found = series(of, failed, truth)
    assert set(found["total_seconds"]) == {"rcnn", "fast"} == set(found["progression"]["methods"])


def test_unknown_boxes_and_sizes_are_none() -> None:
    """A run of schema 1 kept no boxes with its samples; null is not 0."""
    samples, truth = samples_and_truth()
    bare = [replace(one, boxes=None, block=None) for one in samples]
    for image in truth["images"]:
        image.pop("width")
    found = series(observed(bare, truth), bare, truth)
    assert found["images"]["boxes"] == found["images"]["megapixels"] == [None] * len(truth["images"])
    assert found["progression"]["processes"][0]["block"][0] is None


def test_five_methods_on_the_test_set_of_voc_stay_small() -> None:
    """4,952 images and 3 processes of 5 methods: below 5 MB as a summary is written, and the thinning is told."""
    rng, count, processes = np.random.default_rng(0), 4952, 3
    ids = [f"{index:06}" for index in range(count)]
    truth = {"images": [{"id": image, "width": 500, "height": 375} for image in ids]}
    samples, _ = samples_and_truth(1, 1)
    many = [
        replace(samples[0], process=process, method=method, image=image, seconds={"total": float(seconds)}, block=0)
        for process in range(processes)
        for method in "abcde"
        for image, seconds in zip(ids, rng.lognormal(size=count), strict=True)
    ]
    of = {method: Observations([one for one in many if one.method == method], ids) for method in "abcde"}
    found: dict[str, Any] = series(Observed(tuple((p, 0) for p in range(processes)), (), of, {}), many, truth)
    assert len(json.dumps(found, indent=1)) < 5_000_000
    every = found["progression"]["every"]
    assert every > 1
    shown = sum(len(one["method"]) for one in found["progression"]["processes"])
    assert shown == pytest.approx(len(many) / every, abs=processes)
