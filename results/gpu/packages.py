"""Which of the packages that a campaign needs are missing on this machine, said without loading any of them.

A machine with a GPU often has torch and no way to a registry. What it lacks is carried there as wheels.
"""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

__all__ = ["missing", "to_carry"]

_PREPARE_ALONE = frozenset({"opencv-contrib-python-headless"})
"""Boxes come from a file."""
_THERE = frozenset({"torch", "torchvision", "numpy", "scipy", "pandas", "scikit-learn", "matplotlib"})
"""Wheels of 10 MiB and more each, which a machine for training has."""
_TESTS_TOO = ("pytest", "pytest-benchmark", "pytest-xdist", "hypothesis")


def missing(root: Path) -> list[Requirement]:
    """Requirements of the checkout at `root`, and of theirs, that are not met here, by name."""
    texts = _required(root)
    found: dict[str, Requirement] = {}
    seen: set[str] = set()
    while texts:
        requirement = Requirement(texts.pop())
        name = _plain(requirement)
        if name in seen or name in _PREPARE_ALONE or not _applies(requirement):
            continue
        seen.add(name)
        try:
            here = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            found[name] = requirement
            continue
        if not requirement.specifier.contains(here.version, prereleases=True):
            found[name] = requirement
        texts += here.requires or []
    return [found[name] for name in sorted(found)]


def to_carry(root: Path) -> list[Requirement]:
    """Requirements of the checkout at `root` but for those that every machine for training meets, by name.

    What they require in turn is not in there: the installer that fetches them on another machine finds that.
    """
    found = {_plain(one): one for one in map(Requirement, _required(root))}
    return [found[name] for name in sorted(found) if name not in _THERE | _PREPARE_ALONE]


def _required(root: Path) -> list[str]:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    tests = [one for one in project["dependency-groups"]["dev"] if re.split(r"[^\w-]", one)[0] in _TESTS_TOO]
    return [*project["project"]["dependencies"], *tests]


def _plain(requirement: Requirement) -> str:
    """A name as an index has it."""
    return re.sub(r"[-_.]+", "-", requirement.name).lower()


def _applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})
