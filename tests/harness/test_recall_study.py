"""The study of boxes: the command, its file, its page and its figure."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import style
from PIL import Image
from rich.console import Console
from typer import Typer
from typer.testing import CliRunner

from harness.cli.recall import recall as command
from harness.datasets.shapes import Shapes
from harness.proposals.recall import recall
from harness.proposals.study import FILE, Study, StudyError, read, write
from harness.rendering.canvas import STYLE
from harness.rendering.recall import screen, table
from harness.rendering.recall_figure import recall_figure as figure
from harness.storage import StorageError

ROOT = Path(__file__).parents[2]
MOST_BYTES = 100_000
"""Of a committed study."""


def harness(*arguments: object) -> Any:
    """`harness recall` in this process."""
    app = Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For the first scenes of two splits: each object moved a little, behind 60 boxes of any place."""
    rng = np.random.default_rng(7)
    found = {}
    for split in ("train", "test"):
        scenes = Shapes(split, 6)
        for index, name in enumerate(scenes.ids):
            height, width = scenes.image(index).shape[:2]
            near = scenes.truth(index).boxes + rng.uniform(-6, 6, (len(scenes.truth(index).boxes), 4))
            low = rng.uniform(0, 0.8, (60, 2)) * (width, height)
            every = np.concatenate([low, low + rng.uniform(16, 90, (60, 2))], axis=1)
            every = np.concatenate([every, near]).clip(0, (width, height, width, height))
            found[name] = every[(every[:, 2:] > every[:, :2] + 1).all(axis=1)].astype(np.float32)
    path = tmp_path_factory.mktemp("boxes") / "mine.npz"
    np.savez(path, **found)
    return path


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two grey photographs with boxes of two kinds, those of others as the demo of Fast R-CNN has them."""
    from scipy.io import savemat

    folder = tmp_path_factory.mktemp("photographs")
    for name in ("one", "two"):
        Image.new("RGB", (120, 90), "grey").save(folder / f"{name}.jpg")
        # 0-based and inclusive: half-open, these are 0 0 40 40 and 10 20 70 80.
        savemat(folder / f"{name}_boxes.mat", {"boxes": np.array([[0, 0, 39, 39], [10, 20, 69, 79]], np.uint16)})
    np.savez(folder / "mine.npz", one=np.array([[0, 0, 40, 40]]), two=np.array([[10, 20, 70, 50], [0, 0, 90, 90]]))
    return folder


@pytest.fixture(scope="module")
def study(boxes: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Of two splits, beside boxes of another kind on the same images."""
    out = tmp_path_factory.mktemp("study") / FILE
    given = ("--proposals", boxes, "--split", "test,train", "--images", 6, "--against", "uniform", "--out", out)
    done = harness(*given)
    assert done.exit_code == 0, done.stderr
    return read(out)


@pytest.mark.parametrize("iou", [0.5, 0.7])
def test_the_study_tells_the_recall_of_the_file(study: Study, boxes: Path, iou: float) -> None:
    """That of all boxes, as `harness.proposals.recall.recall` counts it, and of which objects."""
    kept = np.load(boxes)
    for part in study.parts:
        scenes = Shapes(part.split, 6)
        truths = [scenes.truth(index) for index in range(6)]
        value = part.every.points[-1].recall_50 if iou == 0.5 else part.every.points[-1].recall_70
        assert value.value == pytest.approx(recall([kept[name] for name in scenes.ids], truths, iou), abs=1e-6)
        assert part.boxes_per_image.mean == pytest.approx(np.mean([len(kept[name]) for name in scenes.ids]), abs=0.05)
        assert part.every.objects + part.difficult == sum(len(each.labels) for each in truths)
        assert sum(group.objects for group in part.sizes.values()) == part.every.objects
        assert sum(group.objects for group in part.classes.values()) == part.every.objects
        assert [point.first for point in part.every.points] == [50, "all"]


def test_a_study_is_the_same_each_time_but_for_when_it_was_made(boxes: Path) -> None:
    """Boxes, draws and rounding are fixed."""
    first, again = (
        json.loads(harness("--proposals", boxes, "--images", 6, "--json").stdout) | {"created": ""} for _ in range(2)
    )
    assert first == again
    assert first["beside"] == []


