"""Packed files: read like plain ones, the same bytes for the same content, and what is wrong with one is a line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import storage
from harness.storage import StorageError, pack, packed_path, read_bytes, read_json, read_lines, stored_as


@given(st.binary(max_size=500))
def test_what_was_packed_comes_back(content: bytes) -> None:
    """By the standard library's own reader; and once more the very same bytes."""
    assert gzip.decompress(pack(content)) == content
    assert pack(content) == pack(content)


def test_neither_name_nor_time_stands_in_a_packed_file() -> None:
    """The ten bytes of the header are those of RFC 1952: no flag, time 0, best compression, unknown system."""
    assert pack(b"content" * 9)[:10] == bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 2, 255])


def test_a_packed_file_is_read_where_the_plain_one_is_not(tmp_path: Path) -> None:
    """Under either name; of both, the one that is there is told."""
    plain = tmp_path / "one.json"
    assert stored_as(plain) is None
    packed_path(plain).write_bytes(gzip.compress(b'{"a": "\xc3\xa4"}'))
    assert stored_as(plain) == stored_as(tmp_path / "one.json.gz") == tmp_path / "one.json.gz"
    assert read_json(plain) == read_json(tmp_path / "one.json.gz") == {"a": "ä"}
    packed_path(plain).unlink()
    plain.write_text('{"b": 1}')
    assert stored_as(plain) == plain
    assert read_json(plain) == {"b": 1}


def test_a_packed_log_loses_its_torn_end_alone(tmp_path: Path) -> None:
    """As a plain one does."""
    lines = b'{"a": 1}\n{"a": 2}\n{"a'
    (tmp_path / "log.jsonl").write_bytes(lines)
    plain = list(read_lines(tmp_path / "log.jsonl"))
    (tmp_path / "log.jsonl").unlink()
    (tmp_path / "log.jsonl.gz").write_bytes(gzip.compress(lines))
    assert list(read_lines(tmp_path / "log.jsonl")) == plain == [{"a": 1}, {"a": 2}]
    (tmp_path / "log.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n{"a\n{"a": 3}\n'))
    with pytest.raises(StorageError, match=r"log\.jsonl\.gz, line 2: not a JSON object"):
        list(read_lines(tmp_path / "log.jsonl"))


def test_a_file_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    """Even where both say the same, since the next change will be to one of them."""
    (tmp_path / "one.json").write_text("[]")
    (tmp_path / "one.json.gz").write_bytes(gzip.compress(b"[]"))
    for read in (stored_as, read_bytes, read_json, lambda path: list(read_lines(path))):
        with pytest.raises(StorageError, match=r"one\.json and one\.json\.gz are both there"):
            read(tmp_path / "one.json")


def test_what_unpacks_to_more_than_the_bound_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many bytes are read, and not one more, however small the file is."""
    monkeypatch.setattr(storage, "LARGEST_BYTES", 3_000_000)
    path = tmp_path / "one.json.gz"
    path.write_bytes(gzip.compress(bytes(3_000_000)))
    assert read_bytes(tmp_path / "one.json") == bytes(3_000_000)
    path.write_bytes(gzip.compress(bytes(3_000_001)))
    assert path.stat().st_size < 4000
    with pytest.raises(
        StorageError, match=r"one\.json\.gz unpacks to more than the 3000000 bytes that are read"
    ) as told:
        read_bytes(tmp_path / "one.json")
    assert "\n" not in str(told.value)


def test_a_bomb_is_left_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many members, each a million zeros, no more are read than the bound has room for."""
    monkeypatch.setattr(storage, "LARGEST_BYTES", 2_000_000)
    (tmp_path / "one.json.gz").write_bytes(gzip.compress(bytes(1_000_000)) * 1000)
    read = 0
    whole = gzip.GzipFile.read

    def counted(self: gzip.GzipFile, size: int | None = -1) -> bytes:
        nonlocal read
        piece = whole(self, size)
        read += len(piece)
        return piece

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    with pytest.raises(StorageError, match="unpacks to more than"):
        read_bytes(tmp_path / "one.json")
    assert read < 2_000_000 + 2**20 + 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-8] + bytes(4) + content[-4:],
        lambda content: content[:12] + b"\xff\xff\xff" + content[15:],
        lambda _: b"[]",
        lambda _: gzip.compress(b"[") + b"rest",
        lambda _: gzip.compress(b"["),
        lambda _: gzip.compress(b"\xff\xfe"),
        lambda _: gzip.compress(b"[" * 200_000),
    ],
)
def test_a_damaged_packed_file_is_a_line(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """Cut, of another checksum, changed within, not packed at all, or no JSON inside."""
    path = tmp_path / "one.json.gz"
    path.write_bytes(damage(gzip.compress(json.dumps(list(range(500))).encode())))
    with pytest.raises(StorageError, match=r"one\.json\.gz cannot be read: ") as told:
        read_json(tmp_path / "one.json")
    assert "\n" not in str(told.value)
    assert not isinstance(told.value.__cause__, zlib.error)


def test_a_missing_file_is_named_plain(tmp_path: Path) -> None:
    """That is how it would be written."""
    with pytest.raises(StorageError, match=r"one\.json is missing; is .* a finished run\?"):
        read_json(tmp_path / "one.json")
