"""What each figure shows is what the summary says, and a figure without its numbers is not drawn."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from harness.rendering.alternatives import described
from harness.rendering.canvas import STYLE, WEB_STYLE, blank, time_axis
from harness.rendering.class_ap import class_ap
from harness.rendering.cost import cost
from harness.rendering.ecdf import latency
from harness.rendering.palette import OUTCOMES, looks
from harness.rendering.pictures import pictures
from harness.rendering.progression import progression
from harness.rendering.published_plot import published_plot, published_rows
from harness.rendering.stacked import stage_bars
from pictured import IMAGES, claim, full_summary, write_run
from recorded import METHODS


@pytest.fixture(scope="module")
def summary() -> dict[str, Any]:
    return full_summary()


def of_method(figure: Figure, method: str, axes: int = 0) -> list[Any]:
    """Lines of one method in a panel."""
    colour = looks(METHODS)[method].colour.lower()
    return [line for line in figure.axes[axes].lines if to_hex(line.get_color()) == colour]


@pytest.mark.parametrize("draw", [latency, cost, progression, class_ap, published_plot])
def test_a_summary_of_before_has_no_such_figure(draw: Callable[[Any], Figure | None], summary: dict[str, Any]) -> None:
    """Neither where the key is missing nor where it is null with a reason."""
    for key in ("series", "claims"):
        old = {name: value for name, value in summary.items() if name not in ("series", "claims")}
        old["methods"] = {name: {**each, "ap": None} for name, each in summary["methods"].items()}
        assert draw(old) is None
        assert draw({**old, key: None, f"{key}_reason": "not computed"}) is None


def test_a_step_line_is_the_share_of_images(summary: dict[str, Any]) -> None:
    """At each time, the share of images that take no longer, counted one by one."""
    figure = latency(summary)
    assert figure is not None
    for method in METHODS:
        steps, *_ = of_method(figure, method)
        seconds = summary["series"]["total_seconds"][method]
        for x, y in zip(steps.get_xdata()[1:], steps.get_ydata()[1:], strict=True):
            assert y == pytest.approx(sum(one <= x for one in seconds) / len(seconds))
        assert steps.get_drawstyle() == "steps-post"


def test_very_many_images_are_a_line_of_few_steps(summary: dict[str, Any]) -> None:
    """Whose ends are the fastest and the slowest image, so that the file of a whole test set stays small."""
    seconds = np.random.default_rng(0).lognormal(size=4952).tolist()
    many = {**summary, "series": {**summary["series"], "total_seconds": {"rcnn": seconds}}}
    figure = latency(many)
    assert figure is not None
    x = of_method(figure, "rcnn")[0].get_xdata()
    assert len(x) <= 501
    assert (x[0], x[-1]) == (min(seconds), max(seconds))


def test_dots_and_lines_of_cost(summary: dict[str, Any]) -> None:
    """A dot an image, the fitted line over them, thin where its slope may be 0; no panel where nothing is known."""
    figure = cost(summary)
    assert figure is not None
    assert len(figure.axes) == 2
    dots, line = of_method(figure, "spp")
    assert list(dots.get_xdata()) == summary["series"]["images"]["boxes"]
    assert list(dots.get_ydata()) == summary["series"]["total_seconds"]["spp"]
    assert line.get_ydata() == pytest.approx(0.01 + 1e-4 * line.get_xdata())
    assert of_method(figure, "spp", axes=1)[1].get_linewidth() < line.get_linewidth() / 2
    images = {**summary["series"]["images"], "boxes": [None] * IMAGES}
    figure = cost({**summary, "series": {**summary["series"], "images": images}})
    assert figure is not None
    (axes,) = figure.axes
    assert "megapixels" in axes.get_xlabel()


@pytest.mark.parametrize(("boxes", "panels"), [([5, 6, 6, 5], 1), ([5, 5, 5, 5], 1), ([5, 6, 7, 5], 2)])
def test_images_that_are_alike_show_no_growth(summary: dict[str, Any], boxes: list[int], panels: int) -> None:
    """Fewer than three different values have no panel, and a run without any panel has no figure."""
    images = {**summary["series"]["images"], "boxes": boxes, "megapixels": [0.1, 0.2, 0.3, 0.4]}
    figure = cost({**summary, "series": {**summary["series"], "images": images}})
    assert figure is not None
    assert len(figure.axes) == panels
    alike = {**images, "megapixels": [0.2] * IMAGES}
    figure = cost({**summary, "series": {**summary["series"], "images": alike}})
    assert (figure is None) == (panels == 1)


def test_what_was_changed_on_purpose_stands_in_place_of_the_images(summary: dict[str, Any]) -> None:
    """At the boxes that images had there; a point that was not measured is none."""
    points = {
        "proposals=100": {"mean": 0.2, "boxes": 90.0},
        "proposals=50": {"mean": 0.1, "boxes": 50.0},
        "proposals=200": {"mean": None, "reason": "oom", "boxes": None},
    }
    swept = {"field": "proposals", "points": list(points), "seconds": dict.fromkeys(METHODS, points)}
    figure = cost({**summary, "sweep": swept})
    assert figure is not None
    dots = of_method(figure, "fast")[0]
    assert list(zip(dots.get_xdata(), dots.get_ydata(), strict=True)) == [(50.0, 0.1), (90.0, 0.2)]
    assert "on purpose" in figure.axes[0].get_xlabel()


def test_processes_stand_one_after_the_other(summary: dict[str, Any]) -> None:
    """Each call at its time, later processes after earlier ones, and the mean of each block at its middle."""
    figure = progression(summary)
    assert figure is not None
    first, second = summary["series"]["progression"]["processes"]
    drawn = of_method(figure, "rcnn")
    dots = [line for line in drawn if line.get_linestyle() == "None"]
    assert len(dots) == 2
    left, right = figure.axes[0].get_xlim()
    places = np.concatenate([line.get_xdata() for line in drawn])
    assert left < places.min() <= places.max() < right  # no dot is cut at the edge
    number = METHODS.index("rcnn")
    shift = first["elapsed_seconds"][-1]
    expected = [
        shift + at for at, which in zip(second["elapsed_seconds"], second["method"], strict=True) if which == number
    ]
    assert dots[1].get_xdata() == pytest.approx(expected)
    means = next(line for line in drawn if line.get_linestyle() != "None")
    turns = [at for at, which in enumerate(first["method"]) if which == number]
    blocks = dict.fromkeys(first["block"][at] for at in turns)
    by_hand = [np.mean([first["total_seconds"][at] for at in turns if first["block"][at] == block]) for block in blocks]
    assert means.get_ydata() == pytest.approx(by_hand)
    words = {text.get_text() for text in figure.axes[0].texts}
    assert {"process 0", "process 1"} <= words


@pytest.mark.parametrize(("slowest", "unit", "label"), [(0.0292, "ms", "29.2 ms"), (4.21, "s", "4.21 s")])
def test_times_of_stages_are_in_one_unit(slowest: float, unit: str, label: str) -> None:
    """Axis, bars and labels: milliseconds where all methods take less than a second."""
    results = {}
    for name, seconds in (("rcnn", slowest), ("spp", slowest / 10)):
        times = {stage: {"mean": share * seconds} for stage, share in (("conv", 0.6), ("fc", 0.4), ("total", 1.0))}
        results[name] = {"status": "ok", "reason": None, "map": {}, "seconds": times}
    figure = stage_bars({"baseline": "rcnn", "plan": {"methods": list(results)}, "methods": results})
    axes = figure.axes[0]
    assert axes.get_xlabel().endswith(f"({unit})")
    words = [text.get_text() for text in axes.texts]
    assert words[0] == label
    assert all(text.endswith(f" {unit}") for text in words)
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    assert max(ends) == pytest.approx(float(label.split()[0]))


@pytest.mark.parametrize("look", [STYLE, WEB_STYLE])
@pytest.mark.parametrize("high", [1.04, 1.5, 2.5, 6, 11, 40, 200, 3_000, 100_000])
@pytest.mark.parametrize("low", [0.00083, 0.013, 2.1])
def test_an_axis_of_times_has_more_than_one_label(look: Any, low: float, high: float) -> None:
    """Whatever it spans, and not so many that they touch."""
    from matplotlib import style

    with style.context(look, after_reset=True):
        figure = blank(4, "", {})
        axes = figure.subplots()
        axes.set_xlim(low, low * high)
        time_axis(axes, "x")
        figure.canvas.draw()
        shown = [label for label in axes.get_xticklabels() if low <= label.get_position()[0] <= low * high]
        boxes = [label.get_window_extent() for label in shown]
    assert len(boxes) >= 3
    assert not any(one.overlaps(other) for one, other in pairwise(boxes))


def test_the_best_found_class_is_the_first_row(summary: dict[str, Any]) -> None:
    """After the mean; a class without an average precision has no row."""
    summary = {**summary, "dataset": {**summary["dataset"], "classes": [*summary["dataset"]["classes"], "unicorn"]}}
    figure = class_ap(summary)
    assert figure is not None
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["mean (mAP)", *summary["dataset"]["classes"][:-1]]
    placed = sorted((line.get_ydata()[0], line.get_xdata()[0]) for line in of_method(figure, "rcnn"))
    assert placed[1][1] == pytest.approx(90)


def test_seconds_are_not_drawn_beside_published_ones(summary: dict[str, Any]) -> None:
    """Ratios and percentages are; of ratios that cannot be compared the nearest of each kind, of percentages none."""
    rows = published_rows(summary)
    assert [(row.unit, row.printed, row.verdict) for row in rows] == [
        ("x", 38.0, "met"),
        ("%", 59.2, "not met"),
        ("x", 270.0, "not comparable"),
    ]
    far = claim("speedup_conv", "49", "not comparable", 30.0, reason="network mini, ZF-5 there; bf16, float32 there")
    other = claim("share", "46", "not comparable", 12.0, relative_to=None)
    none = claim("speedup_total", "102", "inconclusive", None)
    assert published_rows({**summary, "claims": [far, other, none, *summary["claims"]]}) == rows
    figure = published_plot(summary)
    assert figure is not None
    assert len(figure.axes) == 2
    ratios, shares = figure.axes
    assert ratios.get_xscale() == "log"
    assert shares.get_xscale() == "linear"
    drawn = [float(line.get_xdata()[0]) for line in ratios.lines if line.get_marker() == "|"]
    assert drawn == [38.0, 270.0]


def boxes_drawn(figure: Figure, kind: str) -> int:
    """How many boxes of a kind, in all panels."""
    edges = [to_hex(patch.get_edgecolor()) for axes in figure.axes for patch in axes.patches]
    return edges.count(OUTCOMES[kind].lower())


def test_boxes_are_drawn_on_the_scenes_that_the_run_saw(tmp_path: Path, summary: dict[str, Any]) -> None:
    """A row a method; each object found or missed; scenes drawn again from the plan."""
    run = write_run(tmp_path)
    figure = pictures(summary, run)
    assert figure is not None
    assert len(figure.axes) % len(METHODS) == 0
    assert all(axes.images for axes in figure.axes)
    columns = len(figure.axes) // len(METHODS)
    titles = [figure.axes[at].get_title().partition(": ") for at in range(columns)]
    assert {kind for kind, _, _ in titles} == {"best", "worst"}
    truth = run.read_truth()
    shown = {image for _, _, image in titles}
    objects = [each for each in truth["annotations"] if each["image_id"] in shown and not each["ignore"]]
    assert boxes_drawn(figure, "true") + boxes_drawn(figure, "missed") == len(METHODS) * len(objects)


@pytest.mark.parametrize("plan", [{"dataset": "voc:nowhere"}, {"split": "val"}, {}])
def test_boxes_stand_on_a_plain_ground_where_the_images_are_others(
    tmp_path: Path, summary: dict[str, Any], plan: dict[str, str]
) -> None:
    """A folder that is not there, another split, a plan that names none: boxes all the same, and a line says so."""
    about = {**summary["plan"], **plan} if plan else {"methods": list(METHODS)}
    figure = pictures({**summary, "plan": about}, write_run(tmp_path))
    assert figure is not None
    assert not any(axes.images for axes in figure.axes)
    assert boxes_drawn(figure, "true") > 0
    assert "plain ground" in figure.legends[0].get_title().get_text()


def test_no_pictures_of_detections_that_mean_nothing(tmp_path: Path, summary: dict[str, Any]) -> None:
    """Nor without the run folder that holds them."""
    untrained = {name: {**each, "trained": False, "map": {}} for name, each in summary["methods"].items()}
    assert pictures({**summary, "methods": untrained}, write_run(tmp_path)) is None
    assert pictures(summary, None) is None


def test_words_hold_the_main_numbers(summary: dict[str, Any]) -> None:
    """Whoever does not see a figure reads its title and its numbers; without any it says so."""
    title, words = described("stages", summary)
    assert title == "Where the time of one image goes"
    assert words.startswith("A bar for each method, parted by stage. rcnn takes ")
    assert "most of it in conv; spp takes" in words
    assert described("class_ap", summary)[1].endswith("fast finds crescent best, 86.0 %, and triangle worst, 16.0 %.")
    assert "1 met; 1 not met; 1 not comparable" in described("published", summary)[1]
    assert described("stages", {})[1] == "Nothing was measured."
    oom = {"status": "oom", "reason": "no memory"}
    told = described("stages", {**summary, "methods": {**summary["methods"], "rcnn": oom}})[1]
    assert "rcnn has no time: oom: no memory" in told
