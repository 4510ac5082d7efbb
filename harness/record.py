"""What a measurement is.

History of the schema: 1, the first.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["SCHEMA_VERSION", "Sample", "Status"]

SCHEMA_VERSION = 1
"""Of manifest.json, samples.jsonl and summary.json. It grows when an old reader would misunderstand a new file."""

Status = Literal["ok", "oom", "error", "skipped"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One method on one image, measured once: a line of ``samples.jsonl``."""

    process: int
    repeat: int
    method: str
    image: str
    """Id of the image in its data set."""
    index: int
    """Place of the image in the split."""
    position: int
    """Place of the method in the order of this image: 0 ran first."""
    status: Status
    reason: str | None = None
    """Why there is no time; None where the status is ``ok``."""
    seconds: dict[str, float] | None = None
    """By stage, and ``unattributed``, ``features``, ``total``; see `harness.timing`. None where it failed."""
    detections: int | None = None
    digest: str | None = None
    """sha256 of the detections, 16 hex digits: which output this time belongs to."""

    @property
    def key(self) -> tuple[int, int, str, str]:
        """What is measured at most once in a run."""
        return self.process, self.repeat, self.method, self.image

    def as_line(self) -> str:
        """One line of JSON, without its end."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Sample:
        """From a line's object.

        Raises:
            TypeError: a field is missing or unknown.
        """
        return cls(**values)
