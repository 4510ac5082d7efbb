"""What the campaign carries to the machine and home: photographs, boxes, packages, runs."""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from campaigning import measure, where_it_is
from harness.datasets.voc import Voc
from harness.proposals.precomputed import Precomputed

pytestmark = where_it_is


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
        str(Path("speed", "work", "rcnn", "checkpoint")): b"heavy",
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
    """Those that are not here or too old, however deep; OpenCV contrib is for `prepare` alone; NumPy is not brought."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["nowhere-to-be-found>=2", "numpy>=99", "torch", '
        '"opencv-contrib-python-headless>99", "not-for-us; python_version < \'3\'"]\n'
        '[dependency-groups]\ndev = ["pytest>=999", "ruff>=999"]\n'
    )
    packages = script("packages")
    assert [str(one) for one in packages.missing(tmp_path)] == ["nowhere-to-be-found>=2", "numpy>=99", "pytest>=999"]
    elsewhere = 'not-for-us; python_version < "3"'  # the installer knows for which Python
    assert [str(one) for one in packages.to_carry(tmp_path)] == [elsewhere, "nowhere-to-be-found>=2", "pytest>=999"]


def test_what_is_to_be_brought_is_all_that_has_no_place_elsewhere() -> None:
    """A file for an installer: pydantic and pytest, and nothing that a machine for training has; 0 with any of it."""
    done = measure("packages", "--carried")
    names = {re.split(r"[^\w-]", line)[0] for line in done.stdout.splitlines()}
    assert done.returncode == 0
    assert names >= {"pydantic", "safetensors", "typer", "pytest", "hypothesis"}
    assert names.isdisjoint({"torch", "torchvision", "numpy", "scipy", "opencv-contrib-python-headless", "ruff"})


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
