"""Cards of models: what is written is read, and a folder that does not hold what is asked for says so in one line."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.modelcard import ModelCard, ModelCardError, TrainedOn
from harness.plan import Plan
from harness.runs import RunFolder

BYTES = b"a model"


def card(method: str = "spp:5", **changes: Any) -> ModelCard:
    """A card of a made-up model whose file holds `BYTES`."""
    values: dict[str, Any] = {
        "method": method,
        "backbone": "mini",
        "input": "RGB 0-255 minus (128,128,128) over (64,64,64)",
        "weights_sha256": "ab" * 32,
        "classes": ("disc", "ring"),
        "settings": {"iterations": 3, "scales_px": [480, 688], "sgd": {"lr": 0.1}, "layer": None},
        "plan": Plan.of({"methods": method, "max_proposals": 77}).model_dump(mode="json"),
        "trained_on": TrainedOn("shapes", "train", ("a", "b"), "cd" * 32, "ef" * 32, {"name": "uniform", "seed": 0}),
        "model_sha256": hashlib.sha256(BYTES).hexdigest(),
        "fit_seconds": {"total": 1.5},
        "harness_version": "0.1.0",
    }
    return ModelCard(**{**values, **changes})


def put(folder: Path, *cards: ModelCard) -> Path:
    """Write models with their cards as a fit does."""
    run = RunFolder(folder)
    for one in cards:
        path = run.model_path(one.method)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(BYTES)
        run.write_fit(one.method, dict(one.fit_seconds), one.as_dict())
    return folder


def test_a_card_comes_back_as_it_was(tmp_path: Path) -> None:
    """Also from a folder that was moved: the model is looked for beside its card."""
    written = card()
    moved = shutil.move(put(tmp_path / "run", written), tmp_path / "moved")
    read = ModelCard.read(Path(moved), "spp:5")
    assert read == written
    assert read.model == Path(moved) / "models/spp-5.safetensors"
    assert ModelCard.read(Path(moved) / "models", None) == written
    assert (read.proposals, read.max_proposals) == ("selective-search", 77)
    assert RunFolder(Path(moved)).read_fit("spp:5") == {"total": 1.5}


def test_the_only_model_needs_no_name_and_several_do(tmp_path: Path) -> None:
    """The line lists them."""
    folder = put(tmp_path, card("spp"), card("fast@zf5"), card("spp+rcnn"))
    for name in ("spp", "fast@zf5", "spp+rcnn"):
        assert ModelCard.read(folder, name).method == name
    with pytest.raises(ModelCardError, match=r"several models; choose one with --method: fast@zf5, spp, spp\+rcnn$"):
        ModelCard.read(folder, None)
    with pytest.raises(ModelCardError, match=r"no model of 'rcnn' in .*; there are fast@zf5, spp, spp\+rcnn$"):
        ModelCard.read(folder, "rcnn")


def test_a_folder_without_models_is_refused(tmp_path: Path) -> None:
    """Whether it is missing, empty, or of a version that wrote no cards."""
    with pytest.raises(ModelCardError, match=r"no folder .*none$"):
        ModelCard.read(tmp_path / "none", None)
    with pytest.raises(ModelCardError, match=r"no fitted model in .*harness train"):
        ModelCard.read(tmp_path, None)
    put(tmp_path, card("spp"))
    RunFolder(tmp_path).write_fit("spp", {"total": 1.0})
    with pytest.raises(ModelCardError, match="an earlier version fitted them; fit anew"):
        ModelCard.read(tmp_path, "spp")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"card_version": 2}, "spp.json is a card of version 2; this program reads 1"),
        ({"classes": "disc"}, "spp.json, classes: "),
        ({"trained_on": {"dataset": "shapes"}}, "spp.json, trained_on.split: Field required"),
    ],
)
def test_a_wrong_card_is_refused_by_what_is_wrong(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    """In one line that names the file and the key."""
    path = put(tmp_path, card("spp")) / "models/spp.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ModelCardError, match=words) as caught:
        ModelCard.read(tmp_path, "spp")
    assert "\n" not in str(caught.value)


def test_a_card_says_where_and_when_the_fit_ran_and_earlier_ones_do_not(tmp_path: Path) -> None:
    """Both are read; what a card does not say is not made up."""
    put(tmp_path, card("spp", created="2026-01-02T03:04:05+00:00", machine={"device": "cpu", "cpu": "C", "gpu": None}))
    assert ModelCard.read(tmp_path, "spp").machine == {"device": "cpu", "cpu": "C", "gpu": None}
    path = tmp_path / "models/spp.json"
    values = json.loads(path.read_text())
    for key in ("created", "machine", "begun_with"):
        del values[key]
    path.write_text(json.dumps(values))
    read = ModelCard.read(tmp_path, "spp")
    assert (read.created, read.machine, read.begun_with) == (None, {}, {})


def test_a_key_that_is_not_known_yet_is_no_hindrance(tmp_path: Path) -> None:
    """A later version may say more of the same form."""
    path = put(tmp_path, card("spp")) / "models/spp.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "colour": "red"}))
    assert ModelCard.read(tmp_path, "spp") == card("spp")


def test_a_model_must_be_there_and_the_one_that_was_fitted(tmp_path: Path) -> None:
    """A byte makes another one."""
    put(tmp_path, card("spp"))
    read = ModelCard.read(tmp_path, "spp")
    read.check_model()
    read.model.write_bytes(BYTES + b"!")
    with pytest.raises(ModelCardError, match=r"spp.safetensors is not the file that its card tells of"):
        read.check_model()
    read.model.unlink()
    with pytest.raises(ModelCardError, match=r"spp.safetensors is not beside it"):
        ModelCard.read(tmp_path, "spp")


def test_the_place_of_a_model_is_no_part_of_it() -> None:
    """Nor is it written, since folders move."""
    assert card() == replace(card(), model=Path("elsewhere"))
    assert "model" not in card().as_dict()
