"""Variants of a class that fine-tune alike do so once: what the first leaves, the others find."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

import detectors
from carried_out import run
from detectors.contract import Example
from harness.modelcard import ModelCard
from harness.plan import Plan
from harness.progress import Reporter
from harness.runs import RunFolder
from harness.sharedfiles import SharedFiles, place
from harness.training import lines, train

PlanMaker = Callable[..., Plan]

pytestmark = pytest.mark.usefixtures("no_pictures")

THREE = "fake,fake:wide,fake:wider"
"""All three are of one class and differ in a setting of fitting."""


class Tuning:
    """Stands for `fit`: fine-tunes unless a file of that name is there, then learns what a variant is about."""

    def __init__(self, name: str = "shared-77") -> None:
        self.name, self.log = name, list[str]()
        self.fails: dict[str, BaseException] = {}

    def __call__(self, detector: Any, _: Sequence[Example], *, generator: torch.Generator, workdir: Path) -> None:
        """One letter of the log a step: t for tuning, f for finding."""
        shared = workdir / self.name
        if not shared.exists():
            self.log.append(f"{workdir.name} tunes")
            (workdir / f"{self.name}.unfinished").write_text("half")
            shared.write_text("tuned")
        assert shared.read_text() == "tuned"
        (workdir / "own").write_text("")
        if workdir.name in self.fails:
            raise self.fails.pop(workdir.name)
        self.log.append(f"{workdir.name} learns")
        detector.weight = torch.rand(detector.config.width, 4, generator=generator)


@pytest.fixture
def tuning(fake: Any, monkeypatch: pytest.MonkeyPatch) -> Tuning:
    """`fake` and `other` fit as `Tuning` does."""
    made = Tuning()
    fake.variants = {**fake.variants, "wider": {"width": 16}}
    monkeypatch.setattr(
        fake.__mro__[1], "fit", lambda self, examples, **named: made(self, examples, **named), raising=True
    )
    return made


@pytest.fixture
def plan(small_plan: PlanMaker) -> Plan:
    return small_plan(methods=THREE, fc_width=None)


def test_a_class_is_tuned_once(plan: Plan, tuning: Tuning, tmp_path: Path) -> None:
    """The others begin with its file, which manifest and cards say; nothing of it is left when all are fitted."""
    out = tmp_path / "run"
    run(plan, out)
    assert tuning.log == ["fake tunes", "fake learns", "fake-wide learns", "fake-wider learns"]
    about = RunFolder(out).read_manifest()["methods"]
    expected = [{}, {"shared-77": "fake"}, {"shared-77": "fake"}]
    assert [about[name]["begun_with"] for name in THREE.split(",")] == expected
    assert [ModelCard.read(out, name).begun_with for name in THREE.split(",")] == expected
    assert not (out / "work").exists()


def test_whose_network_it_began_with_survives_a_stop(plan: Plan, tuning: Tuning, tmp_path: Path) -> None:
    """One that was fitted before the stop, and one whose fit was stopped; the report says both."""
    out = tmp_path / "run"
    tuning.fails = {"fake-wider": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        run(plan, out)
    run(plan, out, resume=True)
    about = RunFolder(out).read_manifest()["methods"]
    assert [about[name]["begun_with"] for name in THREE.split(",")] == [{}, *[{"shared-77": "fake"}] * 2]
    text = (out / "report.md").read_text()
    for name in ("fake:wide", "fake:wider"):
        assert f"{name}: fine-tuning taken over from fake, whose seconds are not in its own." in text
    assert "fake: fine-tuning taken over" not in text


def test_the_lines_of_training_say_whose_network_it_began_with(plan: Plan, tuning: Tuning, tmp_path: Path) -> None:
    """Else the seconds look like those of a whole fit."""
    about: dict[str, Any] = {"overwrite": False, "command": "harness", "reporter": Reporter(quiet=True)}
    for resume in (False, True):
        own, wide, wider = lines(train(plan, tmp_path / "run", resume=resume, **about))
        assert "taken over" not in own
        assert " s, fine-tuning taken over from fake, 0.0 MB" in wide
        assert " s, fine-tuning taken over from fake, 0.0 MB" in wider


def test_a_fit_that_tunes_for_itself_took_over_nothing(plan: Plan, tuning: Tuning, tmp_path: Path) -> None:
    """What another left for other settings is offered to it, and it leaves a file of its own."""

    def named(detector: Any, examples: Sequence[Example], **about: Any) -> None:
        tuning.name = "shared-other" if detector.config.width == 8 else "shared-77"
        tuning(detector, examples, **about)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_class(plan), "fit", named)
        run(plan, tmp_path / "run")
    assert tuning.log == ["fake tunes", "fake learns", "fake-wide tunes", "fake-wide learns", "fake-wider learns"]
    about = RunFolder(tmp_path / "run").read_manifest()["methods"]
    assert [about[name]["begun_with"] for name in ("fake", "fake:wide")] == [{}, {}]
    assert about["fake:wider"]["begun_with"]["shared-77"] == "fake"


def plan_class(plan: Plan) -> Any:
    """The class of its methods."""
    return detectors.load(plan.methods[0]).detector


def test_a_kill_before_the_model_is_there_loses_no_network(
    plan: Plan, tuning: Tuning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor one right after it is: at either moment the others find what the first had tuned."""
    for moment in ("before", "after"):
        out = tmp_path / moment
        tuning.log.clear()
        write_fit = RunFolder.write_fit

        def killed(*values: Any, moment: str = moment, write_fit: Any = write_fit) -> None:
            if moment == "after":
                write_fit(*values)
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RunFolder, "write_fit", killed)
            with pytest.raises(KeyboardInterrupt):
                run(plan, out)
        run(plan, out, resume=True)
        assert [line for line in tuning.log if line.endswith("tunes")] == ["fake tunes"]
        assert ModelCard.read(out, "fake").begun_with == {}
        assert not (out / "work").exists()


