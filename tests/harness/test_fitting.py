"""How methods get to where they can detect: one fit for several, none at all, and a stop in between."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import make_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import detectors
from carried_out import run
from harness.fitting import Ready, sharing
from harness.plan import Plan, PlanError
from harness.preparation import prepare
from harness.runs import RunFolder
from harness.summary import summarise

PlanMaker = Callable[..., Plan]


pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture
def plan(small_plan: PlanMaker) -> PlanMaker:
    """Without a width, which would make all settings of fitting differ from the method's own."""

    def make(**changes: Any) -> Plan:
        return small_plan(**{"fc_width": None, **changes})

    return make


def test_methods_that_differ_in_detecting_alone_share_one_fit(plan: PlanMaker, fake: Any, tmp_path: Path) -> None:
    """The second restores the first one's file; a variant that changes fitting is fitted by itself."""
    summary = run(plan(methods="fake,fake:low,fake:wide"), tmp_path / "run")
    assert fake.log == ["fit from 0", "restore fake", "fit from 0"]
    about = summary["methods"]
    assert {name: each["fitted_as"] for name, each in about.items()} == {
        "fake": "fake",
        "fake:low": "fake",
        "fake:wide": "fake:wide",
    }
    assert about["fake:low"]["fit_seconds"] == about["fake"]["fit_seconds"] != about["fake:wide"]["fit_seconds"]
    assert about["fake:low"]["model_bytes"] == about["fake"]["model_bytes"]
    assert {path.name for path in (tmp_path / "run/models").glob("*.json")} == {"fake.json", "fake-wide.json"}
    text = (tmp_path / "run/report.md").read_text()
    assert "fake:low detects with the model that was fitted as fake" in text
    assert "]: fitted as fake" in text


def test_a_method_of_another_class_is_fitted_by_itself(plan: PlanMaker, fake: Any, tmp_path: Path) -> None:
    """Equal settings of two classes are two methods."""
    summary = run(plan(methods="fake,other"), tmp_path / "run")
    assert summary["methods"]["other"]["fitted_as"] == "other"


def test_variants_draw_the_same(plan: PlanMaker, fake: Any, tmp_path: Path) -> None:
    """A fit does not depend on which variant of its method it was made for, and methods differ."""
    weights = {}
    for name in ("fake", "fake:low", "other"):
        run(plan(methods=name, images=1), tmp_path / name.replace(":", "-"))
        (model,) = (tmp_path / name.replace(":", "-") / "models").glob("*.safetensors")
        weights[name] = model.read_bytes()
    assert weights["fake"] == weights["fake:low"] != weights["other"]


def test_a_stopped_fit_goes_on_from_its_checkpoint(plan: PlanMaker, fake: Any, tmp_path: Path) -> None:
    """What it wrote to its work folder is there when the run is resumed, and gone when the fit is finished."""
    fake.stop_at = 3
    wanted, out = plan(methods="fake,fake:low"), tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        run(wanted, out)
    assert (out / "work/fake/step").read_text() == "3"
    summary = run(wanted, out, resume=True)
    assert fake.log == ["fit from 0", "fit from 3", "restore fake"]
    assert summary["methods"]["fake:low"]["fitted_as"] == "fake"
    assert not (out / "work").exists()
    for about in summary["methods"].values():
        assert about["fit_seconds"] == {}
        assert about["fit_seconds_reason"].startswith("the fit was interrupted")
    assert "]: the fit was interrupted" in (out / "report.md").read_text()
    assert run(wanted, out, resume=True)["methods"]["fake:low"]["fitted_as"] == "fake"
    assert fake.log[3:] == ["restore fake", "restore fake"]


