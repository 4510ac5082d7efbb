"""Published beside measured in a report: what can be compared is a row, what cannot is a sentence."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from harness.claims import Claim, read_claims
from harness.quantities.judged import Judged, judged
from harness.rendering import verdicts
from harness.rendering.cells import Notes
from harness.verdicts import VERDICTS

CLAIMS = read_claims()


def find(locator: str, name: str, backbone: str, quantity: str, source: str = "SPP") -> Claim:
    keys = (source, locator, name, backbone, quantity)
    return next(c for c in CLAIMS if (c.source, c.locator, c.name, c.backbone, c.quantity) == keys)


RATIO = find("Table 10", "spp", "ZF-5", "speedup_total")
SECONDS = find("Table 10", "spp", "ZF-5", "total")
SCORE = find("Table 10", "spp", "ZF-5", "map")
ELSEWHERE = find("Table 4", "fast", "VGG16", "speedup_total", "FRCN")


def made(claim: Claim, value: float | None, *differing: str, wide: float = 0.02, method: str | None = None) -> Judged:
    interval = None if value is None else "over images within one process"
    low, high = (None, None) if value is None else (value * (1 - wide), value * (1 + wide))
    number = {"value": value, "low": low, "high": high, "reason": None, "interval": interval}
    number["reason"] = "untrained" if value is None else None
    return judged(claim, {"method": method or claim.name, "baseline": "rcnn", "stages": []}, number, differing)


def summary(*claims: Judged, backbone: str = "zf5") -> dict[str, Any]:
    return {"plan": {"methods": ["rcnn", "spp", "fast"], "backbone": backbone}, "claims": list(claims)}


def cells(blocks: list[str]) -> list[list[str]]:
    """The rows of the first table, by another program's reading."""
    tokens = MarkdownIt("commonmark").enable("table").parse("\n\n".join(blocks))
    rows: list[list[str]] = []
    for before, token in itertools.pairwise(tokens):
        if before.type == "td_open":
            rows[-1].append(token.content)
        elif before.type == "tr_open":
            rows.append([])
    return [row for row in rows if row]


def test_what_is_comparable_is_a_row() -> None:
    """Where it is printed, what it is, both numbers, verdict and difference."""
    (row,) = cells(verdicts.section(summary(made(RATIO, 51.0)), Notes()))
    assert row == [
        "SPP Table 10 (1406.4729v4)",
        "spp (ZF-5): speed-up over rcnn@ZF-5",
        "102×",
        "51.0× [50.0, 52.0]",
        "not met",
        "-50 %",
        "there: GPU, not named",
    ]


def test_the_hardware_of_what_is_published_stands_beside_what_is_decided() -> None:
    """A ratio or share of times that was met or missed; not an accuracy, and nothing that was left open."""
    (share,) = [c for c in CLAIMS if (c.locator, c.printed, c.quantity) == ("Figure 2", "46.3", "share")]
    assert verdicts.hardware(made(share, 46.0)) == "there: Nvidia K40"
    assert verdicts.hardware(made(share, 80.0)) == "there: Nvidia K40"
    assert verdicts.hardware(made(share, 46.0, wide=0.5)) == ""
    assert verdicts.hardware(made(SCORE, 58.5)) == ""
    assert verdicts.hardware(made(RATIO, 51.0, "network mini, ZF-5 there")) == ""
    nowhere = {**made(RATIO, 51.0), "hardware": None}
    assert verdicts.hardware(nowhere) == "there: hardware not stated"


def test_the_rule_says_what_the_verdicts_do() -> None:
    """With the margins as they are."""
    assert "above what lies 10 % below the printed number (an mAP: 1 point below)" in verdicts.RULE
    assert "at least 90 % of what is printed" in verdicts.RULE


def test_one_number_in_two_places_is_one_row() -> None:
    """With both places."""
    again = find("Abstract", "spp", "ZF-5", "speedup_total")
    (row,) = cells(verdicts.section(summary(made(again, 51.0), made(RATIO, 51.0)), Notes()))
    assert row[0] == "SPP Abstract (1406.4729v4), SPP Table 10 (1406.4729v4)"


