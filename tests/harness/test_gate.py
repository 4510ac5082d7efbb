"""The gate passes, fails and says inconclusive on planted runs, each for its own reason; and makes its baseline."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gated import Change, plant
from harness.baseline import BaselineError, Baselines
from harness.gate import Gate, GateError, Verdict, gate
from harness.gates.promises import broken_promise
from harness.plan import Plan
from harness.runs import RunError
from recorded import Fault

CPU = "CPU (Some CPU, 2 threads)"
GPU = "GPU (Some GPU)"
ORDER = (
    *("schema", "comparable", "trust", "method of rcnn", "method of spp", "method of fast"),
    *("speed-up conv of spp", "speed-up total of spp", "speed-up conv of fast", "speed-up total of fast"),
    *("mAP voc07 of rcnn", "mAP voc07 of spp", "mAP voc07 of fast"),
)
SPEEDS = {title for title in ORDER if title.startswith("speed-up")}
SCORES = {title for title in ORDER if title.startswith("mAP")}

Planted = Callable[..., Path]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """A run by its seed and change; each is made once."""
    kept: dict[str, Path] = {}

    def make(seed: int = 2, **change: Any) -> Path:
        key = repr((seed, change))
        if key not in kept:
            kept[key] = plant(tmp_path_factory.mktemp("runs") / f"run-{len(kept)}", seed, Change(**change))
        return kept[key]

    return make


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, planted: Planted) -> Path:
    """A baseline made of the run of seed 1."""
    path = tmp_path_factory.mktemp("baseline") / "baseline.json"
    assert gate(planted(1), path).baseline == "made"
    return path


@pytest.fixture
def file(tmp_path: Path, made: Path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copy(made, tmp_path))


def by_title(verdict: Verdict) -> dict[str, Gate]:
    return {one.title: one for one in verdict.gates}


def titles(verdict: Verdict, outcome: str) -> set[str]:
    return {one.title for one in verdict.gates if one.outcome == outcome}


# Pass


def test_a_run_like_its_baseline_passes(file: Path, planted: Planted) -> None:
    """Every gate, in the promised order, with a line each and one for all."""
    verdict = gate(planted(2), file)
    assert tuple(one.title for one in verdict.gates) == ORDER
    assert titles(verdict, "pass") == set(ORDER)
    assert (verdict.outcome, verdict.judged, verdict.baseline, verdict.device) == ("pass", "pass", "kept", CPU)
    lines = verdict.lines()
    assert len(lines) == len(ORDER) + 1
    assert all(line.startswith("pass          ") and "\n" not in line for line in lines)
    assert lines[-1].endswith(f"on {CPU}: 13 gates, 13 passed")


def test_the_json_holds_what_the_lines_say(file: Path, planted: Planted) -> None:
    """With numbers as numbers, and null where a gate is about none."""
    verdict = gate(planted(2), file)
    told = json.loads(json.dumps(verdict.as_dict(), allow_nan=False))
    assert told["schema_version"] == 1
    assert told["outcome"] == "pass"
    assert told["against"]["commit"] == f"{1:040x}"
    assert [one["outcome"] for one in told["gates"]] == [one.outcome for one in verdict.gates]
    speed = told["gates"][ORDER.index("speed-up total of spp")]
    assert speed["change"]["low"] < speed["change"]["value"] < speed["change"]["high"]
    assert speed["change"]["interval"] == "over images"
    assert speed["head"] / speed["base"] - 1 == pytest.approx(speed["change"]["value"])
    assert speed["tolerance"] == 0.05
    assert told["gates"][0]["change"] is None


def test_ratios_are_those_of_the_summary(file: Path, planted: Planted) -> None:
    """And so are mAPs: the gate decides on the very numbers of the report."""
    run = planted(2)
    summary = json.loads((run / "summary.json").read_text())
    gates = by_title(gate(run, file))
    for method in ("spp", "fast"):
        for quantity in ("conv", "total"):
            expected = summary["speedup"][method][quantity]["value"]
            assert gates[f"speed-up {quantity} of {method}"].head == pytest.approx(expected, rel=1e-6)
        assert gates[f"mAP voc07 of {method}"].head == pytest.approx(
            summary["methods"][method]["map"]["voc07"]["value"]
        )


def test_faster_passes_and_is_said(file: Path, planted: Planted) -> None:
    """An improvement is no failure, and worth a word."""
    found = by_title(gate(planted(3, slower={"spp": 0.8}), file))["speed-up total of spp"]
    assert found.outcome == "pass"
    assert found.reason.endswith("-5 % allowed, an improvement")


@pytest.mark.parametrize("scale", [0.125, 1000.0])
def test_no_absolute_second_decides(file: Path, planted: Planted, scale: float) -> None:
    """All times of a run that many times as long: the same numbers, outcomes and words."""
    plain, scaled = gate(planted(2), file), gate(planted(2, scale=scale), file)
    for one, other in zip(plain.gates, scaled.gates, strict=True):
        assert (one.outcome, one.reason) == (other.outcome, other.reason)
        if one.change is not None and other.change is not None:
            assert other.change.value == pytest.approx(one.change.value, abs=1e-6)


def test_other_software_source_and_chunks_are_what_is_gated(file: Path, planted: Planted) -> None:
    """They are said, and hinder nothing; CUDA's libraries come with torch."""
    change = {"software": {"torch": "2.16.0"}, "machine": {"cudnn": 92000}}
    found = by_title(gate(planted(4, manifest=change), file))["comparable"]
    assert found.outcome == "pass"
    assert "software torch: 2.16.0, was 2.15.0" in found.reason
    assert f"source commit: {'0' * 12}, was {'0' * 12}" in found.reason


