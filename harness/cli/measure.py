"""`harness compare`: what measures."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from harness import options
from harness.cli.exits import one_line_errors
from harness.cli.planned import Planned
from harness.cli.screen import show

__all__ = ["compare"]

_NOT_PLANNED = {"plan_file", "out", "resume", "overwrite", "require_gpu", "as_json"}
_COMPARE = Planned("compare", "run", "what was measured is kept", "nothing was measured yet")


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
    models: options.Models = None,
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
    with one_line_errors():
        plan = _COMPARE.plan(plan_file, given, out, folder, resume=resume, overwrite=overwrite, require_gpu=require_gpu)
        from harness.compare import compare as run

        show(_COMPARE.carry_out(run, plan, folder, resume=resume, overwrite=overwrite), folder, as_json)
