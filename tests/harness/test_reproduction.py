"""The model of a reproduction: what each published number gets, from several parts, and how the whole ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness import reproduction
from harness.claims import Claim, read_claims
from harness.presets import Options, PresetError
from harness.quantities.judged import Judged, judged
from harness.storage import StorageError

CLAIMS = read_claims()
TABLE = reproduction.published_in("spp-table-10", CLAIMS)


def one(quantity: str, name: str = "spp") -> Claim:
    """The number of Table 10 that is about this."""
    return next(claim for claim in TABLE if claim.quantity == quantity and claim.name == name)


def measured(claim: Claim, low: float, high: float) -> Judged:
    value = {"value": (low + high) / 2, "low": low, "high": high, "reason": None, "interval": "over 3 processes"}
    return judged(claim, {"method": claim.name, "baseline": "rcnn", "stages": ["conv", "fc"]}, value)


def undecided(claim: Claim) -> Judged:
    nothing = {"value": None, "low": None, "high": None, "reason": "it broke", "interval": None}
    return judged(claim, None, nothing)


def claims_of(*parts: Any, quick: bool = False, why: Any = lambda _claim: "not run: no luck") -> list[Judged]:
    return reproduction.claims_of(TABLE, parts, why=why, quick=quick)


def verdict_of(found: list[Judged], claim: Claim) -> tuple[str, Any, Any]:
    mine = next(each for each in found if (each["quantity"], each["variant"]) == (claim.quantity, claim.variant))
    return mine["verdict"], mine["reason"], mine["run"]


SPEEDUP = one("speedup_total")


def test_a_table_is_all_its_cells() -> None:
    """SPP Table 10 prints two rows of mAP and three of seconds in three columns, and two ratios: 17 numbers."""
    assert len(TABLE) == 17
    assert sorted({claim.quantity for claim in TABLE}) == ["conv", "fc", "map", "speedup_total", "total"]


def test_without_a_run_nothing_is_told() -> None:
    """An accuracy is `untrained`, never a number, and a time says why it was not taken."""
    found = claims_of()
    assert verdict_of(found, SPEEDUP) == ("not comparable", "not run: no luck", None)
    shown = next(each for each in found if each["quantity"] == "conv")
    assert shown["measured"]["reason"] == "not run"
    scores = [each for each in found if each["quantity"] == "map"]
    assert {each["reason"] for each in scores} == {"untrained"}
    assert all(each["measured"]["value"] is None for each in found)


def test_what_no_part_is_made_for_stands_alone() -> None:
    """A number of a method that is not ours gets no verdict at all."""
    assert claims_of(why=lambda claim: None if claim.method == "rcnn" else "not run: no luck") == [
        each for each in claims_of() if each["method"] != "rcnn"
    ]


def test_a_decision_goes_before_doubt() -> None:
    """Of two parts that measured one number, the one that decides counts, whichever was first."""
    clear, doubtful = measured(SPEEDUP, 110, 120), measured(SPEEDUP, 50, 200)
    assert (clear["verdict"], doubtful["verdict"]) == ("met", "inconclusive")
    parts = [("a", "speed", [clear]), ("b", "speed", [doubtful])]
    for each in (parts, parts[::-1]):
        assert verdict_of(claims_of(*each), SPEEDUP) == ("met", None, "a")


def test_no_verdict_is_chosen_for_being_better() -> None:
    """Of two runs that decide otherwise the first stands, be it met or not."""
    met, not_met = (("a", "speed", [measured(SPEEDUP, *ends)]) for ends in ((110, 120), (1, 2)))
    assert verdict_of(claims_of(met, not_met), SPEEDUP)[0] == "met"
    assert verdict_of(claims_of(not_met, met), SPEEDUP)[0] == "not met"


def test_the_run_on_the_networks_of_a_claim_speaks_for_it() -> None:
    """Where neither of two runs can be compared, the number shown is of the one that differs in less."""
    value = {"value": 2.0, "low": 1.0, "high": 3.0, "reason": None, "interval": "over images"}
    far = judged(SPEEDUP, None, value, ["the baseline's network zf5, Alex-5 there", "16 boxes an image"])
    near = judged(SPEEDUP, None, {**value, "value": 5.0}, ["16 boxes an image"])
    parts = [("far", "speed", [far]), ("near", "speed", [near])]
    for each in (parts, parts[::-1]):
        assert verdict_of(claims_of(*each, quick=True), SPEEDUP)[2] == "near"


def test_each_kind_decides_its_own() -> None:
    """A speed-up that was taken beside a long fit says nothing where the speed part says something."""
    beside, own = measured(SPEEDUP, 110, 120), measured(SPEEDUP, 10, 12)
    found = claims_of(("fits", "accuracy", [beside]), ("speed", "speed", [own]))
    assert verdict_of(found, SPEEDUP) == ("not met", None, "speed")


def test_a_smoke_version_decides_nothing() -> None:
    """With --quick every number that was measured stands there, and none is held against the paper's."""
    found = claims_of(("speed", "speed", [measured(SPEEDUP, 1, 2)]), quick=True)
    assert verdict_of(found, SPEEDUP) == ("not comparable", "smoke version", "speed")
    assert reproduction.counts(found) == {"met": 0, "not met": 0, "inconclusive": 0, "not comparable": 17}


