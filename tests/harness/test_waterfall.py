"""From R-CNN to Fast R-CNN with SVD in steps: their factors, their chain, and the figure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.claims import DETECTING
from harness.quantities.estimates import ratio_over
from harness.quantities.observations import Observations
from harness.quantities.waterfall import waterfall
from harness.record import Sample
from harness.rendering.canvas import STYLE, WEB_STYLE
from harness.rendering.cells import Notes
from harness.rendering.waterfall import in_a_sentence, section, steps, waterfall_figure

PARTS = (*DETECTING, "unattributed")
ROLES = ("rcnn", "spp:5", "spp", "fast", "fast:svd")
COSTS = {
    "rcnn": (0.27, 0.0, 3.5, 0.03, 0.33, 0.012, 0.002, 0.006),
    "spp:5": (0.016, 0.0, 0.33, 0.19, 0.43, 0.016, 0.002, 0.005),
    "spp": (0.003, 0.0, 0.047, 0.10, 0.44, 0.016, 0.002, 0.005),
    "fast": (0.002, 0.0, 0.036, 0.08, 0.33, 0.008, 0.002, 0.004),
    "fast:svd": (0.002, 0.0, 0.036, 0.08, 0.12, 0.008, 0.002, 0.003),
    "rcnn:softmax": (0.27, 0.0, 3.5, 0.03, 0.33, 0.001, 0.002, 0.006),
}
"""Of `PARTS`."""


def observed(
    names: Iterable[str], *, processes: int = 1, images: int = 6, seed: int = 0, noise: float = 0.1
) -> dict[str, Observations]:
    """Every method's stages with noise; methods take turns in blocks of two images."""
    rng, found = np.random.default_rng(seed), {}
    listed = list(names)
    for place, name in enumerate(listed):
        samples = []
        for process in range(processes):
            costs = COSTS[name.partition("@")[0]]
            for index in range(images):
                drawn = rng.lognormal(0, noise, len(PARTS))
                parts = {part: float(cost * z) for part, cost, z in zip(PARTS, costs, drawn, strict=True)}
                seconds = {**parts, "total": sum(parts.values())}
                block = index // 2
                position = (place + block + process) % len(listed)
                samples.append(
                    Sample(process, 0, name, f"{index:03}", index, position, "ok", seconds=seconds, block=block)
                )
        found[name] = Observations(samples, [f"{index:03}" for index in range(images)])
    return found


subsets = st.lists(st.sampled_from(ROLES[1:]), min_size=1, unique=True)


@given(subsets, st.integers(1, 4), st.integers(0, 2**16))
@settings(max_examples=40, deadline=None)
def test_the_factors_multiply_to_the_whole(others: list[str], processes: int, seed: int) -> None:
    """Whatever methods there are: the product is the speed-up of the last over R-CNN, and times fall by the factors."""
    runs = observed(["rcnn", *others], processes=processes, seed=seed)
    found = waterfall(runs)
    assert found["reason"] is None
    factors = [step["factor"]["value"] for step in found["steps"][1:]]
    last = max(others, key=ROLES.index)
    base, own = runs["rcnn"], runs[last]
    whole = ratio_over(base.values("total"), own.values("total"), base.blocks, base.lag(own))
    assert found["steps"][-1]["method"] == last
    assert prod(factors) == pytest.approx(found["total"]["value"], rel=1e-12)
    assert [found["total"][key] for key in ("value", "low", "high")] == pytest.approx(
        [whole.value, whole.low, whole.high], rel=1e-12
    )
    if processes < 3:
        for before, after in pairwise(found["steps"]):
            ratio = before["seconds"]["mean"] / after["seconds"]["mean"]
            assert after["factor"]["value"] == pytest.approx(ratio, rel=1e-12)


