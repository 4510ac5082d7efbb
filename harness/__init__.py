"""The instrument: it knows detectors by their names and their contract alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.frames import load_run

__all__ = ["load_run"]


def __getattr__(name: str) -> Any:
    """Load pandas for who asks for tables, and for nobody else."""
    if name == "load_run":
        from harness.frames import load_run

        return load_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
