"""Plans carried out, in this process or as a user's are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.compare import compare
from harness.plan import Plan
from harness.progress import Reporter
from harness.surroundings import peak

_SHORT = {"_BLOCK_BYTES": {"cpu": (2**22,)}, "_MOST_SECONDS": {"cpu": (0.01, 0.001)}, "_SIDES": {"cpu": (64, 128)}}


def run(plan: Plan, out: Path, *, resume: bool = False, here: bool = True) -> dict[str, Any]:
    """The summary. `here` measures in this process, which alone knows what a test has patched.

    The device's peak is then measured of little work; a fresh process measures it as a user's does.
    """
    reporter = Reporter(quiet=True)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _SHORT.items():
            patch.setattr(peak, name, value)
        return compare(plan, out, resume=resume, overwrite=False, command="harness", reporter=reporter, here=here)
