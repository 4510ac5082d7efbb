"""Text in, exit code out: the only file that exits.

Exit codes: 0 all that was planned was measured, or a gate was passed; 1 a gate was not passed; 2 wrong usage or bad
input, said in one line; 3 the environment was refused; 4 a gate could not be decided; 5 partial, a method or a process
failed; 130 interrupted, with what was measured kept. Results go to standard output, progress to standard error. Torch
is imported inside the commands, so that help comes at once.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from harness import options

if TYPE_CHECKING:
    from harness.plan import Plan
    from harness.runs import RunFolder

__all__ = ["app", "main"]

FAILED, BAD_INPUT, REFUSED, INCONCLUSIVE, PARTIAL, INTERRUPTED = 1, 2, 3, 4, 5, 130

app = typer.Typer(
    help="R-CNN, SPP-net and Fast R-CNN under one proposal source, one evaluator and one stopwatch.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Entry point of the script `harness`."""
    app()


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Bad input becomes one line and exit code 2; anything unforeseen keeps its traceback."""
    from harness.accuracy import AccuracyError
    from harness.claims import ClaimError
    from harness.coco import DetectionsError
    from harness.datasets import DatasetError
    from harness.gate import GateError
    from harness.plan import PlanError
    from harness.proposals import ProposalError
    from harness.storage import StorageError

    try:
        yield
    except (
        *(AccuracyError, ClaimError, DatasetError, DetectionsError, GateError),
        *(PlanError, ProposalError, StorageError),
    ) as error:
        _leave(BAD_INPUT, " ".join(str(error).split()))
    except KeyboardInterrupt:
        _leave(INTERRUPTED, "interrupted")


def _leave(code: int, message: str) -> NoReturn:
    typer.echo(f"harness: {message}", err=True)
    raise typer.Exit(code) from None


@app.command()
def compare(
    methods: options.Methods = None,
    dataset: options.DatasetName = None,
    train_split: options.TrainSplit = None,
    split: options.Split = None,
    backbone: options.Backbone = None,
    weights: options.Weights = None,
    proposals: options.Proposals = None,
    max_proposals: options.MaxProposals = None,
    images: options.Images = None,
    train_images: options.TrainImages = None,
    iterations: options.Iterations = None,
    fc_width: options.FcWidth = None,
    repeats: options.Repeats = None,
    processes: options.Processes = None,
    block: options.Block = None,
    sweep: options.SweepText = None,
    policy: options.PolicyName = None,
    device: options.Device = None,
    precision: options.Precision = None,
    seed: options.Seed = None,
    plan_file: options.PlanFile = None,
    out: options.Out = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    require_gpu: options.RequireGpu = False,
    as_json: options.AsJson = False,
) -> None:
    """Fit, run, time and judge detectors on the same images and the same boxes."""
    given = {key: value for key, value in locals().items() if key not in _NOT_PLANNED and value is not None}
    folder = out or Path("results/scratch") / datetime.now().strftime("%Y%m%d-%H%M%S")
    with _one_line_errors():
        from harness.plan import PlanError
        from harness.runs import RunFolder

        if resume and (out is None or overwrite):
            raise PlanError("--resume needs --out with the run to go on with, and no --overwrite")
        RunFolder(folder).check_free(resume=resume, overwrite=overwrite)
        plan = _plan(plan_file, given, folder if resume else None)
        if require_gpu:
            _require_gpu(plan)
        summary = _compared(plan, folder, resume=resume, overwrite=overwrite)
        _show(summary, folder, as_json)


_NOT_PLANNED = {"plan_file", "out", "resume", "overwrite", "require_gpu", "as_json"}


def _plan(plan_file: Path | None, given: dict[str, Any], resumed: Path | None) -> Plan:
    from harness.plan import Plan
    from harness.runs import RunFolder

    values: dict[str, Any] = {}
    if resumed is not None:
        values |= RunFolder(resumed).read_manifest()["plan"]
    if plan_file is not None:
        values |= Plan.values_in(plan_file)
    return Plan.of(values | given)


def _require_gpu(plan: Plan) -> None:
    import torch

    if plan.device == "cpu":
        _leave(BAD_INPUT, "--require-gpu and --device cpu contradict each other; leave one out")
    if not torch.cuda.is_available():
        _leave(REFUSED, "--require-gpu: torch sees no CUDA device here")


def _compared(plan: Plan, folder: Path, *, resume: bool, overwrite: bool) -> dict[str, Any]:
    from harness.compare import compare as run
    from harness.progress import Reporter
    from harness.runs import RunFolder
    from harness.streams import kept_for_results

    argv = ["harness", *sys.argv[1:]]
    about: dict[str, Any] = {"resume": resume, "overwrite": overwrite, "command": shlex.join(argv), "argv": argv}
    try:
        with kept_for_results(), Reporter() as reporter:
            return run(plan, folder, reporter=reporter, **about)
    except KeyboardInterrupt:
        kept = "what was measured is kept" if RunFolder(folder).exists else "nothing was measured yet"
        go_on = f"; go on with: harness compare --resume --out {shlex.quote(str(folder))}"
        _leave(INTERRUPTED, f"interrupted; {kept}{go_on if RunFolder(folder).exists else ''}")


def _show(summary: dict[str, Any], folder: Path, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(summary, indent=1))
    else:
        from rich.console import Console

        from harness.claims import read_claims
        from harness.report import terminal

        Console().print(terminal(summary, read_claims()))
        typer.echo(f"Report, samples and figures: {folder}/report.md")
    if any(about["status"] != "ok" for about in (*summary["methods"].values(), *(summary.get("processes") or ()))):
        raise typer.Exit(PARTIAL)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.", show_default=False)],
    as_json: options.AsJson = False,
    as_markdown: options.AsMarkdown = False,
) -> None:
    """Derive summary, tables and plots anew from a run's stored samples; measures nothing.

    Several runs are set side by side, with what they differ in; nothing is written then, nor with --markdown.
    """
    with _one_line_errors():
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
        _show(summary, runs[0], as_json)


def _side_by_side(folders: list[RunFolder], as_json: bool) -> None:
    from harness import side_by_side

    model = side_by_side.compare_runs(folders)
    if as_json:
        typer.echo(json.dumps(model, indent=1))
        return
    from rich.console import Console

    Console().print(side_by_side.terminal(model))


@app.command()
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
    with _one_line_errors():
        from harness.gate import gate as judge

        allowed = {"tolerance": tolerance, "map_tolerance": map_tolerance}
        verdict = judge(run, baseline, update=update_baseline, require=require_baseline, **allowed)
    typer.echo(json.dumps(verdict.as_dict(), indent=1) if as_json else "\n".join(verdict.lines()))
    code = {"fail": FAILED, "inconclusive": INCONCLUSIVE}.get(verdict.outcome)
    if code is not None:
        raise typer.Exit(code)


@app.command()
def doctor(as_json: options.AsJson = False) -> None:
    """Say on one screen whether this machine can give trustworthy timings, and what to do about it."""
    from harness.surroundings.doctor import as_dict, examine, screen

    checks = examine()
    if as_json:
        typer.echo(json.dumps(as_dict(checks), indent=1))
        return
    from rich.console import Console

    Console().print(screen(checks))


@app.command()
def evaluate(
    detections: Annotated[Path, typer.Option("--detections", help="COCO results JSON.", show_default=False)],
    dataset: Annotated[str, typer.Option("--dataset", help="shapes, voc:DIR or a plug-in's.")] = "shapes",
    split: Annotated[str, typer.Option("--split", help="Images that were detected in.")] = "test",
    images: Annotated[int | None, typer.Option("--images", help="First images of the split only.", min=1)] = None,
    metric: Annotated[str, typer.Option("--metric", help="voc07 or voc10.")] = "voc07",
    as_json: options.AsJson = False,
) -> None:
    """Average precision of a detections file."""
    with _one_line_errors():
        from harness.evaluate import evaluate_file, lines
        from harness.streams import kept_for_results

        with kept_for_results():
            result = evaluate_file(detections, dataset=dataset, split=split, images=images, metric=metric)
    typer.echo(json.dumps(result, indent=1) if as_json else "\n".join(lines(result)))


@app.command()
def methods(as_json: options.AsJson = False) -> None:
    """List the detectors there are, and where each comes from."""
    from harness import catalogue
    from harness.streams import kept_for_results

    with kept_for_results():
        known = catalogue.found(lambda reason: typer.echo(f"harness: warning: {reason}", err=True))
    typer.echo(json.dumps(known, indent=1) if as_json else "\n".join(catalogue.lines(known)))


if __name__ == "__main__":
    main()
