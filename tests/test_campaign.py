"""The campaign on a GPU: parts go on after any interruption, keep their limits, and are what campaign.toml says."""

from __future__ import annotations

import hashlib
import importlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from harness.datasets.voc import Voc
from harness.flops import ImageShape, count
from harness.plan import Plan
from harness.preparation import prepare as opened
from harness.proposals.precomputed import Precomputed

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "results" / "gpu"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="a source distribution carries no campaign")


@pytest.fixture(scope="module")
def script() -> Iterator[Callable[[str], ModuleType]]:
    """Imports a module of the campaign's folder, as its script does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module


@pytest.fixture
def campaign(script: Callable[[str], ModuleType]) -> Callable[..., Any]:
    """The campaign of the repository; keywords as `Campaign.read` has them."""

    def read(path: Path = FOLDER / "campaign.toml", **changes: Any) -> Any:
        return script("campaign").Campaign.read(path, **{"inputs": "in", "out": "out"} | changes)

    return read


def measure(*arguments: object, timeout: float = 100, **environment: str) -> subprocess.CompletedProcess[str]:
    """The script in a process of its own."""
    command = [sys.executable, str(FOLDER / "measure.py"), *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


# What the parts are


def options_of(command: tuple[str, ...]) -> dict[str, str]:
    """``--name value`` of a command, by the name of the plan's field; flags left out."""
    pairs = itertools.pairwise(command)
    return {
        name.removeprefix("--").replace("-", "_"): value
        for name, value in pairs
        if name.startswith("--") and not value.startswith("--")
    }


@pytest.mark.parametrize("quick", [False, True])
def test_every_comparison_is_a_plan(campaign: Callable[..., Any], quick: bool) -> None:
    """No option is misspelt, in the large form and in the small one, and no two parts write to one folder."""
    outs = []
    for part in campaign(quick=quick).parts:
        for command in part.commands:
            assert command[0] in ("harness", "pytest")
            if command[:2] == ("harness", "compare"):
                values = options_of(command)
                outs.append(values.pop("out"))
                assert Plan.of(values).images == part.images
                assert not Plan.of(values).trained
    assert len(set(outs)) == len(outs) >= 17


def test_all_networks_and_precisions_are_there(campaign: Callable[..., Any]) -> None:
    """Four networks in three precisions at 2,000 boxes on a GPU, two of them in three processes."""
    parts = {part.name: options_of(part.commands[0]) for part in campaign().parts}
    for backbone in ("zf5", "caffenet", "vgg16", "squeezenet1_1"):
        for precision in ("fp32", "tf32", "bf16"):
            values = parts[f"speed-{backbone}-{precision}"]
            assert (values["backbone"], values["precision"], values["max_proposals"]) == (backbone, precision, "2000")
            assert (values["methods"], values["device"]) == ("rcnn,spp,spp:5,fast,fast:svd", "cuda")
    assert parts["headline-zf5"]["processes"] == parts["headline-caffenet"]["processes"] == "3"


def test_photographs_follow_from_the_arithmetic(campaign: Callable[..., Any]) -> None:
    """VGG16 in fp32: 67 TFLOP at 15 TFLOP/s are 4.47 s a call, 240 s hold 53.7, less 12, a photograph takes 2.2."""
    images = {part.name: part.images for part in campaign().parts}
    assert images["speed-vgg16-fp32"] == int((240 / (67 / 15) - 12) / 2.2) == 18
    assert images["speed-zf5-fp32"] == images["speed-vgg16-bf16"] == 24
    assert images["headline-zf5"] == images["headline-caffenet"] == 64
    assert images["doctor"] is None
    assert {part.images for part in campaign(most_images=3).parts} == {3, None}


def test_no_part_is_expected_to_reach_its_limit(campaign: Callable[..., Any]) -> None:
    """With the time that interrupting takes, each is under eight minutes."""
    execution = importlib.import_module("execution")
    found = campaign()
    assert found.part_seconds + execution._GRACE_SECONDS + 2 < 480
    assert all(part.seconds < found.part_seconds for part in found.parts)


@pytest.mark.slow
def test_operations_of_a_photograph_are_those_that_are_counted(campaign: Callable[..., Any], tmp_path: Path) -> None:
    """What campaign.toml says of SqueezeNet agrees with a count; R-CNN's VGG16 is 2,000 crops of 30.94 GFLOP."""
    told = campaign().content["tera_flop_per_image"]
    boxes: dict[str, Any] = {"test-000000": np.array([[0, 0, 50, 50]])}
    np.savez(tmp_path / "boxes.npz", **boxes)
    methods = "rcnn,spp,spp:5,fast,fast:svd"
    values = {"backbone": "squeezenet1_1", "weights": "random", "methods": methods, "images": 1, "device": "cpu"}
    prepared = opened(Plan.of({**values, "proposals": str(tmp_path / "boxes.npz")}))
    total = 0
    for method in prepared.methods:
        detector: Any = prepared.detector(method, prepared.config(method))
        detector.initialise(generator=prepared.stream("any"))
        total += count(detector, {"one": ImageShape(375, 500, 2000)})["images"]["one"]["total"]
    assert told["squeezenet1_1"] == pytest.approx(total / 1e12, rel=0.01)
    assert 1 < told["vgg16"] / (2000 * 30.94e9 / 1e12) < 1.1


