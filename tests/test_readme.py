"""What the README lists is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import detectors
from detectors.parts import backbones

_README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def _first_cells(after: str) -> str:
    """The first column of the table below a line that begins with `after`."""
    table = _README.split(after, 1)[1].split("\n\n", 1)[0]
    return "\n".join(line.split("|")[1] for line in table.splitlines() if line.startswith("|"))


def test_every_variant_is_explained_and_every_one_explained_exists() -> None:
    """The table of variants names those of the three methods, no more and no fewer."""
    explained = set(re.findall(r"`([a-z]+:[\w-]+)`", _first_cells("| variant |")))
    built_in = [name for name in detectors.names() if detectors.origin(name) == "built in"]
    assert explained == {f"{name}:{key}" for name in built_in for key in detectors.load(name).detector.variants}


def test_every_backbone_is_listed() -> None:
    """The table of backbones names those there are, no more and no fewer."""
    assert set(re.findall(r"`([\w-]+)`", _first_cells("| `--backbone` |"))) == set(backbones.names())
