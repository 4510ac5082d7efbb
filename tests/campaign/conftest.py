"""The modules of the campaign's folder, which is no package, and the campaign of the repository."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from campaigning import FOLDER


@pytest.fixture(scope="session")
def script() -> Iterator[Callable[[str], ModuleType]]:
    """Imports a module of the campaign's folder, as its script does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module


@pytest.fixture
def campaign(script: Callable[[str], ModuleType]) -> Callable[..., Any]:
    """The campaign of the repository; keywords as `Campaign.read` has them."""

    def read(path: Path = FOLDER / "campaign.toml", **changes: Any) -> Any:
        return script("campaign").Campaign.read(path, **{"inputs": "in", "out": "out"} | changes)

    return read
