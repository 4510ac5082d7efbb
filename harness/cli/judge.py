"""`harness report`, `gate` and `evaluate`: what is said of measurements, and measures nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness import options
from harness.cli.exits import FAILED, INCONCLUSIVE, end, one_line_errors
from harness.cli.screen import show

if TYPE_CHECKING:
    from harness.runs import RunFolder

__all__ = ["evaluate", "gate", "report"]


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.", show_default=False)],
    as_json: options.AsJson = False,
    as_markdown: options.AsMarkdown = False,
    check: options.Check = False,
) -> None:
    """Derive summary, tables and plots anew from a run's stored samples; measures nothing.

    Several runs are set side by side, with what they differ in; nothing is written then, nor with --markdown or
    --check.
    """
    if check:
        _check(runs, as_json or as_markdown)
        return
    with one_line_errors():
        from harness import jobsummary
        from harness.plan import PlanError
        from harness.reports import write_reports
        from harness.runs import RunFolder
        from harness.summary import summarise

        folders = [RunFolder(run) for run in runs]
        if as_markdown:
            if as_json:
                raise PlanError("--json and --markdown contradict each other; leave one out")
            typer.echo(jobsummary.markdown(folders), nl=False)
            return
        if len(folders) > 1:
            _side_by_side(folders, as_json)
            return
        folder = folders[0]
        summary = summarise(folder)
        write_reports(folder, summary)
        show(summary, runs[0], as_json)


def _check(runs: list[Path], shown_otherwise: bool) -> None:
    from harness.plan import PlanError

    wrong = False
    with one_line_errors():
        from harness.traceability import check

        if shown_otherwise:
            raise PlanError("--check says what is wrong in lines; leave out --json and --markdown")
        for run in runs:
            problems = check(run)
            wrong = wrong or bool(problems)
            for told in problems or ["every number follows from its samples"]:
                typer.echo(f"{run}: {told}")
    end(FAILED if wrong else 0)


def _side_by_side(folders: list[RunFolder], as_json: bool) -> None:
    from harness import side_by_side

    model = side_by_side.compare_runs(folders)
    if as_json:
        typer.echo(json.dumps(model, indent=1))
        return
    from rich.console import Console

    Console().print(side_by_side.terminal(model))


def gate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.", show_default=False)],
    baseline: options.BaselineFile,
    update_baseline: options.UpdateBaseline = False,
    require_baseline: options.RequireBaseline = False,
    tolerance: options.Tolerance = 0.05,
    map_tolerance: options.MapTolerance = 0.01,
    as_json: options.AsJson = False,
) -> None:
    """Do the speed-ups and the accuracy of a baseline still hold in RUN? For continuous integration.

    Decided on ratios, never on absolute seconds. Exit code 0: they do, or RUN became the baseline of its device; 1: one
    does not; 4: it cannot be told, and why.
    """
    with one_line_errors():
        from harness.gate import gate as judge

        allowed = {"tolerance": tolerance, "map_tolerance": map_tolerance}
        verdict = judge(run, baseline, update=update_baseline, require=require_baseline, **allowed)
    typer.echo(json.dumps(verdict.as_dict(), indent=1) if as_json else "\n".join(verdict.lines()))
    end({"fail": FAILED, "inconclusive": INCONCLUSIVE}.get(verdict.outcome, 0))


def evaluate(
    detections: Annotated[Path, typer.Option("--detections", help="COCO results JSON.", show_default=False)],
    dataset: Annotated[str, typer.Option("--dataset", help="shapes, voc:DIR or a plug-in's.")] = "shapes",
    split: Annotated[str, typer.Option("--split", help="Images that were detected in.")] = "test",
    images: Annotated[int | None, typer.Option("--images", help="First images of the split only.", min=1)] = None,
    metric: Annotated[str, typer.Option("--metric", help="voc07 or voc10.")] = "voc07",
    as_json: options.AsJson = False,
) -> None:
    """Average precision of a detections file."""
    with one_line_errors():
        from harness.evaluate import evaluate_file, lines
        from harness.streams import kept_for_results

        with kept_for_results():
            result = evaluate_file(detections, dataset=dataset, split=split, images=images, metric=metric)
    typer.echo(json.dumps(result, indent=1) if as_json else "\n".join(lines(result)))
