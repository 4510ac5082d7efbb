"""A preset, carried out part by part: `harness reproduce`. The model that it writes is `harness.reproduction`'s.

Parts are independent of each other. One that cannot be measured, since data or weights are not given, is left out and
says so; one that fails costs itself alone; each stands on the disk as soon as it is done, and `resume` goes on from
there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import detectors
from harness import reproduction
from harness.datasets import open_dataset
from harness.needs import why_not_run
from harness.networks import AS_PRINTED
from harness.plan import Plan
from harness.presets import Options, Part, Preset, PresetError, catalogue
from harness.progress import Reporter
from harness.reproduce.parts import Outcome, Task, carry_out
from harness.reproduce.standing import Measured, Standing

__all__ = ["Measured", "check", "reproduce", "reproduce_all"]


def check(presets: Iterable[Preset], options: Options) -> None:
    """See that what the command line names is there, before anything is measured.

    Raises:
        PresetError, PlanError, DatasetError: it is not, in one line.
    """
    known = catalogue()
    for backbone, weights in options.weights.items():
        if backbone not in AS_PRINTED:
            raise PresetError(f"--weights: {backbone} is no network of the papers; there are {', '.join(AS_PRINTED)}")
        try:
            detectors.check_backbone(backbone, weights)
        except detectors.WeightsError as error:
            raise PresetError(f"--weights {backbone}={weights}: {error}") from None
    opened: set[tuple[str, str, int | None]] = set()
    for part in (part for preset in presets for part in preset.parts if why_not_run(part, options) is None):
        plan = known.plan(part, options)
        data = (plan.dataset, plan.split, plan.images)
        if part.kind != "count" and data not in opened:
            open_dataset(plan.dataset, plan.split, length=plan.images, training=False)
            opened.add(data)


def reproduce(
    preset: Preset,
    options: Options,
    out: Path,
    *,
    reporter: Reporter,
    command: str,
    argv: list[str] | None = None,
    resume: bool = False,
    measured: Measured | None = None,
) -> dict[str, Any]:
    """Carry out a preset in a folder of its own and return the model; see `harness.reproduction`.

    Args:
        preset: of `harness.presets`.
        options: what the command line changes; with `resume`, as of `harness.reproduction.options_of`.
        out: the folder.
        reporter: shows how far it has come.
        command: as typed, kept in the model and in each run.
        argv: the same in words.
        resume: go on with what stands in `out`.
        measured: what other presets measured, which is taken from there, and to which this one adds.

    Raises:
        PresetError, PlanError, DatasetError: it cannot be begun; nothing was measured.
        KeyboardInterrupt: what was measured is kept.
    """
    _check_free(out, resume=resume)
    check([preset], options)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    if resume:
        created = reproduction.read(out)["created"]
        reproduction.options_of(out, preset.name, options.as_given())
    standing = Standing(preset, options, out, command, created, measured or Measured())
    training = catalogue().training_of(options)

    def measure(part: Part, plan: Plan, folder: Path) -> Outcome:
        return carry_out(Task(part, plan, training, folder, standing.claims, resume, command, argv, reporter))

    standing.keep("running")
    try:
        for part in preset.parts:
            standing.take_up(part, measure)
            standing.keep("running")
    except KeyboardInterrupt:
        standing.keep("interrupted")
        raise
    return standing.keep("complete")


def reproduce_all(
    presets: Sequence[Preset],
    options: Options,
    out: Path,
    *,
    reporter: Reporter,
    command: str,
    argv: list[str] | None = None,
    resume: bool = False,
) -> list[dict[str, Any]]:
    """Carry out several presets, each in ``out/NAME``; what two of them need is measured once.

    Raises: as `reproduce`.
    """
    for preset in presets:
        _check_free(out / preset.name, resume=resume and (out / preset.name).exists())
    check(presets, options)
    measured = Measured()
    about: dict[str, Any] = {"reporter": reporter, "command": command, "argv": argv, "measured": measured}
    models = []
    for preset in presets:
        folder = out / preset.name
        goes_on = resume and (folder / reproduction.FILE).exists()
        models.append(reproduce(preset, options, folder, resume=goes_on, **about))
    return models


def _check_free(out: Path, *, resume: bool) -> None:
    there = (out / reproduction.FILE).exists()
    if resume and not there:
        raise PresetError(f"nothing to resume in {out}: it holds no {reproduction.FILE}")
    if out.exists() and not out.is_dir():
        raise PresetError(f"{out} is a file; --out takes a folder")
    if there and not resume:
        raise PresetError(f"{out} holds a reproduction; go on with --resume, or choose another --out")
    if not there and out.is_dir() and any(out.iterdir()):
        raise PresetError(f"{out} is not empty and holds no reproduction; choose another --out")
