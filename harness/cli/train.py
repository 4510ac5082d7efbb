"""`harness train`: fits and saves, and measures nothing."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness import options
from harness.cli.exits import INTERRUPTED, PARTIAL, check_gpu, end, leave, one_line_errors
from harness.cli.planned import planned

if TYPE_CHECKING:
    from harness.plan import Plan

__all__ = ["train"]

_NOT_PLANNED = {"plan_file", "out", "resume", "overwrite", "require_gpu", "as_json"}


def train(
    methods: Annotated[
        str | None,
        typer.Argument(
            metavar="METHOD[,METHOD...]",
            help="As in compare; variants that are fitted alike share one model. [rcnn,spp,fast]",
            show_default=False,
        ),
    ] = None,
    dataset: options.DatasetName = None,
    train_split: options.TrainSplit = None,
    backbone: options.Backbone = None,
    weights: options.Weights = None,
    proposals: options.Proposals = None,
    max_proposals: options.MaxProposals = None,
    train_images: options.TrainImages = None,
    iterations: options.Iterations = None,
    fc_width: options.FcWidth = None,
    device: options.Device = None,
    seed: options.Seed = None,
    plan_file: options.PlanFile = None,
    out: options.Out = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    require_gpu: options.RequireGpu = False,
    as_json: options.AsJson = False,
) -> None:
    """Fit detectors and save them, for compare --models and detect --model; needs no test images.

    Exit code 5: one could not be fitted, or not be tried on its training images.
    """
    given = {key: value for key, value in locals().items() if key not in _NOT_PLANNED and value is not None}
    folder = out or Path("results/scratch") / f"models-{datetime.now():%Y%m%d-%H%M%S}"
    with one_line_errors():
        from harness.plan import PlanError
        from harness.runs import RunFolder

        if resume and (out is None or overwrite):
            raise PlanError("--resume needs --out with the models to go on with, and no --overwrite")
        RunFolder(folder).check_free(resume=resume, overwrite=overwrite)
        manifest = RunFolder(folder).read_manifest(training=True) if resume else None
        plan = planned(plan_file, given, manifest)
        if require_gpu:
            check_gpu(plan.device)
        _show(_trained(plan, folder, resume=resume, overwrite=overwrite), folder, as_json)


def _trained(plan: Plan, folder: Path, *, resume: bool, overwrite: bool) -> dict[str, Any]:
    from harness.progress import Reporter
    from harness.runs import RunFolder
    from harness.streams import kept_for_results
    from harness.training import train as run

    argv = ["harness", *sys.argv[1:]]
    about: dict[str, Any] = {"resume": resume, "overwrite": overwrite, "command": shlex.join(argv), "argv": argv}
    try:
        with kept_for_results(), Reporter() as reporter:
            return run(plan, folder, reporter=reporter, **about)
    except KeyboardInterrupt:
        kept = "models and checkpoints are kept" if RunFolder(folder).exists else "nothing was fitted yet"
        go_on = f"; go on with: harness train --resume --out {shlex.quote(str(folder))}"
        leave(INTERRUPTED, f"interrupted; {kept}{go_on if RunFolder(folder).exists else ''}")


def _show(manifest: dict[str, Any], folder: Path, as_json: bool) -> None:
    from harness.training import lines

    judged = manifest["training_ap"]
    if as_json:
        kept = ("status", "reason", "fitted_as", "fit_seconds", "model_bytes", "model_sha256", "fit")
        methods = {
            name: {**{key: about.get(key) for key in kept}, "training_ap": judged.get(name)}
            for name, about in manifest["methods"].items()
        }
        typer.echo(json.dumps({"out": str(folder), "methods": methods}, indent=1))
    else:
        typer.echo("\n".join(lines(manifest)))
        typer.echo(f"Models: {folder}/models")
    failed = any(about["status"] != "ok" for about in manifest["methods"].values())
    end(PARTIAL if failed or any(each["images"] == 0 for each in judged.values()) else 0)
