"""Which of the packages that a campaign needs are missing on this machine, said without loading any of them.

A machine with a GPU often has torch and no way to a registry. What it lacks is carried there as wheels.
"""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

__all__ = ["missing"]

_PREPARE_ALONE = frozenset({"opencv-contrib-python-headless"})
"""Boxes come from a file."""
_TESTS_TOO = ("pytest", "pytest-benchmark", "pytest-xdist", "hypothesis")


def missing(root: Path) -> list[Requirement]:
    """Requirements of the checkout at `root`, and of theirs, that are not met here, by name."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    texts = list(project["project"]["dependencies"])
    texts += [one for one in project["dependency-groups"]["dev"] if re.split(r"[^\w-]", one)[0] in _TESTS_TOO]
    found: dict[str, Requirement] = {}
    seen: set[str] = set()
    while texts:
        requirement = Requirement(texts.pop())
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
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


def _applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})
