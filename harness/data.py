"""Public images, fetched: PASCAL VOC 2007, by torchvision's downloader and held against its checksums.

An archive stays beside the folder until all of it is unpacked, and is removed then. So whatever is broken off can be
asked for again: an archive that is whole is not fetched anew, one that is not is, and one that is still there is
unpacked anew over what an earlier attempt left.
"""

from __future__ import annotations

import shutil
import tarfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from harness.datasets import DatasetError
from harness.datasets.voc import Voc

__all__ = ["NAMES", "fetch"]

NAMES = ("voc2007",)

_ARCHIVES = {"voc2007": (("2007", "trainval"), ("2007-test", "test"))}
"""By name: the key of each archive in torchvision's table, and the split that it brings."""
_SECONDS_TO_ANSWER = 30
_MB = 1e6


@dataclass(frozen=True, slots=True)
class _Archive:
    url: str
    md5: str
    split: str
    path: Path
    """Where it stands until it is unpacked."""
    folder: Path
    """The year folder that it adds to."""

    @property
    def unpacked(self) -> bool:
        """Whether all of it is in the folder."""
        if self.path.exists():
            return False
        try:
            Voc(self.folder, self.split)
        except DatasetError:
            return False
        return True

    def bytes_to_fetch(self) -> int | None:
        """0 where the whole archive stands here, which needs no server; None where the server does not say.

        Raises:
            DatasetError: the server cannot be reached.
        """
        from torchvision.datasets.utils import check_integrity

        if check_integrity(str(self.path), self.md5):
            return 0
        try:
            asked = urllib.request.Request(self.url, method="HEAD")
            with urllib.request.urlopen(asked, timeout=_SECONDS_TO_ANSWER) as answer:
                text = answer.headers.get("Content-Length")
        except (OSError, HTTPException) as error:
            raise self._unreachable(error) from None
        return int(text) if (text or "").isdigit() else None

    def fetch(self) -> None:
        """Fetch it unless it is here, and hold it against its checksum.

        Raises:
            DatasetError: it cannot be fetched or kept, or is not the file that it should be.
        """
        from torchvision.datasets.utils import download_url

        try:
            download_url(self.url, str(self.path.parent), self.path.name, self.md5)
        except (OSError, HTTPException) as error:
            raise self._unreachable(error) from None
        except RuntimeError:  # torchvision's word for another checksum
            self.path.unlink(missing_ok=True)
            raise DatasetError(
                f"{self.url} gave another file than expected (its MD5 is not {self.md5}), which was removed; "
                "try again, or put the right archive in its place"
            ) from None

    def unpack(self) -> None:
        """Unpack it, and remove it when that is done.

        Raises:
            DatasetError: the disk is full, say, or the archive does not hold its split.
        """
        from torchvision.datasets.utils import extract_archive

        try:
            extract_archive(str(self.path), str(self.path.parent), remove_finished=True)
        except (OSError, tarfile.TarError) as error:
            raise DatasetError(f"{self.path} cannot be unpacked: {error}; make room, then ask again") from None
        Voc(self.folder, self.split)

    def _unreachable(self, error: Exception) -> DatasetError:
        reason = getattr(error, "reason", None) or error
        return DatasetError(
            f"{self.url} cannot be fetched ({reason}); ask again later, or put the archive into {self.path.parent} "
            "and ask again"
        )


def fetch(name: str, to: Path, tell: Callable[[str], None]) -> Path:
    """Bring a data set into a folder, and return its year folder, for ``--dataset voc:DIR``.

    What is there already is not fetched; `tell` hears a line for each step, the size before anything is fetched.

    Raises:
        DatasetError: no such name, no connection, too little room, or a file with another checksum.
    """
    if name not in _ARCHIVES:
        raise DatasetError(f"nothing to fetch by the name {name!r}; there is {', '.join(NAMES)}")
    archives = _archives(name, to)
    missing = [archive for archive in archives if not archive.unpacked]
    if missing:
        _announce(missing, to, tell)
    for archive in missing:
        tell(f"fetching and checking {archive.path.name}")
        archive.fetch()
        tell(f"unpacking {archive.path.name}")
        archive.unpack()
    folder = archives[0].folder
    tell(f"{name} is complete: --dataset voc:{folder} --train-split trainval --split test")
    return folder


def _archives(name: str, to: Path) -> list[_Archive]:
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    known = [(DATASET_YEAR_DICT[key], split) for key, split in _ARCHIVES[name]]
    return [
        _Archive(about["url"], about["md5"], split, to / about["filename"], to / about["base_dir"])
        for about, split in known
    ]


def _announce(missing: list[_Archive], to: Path, tell: Callable[[str], None]) -> None:
    """Say how much is about to be fetched, and see that it can be kept."""
    try:
        to.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(to).free
    except OSError as error:
        raise DatasetError(f"{to} cannot be used ({error.strerror}); name another folder with --to") from None
    there = sum(archive.path.stat().st_size for archive in missing if archive.path.exists())
    sizes = [archive.bytes_to_fetch() for archive in missing]
    known = sum(size for size in sizes if size is not None)
    unknown = " and what the server does not say" if None in sizes else ""
    tell(f"{known / _MB:,.0f} MB to fetch{unknown}, and about as much room to unpack, into {to}")
    needed = known + max(known, there)  # the archives, and what they hold
    if needed > free:
        raise DatasetError(
            f"{to} has {free / _MB:,.0f} MB free, {needed / _MB:,.0f} are needed; name another with --to"
        )
