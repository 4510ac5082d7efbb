"""Fitting without measuring: what is left is enough to detect with, and is no comparison."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from harness import training
from harness.cli import app
from harness.evaluate import evaluate_file
from harness.examples import Examples
from harness.modelcard import ModelCard, ModelCardError
from harness.plan import Plan, PlanError
from harness.preparation import prepare
from harness.progress import Reporter
from harness.restoring import restore
from harness.runs import RunError, RunFolder
from harness.training import lines, train

PlanMaker = Callable[..., Plan]


def trained(plan: Plan, out: Path, *, resume: bool = False) -> dict[str, Any]:
    """The manifest."""
    return train(plan, out, resume=resume, overwrite=False, command="harness", reporter=Reporter(quiet=True))


def examples_of(plan: Plan) -> Examples:
    """The training images."""
    prepared = prepare(plan, testing=False)
    return Examples(prepared.train, prepared.boxes(prepared.train))


@pytest.fixture(scope="module")
def plan(small_plan: PlanMaker) -> Plan:
    return small_plan(methods="spp,fast")


@pytest.fixture(scope="module")
def made(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small models."""
    out = tmp_path_factory.mktemp("trained") / "models"
    manifest = trained(plan, out)
    assert {about["status"] for about in manifest["methods"].values()} == {"ok"}
    return out


@pytest.fixture
def fakes(small_plan: PlanMaker, fake: Any) -> PlanMaker:
    """Plans of fakes."""

    def make(methods: str, **changes: Any) -> Plan:
        return small_plan(**{"methods": methods, "fc_width": None, **changes})

    return make


# What is left


def test_models_and_what_is_known_of_them_are_left(plan: Plan, made: Path) -> None:
    """Nothing of tests, though the plan's test split is not touched; each card tells the fit of its model."""
    assert {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()} == {
        "manifest.json",
        *(f"models/{name}.{end}" for name in ("spp", "fast") for end in ("json", "safetensors")),
    }
    manifest = RunFolder(made).read_manifest(training=True)
    assert (manifest["status"], manifest["kind"], manifest["dataset"]["images"]) == ("complete", "training", 0)
    examples = examples_of(plan)
    for name in ("spp", "fast"):
        card, about = ModelCard.read(made, name), manifest["methods"][name]
        assert card.trained_on.images == tuple(example.id for example in examples)
        assert card.trained_on.sha256 == manifest["dataset"]["train_sha256"]
        assert card.plan == manifest["plan"] == plan.model_dump(mode="json")
        assert (card.backbone, card.weights_sha256) == ("mini", manifest["weights_sha256"])
        assert card.fit_seconds["total"] > 0
        assert about["model_sha256"] == card.model_sha256
        assert about["fit"]["images"] == len(examples)
        card.check_model()


@pytest.mark.parametrize("name", ["spp", "fast"])
def test_a_model_and_its_card_are_enough_to_detect(name: str, plan: Plan, made: Path, tmp_path: Path) -> None:
    """Alone in another folder they give what the fit itself gives, to the bit."""
    for path in (made / "models").glob(f"{name}.*"):
        shutil.copy(path, tmp_path)
    detector = restore(ModelCard.read(tmp_path, None), "cpu")
    prepared, examples = prepare(plan, testing=False), examples_of(plan)
    method = next(one for one in prepared.methods if one.name == name)
    fitted = prepared.detector(method, prepared.config(method))
    fitted.fit(examples, generator=prepared.stream(name), workdir=tmp_path / "work")
    for example in examples:
        one, other = (each.detect(example.image, example.proposals) for each in (detector, fitted))
        assert len(one.scores)
        assert all(torch.equal(getattr(one, key), getattr(other, key)) for key in ("boxes", "scores", "labels"))


def test_weights_are_not_needed_again(small_plan: PlanMaker, tmp_path: Path) -> None:
    """Nor is their file, which is gone when the model is used; the input convention is the file's and not ours."""
    from safetensors.torch import load_file, save_file

    packaged = Path(__file__).parents[2] / "detectors/parts/backbones/mini.safetensors"
    weights, convention = tmp_path / "own.safetensors", "BGR 0-1 minus (0.5,0.4,0.3) over (0.2,0.2,0.25)"
    save_file(load_file(packaged), weights, metadata={"input": convention})
    trained(small_plan(methods="spp:pool5", weights=str(weights)), tmp_path / "run")
    weights.unlink()
    card = ModelCard.read(tmp_path / "run", None)
    assert card.input == convention
    detector: Any = restore(card, "cpu")
    assert str(detector.convention) == convention


