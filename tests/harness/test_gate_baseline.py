"""The first run on a device makes its baseline, and another replaces it where that is asked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.baseline import Baselines
from harness.gate import gate
from recorded import Fault
from verdicts import CPU, GPU, SCORES, SPEEDS, Planted, by_title, titles


def test_the_first_run_on_a_device_makes_its_baseline_and_says_so(planted: Planted, kept: Path) -> None:
    """A pass, judged by itself; the entry of the other device stays, and is named."""
    verdict = gate(planted(6, device="cuda"), kept)
    assert (verdict.outcome, verdict.baseline, verdict.device, verdict.against) == ("pass", "made", GPU, None)
    alone = ("schema", "trust", "method of rcnn", "method of spp", "method of fast", "baseline")
    assert tuple(one.title for one in verdict.gates) == alone
    told = by_title(verdict)["baseline"].reason
    assert told.startswith("first run on this device, GPU (Some GPU): baseline made")
    assert told.endswith(f"the file has entries of other devices, too: {CPU}")
    devices = Baselines.read(kept).devices
    assert list(devices) == [CPU, GPU]
    assert devices[CPU].origin.commit == f"{1:040x}"
    assert gate(planted(2), kept).against == devices[CPU].origin.model_dump()


OTHER_STATE = {"resumed": [{"source": {"commit": "f" * 40, "dirty": True, "diff_sha256": "9" * 64}}]}


@pytest.mark.parametrize(
    ("change", "outcome", "words"),
    [
        ({"failed": "spp"}, "fail", "the run is partial, not complete"),
        ({"fault": Fault(drift=0.3)}, "inconclusive", "its times are not to be trusted"),
        ({"manifest": OTHER_STATE}, "inconclusive", "it was measured by more than one state of the source"),
    ],
)
def test_no_baseline_is_made_of_a_bad_run(
    planted: Planted, tmp_path: Path, kept: Path, change: dict[str, Any], outcome: str, words: str
) -> None:
    """Nor replaced by one; a broken first run fails, though there is nothing to hold it against."""
    path = tmp_path / "new.json"
    verdict = gate(planted(8, **change), path)
    assert (verdict.outcome, verdict.baseline) == (outcome, "refused")
    assert by_title(verdict)["baseline"].reason == f"not taken from this run: {words}"
    assert titles(verdict, "fail") == ({"schema", "method of spp"} if outcome == "fail" else set())
    assert not path.exists()
    before = kept.read_bytes()
    refused = gate(planted(8, **change), kept, update=True)
    assert refused.baseline == "refused"
    assert refused.outcome in ("fail", "inconclusive")
    assert kept.read_bytes() == before


def test_an_entry_can_be_required(planted: Planted, tmp_path: Path, kept: Path) -> None:
    """None is made then: inconclusive, or a failure where the run is broken; where there is one nothing is other."""
    path = tmp_path / "new.json"
    verdict = gate(planted(2), path, require=True)
    assert (verdict.outcome, verdict.baseline) == ("inconclusive", "absent")
    assert by_title(verdict)["baseline"].reason == f"no entry for this device, {CPU}, and --require-baseline makes none"
    assert gate(planted(8, failed="spp"), path, require=True).outcome == "fail"
    assert not path.exists()
    before = kept.read_bytes()
    other = gate(planted(6, device="cuda"), kept, require=True)
    assert by_title(other)["baseline"].reason.endswith(f"; there are entries of {CPU}")
    assert kept.read_bytes() == before
    assert gate(planted(2), kept, require=True) == gate(planted(2), kept)


def test_a_run_of_two_sources_decides_nothing(planted: Planted, kept: Path) -> None:
    """Nobody knows which of them a time or a model is of; one that went on with the same one is a run like any."""
    verdict = gate(planted(2, manifest=OTHER_STATE), kept)
    assert titles(verdict, "inconclusive") == {"trust"} | SPEEDS | SCORES
    told = by_title(verdict)["trust"].reason
    assert told.startswith(f"measured by two states of the source ({'0' * 12}, then {'f' * 12} and changes)")
    assert "several states of the source" in by_title(verdict)["mAP voc07 of spp"].reason
    same = {"resumed": [{"source": {"commit": f"{2:040x}", "dirty": False, "diff_sha256": None, "reason": None}}]}
    assert gate(planted(2, manifest=same), kept).outcome == "pass"


def test_a_baseline_of_two_sources_decides_nothing(planted: Planted, kept: Path) -> None:
    """One that an earlier version of this program took."""
    values = json.loads(kept.read_text())
    values["devices"][CPU]["manifest"] |= OTHER_STATE
    kept.write_text(json.dumps(values))
    found = by_title(gate(planted(2), kept))["trust"]
    assert found.outcome == "inconclusive"
    assert found.reason.startswith("the baseline was measured by two states of the source")


def test_other_threads_are_no_other_device(planted: Planted, kept: Path) -> None:
    """Whoever sets OMP_NUM_THREADS otherwise must not get a new baseline, whatever was lost."""
    verdict = gate(planted(3, slower={"spp": 2.0}, manifest={"machine": {"threads": 1}}), kept)
    assert (verdict.outcome, verdict.baseline) == ("inconclusive", "kept")
    assert by_title(verdict)["comparable"].reason.startswith("machine threads: 1, was 2; ")


def test_the_very_run_of_the_baseline_is_named(planted: Planted, kept: Path, tmp_path: Path) -> None:
    """Wherever it was copied to: it holds nothing that was measured since."""
    copied = Path(shutil.copytree(planted(1), tmp_path / "copy"))
    for run in (planted(1), copied):
        told = by_title(gate(run, kept))["comparable"].reason
        assert told == "this is the very run that the baseline was made from, so it says nothing new"
    assert "very run" not in by_title(gate(planted(2), kept))["comparable"].reason


def test_update_judges_and_then_replaces(planted: Planted, kept: Path) -> None:
    """Whatever came out: whoever asks for it has decided. The next run is held against the new one."""
    gate(planted(6, device="cuda"), kept)
    slow = planted(3, slower={"spp": 1 / 0.9})
    verdict = gate(slow, kept, update=True)
    assert (verdict.outcome, verdict.judged, verdict.baseline) == ("pass", "fail", "replaced")
    assert verdict.lines()[-1].endswith("the baseline was replaced all the same, as asked")
    assert list(Baselines.read(kept).devices) == [CPU, GPU]
    assert gate(planted(4, slower={"spp": 1 / 0.9}), kept).judged == "pass"
