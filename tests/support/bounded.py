"""An estimate of which all is known."""

from __future__ import annotations

from harness.statistics import Estimate


def ends(found: Estimate) -> tuple[float, float, float]:
    """Value, low and high; there must be all three, and no reason why one is missing."""
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    assert found.reason is None
    return found.value, found.low, found.high
