"""A gate says that it cannot be told: runs that are not alike, times not to be trusted, too much noise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.gate import gate
from harness.plan import Plan
from harness.record import Sample
from recorded import Fault, on
from verdicts import SCORES, SPEEDS, Planted, by_title, titles


def test_noise_that_hides_what_was_lost_is_inconclusive(kept: Path, planted: Planted) -> None:
    """Where the interval holds both what is allowed and what is not; more measuring would tell."""
    verdict = gate(planted(6, slower={"spp": 1.06}, noise=0.1), kept)
    assert verdict.outcome == "inconclusive"
    found = by_title(verdict)["speed-up total of spp"]
    assert found.outcome == "inconclusive"
    assert found.change is not None
    assert found.change.low is not None
    assert found.change.high is not None
    assert found.change.low < -0.05 < found.change.high
    assert found.reason.endswith("; -5 % allowed; measure with more --processes")


def test_times_that_are_not_to_be_trusted_decide_nothing(kept: Path, planted: Planted) -> None:
    """Neither way; and mAP, which does not depend on them, is decided."""
    verdict = gate(planted(9, fault=Fault(drift=0.3), slower={"spp": 1.2}), kept)
    assert verdict.outcome == "inconclusive"
    assert titles(verdict, "inconclusive") == {"trust"} | SPEEDS
    gates = by_title(verdict)
    assert "drift: " in gates["trust"].reason
    assert "would fail, not decided as the times are not to be trusted" in gates["speed-up total of spp"].reason
    assert "would pass, not decided" in gates["speed-up total of fast"].reason
    assert titles(verdict, "pass") >= SCORES


INTERVAL = "the width of its intervals (interval), which pairing by image takes out"
OVERHEAD = "what its marks cost (overhead), which like runs share"


def dear_marks(sample: Sample) -> Sample:
    """So many that they may cost 1 %, and a tenth is seen beside unmarked ones, as where a call is very short."""
    if sample.role == "unmarked":
        return on(sample, seconds={"total": 0.9 * (sample.seconds or {})["total"]})
    return on(sample, marks=2000)


def findings(run: Path) -> set[str]:
    """Against the times of a run."""
    told = json.loads((run / "summary.json").read_text())["trust"]["findings"]
    return {one["name"] for one in told if one["verdict"] == "inconclusive"}


@pytest.mark.parametrize(
    ("change", "names", "left_out"),
    [
        ({"noise": 0.5, "processes": 1}, {"interval"}, INTERVAL),
        ({"fault": Fault(sample=dear_marks)}, {"overhead"}, OVERHEAD),
        (
            {"noise": 0.5, "processes": 1, "fault": Fault(sample=dear_marks)},
            {"interval", "overhead"},
            f"{INTERVAL}, and {OVERHEAD}",
        ),
    ],
)
def test_findings_that_like_runs_share_are_said_and_not_asked(
    kept: Path, planted: Planted, change: dict[str, Any], names: set[str], left_out: str
) -> None:
    """Images that are unlike widen a run's own interval, and marks cost both runs the same."""
    run = planted(6, **change)
    assert findings(run) == names
    gates = by_title(gate(run, kept))
    assert gates["trust"].outcome == "pass"
    assert gates["trust"].reason == f"nothing but {left_out}, speaks against its times"
    assert all("trusted" not in gates[title].reason for title in SPEEDS)


def test_what_is_left_out_is_said_beside_what_is_not(kept: Path, planted: Planted) -> None:
    """And a run that has nothing against it does not mention it."""
    run = planted(6, fault=Fault(drift=0.3, sample=dear_marks))
    assert findings(run) >= {"drift", "overhead"}
    found = by_title(gate(run, kept))["trust"]
    assert found.outcome == "inconclusive"
    assert "drift: " in found.reason
    assert "overhead: " not in found.reason
    assert found.reason.endswith(f" | not asked: {OVERHEAD}")
    assert by_title(gate(planted(2), kept))["trust"].reason == "nothing speaks against its times"


def test_failing_outweighs_not_knowing(kept: Path, planted: Planted) -> None:
    """Whoever sees a failure need not measure again to know it."""
    verdict = gate(planted(9, fault=Fault(drift=0.3), overlooked={"fast": 3}), kept)
    assert titles(verdict, "inconclusive")
    assert verdict.outcome == "fail"