def test_a_failed_fit_keeps_its_checkpoint_too(
    plan: PlanMaker, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variant that could have shared it is fitted by itself meanwhile, and then serves both."""
    original = fake.fit

    def fails(self: Any, *arguments: Any, workdir: Path, **named: Any) -> None:
        if workdir.name == "fake":
            (workdir / "step").write_text("2")
            raise MemoryError("no memory")
        original(self, *arguments, workdir=workdir, **named)

    wanted, out = plan(methods="fake,fake:low"), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(fake, "fit", fails)
        summary = run(wanted, out)
    assert {name: each["status"] for name, each in summary["methods"].items()} == {"fake": "oom", "fake:low": "ok"}
    assert (out / "work/fake/step").read_text() == "2"
    summary = run(wanted, out, resume=True)
    assert {name: each["fitted_as"] for name, each in summary["methods"].items()} == {
        "fake": "fake:low",
        "fake:low": "fake:low",
    }
    assert not (out / "work").exists()


def test_the_first_of_those_that_share_a_fit_is_fitted(plan: PlanMaker, fake: Any, tmp_path: Path) -> None:
    """Whichever variant comes first; what it keeps serves the plain method, too, then and on resume."""
    wanted, out = plan(methods="fake:low,fake"), tmp_path / "run"
    summary = run(wanted, out)
    assert fake.log == ["fit from 0", "restore fake-low"]
    assert {each["fitted_as"] for each in summary["methods"].values()} == {"fake:low"}
    assert summary["methods"]["fake"]["fit_seconds_reason"] is None
    training = (out / "report.md").read_text().partition("## Training")[2]
    assert "fake detects with the model that was fitted as fake:low" in training
    assert run(wanted, out, resume=True)["methods"] == summary["methods"]
    assert fake.log[2:] == ["restore fake-low", "restore fake-low"]
    shutil.rmtree(out / "models")
    assert summarise(RunFolder(out)) == summary  # models are large, and stay behind where a run is committed


def test_what_a_method_says_is_kept(plan: PlanMaker, fake: Any, tmp_path: Path) -> None:
    """Of its fit and of each image, once; and the chunk that it chose, which a resumed run gives it again."""
    wanted, out = plan(methods="fake"), tmp_path / "run"
    run(wanted, out)
    manifest = RunFolder(out).read_manifest()
    first = json.loads((out / "truth.json").read_text())["images"][0]["id"]
    assert manifest["notices"] == [
        {"method": "fake", "image": None, "text": "few objects"},
        {"method": "fake", "image": first, "text": "chunk set"},
    ]
    assert manifest["methods"]["fake"]["chunk"] == 64
    text = (out / "report.md").read_text()
    assert "- **fake**: few objects (while fitting)" in text
    assert f"- **fake**: chunk set (1 image: {first})" in text
    lines = (out / "samples.jsonl").read_text().splitlines()
    (out / "samples.jsonl").write_text("\n".join([*lines[:-1], ""]))
    run(wanted, out, resume=True)
    assert RunFolder(out).read_manifest()["notices"] == manifest["notices"]


def test_an_untrained_run_needs_no_training_split(plan: PlanMaker, fake: Any, tmp_path: Path) -> None:
    """Random weights, times, and no accuracy; the same on resume."""
    wanted = plan(methods="fake,fake:low", weights="random", iterations=None, train_split="none such", repeats=2)
    out = tmp_path / "run"
    summary = run(wanted, out)
    assert fake.log == ["initialise", "initialise"]
    for about in summary["methods"].values():
        assert (about["status"], about["trained"], about["ap"], about["fit_seconds"]) == ("ok", False, None, {})
        assert about["seconds"]["total"]["mean"] > 0
        for metric in ("voc07", "voc10"):
            assert about["map"][metric]["value"] is None
            assert about["map"][metric]["reason"].startswith("untrained: ")
        assert about["ap_reason"].startswith("untrained: ")
    assert summary["plan"]["iterations"] == 0
    assert "repeats" not in doubted(summary)
    assert (summary["dataset"]["train_images"], summary["dataset"]["images"]) == (0, 3)
    samples = [json.loads(line) for line in (out / "samples.jsonl").read_text().splitlines()]
    first = [each for each in samples if each["role"] == "measured" and each["repeat"] == 0]
    assert summary["methods"]["fake"]["detections"] == sum(
        each["detections"] for each in first if each["method"] == "fake"
    )
    text = (out / "report.md").read_text()
    assert "untrained[^" in text
    assert "Nothing was trained" in text
    (out / "samples.jsonl").write_text("".join((out / "samples.jsonl").read_text().splitlines(keepends=True)[:5]))
    assert "repeats" not in doubted(run(wanted, out, resume=True))


def doubted(summary: dict[str, Any]) -> set[str]:
    """Names of the findings by which the trust of a run falls; those of a fake of a millisecond fall by noise."""
    return {one["name"] for one in summary["trust"]["findings"] if one["verdict"] == "inconclusive"}


def test_no_iterations_train_nothing(plan: PlanMaker, fake: Any, tmp_path: Path) -> None:
    """Whatever the weights."""
    summary = run(plan(methods="fake", iterations=0), tmp_path / "run")
    assert fake.log == ["initialise"]
    assert summary["methods"]["fake"]["trained"] is False


def test_random_weights_that_are_trained_have_no_map_either(plan: PlanMaker, fake: Any, tmp_path: Path) -> None:
    """The reason is another one."""
    summary = run(plan(methods="fake", weights="random", iterations=4), tmp_path / "run")
    about = summary["methods"]["fake"]
    assert fake.log == ["fit from 0"]
    assert about["trained"] is True
    assert about["map"]["voc07"]["value"] is None
    assert "the weights of the backbone are random" in about["map"]["voc07"]["reason"]


def test_a_method_that_cannot_be_untrained_is_a_row(
    plan: PlanMaker, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older plug-in lacks `initialise`; the others go on."""
    parent = fake.__mro__[1]
    other = prepare(plan(methods="other")).methods[0].detector
    monkeypatch.setattr(other, "initialise", parent.initialise, raising=False)
    monkeypatch.delattr(parent, "initialise")
    summary = run(plan(methods="fake,other", iterations=0), tmp_path / "run")
    assert summary["methods"]["other"]["status"] == "ok"
    assert summary["methods"]["fake"]["status"] == "error"
    assert "fake has no `initialise`" in summary["methods"]["fake"]["reason"]


def test_a_run_whose_methods_all_fail_ends_with_its_reasons(
    plan: PlanMaker, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left to measure, which is no crash."""
    monkeypatch.setattr(fake, "fit", lambda *_, **__: 1 / 0)
    summary = run(plan(methods="fake"), tmp_path / "run")
    assert summary["methods"]["fake"]["status"] == "error"
    assert RunFolder(tmp_path / "run").read_manifest()["status"] == "partial"


# Where methods come from


def test_the_manifest_names_the_origin_of_each_method(plan: PlanMaker, fake: Any, tmp_path: Path) -> None:
    """Distribution and version; of a combination, those of its members."""
    run(plan(methods="fake:low,fake+other"), tmp_path / "run")
    about = RunFolder(tmp_path / "run").read_manifest()["methods"]
    assert {name: each["origin"] for name, each in about.items()} == {
        "fake:low": "of-fake 1.0",
        "fake+other": "of-fake 1.0, of-other 1.0",
    }


def test_another_version_of_a_plug_in_cannot_go_on(
    plan: PlanMaker, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused like another machine; a run of before origins were kept goes on, and has them then."""
    wanted, out = plan(methods="fake,other"), tmp_path / "run"
    run(wanted, out)
    monkeypatch.setattr(detectors, "origin", lambda name: f"of-{name} {'2.0' if name == 'fake' else '1.0'}")
    changed = r"--resume: fake \(of-fake 1.0 then, of-fake 2.0 now\) changed since the run began"
    with pytest.raises(PlanError, match=changed):
        run(wanted, out, resume=True)
    manifest = RunFolder(out).read_manifest()
    for about in manifest["methods"].values():
        del about["origin"]
    RunFolder(out).write_manifest(manifest)
    run(wanted, out, resume=True)
    resumed = RunFolder(out).read_manifest()["methods"]["fake"]
    assert (resumed["origin"], resumed["chunk"]) == ("of-fake 2.0", 64)


# Settings


def test_settings_that_cannot_be_are_refused_at_once(plan: PlanMaker, fake: Any, tmp_path: Path) -> None:
    """In one line with the method's name, before anything is written."""
    with pytest.raises(PlanError, match="fake:never: a rank of 0 leaves nothing; give at least 1"):
        run(plan(methods="fake,fake:never"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_broken_constructor_costs_its_method_alone(
    plan: PlanMaker, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no SettingsError is a bug, and a row."""

    def broken(*_: Any) -> None:
        raise TypeError("two arguments too many")

    monkeypatch.setattr(fake, "__init__", broken)
    summary = run(plan(methods="fake,other"), tmp_path / "run")
    assert {name: each["status"] for name, each in summary["methods"].items()} == {"fake": "error", "other": "ok"}


def test_a_combination_gets_the_settings_of_the_plan_in_each_member(plan: PlanMaker, fake: Any) -> None:
    """Iterations by each member's own rule, width and arithmetic in each, the policy above them."""
    wanted = {"methods": "fake:wide+other", "iterations": "quick", "fc_width": 12, "policy": "paper"}
    prepared = prepare(plan(**wanted, precision="bf16"))
    config = prepared.config(prepared.methods[0])
    assert [(one.iterations, one.fc_width, one.bf16) for one in config.members] == [(40, 12, True)] * 2
    assert [one.width for one in config.members] == [8, 4]
    assert config.policy == prepared.methods[0].detector.paper_policy
    alone = prepare(plan(methods="fake"))
    assert alone.config(alone.methods[0]).fc_width is None


def test_combinations_share_a_fit_as_their_members_would(plan: PlanMaker, fake: Any) -> None:
    """Where all members differ in detecting alone."""
    prepared = prepare(plan(methods="fake,fake:low"))
    pair = detectors.load("fake+fake")
    planned = []
    for name, parts in {"a": ("fake", "fake"), "b": ("fake:low", "fake"), "c": ("fake", "fake:wide")}.items():
        members = tuple(detectors.load(part) for part in parts)
        config = replace(pair.config, members=tuple(one.config for one in members))
        planned.append(Ready(detectors.Method(name, pair.detector, config, members), config))
    assert sharing(planned) == {"a": ("a", "b"), "b": ("b", "a"), "c": ("c",)}
    assert len(sharing([Ready(one, prepared.config(one)) for one in prepared.methods])["fake"]) == 2


def test_a_field_called_members_makes_no_combination() -> None:
    """A plug-in may have one that holds no settings."""
    config = make_dataclass("Config", [("members", int), ("iterations", int)], frozen=True)(3, 1)
    methods = [detectors.Method(name, object, config) for name in ("a", "a:x")]  # type: ignore[arg-type]
    assert sharing([Ready(one, config) for one in methods]) == {"a": ("a", "a:x"), "a:x": ("a:x", "a")}


def test_a_method_without_bf16_is_refused(plan: PlanMaker, fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is a member of a combination."""
    original = detectors.load

    class Old:
        iterations, policy = 3, None

    def load(name: str) -> Any:
        found = original(name)
        return detectors.Method(name, found.detector, Old()) if name == "other" else found

    monkeypatch.setattr(detectors, "load", load)
    for name in ("fake,other",):
        with pytest.raises(PlanError, match="--precision bf16: other has no bf16 form; use fp32, or leave other out"):
            prepare(plan(methods=name, precision="bf16"))
