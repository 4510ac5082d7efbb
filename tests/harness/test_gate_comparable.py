"""What must be alike in two runs for a gate to decide, and what need not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.gate import gate
from harness.plan import Plan
from verdicts import SCORES, SPEEDS, Planted, by_title, edited, titles

PLAN = {"max_proposals": 1000}


@pytest.mark.parametrize(
    ("change", "field", "scores_too"),
    [
        ({"machine": {"gpu": "none at all"}}, "machine gpu: none at all, was nothing", False),
        ({"flags": {"cudnn_benchmark": True}}, "flags cudnn_benchmark: True, was False", False),
        ({"weights_sha256": "6" * 64}, f"weights weights_sha256: {'6' * 12}, was {'5' * 12}", True),
        ({"dataset": {"test_boxes_sha256": "9" * 64}}, f"data test_boxes_sha256: {'9' * 12}, was {'4' * 12}", True),
        ({"plan": PLAN}, "plan max_proposals: 1000, was 2000", True),
    ],
)
def test_what_must_be_alike_is_named(
    kept: Path, planted: Planted, change: dict[str, Any], field: str, scores_too: bool
) -> None:
    """Another plan, data, weights, setting: no number is compared, and what to do is said; mAP hangs on three."""
    verdict = gate(planted(7, manifest=change), kept)
    found = by_title(verdict)["comparable"]
    assert verdict.outcome == "inconclusive"
    assert field in found.reason
    assert found.reason.endswith("take this run for the new one with --update-baseline")
    assert titles(verdict, "inconclusive") == {"comparable"} | SPEEDS | (SCORES if scores_too else set())


def fewer(*methods: str) -> dict[str, Any]:
    """A manifest in which these alone were planned."""
    return {"plan": Plan.of({"methods": methods, "images": 48, "repeats": 2, "processes": 3}).model_dump(mode="json")}


@pytest.mark.parametrize("methods", [("rcnn", "spp"), ("spp", "fast")])
def test_a_method_that_was_not_planned_is_not_lost(kept: Path, planted: Planted, methods: tuple[str, ...]) -> None:
    """Where the plan is another one nothing is known of it, and nothing failed."""
    verdict = gate(planted(7, manifest=fewer(*methods)), kept)
    assert (verdict.outcome, titles(verdict, "fail")) == ("inconclusive", set())
    (absent,) = {"rcnn", "spp", "fast"} - set(methods)
    gates = by_title(verdict)
    told = "not decided as the runs are not comparable"
    assert gates[f"method of {absent}"].reason == f"it is not in this run; {told}"
    assert gates[f"mAP voc07 of {absent}"].reason == f"{absent} had detections in the baseline, has none now; {told}"
    lost = {title for title in SPEEDS if absent == "rcnn" or title.endswith(absent)}
    assert {gates[title].reason for title in lost} == {
        f"{absent} was measured in the baseline, has no times now; {told}"
    }


def test_where_the_plan_differs_a_run_that_is_not_sound_fails_still(kept: Path, planted: Planted) -> None:
    """Of a method that did not succeed its own gate tells; what was to be compared is not decided."""
    verdict = gate(planted(8, failed="spp", manifest={"plan": PLAN}), kept)
    assert titles(verdict, "fail") == {"schema", "method of spp"}
    assert titles(verdict, "inconclusive") == {"comparable"} | SPEEDS | SCORES
    stage = gate(planted(3, lost=("spp",), manifest={"plan": PLAN}), kept)
    assert (stage.outcome, titles(stage, "fail")) == ("inconclusive", set())
    machine = gate(planted(8, failed="spp", manifest={"machine": {"threads": 1}}), kept)
    assert titles(machine, "fail") >= {title for title in SPEEDS | SCORES if title.endswith("spp")}


def test_other_images_have_no_pair(kept: Path, planted: Planted, tmp_path: Path) -> None:
    """Nothing is compared that was not measured on the same."""
    run = tmp_path / "run"
    shutil.copytree(planted(2), run)
    for each in run.rglob("*.json*"):
        each.write_text(each.read_text().replace('"0000', '"1000'))
    verdict = gate(run, kept)
    assert titles(verdict, "inconclusive") >= SPEEDS | SCORES
    assert "the images are not those of the baseline" in by_title(verdict)["speed-up total of spp"].reason


def test_other_software_source_and_chunks_are_what_is_gated(kept: Path, planted: Planted) -> None:
    """They are said, and hinder nothing; CUDA's libraries come with torch."""
    change = {"software": {"torch": "2.16.0"}, "machine": {"cudnn": 92000}}
    found = by_title(gate(planted(4, manifest=change), kept))["comparable"]
    assert found.outcome == "pass"
    assert "software torch: 2.16.0, was 2.15.0" in found.reason
    assert f"source commit: {'0' * 12}, was {'0' * 12}" in found.reason


def without(group: str | None, field: str, of: Path, to: Path) -> Path:
    """A copy of a run that does not tell a field."""
    return edited(of, to, "manifest.json", lambda manifest: (manifest[group] if group else manifest).pop(field))


def test_what_only_one_version_records_is_said(kept: Path, planted: Planted) -> None:
    """And does not hinder: base and head may be measured by two versions of this program."""
    change = {"machine": {"numa_nodes": 2}, "flags": {"new": True}}
    found = by_title(gate(planted(4, manifest=change), kept))["comparable"]
    assert found.outcome == "pass"
    assert "not recorded by the baseline: machine numa_nodes, flags new" in found.reason


@pytest.mark.parametrize(
    ("group", "field"), [("dataset", "test_sha256"), ("dataset", "test_boxes_sha256"), (None, "weights_sha256")]
)
def test_what_was_worked_on_must_be_recorded_by_both(
    kept: Path, planted: Planted, tmp_path: Path, group: str | None, field: str
) -> None:
    """Without the digests of images, boxes and weights nobody knows whether they are the same."""
    verdict = gate(without(group, field, planted(2), tmp_path / "run"), kept)
    assert titles(verdict, "inconclusive") == {"comparable"} | SPEEDS | SCORES
    assert (
        f"not recorded by this run: {'data' if group else 'weights'} {field}" in by_title(verdict)["comparable"].reason
    )


def test_how_much_was_measured_is_said(kept: Path, planted: Planted) -> None:
    """It changes no ratio."""
    found = by_title(gate(planted(4, manifest={"plan": {"repeats": 3, "block": 4}}), kept))["comparable"]
    assert found.outcome == "pass"
    assert "plan repeats: 3, was 2; plan block: 4, was nothing" in found.reason


def test_another_seed_trains_other_models(kept: Path, planted: Planted) -> None:
    """Another mAP is theirs then and not the code's; times are compared all the same."""
    verdict = gate(planted(5, overlooked={"fast": 3}, manifest={"plan": {"seed": 7}}), kept)
    assert titles(verdict, "inconclusive") == SCORES
    gates = by_title(verdict)
    assert "plan seed: 7, was 0" in gates["comparable"].reason
    assert gates["mAP voc07 of fast"].reason == "not decided: the seed is another one, so other models were trained"
    assert titles(verdict, "pass") >= SPEEDS
