"""CITATION.cff says the version that is installed."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_version_to_cite_is_the_installed_one() -> None:
    """Else a release would be cited as the one before."""
    (stated,) = re.findall(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    assert stated == version("rcnn-harness")