def test_each_hybrid_is_put_together_image_by_image() -> None:
    """By a literal loop: which method each stage is taken from after each step."""
    runs = observed(ROLES)
    taken = [
        {},
        {"prepare": "spp:5", "conv": "spp:5"},
        {"prepare": "spp", "conv": "spp"},
        {"prepare": "fast", "conv": "fast"},
        {"pool": "fast"},
        {"fc": "fast"},
        dict.fromkeys(("propose", "decode", "suppress", "unattributed"), "fast"),
        dict.fromkeys(PARTS, "fast:svd"),
    ]
    steps = waterfall(runs)["steps"]
    assert [step["key"] for step in steps] == ["rcnn", "shared", "sizes", "resolution", "pool", "fc", "rest", "svd"]
    now = dict.fromkeys(PARTS, "rcnn")
    for step, change in zip(steps, taken, strict=True):
        now |= change
        means = []
        for index in range(6):
            total = 0.0
            for part, method in now.items():
                one = next(sample for sample in runs[method].samples if sample.index == index)
                assert one.seconds is not None
                total += one.seconds[part]
            means.append(total)
        assert step["seconds"]["mean"] == pytest.approx(sum(means) / 6)
        if change:
            assert step["method"] == next(iter(change.values()))
            assert set(step["stages"]) == set(change)


@pytest.mark.parametrize(
    ("methods", "keys", "last"),
    [
        ("rcnn spp", "rcnn shared pool fc rest", "spp"),
        ("rcnn spp:5", "rcnn shared pool fc rest", "spp:5"),
        ("rcnn fast", "rcnn shared pool fc rest", "fast"),
        ("rcnn fast:svd", "rcnn shared pool fc rest", "fast:svd"),
        ("rcnn spp:5 fast", "rcnn shared sizes pool fc rest", "fast"),
        ("rcnn spp fast:svd", "rcnn shared resolution pool fc rest", "fast:svd"),
        ("fast spp rcnn", "rcnn shared resolution pool fc rest", "fast"),
    ],
)
def test_steps_are_those_that_the_methods_allow(methods: str, keys: str, last: str) -> None:
    """Whatever their order in the plan."""
    found = waterfall(observed(methods.split()))["steps"]
    assert [step["key"] for step in found] == keys.split()
    assert found[0]["factor"] is None
    assert found[-1]["method"] == last
    assert ("SVD" in " ".join(step["name"] for step in found)) == ("fast:svd" in methods)


def test_without_noise_each_step_is_its_own_ratio() -> None:
    """The fully connected layers of Fast R-CNN are R-CNN's, and with SVD they save what they are made shorter by."""
    steps = {step["key"]: step for step in waterfall(observed(ROLES, noise=0.0))["steps"]}
    fast, svd = sum(COSTS["fast"]), sum(COSTS["fast:svd"])
    assert steps["fc"]["factor"]["value"] == pytest.approx(1)
    assert steps["svd"]["factor"]["value"] == pytest.approx(fast / svd)
    assert steps["pool"]["factor"]["value"] < 1 < steps["shared"]["factor"]["value"]
    first = sum(COSTS["rcnn"]) / (sum(COSTS["rcnn"]) - 0.27 - 3.5 + 0.016 + 0.33)
    assert steps["shared"]["factor"]["value"] == pytest.approx(first)


def test_methods_on_one_network_are_compared() -> None:
    """On that with most of them; R-CNN on another network than all others is no beginning."""
    names = ["rcnn@caffenet", "fast@caffenet", "rcnn@zf5", "spp@zf5", "spp:5@zf5"]
    found = waterfall(observed(names))
    assert found["network"] == "zf5"
    assert [step["method"] for step in found["steps"]] == ["rcnn@zf5", "spp:5@zf5", *["spp@zf5"] * 4]
    mixed = waterfall(observed(["rcnn@caffenet", "spp@zf5", "spp:5@zf5"]))
    assert (mixed["steps"], mixed["total"]) == ([], None)
    assert "same network" in mixed["reason"]


@pytest.mark.parametrize("names", [["rcnn"], ["spp", "fast"], ["rcnn", "rcnn:softmax"], []])
def test_too_few_methods_have_a_reason(names: list[str]) -> None:
    """R-CNN and one of the others are needed; another variant is none of them."""
    assert waterfall(observed(names))["reason"]


def test_a_method_whose_stages_are_not_known_has_a_reason() -> None:
    """A plug-in of others may mark less; there is nothing to put together then."""
    runs = observed(["rcnn", "fast"])
    bare = [Sample(0, 0, "fast", one.image, one.index, 0, "ok", seconds={"total": 1.0}) for one in runs["fast"].samples]
    found = waterfall({**runs, "fast": Observations(bare, runs["fast"].images)})
    assert "stages" in found["reason"]


