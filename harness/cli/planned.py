"""What `compare` and `train` share: a plan, and a folder that is written by it and gone on with after a stop."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cli.exits import INTERRUPTED, check_gpu, leave

if TYPE_CHECKING:
    from harness.plan import Plan

__all__ = ["Planned"]


@dataclass(frozen=True, slots=True)
class Planned:
    """A command that carries out a plan, in words for those who stop it."""

    command: str
    makes: str
    """What lies in its folder."""
    kept: str
    """What there is if it is stopped."""
    nothing: str
    """The same, before there is a folder."""
    training: bool = False

    def plan(
        self,
        plan_file: Path | None,
        given: dict[str, Any],
        out: Path | None,
        folder: Path,
        *,
        resume: bool,
        overwrite: bool,
        require_gpu: bool,
    ) -> Plan:
        """From what the command line gives, a TOML file and a run that goes on: the first that says something wins.

        Raises:
            harness.plan.PlanError: a value is wrong, or the file cannot be read.
            harness.runs.RunError: the folder is taken, or nothing lies there to go on with.
        """
        from harness.plan import Plan, PlanError
        from harness.runs import RunFolder

        if resume and (out is None or overwrite):
            raise PlanError(f"--resume needs --out with the {self.makes} to go on with, and no --overwrite")
        RunFolder(folder).check_free(resume=resume, overwrite=overwrite)
        values = dict(RunFolder(folder).read_manifest(training=self.training)["plan"]) if resume else {}
        if plan_file is not None:
            values |= Plan.values_in(plan_file)
        plan = Plan.of(values | given)
        if require_gpu:
            check_gpu(plan.device)
        return plan

    def carry_out(
        self, run: Callable[..., dict[str, Any]], plan: Plan, folder: Path, *, resume: bool, overwrite: bool
    ) -> dict[str, Any]:
        """What `run` gives; a stop at the keyboard ends the command with one line that says how to go on."""
        from harness.progress import Reporter
        from harness.runs import RunFolder
        from harness.streams import kept_for_results

        argv = ["harness", *sys.argv[1:]]
        about: dict[str, Any] = {"resume": resume, "overwrite": overwrite, "command": shlex.join(argv), "argv": argv}
        try:
            with kept_for_results(), Reporter() as reporter:
                return run(plan, folder, reporter=reporter, **about)
        except KeyboardInterrupt:
            if not RunFolder(folder).exists:
                leave(INTERRUPTED, f"interrupted; {self.nothing}")
            go_on = f"harness {self.command} --resume --out {shlex.quote(str(folder))}"
            leave(INTERRUPTED, f"interrupted; {self.kept}; go on with: {go_on}")
