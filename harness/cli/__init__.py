"""Text in, exit code out.

Results go to standard output, progress to standard error. Torch is imported inside the commands, so that help comes at
once.
"""

from __future__ import annotations

import typer

from harness.cli import detect, judge, look, measure, recall, reproduce, score, train

__all__ = ["app", "main"]

app = typer.Typer(
    help="R-CNN, SPP-net and Fast R-CNN under one proposal source, one evaluator and one stopwatch.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    measure.compare,
    train.train,
    detect.detect,
    reproduce.reproduce,
    judge.report,
    judge.gate,
    judge.evaluate,
    score.score,
    recall.recall,
    look.doctor,
    look.methods,
):
    app.command()(command)
data = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
data.command()(look.fetch)
data.callback(help="Get the papers' data.")(lambda: None)
app.add_typer(data, name="data")


def main() -> None:
    """Entry point of the script `harness`."""
    app()
