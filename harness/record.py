"""What a measurement is.

History of the schema: 1, the first; 2, samples say what they are for and under which conditions they were taken, and
conditions are kept beside them. Files of version 1 are read with the defaults below.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

__all__ = ["SCHEMA_VERSION", "Condition", "Role", "Sample", "Status"]

SCHEMA_VERSION = 2
"""Of manifest.json, samples.jsonl, conditions.jsonl and summary.json. It grows when an old reader would misunderstand a
new file."""

Status = Literal["ok", "oom", "error", "skipped"]

Role = Literal["measured", "unmarked", "sweep"]
"""``measured`` samples make the figures; ``unmarked`` ones were timed without marks, beside a measured one of the same
image, to see what marking costs; ``sweep`` ones were taken on inputs that were changed on purpose."""

_DESCRIBED = {"use_attribute_docstrings": True}
"""What stands below a field describes it in the published schema, too."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One method on one image, measured once: a line of ``samples.jsonl``."""

    __pydantic_config__: ClassVar[dict[str, bool]] = _DESCRIBED

    process: int
    repeat: int
    method: str
    image: str
    """Id of the image in its data set."""
    index: int
    """Place of the image in the split."""
    position: int
    """Place of the method in the order of this block: 0 ran first."""
    status: Status
    reason: str | None = None
    """Why there is no time; None where the status is ``ok``."""
    seconds: dict[str, float] | None = None
    """By stage, and ``unattributed``, ``features``, ``total``; see `harness.timing`. ``total`` alone where it was timed
    without marks. None where it failed."""
    detections: int | None = None
    digest: str | None = None
    """sha256 of the detections, 16 hex digits: which output this time belongs to."""
    role: Role = "measured"
    point: str | None = None
    """Of a sweep: what was changed, such as ``proposals=300``; else None."""
    block: int | None = None
    """Number of the block of images; the methods of a run take turns block by block. None in runs of schema 1, whose
    methods took turns image by image."""
    sequence: int = 0
    """How many calls this process had measured before."""
    attempt: int = 0
    """Which start of this process it was: one that is interrupted is begun again, and is another one to the machine."""
    boxes: int | None = None
    """Proposals that were given."""
    warm: bool = True
    """Whether the method had been warmed up on an input of such a shape."""
    resident: bool = True
    """Whether all methods were in memory; else this one was loaded for the block."""
    marks: int | None = None
    """Marks that the clock was asked for within this time."""
    tail_seconds: float | None = None
    """From the detector's return until the device was idle. 0 on a CPU; more means that it handed over its detections
    before they were computed."""
    disagreement: dict[str, float] | None = None
    """How the output differs from that of the first time on this image: ``unmatched`` detections, ``largest_box_px``
    and ``largest_score``. None where it is the same to the bit, or where there is nothing to compare."""
    device_state: dict[str, Any] | None = None
    """Just after the call: ``clock_mhz``, ``temperature_c``, ``throttle`` (list of reasons), ``memory_bytes``."""
    device_state_reason: str | None = None
    """Why there is none."""

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from all other samples of a run."""
        return self.key_of(self.process, self.repeat, self.method, self.image, self.role, self.point)

    @staticmethod
    def key_of(process: int, repeat: int, method: str, image: str, role: Role, point: str | None) -> tuple[Any, ...]:
        """The key of a sample that may not be there yet."""
        return process, repeat, method, image, role, point

    def as_line(self) -> str:
        """One line of JSON, without its end."""
        return json.dumps(asdict(self), separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Sample:
        """From a line's object.

        Raises:
            TypeError: a field is missing or unknown.
        """
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Condition:
    """What the machine was like between two blocks: a line of ``conditions.jsonl``."""

    __pydantic_config__: ClassVar[dict[str, bool]] = _DESCRIBED

    process: int
    sequence: int
    """How many calls this process had measured before."""
    at_seconds: float
    """Since its attempt began to measure."""
    sentinel_seconds: tuple[float, ...]
    """Times of a fixed piece of work, the same all through the run."""
    attempt: int = 0
    """As of a sample."""
    cpu: dict[str, float] | None = None
    """Shares 0..1 of all cores' time since the condition before: ``own``, ``others`` (other processes), ``steal`` (what
    the host of a virtual machine took). None for the first of a process."""
    cpu_reason: str | None = None
    cpu_mhz: float | None = None
    device_state: dict[str, Any] | None = None
    """As of a sample."""
    device_state_reason: str | None = None
    foreign: list[dict[str, Any]] | None = None
    """Other processes on the device: ``pid``, ``memory_bytes`` (None: unknown), ``graphics`` of those that draw."""
    foreign_reason: str | None = None
    """Why nobody knows."""

    def as_line(self) -> str:
        """One line of JSON, without its end."""
        return json.dumps(asdict(self), separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Condition:
        """From a line's object.

        Raises:
            TypeError: a field is missing or unknown.
        """
        return cls(**{**values, "sentinel_seconds": tuple(values.get("sentinel_seconds", ()))})