# What is shown


def summary(names: Iterable[str] = ROLES) -> dict[str, Any]:
    return {"plan": {"dataset": "drawn", "backbone": "mini"}, "waterfall": waterfall(observed(names, noise=0.02))}


@pytest.mark.parametrize("look", [STYLE, WEB_STYLE])
@pytest.mark.parametrize("names", [ROLES, ("rcnn", "spp", "fast"), ("rcnn", "spp:5")])
def test_the_figure_is_drawn_to_scale_and_nothing_leaves_it(look: Any, names: tuple[str, ...]) -> None:
    """A bar from before to after for each step, slower ones hatched, and each label inside and beside its bar."""
    from matplotlib import style
    from matplotlib.text import Annotation

    shown = summary(names)
    with style.context(look, after_reset=True):
        figure = waterfall_figure(shown)
        assert figure is not None
        figure.canvas.draw()
    axes = figure.axes[0]
    steps = shown["waterfall"]["steps"]
    times = [step["seconds"]["mean"] for step in steps]
    ends = [bar.get_extents().transformed(axes.transData.inverted()).intervalx for bar in axes.patches]
    for pair in pairwise(times):
        assert any(np.allclose(sorted(pair), bar) for bar in ends)
    hatched = [bar for bar in axes.patches if bar.get_hatch()]
    assert len(hatched) == sum(after > before for before, after in pairwise(times)) > 0
    labels = [text for text in axes.texts if isinstance(text, Annotation)]
    assert len(labels) == len(steps) + 1
    boxes = [text.get_window_extent() for text in axes.texts]
    for box in boxes:
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1
    assert not any(one.overlaps(other) for at, one in enumerate(boxes) for other in boxes[:at])
    assert any("faster in all" in label.get_text() for label in labels)
    points = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "o"]
    assert points == [times[0], times[-1]]
    assert len(axes.patches) == len(steps) - 1 + len(hatched)  # nothing but steps is a bar


def test_runs_without_it_show_nothing() -> None:
    """Those of before, and those of other methods."""
    for nothing in ({}, {"waterfall": None}, {"waterfall": waterfall({})}):
        assert waterfall_figure(nothing) is None
        assert section(nothing, Notes(), "figures/") == []
        assert in_a_sentence(nothing) == ""


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (1.02, 0.99, 1.05, "1.02× (no clear change)"),
        (0.98, 0.96, 1.01, "0.980× (no clear change)"),
        (1.02, 1.01, 1.03, "1.02× faster"),
        (0.87, 0.85, 0.89, "0.870× (slower)"),
    ],
)
def test_an_interval_that_holds_1_is_no_clear_change(value: float, low: float, high: float, words: str) -> None:
    """In the figure and in words, whatever the value."""
    shown = summary(("rcnn", "spp"))
    shown["waterfall"]["steps"][2]["factor"] |= {"value": value, "low": low, "high": high}
    assert f"pool every box from the shared map: {words}" in in_a_sentence(shown)
    figure = waterfall_figure(shown)
    assert figure is not None
    assert words in [text.get_text() for text in figure.axes[0].texts]


def test_a_step_is_named_so_that_it_can_be_understood_alone() -> None:
    """What is scaled or convolved and whose size it has is said, which the summary's own names leave out."""
    stored = [step["name"] for step in summary()["waterfall"]["steps"]]
    shown = {step.key: step.name for step in steps(summary())}
    assert {key for key, name in shown.items() if name not in stored} == {"shared", "sizes", "resolution"}
    assert "Fast R-CNN" in shown["resolution"]
    assert "five sizes" in shown["shared"]
    without = {step.key: step.name for step in steps(summary(("rcnn", "spp")))}
    assert "once" in without["shared"]


def test_the_report_says_the_same() -> None:
    """A line a step with its factor, the factor of all, and the figure."""
    shown = summary()
    text = "\n\n".join(section(shown, Notes(), "figures/"))
    for step in steps(shown):
        assert f"| {step.name}" in text
    assert "rcnn to fast:svd" in text
    assert "(figures/waterfall.svg)" in text
    words = in_a_sentence(shown)
    assert "from" in words
    assert "faster in all" in words
    assert words.count(";") == len(shown["waterfall"]["steps"]) - 2
