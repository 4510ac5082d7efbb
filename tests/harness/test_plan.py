"""Plans: every wrong value is refused in one line that names the option."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from harness.plan import Plan, PlanError


def test_defaults_are_those_of_the_main_job() -> None:
    """The three papers on shapes with the packaged backbone."""
    plan = Plan.of({})
    assert plan.methods == ("rcnn", "spp", "fast")
    assert (plan.dataset, plan.backbone, plan.weights, plan.max_proposals) == ("shapes", "mini", "auto", 2000)
    assert (plan.policy, plan.device, plan.seed, plan.repeats) == ("shared", "auto", 0, 1)


def test_text_of_the_command_line_is_understood() -> None:
    """Options come as text, a TOML plan has numbers and lists; both mean the same plan."""
    text = Plan.of({"methods": "fast, spp:5", "images": "7", "iterations": "12", "seed": "3"})
    assert text == Plan.of({"methods": ["fast", "spp:5"], "images": 7, "iterations": 12, "seed": 3})
    assert Plan.of({"iterations": "paper"}).iterations == "paper"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"iterations": "-1"}, "--iterations: expected 0, which trains nothing, or more, got -1"),
        ({"iterations": "abc"}, "--iterations: expected a number, 'quick' or 'paper', got 'abc'"),
        ({"iterations": 1.5}, "--iterations: expected a number, 'quick' or 'paper', got 1.5"),
        ({"iterations": True}, "--iterations: expected a number, 'quick' or 'paper', got True"),
        ({"images": "0"}, "--images: input should be greater than or equal to 1, got '0'"),
        ({"images": "many"}, "--images: .*, got 'many'"),
        ({"train_images": "-3"}, "--train-images: "),
        ({"max_proposals": "0"}, "--max-proposals: "),
        ({"repeats": "0"}, "--repeats: "),
        ({"fc_width": "0"}, "--fc-width: "),
        ({"seed": "-1"}, "--seed: "),
        ({"policy": "mine"}, "--policy: input should be 'shared' or 'paper', got 'mine'"),
        ({"precision": "fp16"}, "--precision: input should be 'fp32', 'tf32' or 'bf16', got 'fp16'"),
        ({"device": "tpu"}, "--device: input should be 'auto', 'cpu' or 'cuda', got 'tpu'"),
        ({"methods": "rcnn,rcnn"}, "--methods: a method is named twice in rcnn,rcnn"),
        ({"methods": []}, "--methods: "),
        ({"methods": "rcnn@"}, "--methods: 'rcnn@': @ stands once, between the whole name and its network"),
        ({"methods": "spp@zf5+rcnn"}, "--methods: 'spp@zf5.rcnn': @ stands once, "),
        ({"methods": "rcnn,spp,rcnn@mini"}, "^--methods: rcnn and rcnn@mini are one method on one network"),
        (
            {"methods": "rcnn,spp@zf5", "weights": "my.safetensors"},
            "^--weights: a file is for --backbone mini alone, and spp@zf5 runs on another network; .*--weights random",
        ),
        ({"methods": 3}, "--methods: "),
        ({"color": "red"}, "--color: there is no such option; there are methods, dataset, "),
    ],
)
def test_a_wrong_value_is_refused_by_its_option(values: dict[str, Any], words: str) -> None:
    """What, where, what instead."""
    with pytest.raises(PlanError, match=words) as caught:
        Plan.of(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "networks"),
    [
        ({}, ("mini",)),
        ({"methods": "rcnn@caffenet,spp,spp:5", "backbone": "zf5"}, ("zf5", "caffenet")),
        ({"methods": "rcnn@caffenet,spp@zf5,spp:5@zf5"}, ("caffenet", "zf5")),
        ({"methods": "rcnn@mini,spp", "weights": "my.safetensors"}, ("mini",)),
    ],
)
def test_networks_are_those_that_methods_run_on(values: dict[str, Any], networks: tuple[str, ...]) -> None:
    """The plan's own first, and not at all where every method names another."""
    assert Plan.of(values).networks == networks


@pytest.mark.parametrize(
    ("values", "trained"),
    [
        ({}, True),
        ({"weights": "random"}, False),
        ({"weights": "random", "iterations": "5"}, True),
        ({"weights": "random", "iterations": "quick"}, True),
        ({"iterations": "0"}, False),
        ({"iterations": "paper"}, True),
    ],
)
def test_random_weights_are_trained_only_when_asked_for(values: dict[str, Any], trained: bool) -> None:
    """They are for measuring speed; 0 iterations train nothing whatever the weights."""
    assert Plan.of(values).trained is trained


def test_a_plan_is_frozen() -> None:
    """What was checked stays what it was."""
    plan = Plan.of({})
    with pytest.raises(ValidationError, match="frozen"):
        plan.seed = 1  # type: ignore[misc]


@pytest.mark.parametrize("field", sorted(set(Plan.model_fields) - {"methods"}))
def test_digest_and_differences_see_every_field(field: str) -> None:
    """Two plans that differ anywhere have different digests and name the field."""
    other: dict[str, Any] = {"policy": "paper", "device": "cpu", "precision": "bf16", "sweep": "proposals=7,77"}
    plan, changed = Plan.of({}), Plan.of({field: other.get(field, "77")})
    assert plan.differences(changed) == (field,)
    assert plan.digest != changed.digest


def test_the_order_of_methods_matters() -> None:
    """The first is the baseline."""
    plan, turned = Plan.of({"methods": "rcnn,spp"}), Plan.of({"methods": "spp,rcnn"})
    assert plan.differences(turned) == ("methods",)
    assert plan.digest != turned.digest


def test_equal_plans_have_equal_digests() -> None:
    """Also after a way through a manifest."""
    plan = Plan.of({"methods": "spp,fast", "images": "3"})
    again = Plan.of(plan.model_dump(mode="json"))
    assert (again, again.digest, again.differences(plan)) == (plan, plan.digest, ())
    assert len(plan.digest) == 16


def toml(path: Path, text: str) -> dict[str, Any]:
    (path / "plan.toml").write_text(text)
    return Plan.values_in(path / "plan.toml")


def test_a_toml_plan_gives_the_values_it_names(tmp_path: Path) -> None:
    """And no others, so that options can be laid over it."""
    assert toml(tmp_path, 'methods = ["rcnn", "fast:svd"]\nimages = 5\n') == {
        "methods": ["rcnn", "fast:svd"],
        "images": 5,
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("images = ", "cannot be read"),
        ("seed = " + "[" * 100_000, "cannot be read"),
        ("iterations = " + "9" * 5000, "cannot be read"),
        ("speed = 3", "there is no 'speed'; there are methods, "),
        ("[plan]\n", "'plan'"),
    ],
)
def test_a_wrong_toml_plan_is_refused_by_its_file(tmp_path: Path, text: str, words: str) -> None:
    """The file is named, for there may be options beside it."""
    with pytest.raises(PlanError, match=words) as caught:
        toml(tmp_path, text)
    assert "plan.toml" in str(caught.value)


def test_a_missing_toml_plan_is_refused(tmp_path: Path) -> None:
    """As is a folder in its place."""
    with pytest.raises(PlanError, match="no plan file"):
        Plan.values_in(tmp_path / "none.toml")
    with pytest.raises(PlanError, match="cannot be read"):
        Plan.values_in(tmp_path)