def test_quick_takes_what_a_cpu_has(campaign: Callable[..., Any]) -> None:
    """No tf32, no GPU; a part with the commands of an earlier one refers to it."""
    parts = {part.name: part for part in campaign(quick=True).parts}
    assert parts["speed-zf5-tf32"].same_as == "speed-zf5-fp32"
    assert parts["speed-zf5-bf16"].same_as is None
    words = {word for part in parts.values() for command in part.commands for word in command}
    assert words.isdisjoint({"tf32", "cuda", "--require-gpu"})
    assert all(part.same_as is None for part in campaign().parts)


def test_parts_are_chosen_by_name(campaign: Callable[..., Any]) -> None:
    """Whole names, beginnings, or all; what is not there is refused with what is."""
    chosen = [part.name for part in campaign().chosen(["speed-vgg16-*", "doctor"])]
    assert chosen == ["doctor", "speed-vgg16-fp32", "speed-vgg16-tf32", "speed-vgg16-bf16"]
    with pytest.raises(ValueError, match=r"no part 'speed'; there are doctor, .*, and all"):
        campaign().chosen(["speed"])


# How they are carried out

PROBE = '''"""Stands in for a measurement: a line for each time it is begun, then it waits."""
import os, time
from pathlib import Path

def test_probe():
    log = Path({folder!r}) / "begun.txt"
    with log.open("a") as file:
        file.write(f"{{os.getpid()}}\\n")
    if len(log.read_text().split()) <= {slow}:
        time.sleep(20)
'''


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Path]:
    """A campaign of two parts; the second, of two commands, waits for 20 s the first `slow` times."""

    def write(*, slow: int, part_seconds: float = 60, second: str = "pytest --version") -> Path:
        probe = tmp_path / "test_probe.py"
        probe.write_text(PROBE.format(folder=str(tmp_path), slow=slow))
        path = tmp_path / "small.toml"
        path.write_text(
            f"schema_version = 1\nlimits = {{part_seconds = {part_seconds}}}\ninputs = {{images = 1, boxes = 1}}\n"
            "values = {}\nquick = {}\n"
            "part = [\n"
            '  {name = "first", about = "", commands = ["pytest --version"], seconds = 1},\n'
            f'  {{name = "second", about = "", seconds = 1, commands = ["{second}",\n'
            f'    "pytest {probe} -q -n 0 -p no:cacheprovider --rootdir {tmp_path} -c /dev/null"]}},\n'
            "]\n"
        )
        return path

    return write


def state(out: Path) -> dict[str, Any]:
    """What the ledger says of each part."""
    content: dict[str, Any] = json.loads((out / "state.json").read_text())["parts"]
    return content


