"""Exit codes, and how a command ends with one: the only file of the command `harness` that exits.

0 all that was planned was measured, or a gate or every claim was passed; 1 a gate or a claim was not; 2 wrong usage or
bad input, said in one line; 3 the environment was refused; 4 a gate or a claim could not be decided; 5 partial, a
method or a process failed; 130 interrupted, with what was measured kept.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

__all__ = [
    "BAD_INPUT",
    "FAILED",
    "INCONCLUSIVE",
    "INTERRUPTED",
    "PARTIAL",
    "REFUSED",
    "check_gpu",
    "end",
    "leave",
    "one_line_errors",
]

_ROOM = "; make room, then go on: a run with --resume, which keeps what was measured"
FAILED, BAD_INPUT, REFUSED, INCONCLUSIVE, PARTIAL, INTERRUPTED = 1, 2, 3, 4, 5, 130


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Bad input becomes one line and exit code 2, and so does a file that the system refuses; anything unforeseen keeps
    its traceback."""
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
        leave(BAD_INPUT, str(error))
    except OSError as error:
        if error.strerror is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        more = _ROOM if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        leave(BAD_INPUT, f"{where}{error.strerror}{more}")
    except KeyboardInterrupt:
        leave(INTERRUPTED, "interrupted")


def leave(code: int, message: str) -> NoReturn:
    """End with `code` and one line on standard error, whatever stands in names that come from files of others."""
    from harness.wording import one_line, shortened

    typer.echo(f"harness: {shortened(one_line(message))}", err=True)
    raise typer.Exit(code) from None


def check_gpu(device: str) -> None:
    """End where ``--require-gpu`` asks for what is not there, or for what ``--device`` contradicts."""
    import torch

    if device == "cpu":
        leave(BAD_INPUT, "--require-gpu and --device cpu contradict each other; leave one out")
    if not torch.cuda.is_available():
        leave(REFUSED, "--require-gpu: torch sees no CUDA device here")


def end(code: int) -> None:
    """End with `code` where it is not 0; all has been said."""
    if code:
        raise typer.Exit(code)
