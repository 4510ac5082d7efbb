"""Figures: reproducible to the byte, well-formed, and drawn whatever failed."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.figures import draw

STAGES = ["stages.png", "stages.svg"]
FILES = ["speed_accuracy.png", "speed_accuracy.svg", *STAGES]


def result(total: float, voc07: float | None) -> dict[str, Any]:
    shares = {"prepare": 0.2, "conv": 0.5, "pool": 0.05, "fc": 0.2, "suppress": 0.03, "unattributed": 0.02}
    seconds: dict[str, Any] = {
        name: {"mean": share * total, "low": None, "high": None} for name, share in shares.items()
    }
    seconds |= {"total": {"mean": total, "low": 0.98 * total, "high": 1.02 * total}, "full_system": None}
    low, high = (None, None) if voc07 is None else (voc07 - 0.02, voc07 + 0.02)
    reason = "not trained" if voc07 is None else None
    return {
        "status": "ok",
        "reason": None,
        "map": {"voc07": {"value": voc07, "low": low, "high": high, "reason": reason}},
        "seconds": seconds,
    }


def summary(**results: dict[str, Any]) -> dict[str, Any]:
    return {
        "baseline": "rcnn",
        "plan": {"methods": list(results), "dataset": "shapes", "backbone": "mini", "device": "cpu"},
        "machine": {"cpu": "a $5 processor_x"},
        "dataset": {"images": 8},
        "methods": results,
    }


FAILED = {"status": "oom", "reason": "no memory for $x^2_ boxes"}


@pytest.mark.parametrize(
    ("results", "files"),
    [
        ({"rcnn": result(9.0, 0.6), "spp": result(0.1, 0.58), "fast": result(0.09, 0.59)}, FILES),
        ({"rcnn": FAILED, "spp": result(0.1, 0.58)}, FILES),
        ({"rcnn": result(9.0, None), "spp": result(0.1, None)}, STAGES),
        ({"rcnn": {**result(9.0, None), "trained": False}, "spp:5": {**result(0.1, None), "trained": False}}, STAGES),
        ({"rcnn": FAILED}, STAGES),
        ({}, STAGES),
    ],
    ids=["all", "one failed", "no mAP", "untrained", "all failed", "nothing"],
)
def test_figures_are_drawn_whatever_is_missing(tmp_path: Path, results: dict[str, Any], files: list[str]) -> None:
    """The stages in two forms always come out, accuracy against speed where there is any, and SVG files are XML."""
    folder = tmp_path / "figures"
    folder.mkdir()
    (folder / "speed_accuracy.svg").write_text("of an earlier summary")
    paths = draw(summary(**results), folder)
    assert sorted(path.name for path in paths) == files == sorted(path.name for path in folder.iterdir())
    for path in paths:
        if path.suffix == ".svg":
            assert ET.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"
        else:
            assert path.read_bytes().startswith(b"\x89PNG")


def test_figures_are_reproducible_to_the_byte(tmp_path: Path) -> None:
    """The same summary gives the same files, so that a committed figure changes only with its numbers."""
    run = summary(rcnn=result(9.0, 0.6), spp=result(0.1, 0.58))
    first, second = draw(run, tmp_path / "a"), draw(run, tmp_path / "b")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert not any(b"<dc:date>" in path.read_bytes() for path in first if path.suffix == ".svg")


def test_nine_methods_have_nine_looks() -> None:
    """No two points share colour and marker, variants included."""
    from matplotlib.figure import Figure

    from harness.rendering.scatter import _points
    from harness.tables import headline

    axes = Figure().subplots()
    names = ("rcnn", "spp", "spp:5", "spp:5:pool5", "fast", "fast:svd", "fast:5", "spp+rcnn", "spp:pool5")
    _points(axes, headline(summary(**{name: result(1.0 + at, 0.5) for at, name in enumerate(names)})))
    looks = {(line.get_color(), line.get_marker()) for line in axes.lines if str(line.get_marker()) in "osD^vP*"}
    assert len(looks) == len(names)


def test_a_changed_number_changes_the_figures(tmp_path: Path) -> None:
    """The bytes do depend on what was measured."""
    before = draw(summary(rcnn=result(9.0, 0.6), spp=result(0.1, 0.58)), tmp_path / "a")
    after = draw(summary(rcnn=result(9.0, 0.6), spp=result(0.2, 0.58)), tmp_path / "b")
    for one, other in zip(before, after, strict=True):
        assert one.read_bytes() != other.read_bytes()


def test_an_interval_that_reaches_zero_stays_on_the_log_axis() -> None:
    """As one of schema 1 may: its arm ends at the edge of the axis, and both ends of every interval are inside."""
    from harness.rendering.scatter import speed_accuracy

    wide, narrow = result(0.5, 0.6), result(9.0, 0.5)
    wide["seconds"]["total"] |= {"low": -0.1, "high": 40.0}
    figure = speed_accuracy(summary(rcnn=narrow, spp=wide))
    assert figure is not None
    (axes,) = figure.axes
    left, right = axes.get_xlim()
    assert 0 < left < 0.5
    assert right > 40
    paths = [path for bars in axes.collections for path in bars.get_paths()]
    ends = [float(x) for path in paths for x in np.asarray(path.vertices)[:, 0]]
    assert min(ends) == pytest.approx(left)
    assert max(ends) == pytest.approx(40.0)


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (8.765, 8.76, 8.77, "8.77 s"),
        (8.765, 6.0, 12.0, "8.8 s"),
        (0.1923, None, None, "192 ms"),
        (0.1923, 0.1, 0.4, "190 ms"),
    ],
)
def test_a_time_in_a_figure_has_no_more_digits_than_its_interval(
    value: float, low: float | None, high: float | None, words: str
) -> None:
    """And three at most."""
    from harness.rendering.canvas import in_words
    from harness.tables import Estimate

    assert in_words(Estimate(value, low, high)) == words
