"""Methods, data sets and sources of boxes from other distributions: one that works, and ways in which one may not."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from typer.testing import CliRunner

import detectors
from detectors import MethodError, plugins
from harness.cli import app
from harness.datasets import DatasetError, open_dataset
from harness.proposals import ProposalError, source

ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "tests/plugin"
BROKEN = (
    "plug-in 'broken' of nearest-centre 1.0 (nearest_centre.broken:Broken) cannot be loaded: "
    "ModuleNotFoundError: No module named 'a_library_that_is_not_installed'"
)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of tests/plugin in it, as pip would unpack it."""
    project, built, folder = (tmp_path_factory.mktemp(name) for name in ("project", "built", "site"))
    shutil.copytree(PLUGIN, project, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)]
    subprocess.run(build, cwd=project, check=True, capture_output=True)
    (wheel,) = built.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


@pytest.fixture(autouse=True)
def _looked_for_anew() -> Iterator[None]:
    """What one test has on its path is not what the next one has."""
    plugins.find.cache_clear()
    yield
    plugins.find.cache_clear()


@pytest.fixture
def use(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the plug-in's folder on the path of this process."""
    monkeypatch.syspath_prepend(str(installed))


def python(installed: Path, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder of its own, with the plug-in on its path and no warning let pass."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONWARNINGS": "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=cwd)


# A distribution that works, from outside


@pytest.mark.usefixtures("use")
def test_methods_shows_where_each_comes_from() -> None:
    """Built in, or distribution and version; a plug-in that cannot be imported costs one line and nothing else."""
    done = CliRunner().invoke(app, ["methods", "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    listed = {about["name"]: about for about in json.loads(done.stdout)}
    assert {"fast", "rcnn", "spp", "centre"} == set(listed)
    assert listed["centre"]["origin"] == "nearest-centre 1.0"
    assert listed["centre"]["variants"] == ["centre:fine"]
    assert listed["centre"]["title"].startswith("Nearest class centre: ")
    assert {listed[name]["origin"] for name in ("fast", "rcnn", "spp")} == {"built in"}
    assert done.stderr.splitlines() == [f"harness: warning: {BROKEN}"]
    shown = CliRunner().invoke(app, ["methods"]).stdout.split("centre  (nearest-centre 1.0)\n")[1]
    assert shown.startswith("    Nearest class centre: ")
    assert "\n    centre:fine\n" in shown


def test_a_plug_in_is_compared_like_any_other(installed: Path, tmp_path: Path) -> None:
    """A method, a data set and a source of boxes that this package has never heard of make a whole run."""
    small = ["--train-images", "10", "--images", "6", "--iterations", "2", "--fc-width", "16", "--device", "cpu"]
    named = ["--methods", "rcnn,centre", "--dataset", "discs:96", "--proposals", "grid", "--max-proposals", "500"]
    run = tmp_path / "run"
    done = python(installed, "-m", "harness.cli", "compare", *named, *small, "--out", run, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "centre" in done.stdout
    assert "warning" not in done.stderr
    summary = json.loads((run / "summary.json").read_text())
    assert {name: about["status"] for name, about in summary["methods"].items()} == {"rcnn": "ok", "centre": "ok"}
    # It has learnt to tell discs, squares and noise apart: chance is a few per cent.
    assert summary["methods"]["centre"]["map"]["voc07"]["value"] > 0.4
    assert json.loads((run / "manifest.json").read_text())["dataset"]["proposals"]["name"] == "grid"


@pytest.mark.usefixtures("use")
def test_a_broken_plug_in_is_refused_only_where_it_is_asked_for(tmp_path: Path) -> None:
    """`--methods broken` is answered in one line, with the reason, before any work."""
    named = ["compare", "--methods", "rcnn,broken", "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(app, named, catch_exceptions=False)
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [f"harness: {BROKEN}"]
    assert not list(tmp_path.iterdir())


KIT = """
    import torch
    from detectors.contract import Detections
    from nearest_centre.centre import Centre
    from harness.testing import DetectorContract

    class TestCentre(DetectorContract):
        name = "centre"

    class Careless(Centre):
        def detect(self, image, proposals):
            torch.rand(1)
            if self.centres is None:
                return Detections.none()
            proposals[:1] = 0
            return super().detect(image, proposals)

    class TestCareless(DetectorContract):
        name = "centre"

        def make(self, **settings):
            made = super().make(**settings)
            made.__class__ = Careless
            return made
"""


@pytest.fixture(scope="module")
def verdicts(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """What the contract kit says of a detector and of one with three faults: verdicts by test, by class."""
    file = tmp_path_factory.mktemp("kit") / "test_centre.py"
    file.write_text(dedent(KIT))
    done = python(installed, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-W", "error", file, cwd=file.parent)
    said: dict[str, dict[str, str]] = {"TestCentre": {}, "TestCareless": {}}
    for name, test, verdict in re.findall(r"^\S+::(\w+)::(\S+) ([A-Z]+)", done.stdout, re.MULTILINE):
        said[name][test] = verdict
    assert said["TestCentre"], done.stdout + done.stderr
    return said


def test_the_contract_kit_passes_a_plug_in(verdicts: dict[str, dict[str, str]]) -> None:
    """Two lines are a plug-in's whole contract test, and every promise is tried."""
    assert set(verdicts["TestCentre"].values()) == {"PASSED"}
    assert len(verdicts["TestCentre"]) >= 25


def test_the_contract_kit_finds_what_is_wrong(verdicts: dict[str, dict[str, str]]) -> None:
    """Random numbers of its own, detections before a fit, and a box written over: each fails its tests and no other."""
    failed = {test for test, verdict in verdicts["TestCareless"].items() if verdict != "PASSED"}
    assert failed == {
        "test_detect_before_fit_is_refused",
        "test_detect_leaves_its_inputs_alone",
        "test_global_random_state_stays_as_it_was",
        "test_inputs_and_backbone_stay_as_they_were",
    }


def test_listing_imports_no_plug_in(installed: Path, tmp_path: Path) -> None:
    """Names and origins come from metadata alone."""
    code = (
        "import detectors, sys\n"
        "assert detectors.names()[-2:] == ('broken', 'centre'), detectors.names()\n"
        "assert detectors.origin('centre:fine') == 'nearest-centre 1.0'\n"
        "assert not {'nearest_centre', 'torch'} & sys.modules.keys()\n"
    )
    done = python(installed, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("use")
def test_a_data_set_by_entry_point() -> None:
    """`NAME` and `NAME:ARG` open it, at most the images asked for come out, and its own refusal is passed on."""
    opened = open_dataset("discs:64", "train", length=3, training=True)
    assert (opened.name, opened.split, opened.classes, len(opened.ids)) == ("discs:64", "train", ("disc", "square"), 3)
    assert opened.image(2).shape == (64, 64, 3)
    assert len(open_dataset("discs", "test", length=None, training=False).ids) == 10
    with pytest.raises(DatasetError, match=r"^discs:x: expected the side of an image"):
        open_dataset("discs:x", "train", length=1, training=True)
    with pytest.raises(DatasetError, match=r"^no data set 'disc'; there are shapes.*; plug-ins: discs$"):
        open_dataset("disc", "train", length=1, training=True)


@pytest.mark.usefixtures("use")
def test_a_source_of_boxes_by_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`NAME` and `NAME:ARG` make it, a file of that name notwithstanding, and its own refusal is passed on."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid").touch()
    made = source("grid:32")
    assert made.settings == {"name": "grid", "step_px": 32, "version": 1}
    boxes = made.propose("any", np.zeros((40, 64, 3), np.uint8))
    assert boxes.dtype == np.float32
    assert boxes[0].tolist() == [0, 0, 64, 40]
    with pytest.raises(ProposalError, match=r"^grid:0: expected a step in pixels"):
        source("grid:0")
    with pytest.raises(ProposalError, match=r"^no proposals 'gird': expected selective-search, .*, grid, "):
        source("gird")


def test_the_readme_shows_the_file_of_the_plug_in() -> None:
    """The detector that the README prints is the one that is tested here, letter by letter."""
    shown = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert (PLUGIN / "src/nearest_centre/centre.py").read_text(encoding="utf-8") in shown


# Distributions that do not work

Offer = Callable[..., None]


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Put a distribution on the path: its name, a group with its entry points, and the text of its only module."""

    def put(dist: str, group: str, entries: dict[str, str], module: str = "") -> None:
        folder = tmp_path / dist
        about = folder / f"{dist}-1.0.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in entries.items()]
        (about / "entry_points.txt").write_text("\n".join([f"[harness.{group}]", *lines]))
        (folder / f"{dist}_code.py").write_text(dedent(module))
        monkeypatch.syspath_prepend(str(folder))

    return put


def logged(caplog: pytest.LogCaptureFixture, look: Callable[[], object]) -> list[str]:
    """The lines that looking twice costs."""
    with caplog.at_level(logging.WARNING):
        look()
        look()
    return caplog.messages


def test_a_name_that_is_built_in_stays_so(offer: Offer, caplog: pytest.LogCaptureFixture) -> None:
    """The plug-in of the same name is left out, with one line that says whose it is."""
    offer("usurper", "detectors", {"rcnn": "usurper_code:Detector"})
    lines = logged(caplog, detectors.names)
    assert lines == ["plug-in 'rcnn' of usurper 1.0 (usurper_code:Detector) is left out: the name is built in"]
    assert detectors.names().count("rcnn") == 1
    assert detectors.origin("rcnn") == "built in"


def test_a_line_of_the_log_is_seen_by_whoever_set_up_none(offer: Offer, tmp_path: Path) -> None:
    """On standard error, once a process, and nothing beside it."""
    offer("usurper", "detectors", {"spp": "usurper_code:Detector"})
    done = python(tmp_path / "usurper", "-c", "import detectors\ndetectors.names()\ndetectors.names()", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "plug-in 'spp' of usurper 1.0 (usurper_code:Detector) is left out: the name is built in\n"


def test_data_sets_and_sources_that_are_built_in_stay_so(offer: Offer, caplog: pytest.LogCaptureFixture) -> None:
    """`shapes` and `selective-search` mean the same on every machine."""
    offer("data", "datasets", {"shapes": "data_code:fail"})
    offer("boxes", "proposals", {"selective-search": "boxes_code:fail"})
    lines = logged(
        caplog, lambda: (open_dataset("shapes", "train", length=2, training=True), source("selective-search"))
    )
    assert [line.partition(" is ")[0] for line in lines] == [
        "plug-in 'shapes' of data 1.0 (data_code:fail)",
        "plug-in 'selective-search' of boxes 1.0 (boxes_code:fail)",
    ]


def test_two_plug_ins_of_one_name(offer: Offer, caplog: pytest.LogCaptureFixture) -> None:
    """The one that comes first on the path is used, and a line names both."""
    offer("second", "detectors", {"new": "second_code:Detector"})
    offer("first", "detectors", {"new": "first_code:Detector"})
    lines = logged(caplog, detectors.names)
    assert lines == ["plug-in 'new' of second 1.0 (second_code:Detector) is left out: first 1.0 has that name already"]
    assert detectors.origin("new") == "first 1.0"


@pytest.mark.parametrize("name", ["new:5", "one+two", "a,b", "../up", "-o", "two words"])
def test_names_that_cannot_be_asked_for(name: str, offer: Offer, caplog: pytest.LogCaptureFixture) -> None:
    """Signs with a meaning on the command line or in a file name are no part of a name."""
    offer("odd", "detectors", {name: "odd_code:Detector"})
    lines = logged(caplog, detectors.names)
    assert len(lines) == 1
    assert "is left out: a name has letters, digits, '_', '-' and '.' only" in lines[0]
    assert name not in detectors.names()


WHOLE = """
    from dataclasses import dataclass, field
    from detectors.contract import SHARED_POLICY, Policy

    @dataclass(frozen=True)
    class Settings:
        iterations: int = 1
        policy: Policy = SHARED_POLICY

    class Detector:
        paper, needs_proposals, quick_per_image = "NEW", True, 1
        Config, variants, paper_policy = Settings, {"two": {"iterations": 2}}, SHARED_POLICY
        def fit(self): ...
        def initialise(self): ...
        def detect(self): ...
        def save(self): ...
        def restore(self): ...

    METHOD = Detector
"""


def test_a_module_with_method(offer: Offer) -> None:
    """An entry point may name a module that ends as those of `detectors/` do; variants are changes to its settings."""
    offer("whole", "detectors", {"new": "whole_code"}, WHOLE)
    assert detectors.load("new").detector.paper == "NEW"
    assert detectors.load("new:two").config.iterations == 2
    with pytest.raises(MethodError, match=r"^no variant new:three; variants of new: new:two$"):
        detectors.load("new:three")


def test_what_a_plug_in_prints_is_no_result(offer: Offer, tmp_path: Path) -> None:
    """A module that prints when it is imported leaves standard output one JSON document."""
    offer("loud", "detectors", {"new": "loud_code"}, WHOLE + "    print('look at me')")
    done = python(tmp_path / "loud", "-m", "harness.cli", "methods", "--json", cwd=tmp_path)
    assert "new" in {about["name"] for about in json.loads(done.stdout)}
    assert done.stderr.splitlines() == ["look at me"]


BAD_DETECTORS = {
    "no class": (
        WHOLE.replace("METHOD = Detector", "METHOD = 3"),
        "expected a class, or a module with METHOD, got int",
    ),
    "empty module": ("", "expected a class, or a module with METHOD, got module"),
    "lacking": (
        WHOLE.replace("def fit(self): ...", "").replace("paper, needs", "papers, needs"),
        "it has no fit, paper",
    ),
    "thawed": (WHOLE.replace("frozen=True", "frozen=False"), "its Config is no frozen dataclass"),
    "no dataclass": (WHOLE.replace("= Settings,", "= dict,"), "its Config is no frozen dataclass"),
    "no policy": (WHOLE.replace("policy: Policy", "rule: Policy"), "its Config has no field policy"),
    "variants": (WHOLE.replace('{"two": {"iterations": 2}}', "3"), "expected a mapping as variants, got int"),
    "variant": (
        WHOLE.replace('{"iterations": 2}', "Settings()"),
        "variant 'two': expected a mapping of fields to values, got Settings",
    ),
    "changes": (
        WHOLE.replace('{"iterations": 2}', '{"steps": 2}'),
        "variant 'two' changes steps, which its Config does not have",
    ),
}


@pytest.mark.parametrize("case", BAD_DETECTORS)
def test_what_is_no_detector_is_refused(case: str, offer: Offer) -> None:
    """One line says whose it is and what it lacks of the contract."""
    module, wrong = BAD_DETECTORS[case]
    dist = f"bad_{case.replace(' ', '_')}"
    offer(dist, "detectors", {"new": f"{dist}_code"}, module)
    assert "new" in detectors.names()
    with pytest.raises(MethodError) as caught:
        detectors.load("new")
    name = dist.replace("_", "[-_]")
    assert re.fullmatch(
        rf"plug-in 'new' of {name} 1\.0 \({dist}_code\) cannot be used: {re.escape(wrong)}", str(caught.value)
    )


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("raise KeyError('one\\ntwo')", r"KeyError: 'one\\ntwo'"),
        ("raise RuntimeError('one\\ntwo')", "RuntimeError: one"),
        ("raise SystemExit", "SystemExit: no message"),
        ("class Detector(:", "SyntaxError: "),
        ("", "AttributeError: module .* has no attribute 'Detector'"),
    ],
)
def test_whatever_an_import_raises_is_one_line(module: str, reason: str, offer: Offer) -> None:
    """Also where it is an exit, or an error of many lines."""
    dist = f"raising_{zlib.crc32(module.encode())}"  # a module of its own each, since imports are kept
    offer(dist, "detectors", {"new": f"{dist}_code:Detector"}, module)
    with pytest.raises(MethodError, match=f"cannot be loaded: {reason}") as caught:
        detectors.load("new")
    assert "\n" not in str(caught.value)


def test_what_is_no_data_set_is_refused(offer: Offer) -> None:
    """Neither something that cannot be called, nor something that gives no data set; it is asked for by name only."""
    offer(
        "blank",
        "datasets",
        {"blank": "blank_code:NAME", "half": "blank_code:half"},
        "NAME = 'x'\ndef half(*a, **k): ...",
    )
    with pytest.raises(DatasetError, match=r"\(blank_code:NAME\) cannot be used: expected a callable, got str$"):
        open_dataset("blank", "train", length=1, training=True)
    with pytest.raises(
        DatasetError, match=r"\(blank_code:half\) gives no data set: it has no classes, ids, image, name"
    ):
        open_dataset("half:x", "train", length=1, training=True)


def test_what_is_no_source_of_boxes_is_refused(offer: Offer) -> None:
    """Without a name in its settings boxes of one source could be taken for those of another."""
    module = """
        class Nameless:
            settings = {"step": 3}
            def propose(self, image_id, image): ...
        def half(arg, *, seed): ...
        def nameless(arg, *, seed):
            return Nameless()
        NAME = "x"
    """
    offer("bare", "proposals", {key: f"bare_code:{key}" for key in ("NAME", "half", "nameless")}, module)
    with pytest.raises(ProposalError, match=r"cannot be used: expected a callable, got str$"):
        source("NAME")
    with pytest.raises(ProposalError, match=r"gives no source of boxes: it has no propose, settings$"):
        source("half")
    with pytest.raises(ProposalError, match=r"gives no source of boxes: its settings have no 'name'$"):
        source("nameless")
