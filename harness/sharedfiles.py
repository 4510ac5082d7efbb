"""Scratch files that one fit leaves to others of its class: variants that fine-tune alike do so once.

A detector writes what others may take up into its work folder, in files whose names begin with ``shared-`` and end in a
digest of all that decides them. They are linked into the work folders of the methods of the same class and network
before their fits, and dropped when all of those are fitted. They stand under work/, so that a kill leaves them there,
and beside each whose fit made it: those seconds are not in the others'.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from harness.runs import RunFolder
from harness.storage import UNFINISHED, write_text

__all__ = ["SharedFiles", "place"]

_PREFIX = "shared-"
_TORN = ".unfinished"
"""How the name of a file ends that its detector has not finished; it is renamed then."""
_MAKER = "maker-of-"
"""Begins the name of the file of a store that says whose fit made another one."""
_STORE = "+shared/"
"""Begins the name of a store among the work folders: no method's name begins with ``+``."""


class SharedFiles:
    """The stores of one run, one for each class of detector on each network."""

    def __init__(self, folder: RunFolder) -> None:
        """Nothing is touched yet."""
        self._folder = folder

    def give(self, group: str, method: str) -> None:
        """Link what a store holds into the work folder of a method whose fit is about to begin."""
        _link(self._store(group), self._folder.workdir(method))

    def keep(self, group: str, method: str) -> list[str]:
        """Link into a store what a fit has left in its work folder; returns the names of what is new there."""
        store, workdir = self._store(group), self._folder.workdir(method, make=False)
        new = [name for name in _whole(workdir) if not (store / name).exists()]
        for name in new:  # first, so that no file is there without its maker after a kill
            write_text(store / f"{_MAKER}{name}", method)
        _link(workdir, store)
        return new

    def taken_up(self, group: str, method: str) -> dict[str, str]:
        """By name, the files of others that the finished fit of a method had in its work folder, and who made them.

        Empty where it left a file of its own: then what it found was not what it looked for.
        """
        store, there = self._store(group), _whole(self._folder.workdir(method, make=False))
        makers = {name: path.read_text() for name in there if (path := store / f"{_MAKER}{name}").exists()}
        own = [name for name in there if makers.get(name, method) == method]
        return {} if own else makers

    def drop(self, group: str) -> None:
        """Remove a store."""
        self._folder.drop_workdir(_STORE + group)

    def _store(self, group: str) -> Path:
        return self._folder.workdir(_STORE + group, make=False)


def _whole(folder: Path) -> list[str]:
    """Names of the finished shared files of a folder."""
    return sorted(path.name for path in folder.glob(f"{_PREFIX}*") if not path.name.endswith(_TORN))


def _link(source: Path, target: Path) -> None:
    for name in _whole(source):
        if not (target / name).exists():
            target.mkdir(parents=True, exist_ok=True)
            place(source / name, target / name)


def place(source: Path, target: Path) -> None:
    """Let a file that is never changed stand in another place, too: linked, since it may be large, else copied.

    A kill at any moment leaves the whole file there, or none.
    """
    beside = target.with_name(f"{UNFINISHED}{target.name}")
    beside.unlink(missing_ok=True)
    try:
        os.link(source, beside)
    except OSError:  # another disk, or a file system without links
        shutil.copyfile(source, beside)
    beside.replace(target)
