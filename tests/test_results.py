"""The committed tables, figures and README extract are those of the committed runs."""

from __future__ import annotations

from pathlib import Path

from harness.publish import stale, untraceable

ROOT = Path(__file__).parents[1]
_IGNORED = frozenset({"models", "figures", "report.html"})


def test_generated_results_are_not_stale() -> None:
    """Nothing generated is missing, edited or left over; if this fails, run ``python -m harness.publish``."""
    assert stale(ROOT) == []


def test_committed_runs_hold_together() -> None:
    """Summaries follow from samples, and reports from summaries; see `harness report --check`."""
    assert untraceable(ROOT) == []


def test_no_run_carries_more_than_a_repository_should() -> None:
    """A committed run stays under 5 MB, what git ignores aside: fitted models, and figures and page, made by report."""
    for run in (ROOT / "results" / "runs").glob("*/"):
        files = [path for path in run.rglob("*") if path.is_file() and not _IGNORED & {*path.relative_to(run).parts}]
        assert sum(path.stat().st_size for path in files) < 5_000_000, run.name