def test_another_class_tunes_for_itself(small_plan: PlanMaker, tuning: Tuning, tmp_path: Path) -> None:
    """And so does the same class on another network."""
    names = "fake,other,fake:wide@squeezenet1_1"
    run(small_plan(methods=names, fc_width=None, weights="random"), tmp_path / "run")
    assert [line for line in tuning.log if line.endswith("tunes")] == [
        "fake tunes",
        "other tunes",
        "fake-wide@squeezenet1_1 tunes",
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError("no memory")])
def test_what_is_shared_survives_a_stop(error: BaseException, plan: Plan, tuning: Tuning, tmp_path: Path) -> None:
    """Of the fit that tuned, and of one that comes after it; the file that was not finished is not handed on."""
    out = tmp_path / "run"
    tuning.fails = {"fake": error}
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            run(plan, out)
        assert tuning.log == ["fake tunes"]
    else:
        run(plan, out)
        assert tuning.log == ["fake tunes", "fake-wide learns", "fake-wider learns"]
        assert not (out / "work/fake-wide").exists()
        assert [path.name for path in (out / "work").rglob("*.unfinished")] == ["shared-77.unfinished"]
    run(plan, out, resume=True)
    assert tuning.log.count("fake tunes") == 1
    assert sorted(line for line in tuning.log if line.endswith("learns")) == [
        "fake learns",
        "fake-wide learns",
        "fake-wider learns",
    ]
    assert not any("wide" in line and "tunes" in line for line in tuning.log)
    assert not (out / "work").exists()


def test_a_stop_in_a_later_fit_keeps_the_file_of_the_first(plan: Plan, tuning: Tuning, tmp_path: Path) -> None:
    """The folder of the first fit is gone by then."""
    out = tmp_path / "run"
    tuning.fails = {"fake-wide": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        run(plan, out)
    assert not (out / "work/fake").exists()
    run(plan, out, resume=True)
    assert tuning.log == ["fake tunes", "fake learns", "fake-wide learns", "fake-wider learns"]


def test_a_method_alone_leaves_nothing(small_plan: PlanMaker, tuning: Tuning, tmp_path: Path) -> None:
    """There is nobody to leave it to."""
    run(small_plan(methods="fake", fc_width=None), tmp_path / "run")
    assert not (tmp_path / "run/work").exists()


def test_only_whole_shared_files_are_handed_on(tmp_path: Path) -> None:
    """By their names; one that is there already stays."""
    folder = RunFolder(tmp_path)
    shared, one, other = SharedFiles(folder), folder.workdir("one"), folder.workdir("other")
    third = folder.workdir("third")
    for name in ("shared-a", "shared-b", "shared-c.unfinished", "network.checkpoint"):
        (one / name).write_text("one")
    (other / "shared-b").write_text("other")
    assert shared.keep("group", "one") == ["shared-a", "shared-b"]
    assert shared.keep("group", "one") == []
    shared.give("elsewhere", "other")
    assert {path.name for path in other.iterdir()} == {"shared-b"}
    for name in ("other", "third"):
        shared.give("group", name)
    assert {path.name: path.read_text() for path in other.iterdir()} == {"shared-a": "one", "shared-b": "other"}
    assert {path.name: path.read_text() for path in third.iterdir()} == {"shared-a": "one", "shared-b": "one"}
    assert shared.taken_up("group", "one") == {}
    assert shared.taken_up("group", "third") == {"shared-a": "one", "shared-b": "one"}
    (third / "shared-d").write_text("third")
    assert shared.taken_up("group", "third") == {}
    for name in ("one", "other", "third"):
        folder.drop_workdir(name)
    shared.drop("group")
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("links", [True, False])
def test_a_file_is_placed_whole(links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over an older one, too, and on file systems that know no links; replacing one of the two leaves the other."""

    def refused(*_: object) -> None:
        raise OSError("no links here")

    if not links:
        monkeypatch.setattr(os, "link", refused)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("new")
    target.write_text("old")
    place(source, target)
    assert (source.read_text(), target.read_text()) == ("new", "new")
    assert source.samefile(target) is links
    assert {path.name for path in tmp_path.iterdir()} == {"source", "target"}
    source.unlink()
    assert target.read_text() == "new"
