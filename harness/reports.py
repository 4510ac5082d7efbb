"""What a run folder shows of its summary."""

from __future__ import annotations

from typing import Any

from harness import figures, report
from harness.claims import read_claims
from harness.runs import RunFolder

__all__ = ["write_reports"]


def write_reports(folder: RunFolder, summary: dict[str, Any]) -> None:
    """Write summary.json, report.md and the figures of a run."""
    folder.write_summary(summary)
    figures.draw(summary, folder.path / "figures")
    (folder.path / "report.md").write_text(report.markdown(summary, read_claims()), encoding="utf-8")
