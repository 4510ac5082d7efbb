"""One archive of what a campaign measured, small enough to be carried home, with the sha256 of every file in it.

Fitted models and scratch files of a fit stay behind: with random weights they can be drawn again from the seed.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

from campaign import CampaignError

__all__ = ["MOST_BYTES", "pack"]

MOST_BYTES = 16 * 2**20
_LEFT_OUT = frozenset({"models", "work"})
_MANIFEST = "MANIFEST.json"
_LARGEST_NAMED = 3


def pack(out: Path, archive: Path, *, most_bytes: int = MOST_BYTES) -> dict[str, str]:
    """Write `archive`, a .tar.gz with the folder `out` under its name; returns sha256 by path in it.

    Raises:
        CampaignError: there is nothing to pack, or the archive would be larger than `most_bytes`; it is not kept then.
    """
    files = {f"{out.name}/{path.relative_to(out).as_posix()}": path for path in _files(out, archive)}
    if not files:
        raise CampaignError(f"{out} holds nothing to pack; run a part first")
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_name(f".unfinished-{archive.name}")
    try:
        digests = _write(unfinished, out.name, files)
        size = unfinished.stat().st_size
        if size > most_bytes:
            largest = sorted(files, key=lambda name: -files[name].stat().st_size)[:_LARGEST_NAMED]
            raise CampaignError(
                f"the archive takes {size / 2**20:.1f} MiB of {most_bytes / 2**20:.0f}; "
                f"the largest files are {', '.join(largest)}: move runs elsewhere and pack them by themselves"
            )
        unfinished.replace(archive)
    finally:
        unfinished.unlink(missing_ok=True)
    return digests


def _files(out: Path, archive: Path) -> Iterator[Path]:
    """All that is to be packed; not what is unfinished, and not an earlier archive."""
    for path in sorted(out.rglob("*")) if out.is_dir() else ():
        inner = path.relative_to(out).parts
        hidden = any(part.startswith(".") for part in inner)
        if path.is_file() and not hidden and _LEFT_OUT.isdisjoint(inner[:-1]) and path != archive:
            yield path


def _write(path: Path, top: str, files: dict[str, Path]) -> dict[str, str]:
    digests = {}
    with tarfile.open(path, "w:gz") as tar:
        for name, file in files.items():
            # Read once, so that the digest is of what is packed also where a run is being written.
            content = file.read_bytes()
            digests[name] = hashlib.sha256(content).hexdigest()
            _add(tar, name, content, int(file.stat().st_mtime))
        text = json.dumps({"schema_version": 1, "sha256": digests}, indent=1) + "\n"
        _add(tar, f"{top}/{_MANIFEST}", text.encode(), 0)
    return digests


def _add(tar: tarfile.TarFile, name: str, content: bytes, modified: int) -> None:
    about = tarfile.TarInfo(name)
    about.size, about.mtime, about.mode = len(content), modified, 0o644
    tar.addfile(about, io.BytesIO(content))