def test_what_only_one_version_records_does_not_hinder(file: Path, planted: Planted) -> None:
    """Base and head may be measured by two versions of this program."""
    change = {"machine": {"numa_nodes": 2}, "flags": {"new": True}}
    assert by_title(gate(planted(4, manifest=change), file))["comparable"].outcome == "pass"


# Fail


def test_a_tenth_lost_fails(file: Path, planted: Planted) -> None:
    """In the gates of that method alone."""
    verdict = gate(planted(3, slower={"spp": 1 / 0.9}), file)
    assert verdict.outcome == "fail"
    assert titles(verdict, "fail") == {"speed-up conv of spp", "speed-up total of spp"}
    found = by_title(verdict)["speed-up total of spp"]
    assert found.change is not None
    assert found.change.value == pytest.approx(-0.1, abs=0.01)
    assert "x, was 10.03x: -10." in found.reason
    assert "-5 % allowed" in found.reason


def test_what_may_be_lost_is_the_users_to_say(file: Path, planted: Planted) -> None:
    """The same tenth passes where 15 % are allowed."""
    assert gate(planted(3, slower={"spp": 1 / 0.9}), file, tolerance=0.15).outcome == "pass"


def test_a_slower_baseline_method_is_no_lost_speed_up(file: Path, planted: Planted) -> None:
    """It raises the ratios; and one that is faster lowers all of them."""
    assert gate(planted(3, slower={"rcnn": 1.2}), file).outcome == "pass"
    assert titles(gate(planted(3, slower={"rcnn": 0.8}), file), "fail") == SPEEDS


def test_objects_overlooked_fail(file: Path, planted: Planted) -> None:
    """In the mAP of that method alone."""
    verdict = gate(planted(5, overlooked={"fast": 3}), file)
    assert titles(verdict, "fail") == {"mAP voc07 of fast"}
    found = by_title(verdict)["mAP voc07 of fast"]
    assert found.change is not None
    assert found.base is not None
    assert found.head is not None
    assert found.change.value == pytest.approx(found.head - found.base)
    assert "points" in found.reason
    assert gate(planted(5, overlooked={"fast": 3}), file, map_tolerance=0.5).outcome == "pass"


