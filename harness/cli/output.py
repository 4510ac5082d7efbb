"""The file that a command writes besides what it prints: never in the place of another that nobody gave up."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Overwrite", "check_free"]

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the file of --out.", show_default=False)]


def check_free(out: Path | None, *, overwrite: bool, example: str) -> None:
    """See that a file may be written, before any slow step; `example` is a name for one.

    Raises:
        StorageError: it is a folder, or there already and not to be replaced.
    """
    from harness.storage import StorageError

    if out is None:
        return
    if out.is_dir():
        raise StorageError(f"--out {out} is a folder; name a file in it, such as {out / example}")
    if out.exists() and not overwrite:
        raise StorageError(f"--out {out} is there already; name another, or say --overwrite")
