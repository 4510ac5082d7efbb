"""`harness doctor`, `methods` and `data`: what is there, and what can be got."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from harness import options
from harness.cli.exits import one_line_errors

__all__ = ["doctor", "fetch", "methods"]


def doctor(as_json: options.AsJson = False) -> None:
    """Say on one screen whether this machine can give trustworthy timings, and what to do about it."""
    from harness.surroundings.doctor import as_dict, examine, screen

    checks = examine()
    if as_json:
        typer.echo(json.dumps(as_dict(checks), indent=1))
        return
    from rich.console import Console

    Console().print(screen(checks))


def methods(as_json: options.AsJson = False) -> None:
    """List the detectors there are, and where each comes from."""
    from harness import catalogue
    from harness.streams import kept_for_results

    with kept_for_results():
        known = catalogue.found(lambda reason: typer.echo(f"harness: warning: {reason}", err=True))
    typer.echo(json.dumps(known, indent=1) if as_json else "\n".join(catalogue.lines(known)))


def fetch(
    name: Annotated[str, typer.Argument(help="voc2007: PASCAL VOC 2007, trainval and test.", show_default=False)],
    to: Annotated[Path, typer.Option("--to", help="Folder to put it in.")] = Path("data"),
) -> None:
    """Fetch a data set, check its checksums and print the folder that --dataset voc:DIR takes."""
    with one_line_errors():
        from harness import data

        folder = data.fetch(name, to, lambda line: typer.echo(f"harness: {line}", err=True))
    typer.echo(str(folder))