def test_a_method_that_failed_fails(file: Path, planted: Planted) -> None:
    """With its reason; its other gates have nothing to look at, and the run is partial."""
    verdict = gate(planted(8, failed="spp"), file)
    assert titles(verdict, "fail") == {"schema", "method of spp"}
    assert by_title(verdict)["method of spp"].reason == "error: planted: no model"
    assert titles(verdict, "skipped") == {title for title in SPEEDS | SCORES if title.endswith("spp")}


def test_a_baseline_method_that_failed_leaves_no_ratio(file: Path, planted: Planted) -> None:
    """The mAP of the others is decided all the same."""
    verdict = gate(planted(8, failed="rcnn"), file)
    assert {"schema", "method of rcnn"} == titles(verdict, "fail")
    assert titles(verdict, "skipped") == SPEEDS | {"mAP voc07 of rcnn"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda summary: summary["speedup"]["spp"].pop("total"), "speedup.spp.total: field required"),
        (lambda summary: summary["speedup"].pop("spp"), "speedup.spp is missing"),
        (lambda summary: summary["methods"].pop("fast"), "fast is missing"),
        (lambda summary: summary["methods"]["spp"]["seconds"].pop("conv"), "methods.spp.seconds.conv: field required"),
        (lambda summary: summary["methods"]["spp"]["map"]["voc10"].update(low=None), "low is null without a reason"),
        (lambda summary: summary.update(claims_reason=None), "claims is null without a reason"),
        (lambda summary: summary["trust"].update(verdict="perhaps"), "trust.verdict"),
        (lambda summary: summary["methods"]["spp"]["map"]["voc07"].update(value="0.7"), "valid number"),
        (lambda summary: summary["methods"]["spp"].update(status="oom", reason=None), "methods.spp.reason"),
        (lambda summary: summary.update(schema_version=99), "it has schema 99"),
    ],
)
def test_a_broken_promise_is_found(planted: Planted, change: Callable[[dict[str, Any]], object], words: str) -> None:
    """A key of summary.json that is gone, or null without a reason, breaks whoever reads it."""
    summary = json.loads((planted(2) / "summary.json").read_text())
    assert broken_promise(summary) is None
    change(summary)
    assert words in str(broken_promise(summary))


def test_a_broken_promise_fails(file: Path, planted: Planted, tmp_path: Path) -> None:
    """The summary on disk is asked, not one that this version would write."""
    run = tmp_path / "run"
    shutil.copytree(planted(2), run)
    summary = json.loads((run / "summary.json").read_text())
    del summary["claims"]
    (run / "summary.json").write_text(json.dumps(summary))
    found = by_title(gate(run, file))["schema"]
    assert found.outcome == "fail"
    assert found.reason == "summary.json breaks its promise: claims: field required"


@pytest.mark.parametrize("name", ["shapes-default", "caffenet-speed"])
def test_published_runs_keep_their_promises(name: str) -> None:
    """One that was trained, and one that was not."""
    path = Path(__file__).parents[2] / "results" / "runs" / name / "summary.json"
    assert broken_promise(json.loads(path.read_text())) is None


def test_a_run_without_summary_fails(file: Path, planted: Planted, tmp_path: Path) -> None:
    """And one that is not finished."""
    run = tmp_path / "run"
    shutil.copytree(planted(2), run)
    (run / "summary.json").unlink()
    assert "summary.json is missing" in by_title(gate(run, file))["schema"].reason
    interrupted = by_title(gate(planted(2, manifest={"status": "interrupted"}), file))["schema"]
    assert interrupted.outcome == "fail"
    assert interrupted.reason == "the run is interrupted, not complete"


# Inconclusive


