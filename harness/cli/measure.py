"""`harness compare`: what measures."""

from __future__ import annotations

import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import options
from harness.cli.exits import INTERRUPTED, check_gpu, leave, one_line_errors
from harness.cli.planned import planned
from harness.cli.screen import show

if TYPE_CHECKING:
    from harness.plan import Plan

__all__ = ["compare"]


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
        from harness.plan import PlanError
        from harness.runs import RunFolder

        if resume and (out is None or overwrite):
            raise PlanError("--resume needs --out with the run to go on with, and no --overwrite")
        RunFolder(folder).check_free(resume=resume, overwrite=overwrite)
        plan = planned(plan_file, given, RunFolder(folder).read_manifest() if resume else None)
        if require_gpu:
            check_gpu(plan.device)
        summary = _compared(plan, folder, resume=resume, overwrite=overwrite)
        show(summary, folder, as_json)


_NOT_PLANNED = {"plan_file", "out", "resume", "overwrite", "require_gpu", "as_json"}


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
        leave(INTERRUPTED, f"interrupted; {kept}{go_on if RunFolder(folder).exists else ''}")
