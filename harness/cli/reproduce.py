"""`harness reproduce`: the papers' tables, measured and set side by side."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness import options
from harness.cli.exits import INTERRUPTED, check_gpu, end, leave, one_line_errors

if TYPE_CHECKING:
    from harness.presets import Preset

__all__ = ["reproduce"]

_NOT_OPTIONS = {"name", "out", "resume", "require_gpu", "as_json"}


def reproduce(
    name: Annotated[
        str,
        typer.Argument(metavar="list|NAME|all", help="list names them, with what each needs.", show_default=False),
    ],
    dataset: options.PhotographsName = None,
    weights: options.NetworkWeights = None,
    proposals: options.AccuracyProposals = None,
    images: options.PresetImages = None,
    repeats: options.Repeats = None,
    processes: options.Processes = None,
    device: options.Device = None,
    seed: options.Seed = None,
    quick: options.Quick = False,
    out: options.ReproductionOut = None,
    resume: options.Resume = False,
    require_gpu: options.RequireGpu = False,
    as_json: options.AsJson = False,
) -> None:
    """Measure what a table of a paper prints, and set the two side by side, with a verdict for each number.

    Exit code 0: all that can be compared was met; 1: a claim was not; 4: one could not be decided, or nothing could be
    measured; 5: a part failed.
    """
    given = {
        key: value for key, value in locals().items() if key not in _NOT_OPTIONS and value is not None and value != []
    }
    if not quick:
        del given["quick"]
    with one_line_errors():
        if name == "list":
            _list(given, as_json)
            return
        from harness.presets import chosen

        presets = chosen(name)
        folder = out or Path("results/scratch") / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
        models = _reproduced(name, presets, given, folder, resume=resume, given_out=out is not None, gpu=require_gpu)
    from harness.reproduction import exit_code

    if as_json:
        typer.echo(json.dumps(models if name == "all" else models[0], indent=1))
    else:
        _show(models, folder)
    end(exit_code(*models))


def _list(given: Mapping[str, Any], as_json: bool) -> None:
    from harness import needs
    from harness.presets import Options, chosen

    asked = Options.of(given)
    if asked.weights or asked.dataset:
        from harness.reproduce import check

        check(chosen("all"), asked)
    rows = needs.listing(asked)
    typer.echo(json.dumps(rows, indent=1) if as_json else "\n".join(needs.lines(rows)))


def _reproduced(
    name: str,
    presets: Sequence[Preset],
    given: Mapping[str, Any],
    folder: Path,
    *,
    resume: bool,
    given_out: bool,
    gpu: bool,
) -> list[dict[str, Any]]:
    from harness.needs import idle_weights
    from harness.plan import PlanError
    from harness.presets import Options
    from harness.reproduction import FILE, options_of

    if resume and not given_out:
        raise PlanError("--resume needs --out with the reproduction to go on with")
    asked = options_of(folder, name, given) if resume else Options.of(given)
    if gpu:
        check_gpu(asked.device)
    from harness.progress import Reporter
    from harness.reproduce import check, reproduce_all
    from harness.reproduce import reproduce as one
    from harness.streams import kept_for_results

    if idle := idle_weights(presets, asked):
        check(presets, asked)
        typer.echo(f"harness: {idle}", err=True)
    argv = ["harness", *sys.argv[1:]]
    about: dict[str, Any] = {"resume": resume, "command": shlex.join(argv), "argv": argv}
    try:
        with kept_for_results(), Reporter() as reporter:
            if name == "all":
                return reproduce_all(presets, asked, folder, reporter=reporter, **about)
            return [one(presets[0], asked, folder, reporter=reporter, **about)]
    except KeyboardInterrupt:
        if not any(folder.glob(f"**/{FILE}")):
            leave(INTERRUPTED, "interrupted; nothing was measured yet")
        go_on = f"harness reproduce {name} --resume --out {shlex.quote(str(folder))}"
        leave(INTERRUPTED, f"interrupted; what was measured is kept; go on with: {go_on}")


def _show(models: Sequence[dict[str, Any]], folder: Path) -> None:
    from rich.console import Console

    from harness.rendering.reproduction import terminal

    for model in models:
        Console().print(terminal(model))
    where = folder if len(models) > 1 else folder / "report.md"
    typer.echo(f"Report, runs and raw samples: {where}")
