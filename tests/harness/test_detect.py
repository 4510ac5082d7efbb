"""`harness detect`: a photograph gets the detections that a comparison gives it, drawn, printed and on disk."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from detectors.contract import Detections
from detectors.fast import FastRCNN
from harness import detecting
from harness.cli.detect import detect
from harness.compare import compare
from harness.datasets.shapes import CLASSES, Shapes
from harness.detecting import Detecting, boxes_for, doubts
from harness.devices import device_for
from harness.evaluate import evaluate_file
from harness.modelcard import ModelCard
from harness.photographs import Photographs
from harness.plan import Plan, PlanError
from harness.progress import Reporter
from harness.proposals.precomputed import Precomputed
from harness.proposals.selective_search import SelectiveSearch
from harness.proposals.uniform import Uniform
from harness.runs import RunFolder

TEST = 3
"""Scenes of `conftest.boxes_file`."""

app = typer.Typer()
app.command()(detect)


def run(*arguments: object) -> Any:
    """In this process; `stdout`, `stderr` and `exit_code` of the result."""
    return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def fitted(small_plan: Callable[..., Plan], tmp_path_factory: pytest.TempPathFactory, no_pictures: None) -> Path:
    """A run of two methods with their models."""
    out = tmp_path_factory.mktemp("fitted") / "run"
    about: dict[str, Any] = {"resume": False, "overwrite": False, "command": "", "reporter": Reporter(quiet=True)}
    compare(small_plan(methods="spp,fast", iterations=3), out, here=True, **about)
    return out


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test scenes of that run as files."""
    folder = tmp_path_factory.mktemp("scenes")
    shapes = Shapes("test", TEST)
    for index, name in enumerate(shapes.ids):
        Image.fromarray(shapes.image(index)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def command(fitted: Path, boxes_file: Path) -> tuple[object, ...]:
    """Options for one of the two models, with the boxes of its run."""
    return ("--model", fitted, "--method", "fast", "--proposals", boxes_file, "--device", "cpu")


# What is found


@pytest.mark.parametrize("method", ["spp", "fast"])
def test_a_photograph_gets_the_detections_of_a_comparison(
    method: str, fitted: Path, scenes: Path, boxes_file: Path, tmp_path: Path
) -> None:
    """To the digit, all of them, whatever is drawn; with the name of each class beside its number."""
    options = ("--model", fitted, "--method", method, "--proposals", boxes_file, "--device", "cpu")
    done = run(scenes, *options, "--out", tmp_path / "out", "--top", 1)
    assert done.exit_code == 0, done.stderr
    rows = json.loads((tmp_path / "out/detections.json").read_text())
    assert [row.pop("category") for row in rows] == [CLASSES[row["category_id"] - 1] for row in rows]
    assert rows == RunFolder(fitted).read_detections(method)
    assert len(rows) > 20


def test_the_file_can_be_evaluated(fitted: Path, scenes: Path, command: tuple[object, ...], tmp_path: Path) -> None:
    """By the evaluator that any detector's file goes to, with the mAP of the run."""
    assert run(scenes, *command, "--out", tmp_path / "out").exit_code == 0
    judged = evaluate_file(
        tmp_path / "out/detections.json", dataset="shapes", split="test", images=TEST, metric="voc07"
    )
    summary = RunFolder(fitted).read_summary()
    assert judged["map"] == pytest.approx(summary["methods"]["fast"]["map"]["voc07"]["value"], abs=1e-12)


def test_model_and_card_are_enough(
    fitted: Path, scenes: Path, command: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files that were passed on, in a folder of their own; neither manifest nor weights nor data are asked for."""
    alone = tmp_path / "alone"
    alone.mkdir()
    for suffix in (".json", ".safetensors"):
        shutil.copy(fitted / f"models/fast{suffix}", alone)
    monkeypatch.chdir(tmp_path)
    theirs = run(scenes, *command, "--json")
    ours = run(scenes, "--model", alone, *command[4:], "--json")
    assert ours.exit_code == 0, ours.stderr
    assert ours.stdout == theirs.stdout


# What is shown


def test_each_photograph_is_drawn_under_its_own_name(scenes: Path, command: tuple[object, ...], tmp_path: Path) -> None:
    """As JPEG where it was one, as PNG where it was one, at its own size; originals stay as they were."""
    places = tmp_path / "photographs"
    shutil.copytree(scenes, places)
    first, *others = sorted(places.iterdir())
    Image.open(first).save(first.with_suffix(".JPG"))
    first.unlink()
    before = {file: file.read_bytes() for file in places.iterdir()}
    done = run(places, *command, "--min-score", 0, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    names = {f"{first.stem}.jpg", *(other.name for other in others), "detections.json"}
    assert {file.name for file in (tmp_path / "out").iterdir()} == names
    assert before == {file: file.read_bytes() for file in places.iterdir()}
    for other in others:
        was, now = (np.asarray(Image.open(folder / other.name)) for folder in (places, tmp_path / "out"))
        assert was.shape == now.shape
        assert (was != now).any()


def test_what_is_below_the_least_score_is_not_drawn(scenes: Path, command: tuple[object, ...], tmp_path: Path) -> None:
    """No probability is above 1: photographs come out as they went in, and the file still holds all."""
    done = run(scenes, *command, "--min-score", 1.01, "--out", tmp_path / "out")
    assert re.search(r"px: 0 of \d\d+ detections shown\n\n", done.stdout)
    for file in scenes.iterdir():
        assert (np.asarray(Image.open(file)) == np.asarray(Image.open(tmp_path / "out" / file.name))).all()
    assert len(json.loads((tmp_path / "out/detections.json").read_text())) > 20


@pytest.mark.parametrize(("method", "least"), [("spp", 0.0), ("fast", 0.5)])
def test_probabilities_and_margins_have_defaults_of_their_own(
    method: str, least: float, fitted: Path, scenes: Path, boxes_file: Path, tmp_path: Path
) -> None:
    """Printed are exactly the rows of the file at or above 0.5, or 0 for SVMs, best first."""
    options = ("--model", fitted, "--method", method, "--proposals", boxes_file, "--device", "cpu")
    done = run(scenes, *options, "--out", tmp_path / "out")
    rows = json.loads((tmp_path / "out/detections.json").read_text())
    expected = [(row["category"], f"{row['score']:.2f}") for row in rows if row["score"] >= least]
    assert len(expected) < len(rows)
    printed = re.findall(r"^(\w+) +(-?\d+\.\d+) +-?\d+ +-?\d+ +\d+ +\d+$", done.stdout, re.MULTILINE)
    assert [(name, f"{float(score):.2f}") for name, score in printed] == expected


def test_scores_of_no_known_kind_have_no_least_one(
    fitted: Path, scenes: Path, command: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best few are shown, and a line says so; whoever sets a least score gets it without the line."""
    monkeypatch.delattr(FastRCNN, "score_kind")
    for given, most in (((), 10), (("--top", 2), 2)):
        done = run(scenes, *command, *given, "--out", tmp_path / str(most))
        assert done.exit_code == 0, done.stderr
        assert (
            done.stderr.splitlines().count(
                "harness: warning: fast does not say what its scores mean, so no least score is set; "
                f"the {most} best of each photograph are shown, whatever they are worth; --min-score sets one"
            )
            == 1
        )
        shown = [int(count) for count in re.findall(r": (\d+) of \d+ detections shown", done.stdout)]
        assert shown == [most] * TEST
    done = run(scenes, *command, "--min-score", 0, "--out", tmp_path / "least")
    assert "does not say" not in done.stderr
    for count, every in re.findall(r": (\d+) of (\d+) detections shown", done.stdout):
        assert count == every


def test_top_is_of_each_image(scenes: Path, command: tuple[object, ...], tmp_path: Path) -> None:
    """The best one of each, and no more."""
    done = run(scenes, *command, "--min-score", 0, "--top", 1, "--out", tmp_path / "out")
    assert re.findall(r"px: (\d+) of", done.stdout) == ["1"] * TEST


def test_json_stands_alone_on_standard_output(
    scenes: Path, command: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of the file, and nothing is written unless --out says where."""
    monkeypatch.chdir(tmp_path)
    done = run(scenes, *command, "--json")
    assert len(json.loads(done.stdout)) > 20
    assert list(tmp_path.iterdir()) == []
    again = run(scenes, *command, "--json", "--out", "out")
    assert again.stdout == done.stdout == (tmp_path / "out/detections.json").read_text()


def test_a_photograph_without_boxes_has_no_detections(fitted: Path, tmp_path: Path) -> None:
    """Selective search finds nothing in five pixels; the list is empty and still JSON."""
    Image.new("RGB", (5, 5)).save(tmp_path / "dot.png")
    options = ("--model", fitted, "--method", "spp", "--proposals", "selective-search", "--out", tmp_path / "out")
    done = run(tmp_path / "dot.png", *options)
    assert done.exit_code == 0, done.stderr
    assert "dot.png, 5 x 5 px: 0 of 0 detections" in done.stdout
    assert json.loads((tmp_path / "out/detections.json").read_text()) == []


# Boxes


class Half:
    """One box an image: its left half. Keeps the sizes of what it was shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    @property
    def settings(self) -> Mapping[str, str | int | float]:
        return {"name": "half"}

    def propose(self, image_id: str, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.seen.append(image.shape)
        height, width = image.shape[:2]
        return np.array([[0, 0, width / 2, height]], np.float32)


def test_boxes_of_a_large_photograph_are_found_in_a_smaller_one_and_enlarged(
    fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The left half of what was searched is the left half of the photograph, which is detected in at full size."""
    Image.new("RGB", (1501, 899)).save(tmp_path / "large.png")
    photographs, _ = Photographs.found([tmp_path / "large.png"], CLASSES)
    shown = []

    def echo(image: torch.Tensor, proposals: torch.Tensor) -> Detections:
        shown.append(tuple(image.shape))
        return Detections(proposals, torch.ones(len(proposals)), torch.full((len(proposals),), 2))

    monkeypatch.setattr(detecting, "restore", lambda _card, _device: SimpleNamespace(detect=echo))
    source = Half()
    opened = Detecting(ModelCard.read(fitted, "fast"), photographs, source, "cpu", lambda _done, _total: None)
    found = opened.detect(0)
    assert source.seen == [(299, 500, 3)]
    assert shown == [(3, 899, 1501)]
    assert found.boxes.tolist() == [[0, 0, 750.5, 899]]
    assert found.names == (CLASSES[1],)
    assert opened.score_kind is None


def test_boxes_of_a_file_are_of_the_photograph_at_its_own_size(fitted: Path, tmp_path: Path) -> None:
    """They are not enlarged: a box beyond 500 px is inside a photograph of 1,000."""
    pixels = np.random.default_rng(0).integers(0, 256, (600, 1000, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    (tmp_path / "boxes.json").write_text(json.dumps({"large": [[700, 300, 900, 500]]}))
    options = ("--model", fitted, "--method", "spp", "--proposals", tmp_path / "boxes.json", "--json")
    done = run(tmp_path / "large.png", *options)
    assert done.exit_code == 0, done.stderr
    found = np.array([row["bbox"] for row in json.loads(done.stdout)])
    assert len(found) > 0
    assert found == pytest.approx(np.tile([700, 300, 200, 200], (len(found), 1)), abs=40)  # moved by regression


def test_boxes_come_from_where_those_of_the_fit_came(fitted: Path, boxes_file: Path) -> None:
    """Unless another source is asked for; in place of boxes of a file, which are of other images, selective search."""
    card, none = ModelCard.read(fitted, "fast"), Photographs((), CLASSES)
    assert isinstance(boxes_for(card, None, none), SelectiveSearch)
    assert "was fitted on boxes of" in " ".join(doubts(card, None))
    assert isinstance(boxes_for(card, str(boxes_file), none), Precomputed)
    assert doubts(card, str(boxes_file)) == []
    drawn = replace(
        card,
        plan={**card.plan, "proposals": "uniform"},
        trained_on=replace(card.trained_on, proposals={"name": "uniform"}),
    )
    assert isinstance(boxes_for(drawn, None, none), Uniform)
    assert "drawn at random" in " ".join(doubts(drawn, None))
    assert doubts(drawn, "selective-search") == []


# What goes wrong


def test_a_network_that_learnt_nothing_is_told(fitted: Path, scenes: Path, boxes_file: Path, tmp_path: Path) -> None:
    """One line on standard error; the detections come all the same."""
    shutil.copytree(fitted / "models", tmp_path / "models")
    card = tmp_path / "models/fast.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "weights_sha256": "random"}))
    options = ("--model", tmp_path, "--method", "fast", "--proposals", boxes_file, "--json")
    done = run(scenes, *options)
    assert done.exit_code == 0
    assert "warning: the mini under fast was never pretrained" in done.stderr
    assert len(json.loads(done.stdout)) > 20


def test_a_damaged_file_of_a_folder_is_partial(scenes: Path, command: tuple[object, ...], tmp_path: Path) -> None:
    """Exit code 5 and a line with its name; the others are drawn."""
    places = tmp_path / "photographs"
    shutil.copytree(scenes, places)
    (places / "torn.jpg").write_bytes(b"\xff\xd8 no more")
    done = run(places, *command, "--out", tmp_path / "out")
    assert done.exit_code == 5
    assert re.search(r"warning: image .*torn.jpg cannot be read", done.stderr)
    assert len(list((tmp_path / "out").glob("*.png"))) == TEST


@pytest.fixture
def place(tmp_path: Path, scenes: Path) -> Path:
    """A folder with photographs, and with what is wrong in one way each."""
    shutil.copytree(scenes, tmp_path / "scenes")
    (tmp_path / "bad.jpg").write_bytes(b"no JPEG")
    (tmp_path / "file").touch()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/thesis.tex").touch()
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier/detections.json").write_text("[]")
    return tmp_path


MISTAKES: dict[str, tuple[list[str], str]] = {
    "no photograph": (["{}/none.jpg"], "no image or folder {}/none.jpg"),
    "bad photograph": (["{}/bad.jpg"], "image {}/bad.jpg cannot be read"),
    "twice": (["{}/scenes", "{}/scenes"], "have one name"),
    "no models": (["{}/scenes", "--model", "{}/thesis"], "no fitted model in {}/thesis"),
    "no folder of models": (["{}/scenes", "--model", "{}/none"], "no folder {}/none"),
    "no such method": (["{}/scenes", "--method", "rcnn"], "no model of 'rcnn' in "),
    "boxes": (["{}/scenes", "--proposals", "edge-boxes"], "no proposals 'edge-boxes': expected selective-search"),
    "device": (["{}/scenes", "--device", "tpu"], "--device: expected auto, cpu or cuda, got 'tpu'"),
    "out is a file": (["{}/scenes", "--out", "{}/file"], "{}/file is a file; --out takes a folder"),
    "out is in a file": (["{}/scenes", "--out", "{}/file/out"], "{}/file/out cannot be made"),
    "out is the originals": (["{}/scenes", "--out", "{}/scenes"], "{}/scenes holds the photographs themselves"),
    "out is of another": (["{}/scenes", "--out", "{}/thesis"], "{}/thesis is not empty and holds no detections.json"),
    "out is there": (["{}/scenes", "--out", "{}/earlier"], "{}/earlier holds detections; write over them with "),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_one_line(name: str, place: Path, command: tuple[object, ...]) -> None:
    """Exit code 2: what, where, what instead; and nothing is left behind."""
    arguments, words = MISTAKES[name]
    before = sorted(place.rglob("*"))
    given = [argument.format(place) for argument in arguments]
    out = () if "--out" in given else ("--out", place / "new/out")
    done = run(*command, *out, *given)
    assert done.exit_code == 2
    assert words.format(place) in done.stderr
    assert done.stderr.startswith("harness: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert sorted(place.rglob("*")) == before


def test_which_of_several_models_must_be_said(fitted: Path, scenes: Path) -> None:
    """The line names those there are."""
    done = run(scenes, "--model", fitted)
    assert done.exit_code == 2
    assert re.search(r"choose one with --method: (spp, fast|fast, spp)\n", done.stderr)


def test_earlier_detections_are_written_over_when_asked(place: Path, command: tuple[object, ...]) -> None:
    """With --overwrite."""
    done = run(place / "scenes", *command, "--out", place / "earlier", "--overwrite")
    assert done.exit_code == 0, done.stderr
    assert len(json.loads((place / "earlier/detections.json").read_text())) > 20


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """auto takes what there is."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_for("auto") == device_for("cpu") == "cpu"
    with pytest.raises(PlanError, match="--device cuda: torch sees no CUDA device here"):
        device_for("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device_for("auto") == device_for("cuda") == "cuda"
    assert device_for("cpu") == "cpu"


def test_what_was_detected_before_an_interruption_is_kept(
    scenes: Path, command: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 130, and the file has the rows of the photographs that were done."""
    detect_one = Detecting.detect

    def stopped(self: Detecting, index: int) -> Any:
        if index == 1:
            raise KeyboardInterrupt
        return detect_one(self, index)

    monkeypatch.setattr(Detecting, "detect", stopped)
    done = run(scenes, *command, "--out", tmp_path / "out")
    assert done.exit_code == 130
    assert f"interrupted; 1 of {TEST} photographs are in {tmp_path / 'out'}" in done.stderr
    rows = json.loads((tmp_path / "out/detections.json").read_text())
    assert {row["image_id"] for row in rows} == {sorted(file.stem for file in scenes.iterdir())[0]}
