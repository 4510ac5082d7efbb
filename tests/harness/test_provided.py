"""Models of another run in the place of fits: measured as if they had been fitted here, or refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from carried_out import run
from harness.compare import compare
from harness.modelcard import ModelCard, ModelCardError
from harness.plan import Plan, PlanError
from harness.progress import Reporter
from harness.provided import adopted
from harness.rendering.appendix import fitted_as, fitted_before, training
from harness.runs import RunFolder
from harness.training import train

PlanMaker = Callable[..., Plan]

pytestmark = pytest.mark.usefixtures("no_pictures")


def trained(plan: Plan, out: Path) -> Path:
    """Models of a plan."""
    train(plan, out, resume=False, overwrite=False, command="harness", reporter=Reporter(quiet=True))
    return out


@pytest.fixture
def models(small_plan: PlanMaker, fake: Any, tmp_path: Path) -> Path:
    """Of two fakes, with all settings as in `plan`."""
    made = trained(small_plan(methods="fake,fake:wide", fc_width=None), tmp_path / "models")
    fake.log.clear()
    return made


@pytest.fixture
def plan(boxes_file: Path, models: Path) -> PlanMaker:
    """A comparison that says nothing of fits."""

    def make(methods: str = "fake,fake:wide", **changes: Any) -> Plan:
        values = {"methods": methods, "models": str(models), "proposals": str(boxes_file), "images": 3, "device": "cpu"}
        return Plan.of({**values, **changes})

    return make


def outcomes(out: Path) -> dict[str, Any]:
    """All that a comparison finds besides times."""
    summary, folder = json.loads((out / "summary.json").read_text()), RunFolder(out)
    return {
        name: (about["map"], about["ap"], folder.read_detections(name)) for name, about in summary["methods"].items()
    }


def test_training_once_and_measuring_later_is_a_comparison(small_plan: PlanMaker, tmp_path: Path) -> None:
    """The same models, detections and mAP as where all is fitted in one go, measured in a fresh process."""
    whole = small_plan(methods="spp,fast,fast:svd")
    run(whole, tmp_path / "whole")
    made = trained(small_plan(methods="spp,fast"), tmp_path / "models")
    wanted = Plan.of({"methods": whole.methods, "models": str(made), "proposals": whole.proposals, "images": 3})
    run(wanted, tmp_path / "run", here=False)
    assert outcomes(tmp_path / "run") == outcomes(tmp_path / "whole")
    one, other = (RunFolder(tmp_path / name).read_manifest() for name in ("whole", "run"))
    for name, about in one["methods"].items():
        mine = other["methods"][name]
        assert all(mine[key] == about[key] for key in ("iterations", "fitted_as", "model_sha256", "fit", "trained"))
    assert other["dataset"] == one["dataset"]
    assert other["networks"] == one["networks"]
    assert ModelCard.read(tmp_path / "run", "spp") == ModelCard.read(made, "spp")


def test_a_run_that_was_measured_serves_too(small_plan: PlanMaker, fake: Any, tmp_path: Path) -> None:
    """Its models have the same cards; and so do those that were taken over from it."""
    first = small_plan(methods="fake", fc_width=None)
    run(first, tmp_path / "first")
    for before, name in (("first", "second"), ("second", "third")):
        values = {"methods": "fake:low", "models": str(tmp_path / before), "proposals": first.proposals, "images": 2}
        run(Plan.of(values), tmp_path / name)
        about = RunFolder(tmp_path / name).read_manifest()["methods"]["fake:low"]
        assert (about["fitted_as"], about["fit"]["images"]) == ("fake", 4)
    assert fake.log.count("fit from 0") == 1
    assert ModelCard.read(tmp_path / "third", "fake") == ModelCard.read(tmp_path / "first", "fake")


def test_the_manifest_says_where_models_come_from(plan: PlanMaker, models: Path, fake: Any, tmp_path: Path) -> None:
    """File, plan and data of the fits; nothing is fitted, and a variant of detecting takes the model of its method."""
    summary = run(plan("fake:low,fake:wide", max_proposals=20), tmp_path / "run")
    assert fake.log == ["restore fake", "restore fake-wide"]
    manifest, theirs = (RunFolder(tmp_path / "run").read_manifest(), RunFolder(models).read_manifest(training=True))
    assert manifest["models"]["fake:low"] == {
        "folder": str(models),
        "fitted_as": "fake",
        "model_sha256": ModelCard.read(models, "fake").model_sha256,
        "max_proposals": 2000,
        "proposals": theirs["plan"]["proposals"],
        "seed": 0,
        "harness_version": ModelCard.read(models, "fake").harness_version,
        "machine": {key: theirs["machine"][key] for key in ("device", "cpu", "gpu")},
        "created": ModelCard.read(models, "fake").created,
    }
    for key in ("train_images", "train_sha256", "train_boxes_sha256"):
        assert manifest["dataset"][key] == theirs["dataset"][key]
    assert manifest["plan"]["max_proposals"] == 20
    for key in ("train_split", "train_images", "iterations", "fc_width", "backbone", "weights"):
        assert manifest["plan"][key] == theirs["plan"][key]
    assert summary["methods"]["fake:low"]["fitted_as"] == "fake"
    assert {path.name for path in (tmp_path / "run/models").iterdir()} == {
        f"{name}.{end}" for name in ("fake", "fake-wide") for end in ("json", "safetensors")
    }


def test_seconds_of_a_fit_that_is_not_in_the_run_stand_with_one_method(
    plan: PlanMaker, models: Path, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first that detects with it; with where, on what and under which seed that fit ran."""
    monkeypatch.setattr(fake, "variants", {**fake.variants, "lower": {"rank": 2}})
    for path in (models / "models").glob("*.json"):
        card = json.loads(path.read_text())
        path.write_text(json.dumps({**card, "machine": {"device": "cuda", "cpu": "C", "gpu": "G 100"}}))
    summary = run(plan("fake:low,fake:lower"), tmp_path / "run")
    total = next(row for row in training(summary) if row.name == "total")
    spent = ModelCard.read(models, "fake").fit_seconds["total"]
    assert [cell.value for cell in total.cells] == [spent, None]
    assert fitted_as(summary) == {"fake:lower": "fake"}
    date = str(ModelCard.read(models, "fake").created)[:10]
    assert fitted_before(summary) == [
        f"fake:low, fake:lower: fitted before as fake, in {models}, on GPU (G 100), seed 0, {date}."
    ]
    assert fitted_before(summary)[0] in (tmp_path / "run/report.md").read_text()


