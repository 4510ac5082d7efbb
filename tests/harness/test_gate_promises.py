"""The summary of a run keeps its promises, and follows from the samples; else the gate fails."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.gate import gate
from harness.gates.promises import broken_promise
from verdicts import Planted, by_title, edited, relogged


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda summary: summary["speedup"]["spp"].pop("total"), "speedup.spp.total: field required"),
        (lambda summary: summary["speedup"].pop("spp"), "speedup.spp is missing"),
        (lambda summary: summary["methods"].pop("fast"), "fast is missing"),
        (lambda summary: summary["methods"]["spp"]["seconds"].pop("conv"), "methods.spp.seconds.conv: field required"),
        (lambda summary: summary["methods"]["spp"]["map"]["voc10"].update(low=None), "low is null without a reason"),
        (lambda summary: summary.update(claims=None, claims_reason=None), "claims is null without a reason"),
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


def test_a_broken_promise_fails(kept: Path, planted: Planted, tmp_path: Path) -> None:
    """The summary on disk is asked, not one that this version would write."""
    run = edited(planted(2), tmp_path / "run", "summary.json", lambda summary: summary.pop("claims"))
    found = by_title(gate(run, kept))["schema"]
    assert found.outcome == "fail"
    assert found.reason == "summary.json breaks its promise: claims: field required"


@pytest.mark.parametrize(
    "change",
    [
        lambda summary: summary["speedup"]["spp"]["total"].update(value=12.0),
        lambda summary: summary["speedup"]["fast"]["conv"].update(value=None, reason="nobody knows"),
        lambda summary: summary["methods"]["fast"]["map"]["voc10"].update(value=0.99),
        lambda summary: summary["methods"]["spp"]["seconds"]["total"].update(mean=0.001),
        lambda summary: summary.update(samples=summary["samples"] + 1),
        lambda summary: summary["methods"].update(more={"status": "oom", "reason": "memory"}),
        lambda summary: summary["methods"].update(spp={"status": "oom", "reason": "memory"}),
    ],
)
def test_a_summary_of_other_samples_fails(
    kept: Path, planted: Planted, tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    """Whoever reads it must read what the gate decides on; and no baseline is made of such a run."""
    run = edited(planted(2), tmp_path / "run", "summary.json", change)
    found = by_title(gate(run, kept))["schema"]
    assert found.outcome == "fail"
    assert found.reason == "summary.json does not follow from the samples; run `harness report RUN`"
    assert gate(run, tmp_path / "new.json").baseline == "refused"


def test_a_summary_may_have_other_intervals(kept: Path, planted: Planted, tmp_path: Path) -> None:
    """And last digits: another version of this program, or another machine, may have derived it."""

    def change(summary: dict[str, Any]) -> None:
        ratio = summary["speedup"]["spp"]["total"]
        ratio.update(value=ratio["value"] * (1 + 1e-9), low=0.5 * ratio["low"])

    run = edited(planted(2), tmp_path / "run", "summary.json", change)
    assert by_title(gate(run, kept))["schema"].outcome == "pass"


def test_a_method_that_did_not_see_all_images_fails(kept: Path, planted: Planted, tmp_path: Path) -> None:
    """With how many it saw."""
    missing = {("spp", "000001"), ("spp", "000007")}
    run = relogged(planted(2), tmp_path / "run", lambda line: (line["method"], line["image"]) not in missing)
    found = by_title(gate(run, kept))["method of spp"]
    assert found.outcome == "fail"
    assert found.reason == "measured on 46 of 48 images, and in no process or repeat more"


@pytest.mark.parametrize("name", ["shapes-default", "caffenet-speed"])
def test_published_runs_keep_their_promises(name: str) -> None:
    """One that was trained, and one that was not."""
    path = Path(__file__).parents[2] / "results" / "runs" / name / "summary.json"
    assert broken_promise(json.loads(path.read_text())) is None


def test_a_run_without_summary_fails(kept: Path, planted: Planted, tmp_path: Path) -> None:
    """And one that is not finished."""
    run = tmp_path / "run"
    shutil.copytree(planted(2), run)
    (run / "summary.json").unlink()
    assert "summary.json is missing" in by_title(gate(run, kept))["schema"].reason
    interrupted = by_title(gate(planted(2, manifest={"status": "interrupted"}), kept))["schema"]
    assert interrupted.outcome == "fail"
    assert interrupted.reason == "the run is interrupted, not complete"
