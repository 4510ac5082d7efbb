"""What is printed beside the results."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import os, subprocess, sys
from harness.streams import kept_for_results
print("before")
try:
    with kept_for_results():
        print("a plug-in")
        subprocess.run([sys.executable, "-c", "print('a worker')"], check=True)
        raise KeyError
except KeyError:
    print("after")
os.write(1, b"written\\n")
"""


def test_only_results_are_on_standard_output() -> None:
    """What this process and its children print inside the block is on standard error, also when it ends in an error."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert set(done.stdout.split("\n")) == {"before", "after", "written", ""}
    assert set(done.stderr.splitlines()) == {"a plug-in", "a worker"}


def test_a_closed_standard_output_is_no_error() -> None:
    """Whoever starts a process may have closed it."""
    code = (
        "import sys; sys.stdout = None; from harness.streams import kept_for_results\nwith kept_for_results(): print(1)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
