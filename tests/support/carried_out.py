"""Plans carried out, in this process or as a user's are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.compare import compare
from harness.plan import Plan
from harness.progress import Reporter


def run(plan: Plan, out: Path, *, resume: bool = False, here: bool = True) -> dict[str, Any]:
    """The summary. `here` measures in this process, which alone knows what a test has patched."""
    reporter = Reporter(quiet=True)
    return compare(plan, out, resume=resume, overwrite=False, command="harness", reporter=reporter, here=here)
