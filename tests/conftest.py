"""What every test can count on: one thread, an own cache, real data if there are some, a GPU or browser if marked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from browsing import missing_for_a_browser
from harness.surroundings.checks.gpu import cuda_is_usable

torch.set_num_threads(1)

REFUSED = 3
"""Exit code of a session that asks for a GPU or a browser where there is none, as `harness compare` has it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--require-gpu", action="store_true", help="fail at once where torch can use no CUDA device")
    parser.addoption("--require-browser", action="store_true", help="fail at once without playwright or a Chromium")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Without this a broken driver, or no browser, would pass as a session of skipped tests."""
    if session.config.getoption("--require-gpu"):
        usable, complaint = cuda_is_usable()
        if not usable:
            told = " ".join(complaint.partition(" (Triggered")[0].split())
            why = f" ({told})" if told else ""
            pytest.exit(f"--require-gpu: torch {torch.__version__} sees no CUDA device here{why}", returncode=REFUSED)
    if session.config.getoption("--require-browser") and (missing := missing_for_a_browser()):
        pytest.exit(f"--require-browser: {missing}", returncode=REFUSED)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is marked `gpu` or `browser` is skipped where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not cuda_is_usable()[0]:
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
    marked = [item for item in items if item.get_closest_marker("browser")]
    if marked and (missing := missing_for_a_browser()):
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=missing))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or fills the user's cache of proposals; processes that a test starts inherit this."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def shared_data() -> Path:
    """The folder of real photographs and weights that ``HARNESS_SHARED`` names."""
    where = os.environ.get("HARNESS_SHARED")
    if not where:
        pytest.skip("HARNESS_SHARED names no folder with real data")
    return Path(where)
