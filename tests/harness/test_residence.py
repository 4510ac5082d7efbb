"""Which methods are in memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from harness.residence import Residence


def test_methods_that_fit_are_never_loaded_again() -> None:
    """They take turns without paying for it."""
    detectors: dict[str, Any] = {"a": object(), "b": object()}
    residence = Residence(detectors, lambda _name: 1 / 0)  # type: ignore[arg-type, return-value]
    for name in "abba":
        assert residence.enter(name) == (detectors[name], False)
    assert residence.resident
    assert residence.names == ("a", "b")


def test_after_eviction_one_method_at_a_time_is_loaded_for_its_turn() -> None:
    """Two calls of one method in a row load it once; what it was stays behind for nobody."""
    loaded: list[str] = []

    def load(name: str) -> Any:
        loaded.append(name)
        return name.upper()

    residence = Residence({"a": "old a", "b": "old b"}, load)  # type: ignore[dict-item]
    residence.evict("no room")
    assert [residence.enter(name) for name in "aabba"] == [
        ("A", True),
        ("A", False),
        ("B", True),
        ("B", False),
        ("A", True),
    ]
    assert loaded == ["a", "b", "a"]
    assert (residence.resident, residence.reason, residence.names) == (False, "no room", ("a", "b"))


def test_methods_that_cannot_all_be_loaded_are_loaded_one_at_a_time() -> None:
    """Those that were loaded by then make room; another error than a lack of memory is not hidden."""
    room = {"a": 1, "b": 1, "c": 1}

    def load(name: str) -> Any:
        if not room[name]:
            raise torch.OutOfMemoryError("full")
        return name.upper()

    assert Residence.loaded(["a", "b"], load).resident
    room["b"] = 0
    residence = Residence.loaded(["a", "b", "c"], load)
    assert (residence.resident, residence.reason) == (False, "out of memory while b was loaded beside the others")
    assert residence.names == ("a", "b", "c")
    assert residence.enter("c") == ("C", True)
    with pytest.raises(torch.OutOfMemoryError):
        residence.enter("b")
    with pytest.raises(KeyError):
        Residence.loaded(["d"], load)