def test_other_settings_of_a_later_version_are_refused(made: Path, tmp_path: Path) -> None:
    """A network of another make would detect nonsense; a damaged model would, too."""
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    path = copy / "models/spp.json"
    values = json.loads(path.read_text())
    values["settings"]["sgd"]["lr"], values["settings"]["layer"] = 7, "fc9"
    path.write_text(json.dumps(values))
    with pytest.raises(ModelCardError, match=r"spp.json: harness 0.* \(layer, sgd\); fit it anew"):
        restore(ModelCard.read(copy, "spp"), "cpu")
    model = copy / "models/fast.safetensors"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelCardError, match="is not the file that its card tells of"):
        restore(ModelCard.read(copy, "fast"), "cpu")


# What is said


def test_training_ap_is_that_of_the_model_on_its_training_images(plan: Plan, made: Path, tmp_path: Path) -> None:
    """As `harness evaluate` scores the same detections; and the line calls it what it is."""
    from harness.coco import detection_rows

    detector, rows = restore(ModelCard.read(made, "fast"), "cpu"), []
    for example in examples_of(plan):
        found = detector.detect(example.image, example.proposals)
        rows += detection_rows(example.id, found.boxes.numpy(), found.scores.numpy(), found.labels.numpy())
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    expected = evaluate_file(tmp_path / "rows.json", dataset="shapes", split="train", images=4, metric="voc07")["map"]
    manifest = RunFolder(made).read_manifest(training=True)
    assert manifest["training_ap"]["fast"] == {"value": expected, "reason": None, "images": 4}
    assert expected > 0
    line = next(line for line in lines(manifest) if line.startswith("fast: "))
    assert line.endswith(
        f"mAP (07) {100 * expected:.1f} on 4 of the images that it was fitted on, which is no accuracy"
    )


