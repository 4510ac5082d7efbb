"""The committed tables, figures and README extract are those of the committed runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.publish import stale, untraceable

ROOT = Path(__file__).parents[1]


def test_generated_results_are_not_stale() -> None:
    """Nothing generated is missing, edited or left over; if this fails, run ``python -m harness.publish``."""
    assert stale(ROOT) == []


def test_committed_runs_hold_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Summaries follow from samples, reports from summaries, each number in them from a number; see `harness report`.

    Figures aside, which `python -m harness.publish --check` draws once more.
    """
    monkeypatch.setattr("harness.figures.draw", lambda *_, **__: [])
    assert [line for line in untraceable(ROOT) if ": figures/" not in line and ": report.html is" not in line] == []


def test_no_run_carries_more_than_a_repository_should() -> None:
    """A committed run stays under 5 MB, fitted models (which git ignores) aside."""
    for run in (ROOT / "results" / "runs").glob("*/"):
        files = [path for path in run.rglob("*") if path.is_file() and path.relative_to(run).parts[0] != "models"]
        assert sum(path.stat().st_size for path in files) < 5_000_000, run.name
