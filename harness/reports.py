"""What a run folder shows of its summary."""

from __future__ import annotations

from typing import Any

from harness import figures, report
from harness.claims import read_claims
from harness.runs import RunFolder
from harness.storage import write_text
from harness.webpage import webpage

__all__ = ["write_reports"]


def write_reports(folder: RunFolder, summary: dict[str, Any], manifest: dict[str, Any] | None = None) -> None:
    """Write summary.json, report.md, report.html and the figures of a run.

    `manifest` is what the page shows; None for that on disk.
    """
    folder.write_summary(summary)
    drawn = {path.stem for path in figures.draw(summary, folder.path / "figures", folder)}
    claims = read_claims()
    write_text(folder.path / "report.md", report.markdown(summary, claims, drawn))
    manifest = folder.read_manifest() if manifest is None else manifest
    page = webpage(summary, manifest, claims, figures.svgs(summary, folder))
    write_text(folder.path / "report.html", page)