def test_a_slow_method_is_judged_on_fewer_images(
    fakes: PlanMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as the time allows, and a few at least."""
    monkeypatch.setattr(training, "_JUDGED_SECONDS", -1.0)
    monkeypatch.setattr(training, "_FEWEST_JUDGED", 2)
    assert trained(fakes("fake"), tmp_path / "run")["training_ap"]["fake"]["images"] == 2


def test_a_method_that_fails_is_a_row_and_the_others_are_fitted(
    fakes: PlanMaker, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it fails when it is fitted, or when it is tried."""
    monkeypatch.setattr(fake, "fit", lambda *_, **__: 1 / 0)
    manifest = trained(fakes("fake,other"), tmp_path / "run")
    assert manifest["status"] == "partial"
    assert {name: about["status"] for name, about in manifest["methods"].items()} == {"fake": "error", "other": "ok"}
    assert ModelCard.read(tmp_path / "run", None).method == "other"
    assert lines(manifest)[0] == "fake: error, ZeroDivisionError: division by zero"


def test_a_model_that_cannot_detect_is_kept_and_said(
    fakes: PlanMaker, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was fitted, and may detect elsewhere."""
    monkeypatch.setattr(fake, "detect", lambda *_: 1 / 0)
    manifest = trained(fakes("fake"), tmp_path / "run")
    assert manifest["training_ap"]["fake"] == {
        "value": None,
        "reason": "ZeroDivisionError: division by zero",
        "images": 0,
    }
    assert "not judged: ZeroDivisionError" in lines(manifest)[0]
    assert ModelCard.read(tmp_path / "run", "fake")


def test_a_trial_that_failed_is_tried_again(
    fakes: PlanMaker, fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Going on heals it, without another fit; one that succeeded is not tried again."""
    out = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake, "detect", lambda *_: 1 / 0)
        trained(fakes("fake,other"), out)
    fake.log.clear()
    detect, seen = fake.__mro__[1].detect, list[str]()

    def noted(self: Any, *values: Any) -> Any:
        seen.append(type(self).__name__)
        return detect(self, *values)

    monkeypatch.setattr(fake.__mro__[1], "detect", noted)
    judged = trained(fakes("fake,other"), out, resume=True)["training_ap"]
    assert (judged["fake"]["images"], judged["fake"]["reason"]) == (4, None)
    assert seen == ["Own"] * 4
    assert fake.log == ["restore fake"]


# A stop in between


def test_an_interrupted_training_ends_as_the_unbroken_one(fakes: PlanMaker, fake: Any, tmp_path: Path) -> None:
    """What was fitted is not fitted again, a checkpoint is taken up, and the models are the same to the bit."""
    plan, out = fakes("other,fake,fake:low,fake:wide"), tmp_path / "run"
    trained(plan, tmp_path / "unbroken")
    fake.log.clear()
    fake.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        trained(plan, out)
    assert RunFolder(out).read_manifest(training=True)["status"] == "interrupted"
    assert fake.log == ["fit from 0"]
    manifest = trained(plan, out, resume=True)
    assert fake.log == ["fit from 0", "fit from 2", "restore fake", "fit from 0"]
    assert manifest["status"] == "complete"
    assert manifest["methods"]["fake:low"]["fitted_as"] == "fake"
    assert "seconds not known" in lines(manifest)[1]
    assert not (out / "work").exists()
    for name in ("other", "fake", "fake:wide"):
        one, two = (ModelCard.read(tmp_path / folder, name) for folder in ("run", "unbroken"))
        assert one.model_sha256 == two.model_sha256
    assert trained(plan, out, resume=True)["training_ap"] == manifest["training_ap"]


def test_a_plan_that_fits_nothing_is_refused(small_plan: PlanMaker, tmp_path: Path) -> None:
    """Before anything is written."""
    for changes, words in (
        ({"iterations": 0}, "--iterations 0: nothing would be fitted"),
        ({"weights": "random", "iterations": None}, "--weights random without --iterations: nothing"),
        ({"models": "somewhere"}, "--models: those are fitted already"),
    ):
        with pytest.raises(PlanError, match=words):
            trained(small_plan(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_plan_cannot_go_on(plan: Plan, made: Path) -> None:
    """As in a comparison; and a comparison is not gone on with by training, nor the other way round."""
    with pytest.raises(PlanError, match="--seed: the run was planned with 0, not 1"):
        trained(plan.model_copy(update={"seed": 1}), made, resume=True)
    with pytest.raises(RunError, match="holds a run; go on with --resume, replace it with --overwrite"):
        trained(plan, made)


# The command


def harness(*arguments: object) -> Any:
    """Run in this process."""
    return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)


@pytest.mark.parametrize(
    "command",
    [
        ("report",),
        ("report", "--json"),
        ("report", "--markdown"),
        ("report", "--check"),
        ("gate", "--baseline", "base.json"),
        ("compare", "--resume", "--out"),
    ],
)
def test_what_reads_measurements_refuses_a_folder_without(command: tuple[str, ...], made: Path) -> None:
    """In one line that says what it is good for, and untouched."""
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    done = harness(*command, made)
    assert done.exit_code == 2
    assert done.stderr.strip().endswith("no measurements; measure them with `harness compare --models`")
    assert len(done.stderr.splitlines()) == 1
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before


def test_the_command_fits_and_says_what_became_of_each(boxes_file: Path, tmp_path: Path) -> None:
    """JSON alone on standard output; a folder that is there is refused; help names what compare has, too."""
    small = ["--train-images", "4", "--iterations", "3", "--fc-width", "16", "--device", "cpu"]
    arguments = ["train", "fast,fast:svd", *small, "--proposals", boxes_file, "--out", tmp_path / "run"]
    done = harness(*arguments, "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["methods"]["fast:svd"]["fitted_as"] == "fast"
    assert told["methods"]["fast"]["training_ap"]["images"] == 4
    done = harness(*arguments)
    assert done.exit_code == 2
    assert "holds a run" in done.stderr
    done = harness("train", "--resume", "--out", tmp_path / "run")
    assert done.exit_code == 0
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["fast", "fast", "Models"]
    assert "fast:svd: the model of fast, " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--resume"], "--resume needs --out with the models to go on with"),
        (["spp", "--iterations", "0"], "--iterations 0: nothing would be fitted"),
        (["none"], "no method 'none'"),
        (["spp", "--dataset", "voc:nowhere"], "nowhere"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], words: str, tmp_path: Path, monkeypatch: Any) -> None:
    """And exit code 2."""
    monkeypatch.chdir(tmp_path)
    done = harness("train", *arguments)
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert words in done.stderr
    assert not list(tmp_path.iterdir())