def test_what_is_not_comparable_is_folded() -> None:
    """Other networks, seconds and accuracies are a sentence each, with their number; the table has the ratio alone."""
    blocks = verdicts.section(
        summary(
            made(RATIO, 51.0),
            made(SECONDS, 3.0, "other hardware: a GPU there, CPU (Some CPU) here"),
            made(SCORE, None, "untrained"),
            made(ELSEWHERE, 9.0, "network zf5, VGG16 there"),
        ),
        Notes(),
    )
    assert len(cells(blocks)) == 1
    text = "\n\n".join(blocks)
    assert "Of 4 published numbers of these methods: 1 not met, 3 not comparable." in text
    assert "Not comparable because the network is another: 1 number (zf5 here; VGG16 there)." in text
    assert "Not comparable: 1 time (other hardware: a GPU there, CPU (Some CPU) here)." in text
    assert "Not comparable: 1 average precision (untrained)." in text


def test_a_run_on_another_network_has_sentences_alone() -> None:
    """The default run has a hundred such claims, and no table of them."""
    blocks = verdicts.section(summary(*(made(RATIO, 3.0, "network mini, ZF-5 there"),) * 100, backbone="mini"), Notes())
    assert cells(blocks) == []
    assert len(blocks) == 3


def test_a_summary_without_claims_has_no_section() -> None:
    """As those of earlier versions are."""
    assert verdicts.section({"claims": None, "claims_reason": "not computed"}, Notes()) == []
    assert verdicts.section({}, Notes()) == []


def test_a_missing_number_leads_to_its_reason() -> None:
    """A dash with a footnote."""
    notes = Notes()
    number = {"value": None, "low": None, "high": None, "reason": "spp: oom: no memory", "interval": None}
    (row,) = cells(verdicts.section(summary(judged(RATIO, {"method": "spp"}, number)), notes))
    assert (row[3], row[4]) == ("–[^1]", "inconclusive")
    assert notes.lines() == ["[^1]: spp: oom: no memory"]


@pytest.mark.parametrize(
    ("claim", "value", "texts"),
    [
        (RATIO, 104.0, ("102×", "104.0× [101.9, 106.1]", "met, +2 %")),
        (SECONDS, 0.1, ("0.142 s", "0.1000 s [0.0980, 0.1020]", "not comparable")),
        (SCORE, 58.5, ("58.0 %", "58.5 % [57.3, 59.7]", "met, +0.5 points")),
        (SCORE, None, ("58.0 %", "untrained", "not comparable")),
        (
            find("Section 4.3", "spp", "ZF-5", "pixel_ratio_conv"),
            163.3,
            ("~160×", "163.3× [160.0, 166.6]", "met, +2 %"),
        ),
    ],
)
def test_numbers_have_the_unit_of_the_paper(claim: Claim, value: float | None, texts: tuple[str, ...]) -> None:
    """And the digits that their interval supports; a tilde stands before what the paper says to be about so much."""
    one = made(claim, value, *([] if value is not None else ["untrained"]))
    assert (verdicts.published(one), verdicts.measured(one, lambda _: ""), verdicts.verdict(one)) == texts


def test_an_exact_number_has_no_interval() -> None:
    """A count is that count."""
    claim = find("Section 4.3", "spp", "ZF-5", "pixel_ratio_conv")
    assert verdicts.measured(made(claim, 163.3, wide=0.0), lambda _: "") == "163×"


@given(st.lists(st.sampled_from(VERDICTS)))
def test_counts_add_up(found: list[str]) -> None:
    """Each verdict that is there is named once, with its number, and no other."""
    told = verdicts.counts({"verdict": one} for one in found)
    numbers = dict(part.split(" ", 1)[::-1] for part in told.split(", ")) if found else {}
    assert numbers == {one: str(found.count(one)) for one in VERDICTS if one in found}
    assert told or not found


def test_reasons_are_counted_one_by_one() -> None:
    """Each thing that differs, the most frequent first; of a few kinds alone."""
    many = [made(RATIO, 1.0, "network mini, ZF-5 there", f"reason {at}") for at in range(9)]
    lines = verdicts.summary_lines(many)
    assert lines[:2] == ["9 not comparable", "not comparable, 9: network mini, ZF-5 there"]
    assert lines[-1] == "not comparable: 6 more reasons"
    wide = verdicts.summary_lines([made(RATIO, 102.0, wide=0.5)])
    assert wide[0] == "1 inconclusive"
    assert wide[1].startswith("inconclusive, 1: the interval reaches")