def test_what_is_written_is_read_and_keeps_the_promise_of_null(study: Study, tmp_path: Path) -> None:
    """A number that is missing says why; one that does not, and another form, are refused in one line."""
    path = tmp_path / FILE
    write(path, study)
    assert read(path) == study
    content = json.loads(path.read_text())
    content["parts"][0]["every"]["points"][0]["recall_50"] |= {"value": None, "reason": None}
    path.write_text(json.dumps(content))
    with pytest.raises(StudyError, match=re.escape("parts.0.every.points.0.recall_50: value is null without a reason")):
        read(path)
    path.write_text(json.dumps(content | {"schema_version": 99}))
    with pytest.raises(StorageError, match="expected schema 1, got 99; make it anew by `harness recall`"):
        read(path)
    path.write_text("[]")
    with pytest.raises(StorageError, match="expected schema 1, got None"):
        read(path)


def test_photographs_need_no_objects(photographs: Path) -> None:
    """Boxes of a user beside those of a .mat file, whose inclusive corners become half-open."""
    done = harness(
        "--pictures", photographs, "--against", photographs, "--proposals", photographs / "mine.npz", "--json"
    )
    assert done.exit_code == 0, done.stderr
    found = Study.model_validate(json.loads(done.stdout))
    assert found.parts == []
    (beside,) = found.beside
    assert [one.id for one in beside.by_image] == ["one", "two"]
    one, two = beside.by_image
    # The first is met exactly; 10 20 70 80 shares 30 x 20 px with it, of 1,600 + 3,600 - 600.
    assert one.theirs.mean == pytest.approx((1 + 600 / 4600) / 2, abs=1e-6)
    assert one.ours.mean == 1
    # 10 20 70 50 is half of the larger, and shares the same 600 px with the smaller, of 1,600 + 1,800 - 600.
    assert two.theirs.mean == pytest.approx((600 / 2800 + 0.5) / 2, abs=1e-6)
    assert beside.shortest_side_px == 30
    assert beside.points[-1].theirs.mean == pytest.approx((one.theirs.mean + two.theirs.mean) / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--pictures", "."], "--pictures needs --against"),
        (["--split", "test,test"], "--split: expected different splits with commas between, got 'test,test'"),
        (["--split", ","], "--split: expected different splits"),
        (["--split", "none"], "shapes has no split 'none'"),
        (["--seed", "-1"], "--seed: expected 0 or more, got -1"),
        (["--proposals", "nowhere.npz"], "no proposals 'nowhere.npz'"),
        (["--pictures", "nowhere", "--against", "uniform"], "nowhere"),
        (["--dataset", "voc:nowhere"], "no folder nowhere"),
    ],
)
def test_a_mistake_is_one_line(given: list[str], words: str) -> None:
    """Exit code 2, before any slow step."""
    done = harness(*given)
    assert done.exit_code == 2
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


def test_a_file_that_is_there_is_kept(boxes: Path, tmp_path: Path) -> None:
    """Without --overwrite, and a folder is no file."""
    path = tmp_path / "recall.json"
    path.write_text("mine")
    refused = harness("--proposals", boxes, "--images", 6, "--out", path)
    assert (refused.exit_code, path.read_text()) == (2, "mine")
    assert "is there already; name another, or say --overwrite" in refused.stderr
    folder = harness("--out", tmp_path)
    assert folder.exit_code == 2
    assert f"name a file in it, such as {tmp_path / 'recall.json'}" in " ".join(folder.stderr.split())
    done = harness("--proposals", boxes, "--images", 6, "--out", path, "--overwrite")
    assert done.exit_code == 0
    assert read(path).parts[0].images == 6


def test_the_page_shows_every_number_of_the_curves(study: Study) -> None:
    """In percent, for every number of boxes, every size and every class, with intervals."""
    page = table(study, "../figures/demo-recall.svg")
    assert "(../figures/demo-recall.svg)" in page
    assert "![" not in table(study)
    for part in study.parts:
        for name, group in part.classes.items():
            assert re.search(rf"^\| {name} +\| +{group.objects} \|", page, re.MULTILINE), name
        value = part.every.points[-1].recall_70
        assert value.value is not None
        assert value.low is not None
        assert re.search(rf"{100 * value.value:.0f}(\.\d+)? \[{100 * value.low:.0f}", page) or value.value == 1
    for point in study.beside[0].points:
        assert f" {100 * point.theirs.mean:.1f} |" in page
    assert not re.search(r"\bnan\b|\bNone\b", page)