def model(*verdicts: Judged, statuses: tuple[str, ...] = ("ok",)) -> dict[str, Any]:
    return {"claims": list(verdicts), "parts": [{"status": status} for status in statuses]}


def test_how_it_ends() -> None:
    """1: a claim not met; 5: a part failed; 4: one inconclusive, or no part was run; else 0; in that order."""
    met, not_met, doubtful = (measured(SPEEDUP, *ends) for ends in ((110, 120), (1, 2), (50, 200)))
    seconds = measured(one("conv"), 1, 2)
    assert reproduction.exit_code(model(met, seconds)) == 0
    assert reproduction.exit_code(model(met, statuses=("ok", "not run"))) == 0
    assert reproduction.exit_code(model(met, doubtful)) == 4
    assert reproduction.exit_code(model(met, undecided(SPEEDUP))) == 4
    assert reproduction.exit_code(model(met, doubtful, statuses=("ok", "error"))) == 5
    assert reproduction.exit_code(model(met, not_met, doubtful, statuses=("partial",))) == 1
    assert reproduction.exit_code(model(met), model(doubtful), model(met, statuses=("error",))) == 5
    assert reproduction.exit_code() == 0
    assert reproduction.exit_code(model(seconds, statuses=("not run", "not run"))) == 4
    assert reproduction.exit_code(model(met), model(seconds, statuses=("not run",))) == 4


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (
            {"device": "CPU (AMD EPYC)", "images": 2, "quick": True, "data": ["drawn scenes, 16 random boxes each"]},
            "CPU (AMD EPYC), untrained, 2 images, drawn scenes, 16 random boxes each, quick",
        ),
        ({"device": "GPU (H)", "untrained": False, "images": 4952}, "GPU (H), 4,952 images"),
        ({"device": "CPU (A)", "extrapolated": True}, "CPU (A), untrained, training extrapolated"),
        ({"counted": True, "untrained": False}, "counted on shapes alone"),
        ({"untrained": False, "quick": True}, "nothing was measured"),
    ],
)
def test_the_label_says_all_that_must_be_known(labels: dict[str, Any], words: str) -> None:
    """Hardware, that nothing was trained, how many images, and that it is a smoke version."""
    nothing = {
        "device": None,
        "images": None,
        "untrained": True,
        "quick": False,
        "extrapolated": False,
        "counted": False,
        "data": [],
    }
    assert reproduction.label({"labels": nothing | labels}) == words


def kept(folder: Path, **options: Any) -> None:
    about = {"schema_version": 1, "preset": "spp-table-10", "options": Options(**options).model_dump(mode="json")}
    labels = {"device": None, "counted": False, "untrained": False, "extrapolated": False, "quick": False}
    labels |= {"images": None, "data": [], "boxes": []}
    texts = dict.fromkeys(("title", "status", "created", "command"), "")
    lists: dict[str, Any] = {name: [] for name in ("parts", "claims", "published_anatomy", "needs")}
    whole = {**texts, **lists, "labels": labels, "verdicts": {}, "published_alone": 0}
    reproduction.write(folder, {**whole, **about})


def test_what_goes_on_keeps_its_options(tmp_path: Path) -> None:
    """A resumed reproduction needs no option again, takes the same, and refuses another with both values."""
    kept(tmp_path, images=2, weights={"zf5": "a"})
    expected = Options(images=2, weights={"zf5": "a"})
    assert reproduction.options_of(tmp_path, "spp-table-10", {}) == expected
    same = {"images": "2", "weights": ["zf5=a"]}
    assert reproduction.options_of(tmp_path, "spp-table-10", same) == expected
    with pytest.raises(PresetError, match=r"^--images: begun with 2, not 3; --resume keeps it: leave it out$"):
        reproduction.options_of(tmp_path, "spp-table-10", {"images": 3})
    with pytest.raises(PresetError, match=r"^--weights: begun with zf5=a, not zf5=b;"):
        reproduction.options_of(tmp_path, "spp-table-10", {"weights": ["zf5=b"]})
    with pytest.raises(PresetError, match=r"^--quick: begun without --quick; --resume keeps it: leave it out$"):
        reproduction.options_of(tmp_path, "spp-table-10", {"quick": True})
    with pytest.raises(PresetError, match=r"^--seed: begun with 0, not 3;"):
        reproduction.options_of(tmp_path, "spp-table-10", {"seed": 3})
    with pytest.raises(PresetError, match=r"^--repeats: begun with 1, not 2;"):
        reproduction.options_of(tmp_path, "spp-table-10", {"repeats": 2})
    with pytest.raises(PresetError, match=r"^--proposals: begun without --proposals, not x\.npz;"):
        reproduction.options_of(tmp_path, "spp-table-10", {"proposals": "x.npz"})
    with pytest.raises(PresetError, match="reproduces spp-table-10, not spp-table-9"):
        reproduction.options_of(tmp_path, "spp-table-9", {})


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    """No file, and one of a later version, are one line each."""
    with pytest.raises(StorageError, match="is missing"):
        reproduction.read(tmp_path)
    (tmp_path / "reproduction.json").write_text(json.dumps({"schema_version": 9}))
    with pytest.raises(PresetError, match="has schema 9; this version of harness reads 1"):
        reproduction.read(tmp_path)
    (tmp_path / "reproduction.json").write_text(json.dumps({"schema_version": 1}))
    with pytest.raises(PresetError, match="is damaged at preset: Field required"):
        reproduction.read(tmp_path)
