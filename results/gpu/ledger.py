"""What of a campaign is done: one JSON file beside the runs, replaced whole, so that a kill leaves it readable."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from campaign import CampaignError, Part

from harness.storage import read_json, write_json

__all__ = ["Ledger"]

_NEWEST_SCHEMA = 1
PENDING, RUNNING, DONE, INTERRUPTED, FAILED = "pending", "running", "done", "interrupted", "failed"


@dataclass(frozen=True, slots=True)
class Ledger:
    """Reads and writes ``state.json`` of one campaign; parts that are carried out side by side may share it."""

    path: Path
    _lock: threading.Lock

    @classmethod
    def of(cls, out: Path) -> Ledger:
        """The ledger of a folder; nothing is written yet."""
        return cls(out / "state.json", threading.Lock())

    def content(self) -> dict[str, Any]:
        """By part what was carried out; empty where nothing was.

        Raises:
            CampaignError: a newer script wrote it.
            harness.storage.StorageError: it is damaged.
        """
        if not self.path.exists():
            return {}
        content = read_json(self.path)
        version = content.get("schema_version") if isinstance(content, dict) else None
        if version != _NEWEST_SCHEMA:
            raise CampaignError(f"{self.path} has schema {version}; this script reads {_NEWEST_SCHEMA}")
        return dict(content["parts"])

    def entry(self, part: Part) -> dict[str, Any]:
        """What stands of a part.

        Raises:
            CampaignError: it was begun with other commands, whose runs cannot be gone on with.
        """
        found: dict[str, Any] = self.content().get(part.name, {})
        if found and found["fingerprint"] != part.fingerprint:
            raise CampaignError(
                f"part {part.name} was begun in {self.path.parent} with other options; choose another --out, "
                "or give the options of then"
            )
        return found or _new(part)

    def write(self, part: Part, entry: dict[str, Any]) -> None:
        """Replace what stands of a part."""
        with self._lock:
            parts = {**self.content(), part.name: entry}
            write_json(self.path, {"schema_version": _NEWEST_SCHEMA, "parts": parts})


def _new(part: Part) -> dict[str, Any]:
    return {
        "status": PENDING,
        "reason": None,
        "fingerprint": part.fingerprint,
        "images": part.images,
        "seconds": 0.0,
        "commands": [],
    }
