"""Files that a kill at any moment leaves readable: whole ones, replaced at once, and logs of lines."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["UNFINISHED", "StorageError", "append_line", "read_json", "read_lines", "write_json", "write_text"]


UNFINISHED = ".unfinished-"
"""How the name of a file begins until it is whole."""


class StorageError(ValueError):
    """A file is missing or damaged; the message is one line."""


def read_json(path: Path) -> Any:
    """A whole JSON file.

    Raises:
        StorageError: it is missing or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StorageError(f"{path} is missing; is {path.parent} a finished run?") from None
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be read: {error}") from None


def write_text(path: Path, text: str) -> None:
    """Replace a file so that a reader sees the old text or the new one, also after a kill."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{UNFINISHED}{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """As `write_text`; NaN and infinity are refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Objects of a log of lines, none where there is no log. A last line without its end was torn and is left out.

    Raises:
        StorageError: an earlier line is damaged.
    """
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines, start=1):
        last = number == len(lines)
        if last and not line:
            return
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if isinstance(value, dict) and not last:
            yield value
        elif not last:
            raise StorageError(f"{path}, line {number}: not a JSON object; the file was changed after it was written")


def append_line(path: Path, line: str) -> None:
    """Add a line; it is on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        # A line torn by a kill has no end; what is appended must not run on in it.
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
        file.write(line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