def test_noise_that_hides_what_was_lost_is_inconclusive(file: Path, planted: Planted) -> None:
    """Where the interval holds both what is allowed and what is not; more measuring would tell."""
    verdict = gate(planted(6, slower={"spp": 1.06}, noise=0.1), file)
    assert verdict.outcome == "inconclusive"
    found = by_title(verdict)["speed-up total of spp"]
    assert found.outcome == "inconclusive"
    assert found.change is not None
    assert found.change.low is not None
    assert found.change.high is not None
    assert found.change.low < -0.05 < found.change.high
    assert found.reason.endswith("measure more: --processes, --repeats or --images")


def test_times_that_are_not_to_be_trusted_decide_nothing(file: Path, planted: Planted) -> None:
    """Neither way; and mAP, which does not depend on them, is decided."""
    verdict = gate(planted(9, fault=Fault(drift=0.3), slower={"spp": 1.2}), file)
    assert verdict.outcome == "inconclusive"
    assert titles(verdict, "inconclusive") == {"trust"} | SPEEDS
    gates = by_title(verdict)
    assert "drift: " in gates["trust"].reason
    assert "would fail, not decided as the times are not to be trusted" in gates["speed-up total of spp"].reason
    assert "would pass, not decided" in gates["speed-up total of fast"].reason
    assert titles(verdict, "pass") >= SCORES


def test_the_finding_on_wide_intervals_is_not_asked(file: Path, planted: Planted) -> None:
    """Images that are unlike widen a run's own interval, and cancel between runs."""
    run = planted(2)
    summary = json.loads((run / "summary.json").read_text())
    assert "interval" in {one["name"] for one in summary["trust"]["findings"]}
    wide = planted(6, noise=0.5)
    told = json.loads((wide / "summary.json").read_text())["trust"]
    assert [one["name"] for one in told["findings"] if one["verdict"] == "inconclusive"] == ["interval"]
    assert by_title(gate(wide, file))["trust"].outcome == "pass"


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
    file: Path, planted: Planted, change: dict[str, Any], field: str, scores_too: bool
) -> None:
    """Another plan, data, weights, setting: no number is compared, and what to do is said; mAP hangs on three."""
    verdict = gate(planted(7, manifest=change), file)
    found = by_title(verdict)["comparable"]
    assert verdict.outcome == "inconclusive"
    assert field in found.reason
    assert found.reason.endswith("take this run for the new one with --update-baseline")
    assert titles(verdict, "inconclusive") == {"comparable"} | SPEEDS | (SCORES if scores_too else set())


def test_other_images_have_no_pair(file: Path, planted: Planted, tmp_path: Path) -> None:
    """Nothing is compared that was not measured on the same."""
    run = tmp_path / "run"
    shutil.copytree(planted(2), run)
    for each in run.rglob("*.json*"):
        each.write_text(each.read_text().replace('"0000', '"1000'))
    verdict = gate(run, file)
    assert titles(verdict, "inconclusive") >= SPEEDS | SCORES
    assert "the images are not those of the baseline" in by_title(verdict)["speed-up total of spp"].reason


def test_failing_outweighs_not_knowing(file: Path, planted: Planted) -> None:
    """Whoever sees a failure need not measure again to know it."""
    verdict = gate(planted(9, fault=Fault(drift=0.3), overlooked={"fast": 3}), file)
    assert titles(verdict, "inconclusive")
    assert verdict.outcome == "fail"


# Skipped, processes


def test_untrained_methods_have_no_map_to_judge(planted: Planted, tmp_path: Path) -> None:
    """Which is said and decides nothing."""
    change = {"plan": Plan.of({"weights": "random"}).model_dump(mode="json") | {"images": 48, "repeats": 2}}
    path = tmp_path / "baseline.json"
    assert gate(planted(1, manifest=change), path).baseline == "made"
    verdict = gate(planted(2, manifest=change), path)
    assert verdict.outcome == "pass"
    assert titles(verdict, "skipped") == SCORES
    assert "random" in by_title(verdict)["mAP voc07 of rcnn"].reason