def test_untrained_methods_have_no_map_to_judge(planted: Planted, tmp_path: Path) -> None:
    """Which is said and decides nothing."""
    change = {"plan": Plan.of({"weights": "random"}).model_dump(mode="json") | {"images": 48, "repeats": 2}}
    path = tmp_path / "baseline.json"
    assert gate(planted(1, manifest=change), path).baseline == "made"
    verdict = gate(planted(2, manifest=change), path)
    assert verdict.outcome == "pass"
    assert titles(verdict, "skipped") == SCORES
    assert "random" in by_title(verdict)["mAP voc07 of rcnn"].reason


def test_a_verdict_on_nothing_is_inconclusive(planted: Planted, tmp_path: Path) -> None:
    """Where one method alone was measured and never trained, there is nothing to hold against the baseline."""
    plan = Plan.of({"weights": "random", "methods": "rcnn"}).model_dump(mode="json") | {"images": 48, "repeats": 2}
    path = tmp_path / "baseline.json"
    assert gate(planted(1, manifest={"plan": plan}), path).outcome == "pass"
    verdict = gate(planted(2, manifest={"plan": plan}), path)
    assert titles(verdict, "inconclusive") == set()
    assert (verdict.outcome, verdict.judged) == ("inconclusive", "inconclusive")
    assert verdict.lines()[-1].endswith("4 passed, 1 skipped; no speed-up and no mAP was decided")
    assert gate(planted(2, manifest={"plan": plan}), path, update=True).outcome == "pass"


def test_from_three_processes_of_both_the_interval_is_over_them(planted: Planted, tmp_path: Path) -> None:
    """And with fewer in one of the runs over images, with the luck of a process that is assumed."""
    path = tmp_path / "baseline.json"
    gate(planted(1), path)
    several = by_title(gate(planted(2, processes=4), path))["speed-up total of spp"]
    assert several.change is not None
    assert several.change.interval == "over 4 and 3 processes"
    assert several.outcome == "pass"
    few = by_title(gate(planted(2, processes=1), path))["speed-up total of spp"]
    assert few.change is not None
    assert few.change.interval == "over images, and 2 % assumed between processes"
    assert few.outcome == "inconclusive"
    assert few.reason.endswith("; measure with --processes 3 or more")


def test_one_process_alone_finds_large_losses_only(planted: Planted, tmp_path: Path) -> None:
    """It cannot tell another code from another process; with more allowed it passes."""
    path = tmp_path / "baseline.json"
    gate(planted(1, processes=1), path)
    same = gate(planted(2, processes=1), path)
    assert titles(same, "inconclusive") == SPEEDS
    assert by_title(same)["speed-up total of spp"].reason.endswith(
        " % over images, and 2 % assumed between processes; -5 % allowed; "
        "measure with --processes 3 or more, the baseline, too"
    )
    assert gate(planted(2, processes=1), path, tolerance=0.1).outcome == "pass"
    lost = gate(planted(3, processes=1, slower={"fast": 1.25}), path)
    assert titles(lost, "fail") == {"speed-up conv of fast", "speed-up total of fast"}


def test_advice_fits(planted: Planted, tmp_path: Path, kept: Path) -> None:
    """Other blocks want the baseline's; and where nothing may be lost no measuring helps."""
    path = tmp_path / "new.json"
    gate(planted(1, processes=1), path)
    run = Path(shutil.copytree(planted(2, processes=1), tmp_path / "run"))
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    (run / "samples.jsonl").write_text("".join(json.dumps({**line, "block": 0}) + "\n" for line in lines))
    found = by_title(gate(run, path))["speed-up total of spp"]
    assert (
        "%, without an interval (an interval needs at least two separate blocks of images, there is 1); "
        in found.reason
    )
    assert found.reason.endswith("the baseline, too, and without --block, as the baseline was")
    strict = by_title(gate(planted(6, slower={"spp": 1.0002}), kept, tolerance=0.0))["speed-up total of spp"]
    assert strict.reason.endswith("nothing may be lost; noise alone can lose that much: allow some with --tolerance")
