"""How far a run has come, on standard error: bars in a terminal, lines in a log file.

Nothing is drawn by a thread of its own: a bar moves when the run says so, which it does between timed calls only.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

__all__ = ["Reporter"]

_SECONDS_BETWEEN_LINES = 10.0


class Reporter:
    """Shows named tasks with how much of each is done."""

    def __init__(self, *, quiet: bool = False) -> None:
        """`quiet` shows nothing at all."""
        self._quiet = quiet
        self._console = Console(file=sys.stderr, quiet=quiet, highlight=False)
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._shown_at: dict[str, float] = {}
        if self._console.is_terminal and not quiet:
            self._bars = Progress(
                TextColumn("{task.description:<26}"),
                BarColumn(bar_width=28),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[text]}"),
                console=self._console,
                auto_refresh=False,
            )

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave standard error to another process inside the block."""
        if self._bars is not None:
            self._bars.stop()
        try:
            yield
        finally:
            if self._bars is not None:
                self._bars.start()

    def step(self, task: str, done: int, total: int, text: str = "") -> None:
        """`done` of `total` steps of a task are over."""
        if self._bars is not None:
            if task not in self._tasks:
                self._tasks[task] = self._bars.add_task(task, total=total, text=text)
            self._bars.update(self._tasks[task], completed=done, total=total, text=text)
            if done == total:
                self._bars.stop_task(self._tasks[task])
            self._bars.refresh()
            return
        now = time.monotonic()
        first = task not in self._shown_at
        if first or done == total or now - self._shown_at[task] >= _SECONDS_BETWEEN_LINES:
            self._shown_at[task] = now
            self._console.print(f"{task}: {done}/{total} {text}".rstrip(), markup=False)

    def note(self, text: str) -> None:
        """One line that stays."""
        self._console.print(text, markup=False)
