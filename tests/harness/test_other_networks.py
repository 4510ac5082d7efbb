"""A method on a network of its own, beside others in one run: what it is given, what it shares, what is on record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from carried_out import run
from harness import replicate
from harness.plan import Plan, PlanError
from harness.preparation import prepare
from harness.progress import Reporter
from harness.runs import RunFolder

PlanMaker = Callable[..., Plan]
OTHER = "squeezenet1_1"

pytestmark = pytest.mark.usefixtures("no_pictures")


def digests(out: Path, method: str) -> dict[str, str | None]:
    """By image, the digest of what was detected."""
    samples = RunFolder(out).read_samples()
    return {each.image: each.digest for each in samples if each.method == method and each.role == "measured"}


@pytest.fixture(scope="module")
def mixed(small_plan: PlanMaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SPP-net on the plan's own network and on another, and a combination; nothing is trained."""
    out = tmp_path_factory.mktemp("mixed") / "run"
    methods = f"spp,spp@{OTHER},spp+rcnn@{OTHER}"
    summary = run(small_plan(methods=methods, weights="random", iterations=None, images=2), out)
    assert {name: about["status"] for name, about in summary["methods"].items()} == dict.fromkeys(
        methods.split(","), "ok"
    )
    return out


def test_a_method_detects_as_on_a_backbone_of_its_own(mixed: Path, small_plan: PlanMaker, tmp_path: Path) -> None:
    """Named with its network, with random weights, it detects to the bit what it does where all run on that network."""
    run(small_plan(methods="spp", backbone=OTHER, weights="random", iterations=None, images=2), tmp_path / "run")
    there = digests(tmp_path / "run", "spp")
    assert len(there) == 2
    assert digests(mixed, f"spp@{OTHER}") == there
    assert digests(mixed, "spp") != there


def test_the_manifest_tells_every_network(mixed: Path) -> None:
    """Weights and input of each; the old keys are those of the plan's own; origins are of the method, not the name."""
    manifest = RunFolder(mixed).read_manifest()
    assert set(manifest["networks"]) == {"mini", OTHER}
    own = manifest["networks"]["mini"]
    assert own == {"weights_sha256": manifest["weights_sha256"], "input": manifest["input"]}
    assert {about["origin"] for about in manifest["methods"].values()} == {"built in"}


def test_all_members_of_a_combination_run_on_its_network(small_plan: PlanMaker) -> None:
    """The @ ends the whole name, and no network is opened that no method runs on."""
    prepared = prepare(small_plan(methods=f"spp+rcnn@{OTHER}", weights="random", iterations=None))
    assert list(prepared.backbones) == [OTHER]
    (method,) = prepared.methods
    detector: Any = prepared.detector(method, prepared.config(method))
    assert len(detector.members) == 2
    assert len(method.members) == 2
    assert method.name == f"spp+rcnn@{OTHER}"


def test_a_fit_is_shared_on_one_network_alone(small_plan: PlanMaker, fake: Any, tmp_path: Path) -> None:
    """Of three methods that differ in detecting, the two on one network share a fit; each draws as if it were alone."""
    names = ("fake", f"fake@{OTHER}", f"fake:low@{OTHER}")
    plan = small_plan(methods=",".join(names), weights="random", iterations=3, fc_width=None)
    summary = run(plan, tmp_path / "run")
    assert fake.log == ["fit from 0", "fit from 0", f"restore fake@{OTHER}"]
    assert [summary["methods"][name]["fitted_as"] for name in names] == ["fake", names[1], names[1]]
    folder = RunFolder(tmp_path / "run")
    assert {path.name for path in folder.path.glob("models/*.safetensors")} == {
        "fake.safetensors",
        f"fake@{OTHER}.safetensors",
    }
    assert folder.model_path(names[0]).read_bytes() == folder.model_path(names[1]).read_bytes()


def test_other_weights_of_another_network_are_refused(
    mixed: Path, small_plan: PlanMaker, silent: Reporter, tmp_path: Path
) -> None:
    """By a resume, which names the network, and by a fresh process of the run."""
    plan = Plan.of(RunFolder(mixed).read_manifest()["plan"])
    folder = RunFolder(tmp_path / "run")
    manifest = RunFolder(mixed).read_manifest()
    manifest["networks"][OTHER]["weights_sha256"] = "f" * 64
    folder.start(manifest)
    with pytest.raises(PlanError, match=f"--resume: weights_sha256 of {OTHER} changed"):
        run(plan, folder.path, resume=True)
    with pytest.raises(PlanError, match="the weights are not what the run began with"):
        replicate.measure(folder, 0, silent, lambda: None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": "rcnn,spp@resnet"}, "no backbone 'resnet'; there are mini, "),
        ({"methods": "rcnn,spp@zf5", "weights": "auto"}, "no weights of zf5 can be fetched; "),
        ({"methods": f"rcnn,rcnn:six@{OTHER}"}, "no variant rcnn:six; variants of rcnn: "),
    ],
)
def test_a_network_that_cannot_be_had_is_refused(changes: dict[str, Any], words: str, small_plan: PlanMaker) -> None:
    """Before anything slow, in one line."""
    with pytest.raises(PlanError, match=words) as caught:
        prepare(small_plan(**{"weights": "random", "iterations": None} | changes))
    assert "\n" not in str(caught.value)
