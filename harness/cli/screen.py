"""What a command that made or read a run prints of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import typer

from harness.cli.exits import PARTIAL, end

__all__ = ["show"]


def show(summary: dict[str, Any], folder: Path, as_json: bool) -> None:
    """Print the summary, on the screen or as JSON; ends as partial where a method or a process failed."""
    if as_json:
        typer.echo(json.dumps(summary, indent=1))
    else:
        from rich.console import Console

        from harness.claims import read_claims
        from harness.report import terminal

        Console().print(terminal(summary, read_claims()))
        typer.echo(f"Report, samples and figures: {folder}/report.md")
    parts = (*summary["methods"].values(), *(summary.get("processes") or ()))
    end(PARTIAL if any(about["status"] != "ok" for about in parts) else 0)
