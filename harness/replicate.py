"""A timed pass in a fresh process, which loads the models that were fitted once.

What one process measures has in common where its memory lies and what its libraries chose; another one measures
otherwise, and no number of images in the first tells by how much. The processes of a run follow each other, each alone.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from detectors.contract import Detector
from harness.examples import Images
from harness.fitting import Fitting, Ready
from harness.instruments import instruments_for
from harness.journal import Journal
from harness.manifest import weights_of
from harness.measuring import TimedPass
from harness.plan import Plan, PlanError
from harness.precision import arithmetic
from harness.preparation import Prepared, prepare
from harness.progress import Reporter
from harness.residence import Residence
from harness.runs import RunFolder

__all__ = ["main", "replicate"]

_INTERRUPTED = 130
_REFUSED = 2


def replicate(journal: Journal, process: int) -> None:
    """Carry out the timed pass number `process` of a run in a process of its own, and wait for it.

    A process that ends badly leaves what it measured; its status says so, and `--resume` goes on with it.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    about = journal.process(process)
    about.update(status="running", reason=None)
    journal.save()
    command = [sys.executable, "-m", "harness.replicate", str(journal.folder.path), str(process), str(os.getpid())]
    code = _INTERRUPTED
    try:
        with journal.reporter.paused():
            code = exit_code_of(command)
    finally:
        journal.reload()  # also where this process is interrupted while it waits
        about = journal.process(process)
        if code in (_INTERRUPTED, -signal.SIGINT):
            about.update(status="interrupted", reason="interrupted; --resume measures what is missing")
            journal.save()
    if about["status"] == "interrupted":
        raise KeyboardInterrupt
    if code == 0:
        about.update(status="ok", reason=None)
    else:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        about.update(status="error", reason=f"process {process} {how}; --resume measures what is missing")
        journal.reporter.note(about["reason"])
    journal.save()


def exit_code_of(command: Sequence[str]) -> int:
    """Run a command to its end; what it prints goes where this process's does. Below 0: the signal that ended it."""
    return subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode


def measure(folder: RunFolder, process: int, reporter: Reporter, between: Callable[[], None]) -> None:
    """Carry out one timed pass of a run whose models stand in its folder.

    Raises:
        PlanError: what the run was planned with is not there any more, or is something else.
    """
    journal = Journal(folder, folder.read_manifest(), reporter)
    prepared = prepare(Plan.of(journal.manifest["plan"]))
    boxes = prepared.boxes(prepared.test)
    _check_same(journal, prepared, boxes.sha256)
    planned = {method.name: Ready(method, prepared.config(method)) for method in prepared.methods}
    ready = [name for name in planned if journal.method(name).get("status") == "ok"]

    # The instruments, too, are made in it: the sentinel warms up as it is made, for the arithmetic that it runs in.
    with arithmetic(prepared.plan.precision):
        instruments = instruments_for(prepared.device, own={os.getppid()})
        fitting = Fitting(journal, instruments.clock, prepared.detector, prepared.stream)

        def load(name: str) -> Detector:
            return fitting.restored(planned[name])

        images = Images.of(prepared.test, boxes, folder.read_truth())
        residence = Residence.loaded(ready, load)
        TimedPass(prepared, journal, instruments, process=process, between=between).run(residence, images)


def _check_same(journal: Journal, prepared: Prepared, boxes_sha256: str) -> None:
    then = {"boxes": journal.manifest["dataset"]["test_boxes_sha256"], "weights": weights_of(journal.manifest)}
    weights = {name: backbone.weights for name, backbone in prepared.backbones.items()}
    now = {"boxes": boxes_sha256, "weights": weights}
    changed = [name for name in then if then[name] != now[name]]
    if changed:
        raise PlanError(f"the {' and '.join(changed)} are not what the run began with; start a new run")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m harness.replicate RUN PROCESS PARENT``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m harness.replicate", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, help="the run folder")
    parser.add_argument("process", type=int, help="number of the process, from 0")
    parser.add_argument("parent", type=int, help="id of the process that waits for this one")
    options = parser.parse_args(arguments)
    folder = RunFolder(options.run)

    def between() -> None:
        if os.getppid() != options.parent:  # it was killed; nobody would keep another run out of the folder
            raise KeyboardInterrupt

    os.dup2(2, 1)  # standard output is for the results of the parent
    torch.set_num_threads(folder.read_manifest()["machine"]["threads"])
    try:
        with Reporter() as reporter:
            measure(folder, options.process, reporter, between)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except (PlanError, ValueError) as error:
        sys.stderr.write(f"harness: process {options.process}: {' '.join(str(error).split())}\n")
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
