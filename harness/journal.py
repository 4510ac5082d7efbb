"""What is said of a run while it goes on: the manifest as it grows, and lines on standard error."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any, Self

from detectors.contract import is_out_of_memory
from harness.progress import Reporter
from harness.record import Status
from harness.runs import RunFolder

__all__ = ["Failure", "Journal"]

_REASON_CHARACTERS = 300
"""Of a failure in the manifest or in a sample; its traceback is kept whole."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, in words: an exception would hold on to all that the failed call had made, device memory too."""

    status: Status
    reason: str
    """One line."""
    traceback: str

    @classmethod
    def of(cls, error: Exception) -> Self:
        """Of an exception, which can be let go of afterwards."""
        first_line = next(iter(str(error).splitlines()), "no message")
        return cls(
            "oom" if is_out_of_memory(error) else "error",
            f"{type(error).__name__}: {first_line}"[:_REASON_CHARACTERS],
            "".join(traceback.format_exception(error)),
        )


class Journal:
    """Keeps the manifest of a run on disk up to date."""

    def __init__(self, folder: RunFolder, manifest: dict[str, Any], reporter: Reporter) -> None:
        """`manifest` is changed in place."""
        self.folder, self.manifest, self.reporter = folder, manifest, reporter

    def method(self, name: str) -> dict[str, Any]:
        """What the manifest says of a method; may be changed, then `save`."""
        about: dict[str, Any] = self.manifest["methods"].setdefault(name, {})
        return about

    def process(self, number: int) -> dict[str, Any]:
        """What the manifest says of a process that measures; may be changed, then `save`."""
        processes: list[dict[str, Any]] = self.manifest.setdefault("processes", [])
        for about in processes:
            if about["process"] == number:
                return about
        processes.append({"process": number, "status": "ok", "reason": None})
        return processes[-1]

    def reload(self) -> None:
        """Take up what another process wrote into the manifest."""
        self.manifest.clear()
        self.manifest.update(self.folder.read_manifest())

    def save(self) -> None:
        """Write the manifest."""
        self.folder.write_manifest(self.manifest)

    def chunk(self, method: str, chunk: int | None) -> None:
        """Keep how many boxes a method computes at a time, which a run that goes on must use again."""
        about = self.method(method)
        if chunk is not None and about.get("chunk") != chunk:
            about["chunk"] = chunk
            self.save()

    def notice(self, method: str, image: str | None, text: str) -> None:
        """Keep what a method said, unless it said the same of the same image before. `image` is None for a fit."""
        notice = {"method": method, "image": image, "text": " ".join(text.split())}
        notices: list[dict[str, Any]] = self.manifest.setdefault("notices", [])
        if notice in notices:
            return
        notices.append(notice)
        self.save()
        where = "" if image is None else f" on {image}"
        self.reporter.note(f"{method}{where}: {notice['text']}")

    def failure(self, method: str, failure: Failure) -> None:
        """Keep a traceback, and say where."""
        log = self.folder.append_error(method, failure.traceback)
        self.reporter.note(f"{method} failed: {failure.reason} (traceback in {log})")
