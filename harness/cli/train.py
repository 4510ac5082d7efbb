"""`harness train`: fits and saves, and measures nothing."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from harness import options
from harness.cli.exits import PARTIAL, end, one_line_errors
from harness.cli.planned import Planned

__all__ = ["train"]

_NOT_PLANNED = {"plan_file", "out", "resume", "overwrite", "require_gpu", "as_json"}
_TRAIN = Planned("train", "models", "models and checkpoints are kept", "nothing was fitted yet", training=True)


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
        plan = _TRAIN.plan(plan_file, given, out, folder, resume=resume, overwrite=overwrite, require_gpu=require_gpu)
        from harness.training import train as run

        _show(_TRAIN.carry_out(run, plan, folder, resume=resume, overwrite=overwrite), folder, as_json)


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
