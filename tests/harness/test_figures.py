"""Figures: reproducible to the byte, well-formed, drawn whatever failed, and at home within a web page."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.figures import draw, svgs
from harness.rendering.palette import GRID, INK, MUTED
from pictured import full_summary, write_run

STAGES = ["stages.png", "stages.svg"]
NAMES = ["class_ap", "cost", "latency", "pictures", "progression", "published", "speed_accuracy", "stages"]
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

    from harness.rendering.palette import looks
    from harness.rendering.scatter import _points
    from harness.tables import headline

    axes = Figure().subplots()
    names = ("rcnn", "spp", "spp:5", "spp:5:pool5", "fast", "fast:svd", "fast:5", "spp+rcnn", "spp:pool5")
    _points(axes, headline(summary(**{name: result(1.0 + at, 0.5) for at, name in enumerate(names)})), looks(names))
    found = {(line.get_color(), line.get_marker()) for line in axes.lines if str(line.get_marker()) in "osD^vP*"}
    assert len(found) == len(names)


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


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Every figure for the inside of a web page."""
    return svgs(full_summary(), write_run(tmp_path_factory.mktemp("run")))


def test_a_page_has_every_figure_that_there_are_numbers_for(page: dict[str, str]) -> None:
    """And no other; each is one svg element that a page can size, and names itself to those who do not see it."""
    assert sorted(page) == NAMES
    assert sorted(svgs(summary())) == ["stages"]
    for name, text in page.items():
        root = ET.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert {"width", "height"}.isdisjoint(root.attrib)
        assert len(root.attrib["viewBox"].split()) == 4
        assert root.attrib["role"] == "img"
        title, words = list(root)[:2]
        assert root.attrib["aria-labelledby"].split() == [title.attrib["id"], words.attrib["id"]]
        assert title.text
        assert words.text
        assert words.text.endswith("."), name


def test_figures_of_a_page_share_no_id(page: dict[str, str]) -> None:
    """Each id is there once in all, each reference leads to one of its own figure, and nothing comes from outside."""
    every: list[str] = []
    for name, text in page.items():
        own = re.findall(r' id="([^"]*)"', text)
        every += own
        assert all(each.startswith(f"figure-{name.replace('_', '-')}-") for each in own)
        used = re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', text)
        assert {one or other for one, other in used} <= set(own)
        links = re.findall(r'(?:href|src)="([^"#][^"]*)"', text)
        assert all(link.startswith("data:image/png;base64,") for link in links)
        assert not re.search(r"<(script|style|foreignObject|metadata)|@import|https?://(?!www\.w3\.org/2000/svg)", text)
    assert len(set(every)) == len(every)


def test_letters_of_a_page_are_letters_in_an_ink_that_it_can_replace(page: dict[str, str]) -> None:
    """Text is text; what is not on a colour or a white label is ink, and the background is the page's."""
    for name, text in page.items():
        root = ET.fromstring(text)
        letters = list(root.iter("{http://www.w3.org/2000/svg}text"))
        assert letters, name
        # Of no fill at all: black letters on a stage's colour, or on the white label of a box.
        assert {fill(each) for each in letters} <= {INK, MUTED, "#ffffff", None}
        if name not in ("stages", "pictures"):
            assert {fill(each) for each in letters} <= {INK, MUTED}
        assert "sans-serif" in root.attrib["style"]
        ground = next(root.iter("{http://www.w3.org/2000/svg}path"))
        assert fill(ground) == "none"
    assert any(GRID in text for text in page.values())


def fill(element: ET.Element) -> str | None:
    found = re.search(r"fill: ([^;]+)", element.attrib.get("style", ""))
    return found[1] if found else None


def test_pictures_of_a_page_are_small_and_stand_once(page: dict[str, str]) -> None:
    """Each image is there once, whatever the number of methods, with a palette."""
    found = re.findall(r'href="data:image/png;base64,([^"]*)"', page["pictures"])
    assert len(found) == len(set(found)) == 2
    assert page["pictures"].count("<use ") >= 6
    assert sum(map(len, page.values())) < 400_000
    assert len(page["pictures"]) < 250_000
    for data in found:
        assert Image.open(io.BytesIO(base64.b64decode(data))).mode == "P"


def test_a_hostile_name_stays_a_name(tmp_path: Path) -> None:
    """Of a class or a method: nothing in it opens a tag or leaves an attribute."""
    bad = "<script>alert(1)</script>\"'&"
    run = full_summary()
    results = {f"rcnn:{bad}": run["methods"]["rcnn"], "spp": run["methods"]["spp"]}
    named = {**run, "methods": results, "plan": {**run["plan"], "methods": list(results)}, "series": None}
    named["methods"]["spp"]["ap"] |= {bad: 0.5}
    for text in svgs(named).values():
        assert "<script" not in text
        ET.fromstring(text)


@pytest.mark.filterwarnings("error")
def test_a_name_of_control_characters_is_drawn(tmp_path: Path) -> None:
    """XML has none of them, and a lone half of a pair is no text; files and pages stay well formed."""
    bad = "a\x1b[2J\x07\x00\udc80\u202eb"
    run = full_summary()
    results = {f"rcnn:{bad}": run["methods"]["rcnn"], "spp": run["methods"]["spp"]}
    named = {**run, "methods": results, "plan": {**run["plan"], "methods": list(results)}, "series": None}
    named["methods"]["spp"]["ap"] |= {bad: 0.5}
    for text in svgs(named).values():
        ET.fromstring(text)
    for path in draw(named, tmp_path / "figures"):
        if path.suffix == ".svg":
            ET.fromstring(path.read_bytes())


_DIGESTS = """
import hashlib, sys
from pathlib import Path
from harness.figures import draw, svgs
from pictured import full_summary, write_run
folder = Path(sys.argv[1])
run = write_run(folder / "run")
for path in draw(full_summary(), folder / "figures", run):
    print(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
for name, text in svgs(full_summary(), run).items():
    print(name, hashlib.sha256(text.encode()).hexdigest())
"""


@pytest.mark.slow
def test_another_process_draws_the_same_bytes(tmp_path: Path, page: dict[str, str]) -> None:
    """With another seed of hashes, and whatever its user's settings of matplotlib say."""
    root = Path(__file__).parents[2]
    (tmp_path / "matplotlibrc").write_text("font.size: 30\nlines.linewidth: 9\n")
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "12345",
        "PYTHONPATH": os.pathsep.join((str(root), str(root / "tests" / "support"))),
        "MATPLOTLIBRC": str(tmp_path / "matplotlibrc"),
    }
    command = [sys.executable, "-c", _DIGESTS, str(tmp_path / "other")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    there = dict(line.split() for line in done.stdout.splitlines())
    own = draw(full_summary(), tmp_path / "figures", write_run(tmp_path / "run"))
    here = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in own}
    here |= {name: hashlib.sha256(text.encode()).hexdigest() for name, text in page.items()}
    assert sorted(here) == sorted([*NAMES, *(f"{name}.{kind}" for name in NAMES for kind in ("svg", "png"))])
    assert here == there
