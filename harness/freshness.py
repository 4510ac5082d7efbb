"""Does a generated file hold what would be generated now?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

__all__ = ["outdated"]

_MATPLOTLIB = re.compile(rb"Matplotlib v(?:ersion)?([0-9][\w.+]*)")
_TOOL = {".svg": _MATPLOTLIB, ".png": _MATPLOTLIB, ".json": re.compile(rb"with pydantic v([0-9][\w.+]*)")}
"""By the kind of file: where it says which version of which tool made it. The bytes of another one cannot be had again;
what else is generated of the same numbers still tells whether they have moved."""
_DRAWING = re.compile(rb"<svg\b.*?</svg>|data:image/[^\"')\s]*", re.DOTALL)


def outdated(root: Path, expected: Mapping[str, bytes]) -> list[str]:
    """Which of the files of `expected`, by path relative to `root`, are missing or hold something else.

    One that another version of its tool made is passed over. Figures within a page do not name what drew them: where
    one beside it is of another version, those in a page may be, too, and the rest of it is compared.
    """
    drawn_elsewhere = any(
        _of_other_version(root / name, content)
        for name, content in expected.items()
        if _TOOL.get(Path(name).suffix) is _MATPLOTLIB
    )
    return [name for name, content in expected.items() if not _current(root / name, content, drawn_elsewhere)]


def _current(path: Path, content: bytes, drawn_elsewhere: bool) -> bool:
    if not path.is_file():
        return False
    found = path.read_bytes()
    if drawn_elsewhere and path.suffix == ".html":
        found, content = _DRAWING.sub(b"", found), _DRAWING.sub(b"", content)
    return found == content or _of_other_version(path, content)


def _of_other_version(path: Path, content: bytes) -> bool:
    """Whether another version of its tool made the file at `path` than made `content`; of no tool, it is the same."""
    tool = _TOOL.get(path.suffix)
    if tool is None or not path.is_file():
        return False
    before, now = tool.search(path.read_bytes()), tool.search(content)
    return before is not None and now is not None and before[1] != now[1]
