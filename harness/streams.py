"""Standard output is for results alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

__all__ = ["kept_for_results"]


@contextmanager
def kept_for_results() -> Iterator[None]:
    """Send to standard error what is printed inside the block, by a plug-in or by a worker process."""
    if sys.stdout is None or sys.stderr is None:  # closed by whoever started this process
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)  # what workers inherit
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
