"""The campaign's script as a process of its own, and what its ledger says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "results" / "gpu"

where_it_is = pytest.mark.skipif(not FOLDER.is_dir(), reason="this checkout carries no campaign")


def measure(*arguments: object, timeout: float = 100, **environment: str) -> subprocess.CompletedProcess[str]:
    """The script in a process of its own."""
    command = [sys.executable, str(FOLDER / "measure.py"), *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


def state(out: Path) -> dict[str, Any]:
    """What the ledger says of each part."""
    content: dict[str, Any] = json.loads((out / "state.json").read_text())["parts"]
    return content
