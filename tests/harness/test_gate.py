"""A gate passes and fails on planted runs, each for its own reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.gate import gate
from recorded import Fault
from verdicts import CPU, ORDER, SCORES, SPEEDS, Planted, by_title, titles


def test_a_run_like_its_baseline_passes(kept: Path, planted: Planted) -> None:
    """Every gate, in the promised order, with a line each and one for all."""
    verdict = gate(planted(2), kept)
    assert tuple(one.title for one in verdict.gates) == ORDER
    assert titles(verdict, "pass") == set(ORDER)
    assert (verdict.outcome, verdict.judged, verdict.baseline, verdict.device) == ("pass", "pass", "kept", CPU)
    lines = verdict.lines()
    assert len(lines) == len(ORDER) + 1
    assert all(line.startswith("pass          ") and "\n" not in line for line in lines)
    assert lines[-1].endswith(f"on {CPU}: 13 gates, 13 passed")


def test_the_json_holds_what_the_lines_say(kept: Path, planted: Planted) -> None:
    """With numbers as numbers, and null where a gate is about none."""
    verdict = gate(planted(2), kept)
    told = json.loads(json.dumps(verdict.as_dict(), allow_nan=False))
    assert told["schema_version"] == 1
    assert told["outcome"] == "pass"
    assert told["against"]["commit"] == f"{1:040x}"
    assert [one["outcome"] for one in told["gates"]] == [one.outcome for one in verdict.gates]
    speed = told["gates"][ORDER.index("speed-up total of spp")]
    assert speed["change"]["low"] < speed["change"]["value"] < speed["change"]["high"]
    assert speed["change"]["interval"] == "over 3 and 3 processes"
    assert speed["head"] / speed["base"] - 1 == pytest.approx(speed["change"]["value"])
    assert speed["tolerance"] == 0.05
    assert told["gates"][0]["change"] is None


def test_ratios_are_those_of_the_summary(kept: Path, planted: Planted) -> None:
    """And so are mAPs: the gate decides on the very numbers of the report."""
    run = planted(2)
    summary = json.loads((run / "summary.json").read_text())
    gates = by_title(gate(run, kept))
    for method in ("spp", "fast"):
        for quantity in ("conv", "total"):
            expected = summary["speedup"][method][quantity]["value"]
            assert gates[f"speed-up {quantity} of {method}"].head == pytest.approx(expected, rel=1e-6)
        assert gates[f"mAP voc07 of {method}"].head == pytest.approx(
            summary["methods"][method]["map"]["voc07"]["value"]
        )


def test_faster_passes_and_is_said(kept: Path, planted: Planted) -> None:
    """An improvement is no failure, and worth a word."""
    found = by_title(gate(planted(3, slower={"spp": 0.8}), kept))["speed-up total of spp"]
    assert found.outcome == "pass"
    assert found.reason.endswith("-5 % allowed, an improvement")


@pytest.mark.parametrize("scale", [0.125, 1000.0])
def test_no_absolute_second_decides(kept: Path, planted: Planted, scale: float) -> None:
    """All times of a run that many times as long: the same numbers, outcomes and words."""
    plain, scaled = gate(planted(2), kept), gate(planted(2, scale=scale), kept)
    for one, other in zip(plain.gates, scaled.gates, strict=True):
        assert (one.outcome, one.reason) == (other.outcome, other.reason)
        if one.change is not None and other.change is not None:
            assert other.change.value == pytest.approx(one.change.value, abs=1e-6)


def test_a_tenth_lost_fails(kept: Path, planted: Planted) -> None:
    """In the gates of that method alone."""
    verdict = gate(planted(3, slower={"spp": 1 / 0.9}), kept)
    assert verdict.outcome == "fail"
    assert titles(verdict, "fail") == {"speed-up conv of spp", "speed-up total of spp"}
    found = by_title(verdict)["speed-up total of spp"]
    assert found.change is not None
    assert found.change.value == pytest.approx(-0.1, abs=0.01)
    assert "x, was 10.03x: -10." in found.reason
    assert "-5 % allowed" in found.reason


def test_what_may_be_lost_is_the_users_to_say(kept: Path, planted: Planted) -> None:
    """The same tenth passes where 15 % are allowed."""
    assert gate(planted(3, slower={"spp": 1 / 0.9}), kept, tolerance=0.15).outcome == "pass"


def test_a_slower_baseline_method_is_no_lost_speed_up(kept: Path, planted: Planted) -> None:
    """It raises the ratios; and one that is faster lowers all of them."""
    assert gate(planted(3, slower={"rcnn": 1.2}), kept).outcome == "pass"
    assert titles(gate(planted(3, slower={"rcnn": 0.8}), kept), "fail") == SPEEDS


@pytest.mark.parametrize("factor", [1.2, 0.8])
def test_where_all_moved_alike_the_baseline_method_is_named(kept: Path, planted: Planted, factor: float) -> None:
    """What all ratios have in common is what they are over; and its own gate says that its time is not gated."""
    told = ": all methods moved alike, so it is rcnn whose time changed"
    gates = by_title(gate(planted(3, slower={"rcnn": factor}), kept))
    assert all(gates[title].reason.endswith(told) for title in SPEEDS)
    assert gates["method of rcnn"].reason.endswith("its own time is not gated")
    assert "not gated" not in gates["method of spp"].reason
    for change in (
        {},
        {"slower": {"spp": 1.2}},
        {"slower": {"spp": 1.2, "fast": 1.4}},
        {"slower": {"spp": 1.2, "fast": 0.8}},
    ):
        assert "alike, so" not in " ".join(gate(planted(3, **change), kept).lines())


def test_objects_overlooked_fail(kept: Path, planted: Planted) -> None:
    """In the mAP of that method alone."""
    verdict = gate(planted(5, overlooked={"fast": 3}), kept)
    assert titles(verdict, "fail") == {"mAP voc07 of fast"}
    found = by_title(verdict)["mAP voc07 of fast"]
    assert found.change is not None
    assert found.base is not None
    assert found.head is not None
    assert found.change.value == pytest.approx(found.head - found.base)
    assert " points over images, of one training; -1 point allowed" in found.reason
    assert "95 % sure between -" in found.reason
    assert gate(planted(5, overlooked={"fast": 3}), kept, map_tolerance=0.5).outcome == "pass"


def test_a_method_that_failed_fails(kept: Path, planted: Planted) -> None:
    """With its reason, in all that the baseline has of it; and the run is partial."""
    verdict = gate(planted(8, failed="spp"), kept)
    lost = {title for title in SPEEDS | SCORES if title.endswith("spp")}
    assert titles(verdict, "fail") == {"schema", "method of spp"} | lost
    gates = by_title(verdict)
    assert gates["method of spp"].reason == "error: planted: no model"
    assert gates["speed-up total of spp"].reason == "spp was measured in the baseline, has no times now"
    assert gates["mAP voc07 of spp"].reason == "spp had detections in the baseline, has none now"


def test_a_baseline_method_that_failed_leaves_no_ratio(kept: Path, planted: Planted) -> None:
    """The mAP of the others is decided all the same."""
    verdict = gate(planted(8, failed="rcnn"), kept)
    assert titles(verdict, "fail") == {"schema", "method of rcnn", "mAP voc07 of rcnn"} | SPEEDS
    assert titles(verdict, "pass") >= {"mAP voc07 of spp", "mAP voc07 of fast"}


def test_a_stage_that_is_lost_fails(kept: Path, planted: Planted, tmp_path: Path) -> None:
    """Whoever stops marking it has no speed-up left to lose; what the baseline never had is skipped."""
    verdict = gate(planted(3, lost=("spp",)), kept)
    assert titles(verdict, "fail") == {"speed-up conv of spp"}
    found = by_title(verdict)["speed-up conv of spp"]
    assert found.reason == "conv of spp was measured in the baseline, takes no time now"
    of_all = gate(planted(3, lost=("rcnn", "spp", "fast")), kept)
    assert titles(of_all, "fail") == {"speed-up conv of spp", "speed-up conv of fast"}
    gate(planted(3, lost=("spp",)), tmp_path / "new.json")
    without = gate(planted(2), tmp_path / "new.json")
    assert titles(without, "skipped") == {"speed-up conv of spp"}
    assert without.outcome == "pass"
    untrusted = by_title(gate(planted(9, fault=Fault(drift=0.3), lost=("spp",)), kept))["speed-up conv of spp"]
    assert untrusted.outcome == "inconclusive"
    assert untrusted.reason.endswith("takes no time now; would fail, not decided as the times are not to be trusted")
