"""What a plan makes of a method's settings, and how settings are kept in a file."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import detectors
from harness.plan import Plan
from harness.settings import as_json, deciding_fit, fitted_with, settings

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_settings_are_kept_as_json_gives_them_back(value: Any) -> None:
    """Written and read once more they are the same: what a file holds can be compared with what is asked for."""
    kept = as_json(value)
    assert json.loads(json.dumps(kept)) == kept == as_json(kept) == as_json(value)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("fast", "fast:svd", True),
        ("fast", "fast:no-bb", True),
        ("fast", "fast:svm", False),
        ("spp", "spp:5", False),
        ("rcnn+spp", "rcnn+spp", True),
        ("rcnn+spp", "rcnn+spp:5", False),
    ],
)
def test_settings_in_a_file_differ_where_fits_do(one: str, other: str, alike: bool) -> None:
    """Also those of the members of a combination."""
    kept = []
    for name in (one, other):
        method = detectors.load(name)
        kept.append(as_json(deciding_fit(method, settings(Plan.of({}), method, 300))))
    assert (kept[0] == kept[1]) is alike


def test_what_a_detector_resolved_is_laid_over_what_was_asked_for() -> None:
    """Of members one by one; whoever resolves nothing keeps what was asked for."""
    pair, alone = detectors.load("spp+spp:5"), detectors.load("fast")
    asked = as_json(deciding_fit(pair, pair.config))
    made: Any = SimpleNamespace(resolved={"members": [{}, {"layer": "fc6"}]})
    found = fitted_with(pair, pair.config, made)
    assert found["members"] == [asked["members"][0], asked["members"][1] | {"layer": "fc6"}]
    assert found | {"members": asked["members"]} == asked
    nothing: Any = object()
    assert fitted_with(alone, alone.config, nothing) == as_json(deciding_fit(alone, alone.config))
    one: Any = SimpleNamespace(resolved={"scales_px": (600,)})
    assert fitted_with(alone, alone.config, one)["scales_px"] == [600]


@pytest.mark.parametrize(("images", "iterations"), [(1, 400), (100, 400), (250, 1000), (10**6, 40_000)])
def test_a_quick_schedule_grows_with_the_images(images: int, iterations: int) -> None:
    """Fast R-CNN takes four mini-batches an image, as if there were 100 at least, and never more than published."""
    assert settings(Plan.of({}), detectors.load("fast"), images).iterations == iterations
