"""What every test can count on: one thread, a cache of its own, and the shared data where there is some."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


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
