"""`harness score`: how accurate the methods of several runs are, and what that says of the papers' relations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness import options
from harness.cli.exits import one_line_errors
from harness.cli.output import Overwrite, check_free

if TYPE_CHECKING:
    from harness.scoreboard import Scoreboard

__all__ = ["score"]

Runs = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...",
        help="Run folders; or one .toml file of results/scoreboards that names them.",
        show_default=False,
    ),
]
Baseline = Annotated[
    str | None,
    typer.Option("--baseline", help="Method that differences are to. [the first of the first run]", show_default=False),
]
Methods = Annotated[
    str | None,
    typer.Option("--methods", help="Those that get a row, with commas between. [all]", show_default=False),
]
AsMarkdown = Annotated[
    bool, typer.Option("--markdown", help="Print Markdown, with all that there is.", show_default=False)
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="File for the JSON or the Markdown, instead of standard output.", show_default=False),
]


def score(
    runs: Runs,
    baseline: Baseline = None,
    methods: Methods = None,
    as_json: options.AsJson = False,
    as_markdown: AsMarkdown = False,
    out: Out = None,
    overwrite: Overwrite = False,
) -> None:
    """Set the mAP of the methods of several runs on the same images side by side; measures nothing.

    Intervals over the images, paired differences, what the papers print, and a verdict on each relation of the papers
    between two methods that are there. Where a run has only some of the images, all methods are scored on these, too,
    in a table of their own.
    """
    with one_line_errors():
        from harness.plan import PlanError
        from harness.storage import write_text

        if as_json and as_markdown:
            raise PlanError("--json and --markdown contradict each other; leave one out")
        if out is not None and not (as_json or as_markdown):
            raise PlanError("--out takes JSON or Markdown; say which with --json or --markdown")
        check_free(out, overwrite=overwrite, example=f"board.{'json' if as_json else 'md'}")
        board = _read(runs, baseline, None if methods is None else methods.split(","))
        text = json.dumps(board.as_dict(), indent=1, allow_nan=False) + "\n" if as_json else ""
        if as_markdown:
            from harness.rendering.scoreboard import markdown

            text = markdown(board)
        if out is not None:
            try:
                write_text(out, text)
            except OSError as error:
                raise PlanError(f"--out: {out} cannot be written ({error.strerror}); name another file") from None
    if text:
        typer.echo(str(out) if out is not None else text, nl=out is not None)
        return
    from rich.console import Console

    from harness.rendering.scoreboard_screen import terminal

    Console().print(terminal(board))


def _read(runs: list[Path], baseline: str | None, methods: list[str] | None) -> Scoreboard:
    from harness import scoreboards
    from harness.plan import PlanError

    files = [run for run in runs if run.suffix == ".toml"]
    if not files:
        return scoreboards.of_folders(runs, baseline=baseline, methods=methods)
    if len(runs) > 1 or baseline is not None or methods is not None:
        raise PlanError(f"{files[0]} names its runs, its baseline and its methods itself; give it alone")
    return scoreboards.read(files[0])
