"""The command line: exit codes, one line for each mistake, and what the main job leaves on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from detectors.contract import Stage
from detectors.fast import FastRCNN
from gated import Change, plant
from harness.cli import app
from harness.traceability import check

ROOT = Path(__file__).parents[2]
SMALL = ["--iterations", "3", "--fc-width", "16", "--device", "cpu"]


def harness(*arguments: object) -> Any:
    """Run in this process; `stdout`, `stderr` and `exit_code` of the result."""
    return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)


# Help


COMMANDS = ("compare", "train", "detect", "report", "score", "recall", "evaluate", "methods", "doctor", "gate")


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=" ".join)
def test_help_loads_neither_torch_nor_numpy(command: list[str]) -> None:
    """So that it comes at once."""
    code = (
        "import sys\n"
        "from harness.cli import app\n"
        f"app({[*command, '--help']!r}, standalone_mode=False)\n"
        "heavy = {'torch', 'numpy', 'cv2', 'scipy', 'matplotlib', 'pandas'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout


def test_help_of_compare_names_every_field_of_a_plan() -> None:
    """No field that only a TOML file can set."""
    from harness.plan import Plan

    text = harness("compare", "--help").stdout
    for field in Plan.model_fields:
        assert f"--{field.replace('_', '-')} " in text


def test_methods_are_listed() -> None:
    """Name, paper, variants, origin; nothing is wider than a terminal, and no variant is broken in two."""
    listed = json.loads(harness("methods", "--json").stdout)
    assert {"rcnn", "spp", "fast"} <= {entry["name"] for entry in listed}
    assert all(entry.keys() == {"name", "paper", "variants", "title", "origin"} for entry in listed)
    text = harness("methods").stdout
    assert all(entry["name"] in text and entry["title"] in " ".join(text.split()) for entry in listed)
    assert {variant for entry in listed for variant in entry["variants"]} <= set(text.split())
    assert max(len(line) for line in text.splitlines()) <= 80


# Mistakes


def voc(root: Path, count: int = 2) -> Path:
    """A VOCdevkit year folder with `count` grey images of one object each, in the splits train and val."""
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for split in ("train", "val"):
        names = [f"{split}{index}" for index in range(count)]
        (root / f"ImageSets/Main/{split}.txt").write_text("".join(f"{name}\n" for name in names))
        for name in names:
            Image.new("RGB", (64, 48), "grey").save(root / f"JPEGImages/{name}.jpg")
            top = ElementTree.Element("annotation")
            thing = ElementTree.SubElement(top, "object")
            ElementTree.SubElement(thing, "name").text = "dog"
            ElementTree.SubElement(thing, "difficult").text = "0"
            box = ElementTree.SubElement(thing, "bndbox")
            for key, value in {"xmin": 5, "ymin": 5, "xmax": 40, "ymax": 40}.items():
                ElementTree.SubElement(box, key).text = str(value)
            ElementTree.ElementTree(top).write(root / f"Annotations/{name}.xml")
    return root


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with inputs that are wrong in one way each."""
    voc(tmp_path / "voc")
    tensors = {"features.0.weight": torch.zeros(2, 2)}
    save_file(tensors, tmp_path / "bare.safetensors")
    save_file(tensors, tmp_path / "shapes.safetensors", metadata={"input": "RGB 0-1"})
    (tmp_path / "none.npz").write_bytes(b"no archive")
    (tmp_path / "wrong.toml").write_text("speed = 3\n")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/thesis.tex").touch()
    (tmp_path / "file").touch()
    return tmp_path


