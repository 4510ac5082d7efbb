"""Means of what was counted, and what is said where nothing was."""

from __future__ import annotations

from typing import Any

import pytest

from harness.quantities.operations import mean_bytes, mean_launches, mean_operations, why_uncounted

STAGES = {"prepare": 1, "propose": 0, "conv": 20, "pool": 3, "fc": 40, "decode": 5, "total": 70}


def times(factor: int) -> dict[str, int]:
    return {name: factor * value for name, value in STAGES.items()}


COUNTED: dict[str, Any] = {
    "reason": None,
    "images": {"a": times(10), "b": times(30)},
    "bytes": {"a": times(100), "b": times(300)},
    "launches": {"a": times(1), "b": times(2)},
}
OLDER = {"reason": None, "images": COUNTED["images"]}
REFUSED = {"reason": "it needs values", "images": {}, "bytes": {}, "launches": {}}


@pytest.mark.parametrize(("mean", "factor"), [(mean_operations, 20), (mean_bytes, 200), (mean_launches, 1.5)])
def test_each_mean_is_over_images(mean: Any, factor: float) -> None:
    """By stage; features are four of them, the total is as it was counted, and nothing is known of `suppress`."""
    expected = {name: factor * value for name, value in STAGES.items()}
    assert mean(COUNTED) == {**expected, "features": factor * (1 + 20 + 3 + 40), "suppress": None}


def test_a_run_of_before_has_operations_alone() -> None:
    """What was not counted then is None, and the reason says so."""
    assert mean_operations(OLDER) == mean_operations(COUNTED)
    assert (mean_bytes(OLDER), mean_launches(OLDER)) == (None, None)
    assert why_uncounted(OLDER) is None
    assert why_uncounted(OLDER, "bytes") == "bytes read and written were not counted"
    assert why_uncounted(OLDER, "launches") == "launches were not counted"


@pytest.mark.parametrize(
    ("counted", "reasons"),
    [
        (REFUSED, ["it needs values"] * 3),
        (
            None,
            [
                "floating-point operations were not counted",
                "bytes read and written were not counted",
                "launches were not counted",
            ],
        ),
        (COUNTED, [None] * 3),
    ],
)
def test_what_is_missing_has_a_reason(counted: Any, reasons: list[str | None]) -> None:
    """The detector's own, where it could not be run on shapes."""
    assert [why_uncounted(counted), why_uncounted(counted, "bytes"), why_uncounted(counted, "launches")] == reasons
    if counted is not COUNTED:
        assert mean_operations(counted) is mean_bytes(counted) is mean_launches(counted) is None
