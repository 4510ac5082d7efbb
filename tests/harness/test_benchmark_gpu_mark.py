"""The mark `gpu` and ``--require-gpu``: what is skipped, and what must not pass for a session on a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
# Of argparse in Python 3.12.1, as pytest 9.0 calls it; the sessions started here inherit that warnings are errors.
pytestmark = pytest.mark.filterwarnings("ignore:Do not expect file_or_dir:UserWarning")

CONFTEST = Path(__file__).parents[1] / "conftest.py"
USABLE = "harness.surroundings.checks.gpu.cuda_is_usable"


@pytest.fixture
def tree(pytester: pytest.Pytester) -> pytest.Pytester:
    """Two tests under this suite's own conftest, one of them marked."""
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makeini("[pytest]\nmarkers = gpu: needs a CUDA device\n")
    pytester.makepyfile(
        "import pytest\n@pytest.mark.gpu\ndef test_there():\n    print('ran there')\ndef test_here():\n    pass\n"
    )
    return pytester


def test_marked_tests_are_skipped_where_there_is_no_device(
    tree: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the mark alone; the others run."""
    monkeypatch.setattr(USABLE, lambda: (False, ""))
    result = tree.runpytest_inprocess("-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*needs a CUDA device*"])


def test_marked_tests_run_where_there_is_one(tree: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """With and without being asked for it."""
    monkeypatch.setattr(USABLE, lambda: (True, ""))
    tree.runpytest_inprocess("-m", "gpu", "--require-gpu").assert_outcomes(passed=1, deselected=1)
    tree.runpytest_inprocess().assert_outcomes(passed=2)


def test_a_required_gpu_that_is_missing_ends_the_session(
    tree: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With exit code 3, as `harness compare` has it, one line with the reason that torch gave, and no test run."""
    monkeypatch.setattr(USABLE, lambda: (False, "the driver\nis too old (Triggered internally at some.cpp:1)"))
    result = tree.runpytest_inprocess("-m", "gpu", "--require-gpu")
    assert result.ret == 3
    (line,) = [line for line in result.errlines if line]
    assert line.startswith("Exit: --require-gpu: torch ")
    assert line.endswith("sees no CUDA device here (the driver is too old)")
    assert "skipped" not in result.stdout.str()
