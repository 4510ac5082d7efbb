"""Files that a kill at any moment leaves readable: whole ones, replaced at once, and logs of lines.

What is read may be packed: where ``samples.jsonl`` is asked for and is not there, ``samples.jsonl.gz`` is read. Nothing
is written packed while work goes on.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = [
    "LARGEST_BYTES",
    "PACKED",
    "UNFINISHED",
    "StorageError",
    "append_line",
    "pack",
    "packed_path",
    "parse_json",
    "read_bytes",
    "read_json",
    "read_lines",
    "stored_as",
    "write_bytes",
    "write_json",
    "write_text",
]


UNFINISHED = ".unfinished-"
"""How the name of a file begins until it is whole."""
PACKED = ".gz"
"""How the name of a packed file ends."""
LARGEST_BYTES = 2**28
"""Of a packed file when it is unpacked: fifty times what a committed run may take packed."""
_LEVEL = 9
_CHUNK_BYTES = 2**20


class StorageError(ValueError):
    """A file is missing or damaged; the message is one line."""


def packed_path(path: Path) -> Path:
    """Where a file stands when it is packed."""
    return path.with_name(path.name + PACKED)


def stored_as(path: Path) -> Path | None:
    """The file that holds what belongs at `path`: that itself, or the packed one beside it; None where neither is.

    Raises:
        StorageError: both are there, and they may differ.
    """
    plain, packed = path.exists(), packed_path(path)
    if not packed.exists():
        return path if plain else None
    if plain:
        raise StorageError(f"{path} and {packed.name} are both there; remove the one that is not of this run")
    return packed


def read_bytes(path: Path) -> bytes:
    """All that a file holds, unpacked where it is packed.

    Raises:
        StorageError: it is missing, damaged, there twice, or holds more than `LARGEST_BYTES` when it is unpacked.
    """
    file = stored_as(path)
    if file is None:
        raise StorageError(f"{path} is missing; is {path.parent} a finished run?")
    try:
        return _unpacked(file) if file.suffix == PACKED else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise StorageError(f"{file} cannot be read: {error}") from None


def _unpacked(file: Path) -> bytes:
    content = bytearray()
    with gzip.open(file) as stream:
        # Piece by piece, since a small file may stand for more than there is memory.
        while piece := stream.read(_CHUNK_BYTES):
            content += piece
            if len(content) > LARGEST_BYTES:
                most = f"more than the {LARGEST_BYTES} bytes that are read of a packed file"
                raise StorageError(f"{file} unpacks to {most}; no run makes one so large")
    return bytes(content)


def pack(content: bytes) -> bytes:
    """The content of a packed file: of the same bytes always the same, since neither name nor time stands in it."""
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=packed, compresslevel=_LEVEL, mtime=0) as stream:
        stream.write(content)
    return packed.getvalue()


def parse_json(content: bytes | str) -> Any:
    """What JSON text says.

    Raises:
        ValueError: it is no JSON, or is nested more deeply than Python can follow.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: Path) -> Any:
    """A whole JSON file, plain or packed.

    Raises:
        StorageError: it is missing or no JSON, or as `read_bytes`.
    """
    content = read_bytes(path)
    try:
        return parse_json(content.decode("utf-8"))
    except ValueError as error:
        raise StorageError(f"{stored_as(path)} cannot be read: {error}") from None


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file so that a reader sees the old content or the new one, also after a kill."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{UNFINISHED}{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """As `write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """As `write_text`; NaN and infinity are refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Objects of a log of lines, plain or packed; none where there is no log.

    A last line without its end was torn and is left out.

    Raises:
        StorageError: an earlier line is damaged, or as `read_bytes`.
    """
    file = stored_as(path)
    if file is None:
        return
    lines = read_bytes(path).decode("utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines, start=1):
        last = number == len(lines)
        if last and not line:
            return
        try:
            value = parse_json(line)
        except ValueError:
            value = None
        if isinstance(value, dict) and not last:
            yield value
        elif not last:
            raise StorageError(f"{file}, line {number}: not a JSON object; the file was changed after it was written")


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