MISTAKES: dict[str, tuple[list[str], str]] = {
    "method": (["--methods", "rcnn,frcn"], "no method 'frcn'; there are "),
    "variant": (["--methods", "rcnn:9"], "no variant rcnn:9; variants of rcnn: "),
    "no method": (["--methods", ""], "no method ''"),
    "data set": (["--dataset", "imagenet"], "no data set 'imagenet'; there are shapes and voc:DIR"),
    "folder of the data set": (["--dataset", "voc:{}/none"], "{}/none"),
    "split": (["--split", "holdout"], "shapes has no split 'holdout'; there are "),
    "split of VOC": (["--dataset", "voc:{}/voc", "--split", "test"], "has no split 'test'; there are train, val"),
    "same split": (["--split", "train"], "both trained and tested on"),
    "too many images": (["--dataset", "voc:{}/voc", "--split", "val", "--images", "3"], "2 images in split val, not 3"),
    "too many to train": (
        ["--dataset", "voc:{}/voc", "--split", "val", "--train-images", "3"],
        "2 images in split train, not 3",
    ),
    "backbone": (["--backbone", "vgg99"], "no backbone 'vgg99'; there are mini, "),
    "weights": (["--weights", "{}/none.safetensors"], "no weights file {}/none.safetensors"),
    "weights without input": (["--weights", "{}/bare.safetensors"], "does not say its input convention"),
    "weights that are none": (["--weights", "{}/file"], "weights file {}/file is no safetensors file"),
    "proposals": (["--proposals", "edge-boxes"], "no proposals 'edge-boxes'"),
    "proposals file": (["--proposals", "{}/none.npz"], "{}/none.npz"),
    "images": (["--images", "0"], "--images: "),
    "iterations": (["--iterations", "-1"], "--iterations: expected 0, which trains nothing, or more, got -1"),
    "iterations in words": (["--iterations", "abc"], "--iterations: expected a number, 'quick' or 'paper', got 'abc'"),
    "policy": (["--policy", "mine"], "--policy: "),
    "precision": (["--precision", "fp8"], "--precision: "),
    "precision of a CPU": (["--precision", "tf32", "--device", "cpu"], "--precision tf32: a CPU has no TF32"),
    "plan": (["--plan", "{}/none.toml"], "no plan file {}/none.toml"),
    "field of the plan": (["--plan", "{}/wrong.toml"], "wrong.toml: there is no 'speed'"),
    "out is a file": (["--out", "{}/file"], "{}/file is a file"),
    "out holds other things": (["--out", "{}/thesis"], "holds no run; choose another --out"),
    "overwrite other things": (["--out", "{}/thesis", "--overwrite"], "holds no run; choose another --out"),
    "out cannot be written": (["--out", "/proc/run"], "/proc is not writable"),
    "nothing to resume": (["--out", "{}/none", "--resume"], "nothing to resume in {}/none"),
    "resume what": (["--resume"], "--resume needs --out"),
    "resume and overwrite": (["--out", "{}/out", "--resume", "--overwrite"], "--resume needs --out"),
    "cpu and gpu": (["--require-gpu", "--device", "cpu"], "contradict each other"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(mistake: str, place: Path) -> None:
    """What, where, what instead; before anything slow, and nothing is written."""
    options, words = MISTAKES[mistake]
    before = sorted(place.rglob("*"))
    out = [] if "--out" in options or options == ["--resume"] else ["--out", place / "out"]
    done = harness("compare", *[option.replace("{}", str(place)) for option in options], *out)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("harness: ")
    assert done.stderr.count("\n") == 1
    assert words.replace("{}", str(place)) in done.stderr
    assert sorted(place.rglob("*")) == before


def test_weights_of_another_shape_are_a_mistake(place: Path) -> None:
    """Found when they are put into the network, which is before anything slow."""
    from detectors.parts.backbones.convention import InputConvention

    text = str(InputConvention.parse(_packaged_input()))
    save_file({"features.0.weight": torch.zeros(2, 2)}, place / "odd.safetensors", metadata={"input": text})
    done = harness("compare", "--weights", place / "odd.safetensors", "--out", place / "out")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "odd.safetensors" in done.stderr
    assert not (place / "out").exists()


def _packaged_input() -> str:
    from safetensors import safe_open

    with safe_open(str(ROOT / "detectors/parts/backbones/mini.safetensors"), framework="pt") as file:
        return str(file.metadata()["input"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_gpu_is_said(tmp_path: Path) -> None:
    """As a wrong option (2), or as a machine that is refused (3)."""
    done = harness("compare", "--device", "cuda", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "--device cuda: torch sees no CUDA device here" in done.stderr
    done = harness("compare", "--require-gpu", "--out", tmp_path / "out")
    assert done.exit_code == 3
    assert "--require-gpu: torch sees no CUDA device here" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["report", "{}/none"], "{}/none holds no run"),
        (["evaluate", "--detections", "{}/none.json"], "no detections file {}/none.json"),
        (["evaluate", "--detections", "{}/file", "--metric", "voc12"], "no metric 'voc12'; there are voc07, voc10"),
        (["evaluate", "--detections", "{}/file"], "{}/file is not JSON"),
        (["evaluate", "--detections", "{}/file", "--dataset", "none"], "no data set 'none'"),
    ],
)
def test_a_mistake_in_other_commands_is_one_line_too(command: list[str], words: str, place: Path) -> None:
    """With the same exit code."""
    done = harness(*[each.replace("{}", str(place)) for each in command])
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert words.replace("{}", str(place)) in done.stderr


# Runs that do not end well


@pytest.fixture
def small(boxes_file: Path) -> list[str]:
    return ["compare", "--proposals", str(boxes_file), "--images", "3", "--train-images", "4", *SMALL]


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*arguments: Any, **named: Any) -> Any:
        raise error

    return fail


def test_a_method_that_fails_makes_the_run_partial(
    small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 5, the others in the table, the reason on standard error."""
    monkeypatch.setattr(FastRCNN, "fit", raising(RuntimeError("the dog ate it")))
    done = harness(*small, "--methods", "spp,fast", "--out", tmp_path / "run", "--json")
    assert done.exit_code == 5
    summary = json.loads(done.stdout)
    assert {name: about["status"] for name, about in summary["methods"].items()} == {"spp": "ok", "fast": "error"}
    assert "fast failed: RuntimeError: the dog ate it" in " ".join(done.stderr.split())


def test_an_interrupted_run_says_how_to_go_on(
    small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 130; the command that is named needs no other option, for the plan is in the folder."""
    with monkeypatch.context() as patch:
        patch.setattr(FastRCNN, "fit", raising(KeyboardInterrupt()))
        done = harness(*small, "--methods", "spp,fast", "--seed", "3", "--out", tmp_path / "run")
    assert (done.exit_code, done.stdout) == (130, "")
    assert "harness: interrupted; what was measured is kept; go on with: harness compare --resume" in done.stderr
    done = harness("compare", "--resume", "--out", tmp_path / "run", "--json")
    assert done.exit_code == 0
    summary = json.loads(done.stdout)
    assert (summary["plan"]["methods"], summary["plan"]["seed"]) == (["spp", "fast"], 3)


def test_a_run_interrupted_before_its_start_leaves_nothing(
    small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While boxes are made, for instance; there is nothing to go on with, and the message does not say so."""
    monkeypatch.setattr("harness.preparation.gather", raising(KeyboardInterrupt()))
    done = harness(*small, "--out", tmp_path / "run")
    assert done.exit_code == 130
    assert done.stderr.endswith("harness: interrupted; nothing was measured yet\n")
    assert list(tmp_path.iterdir()) == []


def test_options_win_over_the_toml_plan(small: list[str], tmp_path: Path) -> None:
    """And the rest comes from it."""
    (tmp_path / "plan.toml").write_text('methods = ["fast"]\nseed = 5\nimages = 60\n')
    done = harness(*small, "--plan", tmp_path / "plan.toml", "--images", "1", "--out", tmp_path / "run", "--json")
    assert done.exit_code == 0, done.stderr
    plan = json.loads(done.stdout)["plan"]
    assert (plan["methods"], plan["seed"], plan["images"], plan["device"]) == (["fast"], 5, 1, "cpu")


# The main job, whole


@pytest.fixture(scope="module")
def main_job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """As a user runs it, in a process of its own, with selective search."""
    out = tmp_path_factory.mktemp("main") / "run"
    options = ["--images", "3", "--train-images", "3", "--max-proposals", "40", "--iterations", "3", "--fc-width", "16"]
    command = [sys.executable, "-m", "harness.cli", "compare", *options, "--out", str(out), "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    return out, done


def test_standard_output_is_one_json_document(main_job: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """The summary as it stands on disk; progress goes to standard error, in lines since that is no terminal."""
    out, done = main_job
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((out / "summary.json").read_text())
    assert "measuring: 3/3 blocks of images" in done.stderr.splitlines()
    assert "\x1b" not in done.stdout + done.stderr


def test_the_run_folder_holds_what_is_promised(main_job: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """Manifest, samples, detections, summary, report, figures; nothing of the work in between."""
    out, _ = main_job
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    expected = {"manifest.json", "truth.json", "samples.jsonl", "flops.json", "summary.json", "report.md"}
    expected |= {f"detections/{name}.json" for name in ("rcnn", "spp", "fast")}
    assert expected <= files
    assert {name for name in files if name.startswith("detections/")} == {
        f"detections/{name}.json" for name in ("rcnn", "spp", "fast")
    }
    assert any(name.startswith("figures/") and name.endswith(".svg") for name in files)
    assert any(name.startswith("figures/") and name.endswith(".png") for name in files)
    assert not any(name.startswith(("work/", "errors/")) or "unfinished" in name for name in files)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["plan"]["device"] == "auto"
    assert {"schema_version", "plan", "machine", "software", "source", "weights_sha256"} <= manifest.keys()
    assert {"test_boxes_sha256", "train_boxes_sha256", "test_sha256", "train_sha256"} <= manifest["dataset"].keys()


def test_the_summary_keeps_the_promises_of_its_schema(
    main_job: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    """Keys, units and reasons for what is null."""
    summary = json.loads(main_job[1].stdout)
    assert {"schema_version", "trust", "methods", "speedup", "claims", "machine", "plan"} <= summary.keys()
    assert summary["claims"] is not None or summary["claims_reason"]
    assert summary["plan"]["device"] == summary["machine"]["device"] in ("cpu", "cuda")
    for about in summary["methods"].values():
        assert about["status"] == "ok"
        for metric in ("voc07", "voc10"):
            assert 0 <= about["map"][metric]["value"] <= 1
            assert about["map"][metric]["low"] is not None or about["map"][metric]["reason"]
        assert len(about["ap"]) == len(summary["dataset"]["classes"])
        seconds = about["seconds"]
        for name in (*Stage.of_detecting(), "features", "total", "full_system", "unattributed"):
            assert {"mean", "low", "high"} <= seconds[name].keys()
        closure = sum(seconds[name]["mean"] for name in (*Stage.of_detecting(), "unattributed"))
        assert closure == pytest.approx(seconds["total"]["mean"], rel=1e-9)
        assert seconds["full_system"]["mean"] > seconds["total"]["mean"] > seconds["features"]["mean"] > 0
    assert summary["speedup"].keys() == {"spp", "fast"}
    for ratios in summary["speedup"].values():
        for name in ("conv", "features", "total"):
            assert {"value", "low", "high", "flop_ratio", "utilisation_ratio"} <= ratios[name].keys()
            product = ratios[name]["flop_ratio"] * ratios[name]["utilisation_ratio"]
            assert product == pytest.approx(ratios[name]["value"])
    ratio = summary["methods"]["rcnn"]["seconds"]["conv"]["mean"] / summary["methods"]["spp"]["seconds"]["conv"]["mean"]
    assert summary["speedup"]["spp"]["conv"]["value"] == pytest.approx(ratio, rel=1e-12)


def test_there_is_a_sample_for_each_method_and_image(
    main_job: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    """And its detections, at most 100 an image, inside it."""
    out, _ = main_job
    kept = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]
    samples = [each for each in kept if each["role"] == "measured"]
    truth = json.loads((out / "truth.json").read_text())
    sizes = {image["id"]: (image["width"], image["height"]) for image in truth["images"]}
    assert len(samples) == 3 * 3
    assert {(each["method"], each["image"]) for each in samples} == {
        (method, image) for method in ("rcnn", "spp", "fast") for image in sizes
    }
    for each in samples:
        rows = json.loads((out / f"detections/{each['method']}.json").read_text())
        own = [row for row in rows if row["image_id"] == each["image"]]
        assert len(own) == each["detections"] <= 100
        for row in own:
            assert row.keys() == {"image_id", "category_id", "bbox", "score"}
            x, y, w, h = row["bbox"]
            width, height = sizes[each["image"]]
            assert x >= 0 <= y
            assert w >= 0 <= h
            assert x + w <= width + 1e-3
            assert y + h <= height + 1e-3


def test_a_new_run_holds_together(main_job: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """What `compare` wrote passes `harness report --check` as it is."""
    assert check(main_job[0]) == []


def test_the_report_mentions_each_method_and_figure(main_job: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """And the command that made it."""
    out, _ = main_job
    text = (out / "report.md").read_text()
    assert all(name in text for name in ("rcnn", "spp", "fast", "harness compare", "--max-proposals 40"))
    for path in (out / "figures").glob("*.svg"):
        assert f"figures/{path.name}" in text


def test_report_derives_the_same_again(main_job: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    """From the stored samples alone: delete what is derived, and it comes back to the byte."""
    out, done = main_job
    derived = {path: path.read_bytes() for path in (out / "summary.json", out / "report.md")}
    for path in derived:
        path.unlink()
    again = harness("report", out, "--json")
    assert again.exit_code == 0
    assert again.stdout == done.stdout
    assert {path: path.read_bytes() for path in derived} == derived
    table = harness("report", out).stdout
    assert all(name in table for name in ("rcnn", "spp", "fast", "trust"))


def test_several_runs_stand_side_by_side(
    main_job: tuple[Path, subprocess.CompletedProcess[str]], small: list[str], tmp_path: Path
) -> None:
    """Unlike ones are labelled by what they differ in, and nothing is written into either."""
    out, _ = main_job
    harness(*small, "--methods", "rcnn,fast", "--weights", "random", "--iterations", 0, "--out", tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for folder in (out, tmp_path) for path in folder.rglob("*")}
    text = harness("report", out, tmp_path / "run").stdout
    assert "not alike" in text
    assert "test_boxes_sha256" in text
    model = json.loads(harness("report", out, tmp_path / "run", "--json").stdout)
    assert model["comparable"] is False
    assert all(each["pooled"] is None for ratios in model["speedups"].values() for each in ratios.values())
    assert {path: path.stat().st_mtime_ns for folder in (out, tmp_path) for path in folder.rglob("*")} == before
    again = harness("report", out, out)
    assert (again.exit_code, len(again.stderr.splitlines())) == (2, 1)


def test_the_doctor_has_one_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a screen and in JSON; a machine that is no good is no error of the program."""
    from harness.surroundings import doctor

    monkeypatch.setattr(doctor, "examine", lambda: [doctor.Check("load", "bad", "others take all", "end them")])
    shown = harness("doctor")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert "others take all" in shown.stdout
    assert json.loads(harness("doctor", "--json").stdout)["verdict"] == "bad"


@pytest.mark.parametrize("metric", ["voc07", "voc10"])
@pytest.mark.parametrize("method", ["rcnn", "spp", "fast"])
def test_evaluate_gives_the_very_map_of_the_run(
    main_job: tuple[Path, subprocess.CompletedProcess[str]], method: str, metric: str
) -> None:
    """To the last bit, since both go through the same file."""
    out, done = main_job
    arguments = ["--detections", out / f"detections/{method}.json", "--images", 3, "--metric", metric]
    found = json.loads(harness("evaluate", *arguments, "--json").stdout)
    about = json.loads(done.stdout)["methods"][method]
    assert found == {
        "metric": metric,
        "map": about["map"][metric]["value"],
        "ap": about["ap" if metric == "voc07" else "ap_voc10"],
    }
    text = harness("evaluate", *arguments).stdout
    assert f"mAP {metric}" in text


def test_a_run_is_replaced_only_when_asked(
    main_job: tuple[Path, subprocess.CompletedProcess[str]], small: list[str], tmp_path: Path
) -> None:
    """A mistake in a plan that should replace a run leaves that run."""
    out, _ = main_job
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert harness("compare", "--out", out).exit_code == 2
    assert harness("compare", "--out", out, "--overwrite", "--methods", "none").exit_code == 2
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    first = harness(*small, "--methods", "spp", "--out", tmp_path / "run", "--json")
    second = harness(*small, "--methods", "fast", "--out", tmp_path / "run", "--json", "--overwrite")
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert {path.name for path in (tmp_path / "run/detections").iterdir()} == {"fast.json"}


# Gate


def test_gate_answers_with_its_exit_code(tmp_path: Path) -> None:
    """0 for a baseline that was made and a run that holds it, 1 for one that does not, 4 where nothing can be told."""
    base, same, lost = (
        plant(tmp_path / name, seed, Change(slower={"spp": slower}))
        for name, seed, slower in (("base", 1, 1.0), ("same", 2, 1.0), ("lost", 3, 1.25))
    )
    file = tmp_path / "baseline.json"
    required = harness("gate", base, "--baseline", file, "--require-baseline")
    assert required.exit_code == 4
    assert "inconclusive  baseline: no entry for this device" in required.stdout
    assert not file.exists()
    assert harness("gate", base, "--baseline", file).exit_code == 0
    assert harness("gate", same, "--baseline", file, "--require-baseline").exit_code == 0
    failed = harness("gate", lost, "--baseline", file, "--json")
    assert failed.exit_code == 1
    assert json.loads(failed.stdout)["outcome"] == "fail"


def test_gate_refuses_what_is_damaged_in_a_line(tmp_path: Path) -> None:
    """Exit code 2, and no traceback."""
    run, file = plant(tmp_path / "run", 1, Change(processes=1)), tmp_path / "baseline.json"
    assert harness("gate", run, "--baseline", file).exit_code == 0
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "machine": 3}))
    text = file.read_text()
    for damaged in (text, text.replace('"machine": {', '"machine": 3, "other": {')):
        file.write_text(damaged)
        done = harness("gate", run, "--baseline", file)
        assert done.exit_code == 2
        assert done.stderr.startswith("harness: ")
        assert "is damaged at" in done.stderr
        assert done.stderr.count("\n") == 1
