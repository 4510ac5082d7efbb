"""Names that say their network: what stands before the @, what behind, and which networks the papers mean."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.parts import backbones
from harness.networks import AS_PRINTED, NetworkError, is_printed_as, network_of, split

WORDS = st.text("abcdefgh0123456789-", min_size=1, max_size=8)
METHODS = st.lists(st.lists(WORDS, min_size=1, max_size=3).map(":".join), min_size=1, max_size=3).map("+".join)


@given(METHODS, WORDS)
def test_a_name_is_its_parts(method: str, network: str) -> None:
    """Splitting undoes joining, for variants and combinations, too."""
    assert split(f"{method}@{network}") == (method, network)
    assert split(method) == (method, None)


@pytest.mark.parametrize("name", ["@zf5", "rcnn@", "rcnn@zf5@mini", "rcnn@zf5+spp", "rcnn@zf5:5", "rcnn@@zf5"])
def test_a_misplaced_sign_is_refused(name: str) -> None:
    """One line says where the @ belongs."""
    with pytest.raises(NetworkError, match=r"@ stands once, .* as in spp:5@zf5"):
        split(name)


def test_a_method_without_a_network_is_on_that_of_the_plan() -> None:
    """Whether the plan is given or a summary that holds it."""
    plan = {"backbone": "mini"}
    assert network_of(plan, "spp:5") == network_of({"plan": plan, "methods": {}}, "spp:5") == "mini"
    assert network_of({"plan": plan}, "spp+rcnn@zf5") == "zf5"


def test_the_papers_networks_are_backbones_here() -> None:
    """Each of ours exists, no printed name means two, and torchvision's alexnet is none of the papers'."""
    assert set(AS_PRINTED) <= set(backbones.names())
    printed = [name for names in AS_PRINTED.values() for name in names]
    assert len(set(printed)) == len(printed)
    assert is_printed_as("caffenet", "Alex-5")
    assert not is_printed_as("alexnet", "AlexNet")
    assert not is_printed_as("mini", "ZF-5")


def test_published_times_are_of_networks_that_are_known() -> None:
    """Whatever one of the three papers timed in seconds an image, we have its network; OverFeat alone we have not."""
    known = {name for names in AS_PRINTED.values() for name in names}
    folder = Path(__file__).parents[2] / "results" / "reference"
    rows = [
        row
        for path in sorted(folder.glob("*.csv"))
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    ]
    timed = {row["backbone"] for row in rows if row["method"] in ("rcnn", "spp", "fast") and row["quantity"] == "conv"}
    assert timed
    assert timed - known <= {"Overfeat-7"}