def test_a_machine_that_was_not_kept_is_said(plan: PlanMaker, models: Path, tmp_path: Path) -> None:
    """Cards of an earlier version tell neither machine nor date."""
    for path in (models / "models").glob("*.json"):
        card = json.loads(path.read_text())
        path.write_text(json.dumps({key: card[key] for key in card if key not in ("machine", "created", "begun_with")}))
    summary = run(plan("fake"), tmp_path / "run")
    assert fitted_before(summary) == [f"fake: fitted before, in {models}, on a machine that was not recorded, seed 0."]


def test_a_run_that_began_with_less_said_of_its_models_goes_on(plan: PlanMaker, models: Path, tmp_path: Path) -> None:
    """What an earlier version did not keep of them is not held against it."""
    run(plan(), tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    manifest = folder.read_manifest()
    for about in manifest["models"].values():
        del about["machine"], about["created"]
    folder.write_manifest(manifest)
    run(plan(), tmp_path / "run", resume=True)
    del manifest["models"]["fake"]
    folder.write_manifest(manifest)
    with pytest.raises(PlanError, match="--resume: models changed since the run began"):
        run(plan(), tmp_path / "run", resume=True)


def test_a_setting_left_open_is_what_the_detector_made_of_it(
    small_plan: PlanMaker, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In card and manifest; once it would come to something else, the model is another's."""
    monkeypatch.setattr(fake, "resolved", {"width": 4}, raising=False)
    monkeypatch.setattr(fake, "variants", {"open": {"width": 40}, **fake.variants})
    made = trained(small_plan(methods="fake:open", fc_width=None), tmp_path / "models")
    assert ModelCard.read(made, None).settings["width"] == 4
    fit = RunFolder(made).read_manifest(training=True)["methods"]["fake:open"]["fit"]
    assert fit["settings"] == dict(ModelCard.read(made, None).settings)
    values = {"models": str(made), "proposals": small_plan().proposals, "images": 2, "device": "cpu"}
    # Whoever asks for what it came to gets it.
    for name in ("fake:open", "fake"):
        summary = run(Plan.of({"methods": name, **values}), tmp_path / name.replace(":", "-"))
        assert summary["methods"][name]["fitted_as"] == "fake:open"
    monkeypatch.setattr(fake, "resolved", {"width": 5})
    with pytest.raises(PlanError, match=r"that of fake:open was fitted with other width$"):
        run(Plan.of({"methods": "fake:open", **values}), tmp_path / "other")


def test_a_run_with_models_goes_on_after_a_stop_among_its_images(
    plan: PlanMaker, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was measured stays, and the models are not taken once more."""
    out, detect = tmp_path / "run", fake.__mro__[1].detect
    left = iter(range(2))

    def stopped(self: Any, *values: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return detect(self, *values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake, "detect", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(plan(), out)
    before = {path: path.stat().st_mtime_ns for path in (out / "models").iterdir()}
    run(plan(), out, resume=True)
    run(plan(), tmp_path / "unbroken")
    assert outcomes(out) == outcomes(tmp_path / "unbroken")
    assert {path: path.stat().st_mtime_ns for path in (out / "models").iterdir()} == before
    assert RunFolder(out).read_manifest()["status"] == "complete"


def test_a_run_with_models_goes_on(plan: PlanMaker, models: Path, fake: Any, tmp_path: Path) -> None:
    """After a stop in the middle of taking a model over; but not with another model than it began with."""
    out = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "write_fit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            run(plan(), out)
    assert (out / "models/fake.safetensors").exists()
    run(plan(), out, resume=True)
    run(plan(), tmp_path / "unbroken")
    assert outcomes(out) == outcomes(tmp_path / "unbroken")
    shutil.rmtree(models)
    trained(Plan.of({**RunFolder(out).read_manifest()["plan"], "models": None, "seed": 5}), models)
    with pytest.raises(PlanError, match="--resume: models changed since the run began"):
        run(plan(), out, resume=True)


# What is refused


def test_a_method_without_a_model_is_refused(plan: PlanMaker, tmp_path: Path) -> None:
    """With what there is; before anything is written."""
    for methods, words in (
        ("fake,other", "no model for other on mini in .*models, which holds fake, fake:wide$"),
        ("fake@squeezenet1_1", "no model for fake@squeezenet1_1 on squeezenet1_1 in "),
    ):
        with pytest.raises(PlanError, match=f"--models: {words}"):
            run(plan(methods), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_model_of_other_settings_is_refused(
    plan: PlanMaker, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name alone does not make it the method's own; which settings differ is said."""
    monkeypatch.setattr(fake, "variants", {**fake.variants, "wider": {"width": 16}})
    with pytest.raises(PlanError, match=r"no model for fake:wider .*; that of fake was fitted with other width$"):
        run(plan("fake:wider"), tmp_path / "run")
    monkeypatch.setattr(fake, "variants", {**fake.variants, "wide": {"width": 16}})
    with pytest.raises(PlanError, match=r"; that of fake:wide was fitted with other width$"):
        run(plan("fake:wide"), tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"iterations": "5"}, "--iterations: the models in .* were fitted with 3, not 5; leave it out"),
        ({"train_images": 3}, "--train-images: the models in .* were fitted with 4, not 3"),
        ({"fc_width": 8}, "--fc-width: the models in .* were fitted with the default, not 8"),
        ({"backbone": "zf5"}, "--backbone: the models in .* were fitted with mini, not zf5"),
        ({"split": "train"}, "--models: 3 of the test images, such as train-000000, are among those that fake in "),
        ({"models": "nowhere"}, "no folder nowhere"),
    ],
)
def test_a_plan_that_contradicts_the_fits_is_refused(
    changes: dict[str, Any], words: str, plan: PlanMaker, tmp_path: Path
) -> None:
    """What the fits were made with is over; to test on their images is no test."""
    with pytest.raises((PlanError, ModelCardError), match=words) as caught:
        run(plan(**changes), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_what_the_fits_were_made_with_may_be_repeated(plan: PlanMaker) -> None:
    """And is taken on where it is not said; a plan without models stays as it is."""
    said = adopted(plan(iterations=3, train_images=4))
    assert said == adopted(plan()) == adopted(said)
    assert (said.iterations, said.train_images, said.trained) == (3, 4, True)
    assert adopted(Plan.of({})) == Plan.of({})


def test_other_classes_are_refused(plan: PlanMaker, models: Path, tmp_path: Path) -> None:
    """Labels would mean something else."""
    for path in (models / "models").glob("*.json"):
        path.write_text(path.read_text().replace('"disc"', '"coin"'))
    with pytest.raises(PlanError, match=r"the classes of shapes are not those that fake in .*; give its --dataset"):
        run(plan(), tmp_path / "run")


def test_models_of_different_fits_are_refused(
    plan: PlanMaker, models: Path, small_plan: PlanMaker, tmp_path: Path
) -> None:
    """A comparison is of methods that saw the same images."""
    other = trained(small_plan(methods="other", fc_width=None, train_images=3), tmp_path / "other")
    for path in (other / "models").iterdir():
        shutil.copy(path, models / "models")
    with pytest.raises(PlanError, match=r"fake and other in .* were fitted on different images or under different"):
        run(plan("fake,other"), tmp_path / "run")


def test_models_are_not_overwritten_by_what_would_use_them(plan: PlanMaker, models: Path) -> None:
    """The folder would be emptied first."""
    before = sorted(models.rglob("*"))
    about: dict[str, Any] = {"resume": False, "overwrite": True, "command": "harness", "reporter": Reporter(quiet=True)}
    with pytest.raises(PlanError, match=r"--models: .* lies in --out, which --overwrite empties; choose another"):
        compare(plan(), models, **about)
    assert sorted(models.rglob("*")) == before


def test_a_damaged_model_costs_its_method(plan: PlanMaker, models: Path, tmp_path: Path) -> None:
    """It is a row with its reason; the others are measured."""
    with (models / "models/fake.safetensors").open("ab") as file:
        file.write(b"!")
    summary = run(plan(), tmp_path / "run")
    assert {name: about["status"] for name, about in summary["methods"].items()} == {"fake": "error", "fake:wide": "ok"}
    assert "is not the file that its card tells of" in summary["methods"]["fake"]["reason"]
