"""A listener that writes down the marks of a detector, and with them what was wrong in their order."""

from __future__ import annotations

from detectors.contract import Stage

__all__ = ["Ear"]


class Ear:
    """Give it to `detectors.contract.listening`."""

    def __init__(self) -> None:
        self.heard: list[Stage] = []
        """Stages in the order in which they began."""
        self.open: list[Stage] = []
        """Stages that have begun and not ended, the outermost first."""
        self.nested: list[tuple[Stage, Stage]] = []
        """Each stage that began inside another, after that one."""
        self.crossed: list[tuple[Stage, Stage]] = []
        """Each stage that ended while a later one was open, after that one."""
        self.steps: list[tuple[int, int, str]] = []
        self.notices: list[str] = []

    def enter(self, stage: Stage) -> None:
        """A stage begins."""
        self.heard.append(stage)
        self.nested += [(outer, stage) for outer in self.open]
        self.open.append(stage)

    def leave(self, stage: Stage) -> None:
        """A stage ends."""
        last = self.open.pop()
        if last is not stage:
            self.crossed.append((last, stage))

    def progress(self, done: int, total: int, text: str) -> None:
        """`done` of `total` steps are over."""
        self.steps.append((done, total, text))

    def notice(self, text: str) -> None:
        """Something that a reader of the results must know."""
        self.notices.append(text)