def begun(folder: Path) -> list[int]:
    """The process of each time that the probe was begun."""
    log = folder / "begun.txt"
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def wait_for(true: Callable[[], bool], seconds: float = 60) -> None:
    """Until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_part_that_was_ended_in_the_middle_goes_on(
    small: Callable[..., Path], tmp_path: Path, sign: signal.Signals, code: int
) -> None:
    """What was done before is not done again, whatever ended the script; the part says so and is finished by the same
    command."""
    words = ["--campaign", small(slow=1), "--out", tmp_path / "runs", "run", "all"]
    process = subprocess.Popen([sys.executable, str(FOLDER / "measure.py"), *map(str, words)], cwd=ROOT)
    try:
        wait_for(lambda: len(begun(tmp_path)) == 1)
        process.send_signal(sign)
        assert process.wait(timeout=30) == code
    finally:
        process.kill()
    before = state(tmp_path / "runs")
    assert before["first"]["status"] == "done"
    assert before["second"]["status"] == ("running" if sign is signal.SIGKILL else "interrupted")
    assert [one["exit_code"] for one in before["second"]["commands"]] == [0]
    done = measure(*words)
    assert (done.returncode, len(begun(tmp_path))) == (0, 2), done.stdout + done.stderr
    assert "first: done before" in done.stdout
    after = state(tmp_path / "runs")["second"]
    assert after["status"] == "done"
    assert after["commands"][0] == before["second"]["commands"][0]


def test_the_limit_interrupts_a_part(small: Callable[..., Path], tmp_path: Path) -> None:
    """It ends at the limit with exit code 75, nothing of it runs on, and the other parts are carried out."""
    words = ["--campaign", small(slow=99, part_seconds=8), "--out", tmp_path / "runs", "run", "second", "first"]
    began = time.monotonic()
    done = measure(*words)
    assert done.returncode == 75, done.stdout + done.stderr
    assert time.monotonic() - began < 60
    assert "go on with the same command" in done.stdout
    found = state(tmp_path / "runs")
    assert (found["first"]["status"], found["second"]["status"]) == ("done", "interrupted")
    assert "at the limit" in found["second"]["reason"]
    assert not any(psutil.pid_exists(process) for process in begun(tmp_path))


def test_a_part_that_fails_is_shown_and_tried_again(small: Callable[..., Path], tmp_path: Path) -> None:
    """The last lines of its log are printed, the exit code is 1, and the others are carried out."""
    path = small(slow=0, second="harness report nowhere")
    done = measure("--campaign", path, "--out", tmp_path / "runs", "run", "all")
    assert (done.returncode, begun(tmp_path)) == (1, [])
    assert "nowhere holds no run" in done.stdout
    assert state(tmp_path / "runs")["second"]["reason"].startswith("harness report ended with exit code 2; see ")


def test_no_part_is_begun_when_no_time_is_left(small: Callable[..., Path], tmp_path: Path) -> None:
    """`--total` leaves out what cannot be ended in time."""
    done = measure("--campaign", small(slow=0), "--out", tmp_path / "runs", "run", "all", "--total", 25)
    assert done.returncode == 75
    assert not (tmp_path / "runs" / "state.json").exists()


def test_other_options_are_refused_in_the_same_folder(small: Callable[..., Path], tmp_path: Path) -> None:
    """What was begun with other commands is not gone on with, and the line says what instead."""
    words = ["--out", tmp_path / "runs", "run", "second"]
    assert measure("--campaign", small(slow=0), *words).returncode == 0
    done = measure("--campaign", small(slow=0, second="pytest --help"), *words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "was begun in" in done.stderr
    assert "choose another --out" in done.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["run", "speed"], "no part 'speed'; there are doctor, "),
        (["run", "sweep", "--inputs", "nowhere"], "nowhere holds no photographs and boxes; make them with `prepare`"),
        (["pack", "--out", "nowhere"], "nowhere holds nothing to pack; run a part first"),
        (["pack", "doctor"], "pack takes no part, got doctor"),
        (["list", "--campaign", "none.toml"], "campaign none.toml cannot be read: "),
        (["prepare", "--voc", "nowhere", "--inputs", "{}/in"], "no folder nowhere/ImageSets/Main"),
        (["prepare", "--inputs", "results"], "is not empty; remove it, or choose another --inputs"),
        (["run", "--images", "0"], "--images: expected 1 or more, got 0"),
        ([], "expected list, packages, prepare, run or pack"),
    ],
)
def test_mistakes_are_refused_in_one_line(words: list[str], line: str, tmp_path: Path) -> None:
    """What, where, what instead; exit code 2."""
    done = measure(*(word.format(tmp_path) for word in words))
    assert done.returncode == 2, done.stdout
    assert done.stderr.count("\n") == 1
    assert line in done.stderr


# What is carried there and home


def test_scenes_stand_in_for_photographs(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    """A VOC folder that the reader opens, with as many boxes as asked for, inside the image, and a manifest."""
    inputs = script("inputs")
    manifest = inputs.prepare(tmp_path / "in", inputs.Wanted(2, 30, (96, 128)), None, "val", lambda *_: None)
    scenes = Voc(tmp_path / "in", "val")
    assert list(scenes.ids) == list(manifest["images"])
    source = Precomputed(tmp_path / "in" / "boxes.npz", scenes.ids)
    for index, name in enumerate(scenes.ids):
        assert scenes.image(index).shape == (96, 128, 3)
        boxes, truth = source.propose(name, scenes.image(index)), scenes.truth(index).boxes
        assert boxes.shape == (30, 4)
        assert (boxes[:, 2:] - boxes[:, :2] >= 19).all()
        assert (boxes >= 0).all()
        assert (boxes <= [128, 96, 128, 96]).all()
        assert len(truth) > 0
        assert (truth <= [128, 96, 128, 96]).all()
    told = manifest["boxes_sha256"]
    assert told == hashlib.sha256((tmp_path / "in" / "boxes.npz").read_bytes()).hexdigest()


def test_photographs_with_too_few_boxes_are_passed_over(
    script: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are kept are copied to the bit, in the order of the split; too few of them are refused."""
    inputs, campaign = script("inputs"), script("campaign")
    scenes = inputs.prepare(tmp_path / "voc", inputs.Wanted(4, 9, (96, 128)), None, "val", lambda *_: None)
    names = list(scenes["images"])
    flat = tmp_path / "voc" / "JPEGImages" / f"{names[1]}.jpg"
    Image.new("RGB", (128, 96), "grey").save(flat)  # nothing to propose
    found = inputs.prepare(tmp_path / "in", inputs.Wanted(2, 2, (96, 128)), tmp_path / "voc", "val", lambda *_: None)
    assert list(found["images"]) == [name for name in names if name != names[1]][:2]
    for name in found["images"]:
        for inner in (f"JPEGImages/{name}.jpg", f"Annotations/{name}.xml"):
            assert (tmp_path / "in" / inner).read_bytes() == (tmp_path / "voc" / inner).read_bytes()
    with pytest.raises(campaign.CampaignError, match="of 4 photographs of split val have 2 boxes; ask for fewer"):
        inputs.prepare(tmp_path / "more", inputs.Wanted(5, 2), tmp_path / "voc", "val", lambda *_: None)
    monkeypatch.setattr(inputs, "MOST_BYTES", 1000)
    with pytest.raises(campaign.CampaignError, match="take fewer --images"):
        inputs.prepare(tmp_path / "large", inputs.Wanted(1, 2), tmp_path / "voc", "val", lambda *_: None)


