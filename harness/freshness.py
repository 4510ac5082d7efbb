"""Does a generated file hold what would be generated now?"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["fresh", "of_other_version", "same_but_drawings"]

_MATPLOTLIB = re.compile(rb"Matplotlib v(?:ersion)?([0-9][\w.+]*)")
_TOOL = {".svg": _MATPLOTLIB, ".png": _MATPLOTLIB, ".json": re.compile(rb"with pydantic v([0-9][\w.+]*)")}
"""By the kind of file: where it says which version of which tool made it. The bytes of another one cannot be had again;
what else is generated of the same numbers still tells whether they have moved."""
_DRAWING = re.compile(rb"<svg\b.*?</svg>|data:image/[^\"')\s]*", re.DOTALL)


def fresh(path: Path, content: bytes) -> bool:
    """Whether the file at `path` holds `content`, or was made by another version of the tool that made `content`."""
    return path.is_file() and (path.read_bytes() == content or of_other_version(path, content))


def of_other_version(path: Path, content: bytes) -> bool:
    """Whether another version of its tool made the file at `path` than made `content`; of no tool, it is the same."""
    tool = _TOOL.get(path.suffix)
    before, now = (tool.search(each) if tool else None for each in (path.read_bytes(), content))
    return before is not None and now is not None and before[1] != now[1]


def same_but_drawings(path: Path, content: bytes) -> bool:
    """Whether a page at `path` is `content` but for the figures within it, which do not name what drew them."""
    return _DRAWING.sub(b"", path.read_bytes()) == _DRAWING.sub(b"", content)