def test_from_three_processes_of_both_the_interval_is_over_them(planted: Planted, tmp_path: Path) -> None:
    """And with fewer in one of the runs over images."""
    path = tmp_path / "baseline.json"
    gate(planted(1, processes=3), path)
    several = by_title(gate(planted(2, processes=4), path))["speed-up total of spp"]
    assert several.change is not None
    assert several.change.interval == "over 4 and 3 processes"
    assert several.outcome == "pass"
    few = by_title(gate(planted(2), path))["speed-up total of spp"]
    assert few.change is not None
    assert few.change.interval == "over images"
    lost = gate(planted(3, processes=3, slower={"fast": 1.15}), path)
    assert titles(lost, "fail") == {"speed-up conv of fast", "speed-up total of fast"}


# The baseline


def test_the_first_run_on_a_device_makes_its_baseline_and_says_so(planted: Planted, file: Path) -> None:
    """A pass; the entry of the other device stays."""
    verdict = gate(planted(6, device="cuda"), file)
    assert (verdict.outcome, verdict.baseline, verdict.device, verdict.against) == ("pass", "made", GPU, None)
    assert "first run on this device, GPU (Some GPU): baseline made" in verdict.lines()[0]
    kept = Baselines.read(file)
    assert list(kept.devices) == [CPU, GPU]
    assert kept.devices[CPU].origin.commit == f"{1:040x}"
    assert gate(planted(2), file).against == kept.devices[CPU].origin.model_dump()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"failed": "spp"}, "the run is partial, not complete"),
        ({"fault": Fault(drift=0.3)}, "its times are not to be trusted (drift: "),
    ],
)
def test_no_baseline_is_made_of_a_bad_run(
    planted: Planted, tmp_path: Path, file: Path, change: dict[str, Any], words: str
) -> None:
    """Nor replaced by one; inconclusive, and the file is as it was."""
    path = tmp_path / "new.json"
    verdict = gate(planted(8, **change), path)
    assert (verdict.outcome, verdict.baseline) == ("inconclusive", "refused")
    assert words in verdict.lines()[0]
    assert not path.exists()
    before = file.read_bytes()
    refused = gate(planted(8, **change), file, update=True)
    assert refused.baseline == "refused"
    assert refused.outcome in ("fail", "inconclusive")
    assert file.read_bytes() == before


def test_update_judges_and_then_replaces(planted: Planted, file: Path) -> None:
    """Whatever came out: whoever asks for it has decided. The next run is held against the new one."""
    gate(planted(6, device="cuda"), file)
    slow = planted(3, slower={"spp": 1 / 0.9})
    verdict = gate(slow, file, update=True)
    assert (verdict.outcome, verdict.judged, verdict.baseline) == ("pass", "fail", "replaced")
    assert verdict.lines()[-1].endswith("the baseline was replaced all the same, as asked")
    assert list(Baselines.read(file).devices) == [CPU, GPU]
    assert gate(planted(4, slower={"spp": 1 / 0.9}), file).judged == "pass"


def test_bad_input_is_refused_in_a_line(planted: Planted, tmp_path: Path, file: Path) -> None:
    """No run, no baseline, no share; nothing is written."""
    with pytest.raises(RunError, match="holds no run"):
        gate(tmp_path, file)
    (tmp_path / "other.json").write_text('{"methods": 1}')
    with pytest.raises(BaselineError, match="is no baseline"):
        gate(planted(2), tmp_path / "other.json")
    for value in (-0.1, 1.0, float("nan")):
        with pytest.raises(GateError, match="--tolerance: expected a share from 0 to below 1"):
            gate(planted(2), file, tolerance=value)
        with pytest.raises(GateError, match="--map-tolerance: expected a share"):
            gate(planted(2), file, map_tolerance=value)