def test_an_archive_holds_runs_and_no_models(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    """Every file but models, scratch and what is unfinished, each with its sha256; a larger one is not kept."""
    archive = script("archive")
    content = {
        "state.json": b"{}",
        "logs/doctor-0.log": b"fine",
        "speed/manifest.json": b"{}",
        "speed/detections/rcnn.json": b"[]",
        "speed/models/rcnn.safetensors": b"heavy",
        "speed/work/rcnn/checkpoint": b"heavy",
        "speed/.unfinished-lock": b"",
        "noise.bin": np.random.default_rng(0).bytes(9000),
    }
    for name, each in content.items():
        path = tmp_path / "runs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(each)
    target = tmp_path / "runs" / "home.tar.gz"
    for _ in range(2):  # the second does not hold the first
        archive.pack(tmp_path / "runs", target)
    target = target.rename(tmp_path / "home.tar.gz")
    packed = {f"runs/{name}" for name in content if not any(word in name for word in ("models", "work", "unfinished"))}
    with tarfile.open(target) as tar:
        files = {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]
    told = json.loads(files.pop("runs/MANIFEST.json"))["sha256"]
    assert files.keys() == told.keys() == packed
    assert all(hashlib.sha256(each).hexdigest() == told[name] for name, each in files.items())
    with pytest.raises(ValueError, match=r"the largest files are runs/noise\.bin, "):
        archive.pack(tmp_path / "runs", tmp_path / "small.tar.gz", most_bytes=5000)
    assert not (tmp_path / "small.tar.gz").exists()


def test_missing_packages_are_named(script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    """Those that are not here or too old, however deep; OpenCV contrib is for `prepare` alone."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["nowhere-to-be-found>=2", "numpy>=99", "torch", '
        '"opencv-contrib-python-headless>99", "not-for-us; python_version < \'3\'"]\n'
        '[dependency-groups]\ndev = ["pytest>=999", "ruff>=999"]\n'
    )
    found = [str(one) for one in script("packages").missing(tmp_path)]
    assert found == ["nowhere-to-be-found>=2", "numpy>=99", "pytest>=999"]


@pytest.mark.slow
def test_a_part_in_small_from_end_to_end(tmp_path: Path) -> None:
    """Prepared, measured, packed: a run folder with its summary comes home, from a process without OpenCV contrib."""
    places = ["--quick", "--inputs", tmp_path / "in", "--out", tmp_path / "runs"]
    assert measure(*places, "prepare").returncode == 0
    (tmp_path / "stub").mkdir()
    (tmp_path / "stub" / "cv2.py").write_text("raise ImportError('no part of a measurement needs OpenCV')\n")
    done = measure(*places, "run", "speed-caffenet-fp32", timeout=300, PYTHONPATH=str(tmp_path / "stub"))
    assert done.returncode == 0, done.stdout + done.stderr
    archive = tmp_path / "home.tar.gz"
    assert measure(*places, "pack", "--archive", archive).returncode == 0
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path / "home", filter="data")
    run = tmp_path / "home" / "runs" / "speed-caffenet-fp32"
    summary = json.loads((run / "summary.json").read_text())
    assert {about["status"] for about in summary["methods"].values()} == {"ok"}
    assert summary["plan"]["images"] == 2
    assert (run / "report.md").exists()
    assert json.loads((run / "manifest.json").read_text())["status"] == "complete"