def test_no_page_names_a_folder_of_the_machine(study: Study) -> None:
    """Data sets go by the last part of their path; the page says which source measured it."""
    part = study.parts[0].model_copy(update={"dataset": "voc:../shared/data/VOC2007"})
    command = "harness recall --dataset voc:../shared/data/VOC2007 --against=/home/me/x.npz --split val --out results/r"
    source = {"commit": "a" * 40, "dirty": True, "diff_sha256": "b"}
    moved = study.model_copy(update={"parts": [part], "command": command, "source": source})
    page = table(moved)
    assert "## VOC2007, test" in page
    assert f"by the source {'a' * 12} and changes." in page
    assert "harness recall --dataset voc:…/VOC2007 --against=…/x.npz --split val --out results/r\n" in page
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(screen(moved))
    with style.context(STYLE, after_reset=True):
        title = figure(moved).get_suptitle()
    assert title == "What boxes of precomputed find on VOC2007"
    assert not re.search(r"shared|/home", page + console.export_text())


def test_other_boxes_that_leave_nothing_to_compare_are_refused_before_the_search(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Selective search, which is slow, never looks at an image: by its rule no box of it has sides below 20 px."""

    def never(*_: object) -> None:
        raise AssertionError("it was searched")

    monkeypatch.setattr("harness.proposals.selective_search.SelectiveSearch.propose", never)
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    for name, boxes, words in (
        ("short", np.array([[0, 0, 10, 10]]), "no box of --against has sides of 20 px and more"),
        ("none", np.zeros((0, 4)), "--against has no box in any of 2 images"),
    ):
        path = tmp_path / f"{name}.npz"
        np.savez(path, one=boxes, two=boxes)
        done = harness("--pictures", photographs, "--against", path)
        assert (done.exit_code, done.stdout) == (2, "")
        assert words in " ".join(done.stderr.split())
    empty = harness("--pictures", photographs, "--proposals", path, "--against", "selective-search")
    assert empty.exit_code == 2
    assert "there is no box to compare in any of 2 images" in " ".join(empty.stderr.split())


def test_the_screen_is_no_wider_than_a_terminal(study: Study) -> None:
    """80 columns, with the recall of all boxes and what the columns mean."""
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(screen(study))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "all" in text
    assert "±" in text


def test_the_figure_draws_what_the_study_holds(study: Study) -> None:
    """A line for each measure of each split, for each size at two levels, and for the other boxes."""
    with style.context(STYLE, after_reset=True):
        drawn = figure(study)
        drawn.canvas.draw()
    splits, sizes, others = drawn.axes
    labels = [line.get_label() for line in splits.lines]
    assert len(labels) == 4 * len(study.parts)
    line = next(line for line in splits.lines if line.get_label() == "recall at IoU 0.5, test")
    points = study.parts[0].every.points
    assert [*line.get_xdata()] == [point.boxes for point in points]
    assert [*line.get_ydata()] == pytest.approx([100 * (point.recall_50.value or 0) for point in points])
    assert len(sizes.lines) == 2 * sum(group.objects > 0 for group in study.parts[0].sizes.values())
    assert len(others.lines) == 4


@pytest.mark.parametrize("left", ["parts", "beside"])
def test_a_study_of_one_kind_has_a_page_a_screen_and_a_figure(study: Study, left: str) -> None:
    """Boxes without objects, and objects without other boxes."""
    other = "beside" if left == "parts" else "parts"
    alone = study.model_copy(update={other: []})
    assert table(alone)
    assert screen(alone)
    with style.context(STYLE, after_reset=True):
        assert len(figure(alone).axes) == (2 if left == "parts" else 1)


def test_committed_studies_are_small_and_whole() -> None:
    """Each can be read, and names what made it."""
    for path in sorted((ROOT / "results" / "runs").glob(f"*/{FILE}")):
        found = read(path)
        assert path.stat().st_size < MOST_BYTES
        assert found.source["commit"]
        assert found.command.startswith("harness recall ")


@pytest.mark.slow
def test_the_demo_boxes_of_fast_rcnn_are_near_to_ours(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of boxes with sides of 20 px and more, nine in ten of the original code have one of ours at IoU 0.5."""
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    where = shared_data / "proposals" / "original_selective_search"
    done = harness("--pictures", where, "--against", where, "--json")
    assert done.exit_code == 0, done.stderr
    (beside,) = Study.model_validate(json.loads(done.stdout)).beside
    assert [one.their_boxes for one in beside.by_image] == [2888, 2057]
    assert beside.shortest_side_px == 20
    assert beside.points[-1].theirs_as_long.at_50 > 0.9
