"""The papers' tables: every published number of a table in one cell, nothing else there, and readable on a screen."""

from __future__ import annotations

import io
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from harness.claims import Claim, read_claims
from harness.papertables import PaperTable, PaperTableError, names, tables
from harness.quantities.judged import Judged, judged
from harness.rendering import papertables as rendered
from harness.rendering.cells import Notes

CLAIMS = read_claims()
LAYOUT = tomllib.loads((Path(__file__).parents[2] / "harness" / "papertables.toml").read_text(encoding="utf-8"))
PLACES = {
    "spp-table-9": ("SPP", "1406.4729v4", ("Table 9",), 26),
    "spp-table-10": ("SPP", "1406.4729v4", ("Table 10",), 17),
    "spp-table-11": ("SPP", "1406.4729v4", ("Table 11",), 210),
    "spp-table-12": ("SPP", "1406.4729v4", ("Table 12",), 63),
    "fast-table-4": ("FRCN", "1504.08083v2", ("Table 4",), 44),
    "fast-table-5": ("FRCN", "1504.08083v2", ("Table 5",), 8),
    "fast-table-6": ("FRCN", "1504.08083v2", ("Table 6",), 12),
    "fast-table-7": ("FRCN", "1504.08083v2", ("Table 7",), 14),
    "fast-table-8": ("FRCN", "1504.08083v2", ("Table 8",), 9),
    "fast-figure-2": ("FRCN", "1504.08083v2", ("Figure 2",), 25),
    "fast-figure-3": ("FRCN", "1504.08083v2", ("Figure 3", "Section 5.5"), 8),
}
"""Source, version, places and how many numbers they print, counted in the papers; the other three are parts of
sections."""
PARTS = {
    "spp-complexity": [("pixel_ratio_conv", "160"), ("pixel_ratio_conv", "24")],
    "spp-conv-only": [("speedup_conv", one) for one in ("170", "170", "270", "30", "30", "49")],
    "rcnn-seconds": [("full_system", "13"), ("full_system", "53")],
}


def table(name: str, judged: list[Judged] | None = None) -> PaperTable:
    (found,) = tables(judged or [], CLAIMS, [name])
    return found


def claims_of(found: PaperTable) -> list[Claim]:
    return [cell.claim for row in found.rows for cell in row.cells if cell.claim is not None]


def result(claim: Claim, value: float | None, wide: float = 0.1, *differing: str) -> Judged:
    """As if it had been measured."""
    reason = None if value is not None else "untrained"
    ends = {"low": None, "high": None} if value is None else {"low": value - wide, "high": value + wide}
    interval = "over images within one process" if value is not None else None
    number = {"value": value, **ends, "reason": reason, "interval": interval}
    return judged(claim, {"method": claim.name, "baseline": None, "stages": []}, number, differing)


def screen(found: list[PaperTable]) -> str:
    console = Console(file=io.StringIO(), width=80, color_system=None, legacy_windows=False)
    console.print(rendered.terminal(found))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_all_tables_are_there() -> None:
    """Those that can be reproduced."""
    assert set(names()) == {*PLACES, *PARTS}
    assert list(names()) == list(LAYOUT)
    with pytest.raises(PaperTableError, match=r"no table 'spp-table-8' of a paper; there are spp-table-9, "):
        tables([], CLAIMS, ["spp-table-8"])


@pytest.mark.parametrize("name", PLACES)
def test_every_number_of_a_table_has_one_cell(name: str) -> None:
    """The cells hold all that is printed there, each once, and nothing from elsewhere."""
    source, version, locators, number = PLACES[name]
    printed = [c for c in CLAIMS if (c.source, c.version) == (source, version) and c.locator in locators]
    shown = claims_of(table(name))
    assert len(shown) == len(set(shown)) == number
    assert set(shown) == set(printed)


@pytest.mark.parametrize("name", PARTS)
def test_a_part_of_a_section_holds_its_own_numbers(name: str) -> None:
    """These, as typed in here a second time, and no other number of the section."""
    assert sorted((c.quantity, c.printed) for c in claims_of(table(name))) == sorted(PARTS[name])


def test_cells_stand_where_the_paper_has_them() -> None:
    """Some corners of [SPP Table 9], [FRCN Tables 4, 6, 8] and [FRCN Figure 2], read there again."""

    def at(name: str, row: int, column: int) -> str | None:
        claim = table(name).rows[row].cells[column].claim
        return None if claim is None else claim.printed

    assert [at("spp-table-9", 0, column) for column in range(3)] == ["43.0", "44.9", "44.2"]
    assert [at("spp-table-9", 3, column) for column in range(3)] == ["54.5", "55.2", "54.2"]
    assert [at("spp-table-9", 8, column) for column in range(3)] == ["64", "24", None]
    assert [at("fast-table-4", 3, column) for column in range(7)] == ["0.06", "0.08", "0.22", None, None, None, None]
    assert [at("fast-table-6", 0, column) for column in (0, 3, 4, 11)] == ["52.2", "57.1", "54.7", "66.9"]
    assert [at("fast-table-8", row, 1) for row in range(3)] == ["60.2", "58.7", "59.2"]
    assert [at("fast-figure-2", row, 1) for row in (1, 2, 4)] == ["0.223", "67.8", "17.5"]
    assert [at("spp-table-11", 0, column) for column in (0, 1, 20)] == ["33.7", "33.2", "43.5"]


def test_what_was_measured_finds_its_cell() -> None:
    """By all that is known of a claim; the same number in another table stays there. The first of two counts."""
    (own,) = [c for c in claims_of(table("spp-table-10")) if c.printed == "102"]
    elsewhere = replace(own, locator="Abstract")
    found = table("spp-table-10", [result(elsewhere, 5.0), result(own, 101.0), result(own, 7.0)])
    values = {cell.claim: cell.judged["measured"]["value"] for r in found.rows for cell in r.cells if cell.judged}
    assert values == {own: 101.0}
    assert len(found.judged) == 1


def test_two_numbers_for_one_cell_are_an_error() -> None:
    """Another row that fits the same place is not hidden behind the first."""
    (own,) = [c for c in claims_of(table("spp-table-10")) if c.printed == "102"]
    with pytest.raises(PaperTableError, match=r"spp-table-10: speed-up, SPP-net, 1 scale .*2 published numbers"):
        tables([], [*CLAIMS, replace(own, printed="103")], ["spp-table-10"])


def everything(name: str) -> list[Judged]:
    """Each number of a table measured: some met, some not, some inconclusive, some not comparable."""
    made = []
    for at, claim in enumerate(claims_of(table(name))):
        factor, wide = ((1.0, 0.01), (0.5, 0.01), (1.0, 0.9), (2.0, 0.01))[at % 4]
        differing = ["network mini, ZF-5 there"] if at % 4 == 3 else []
        made.append(result(claim, claim.value * factor, claim.value * wide, *differing))
    return made


@pytest.mark.parametrize("measured", [False, True], ids=["published alone", "all measured"])
@pytest.mark.parametrize("name", names())
def test_a_screen_of_80_columns_is_enough(name: str, measured: bool) -> None:
    """No line is longer, no cell is broken, and every published number is there as often as in the table."""
    found = table(name, everything(name) if measured else None)
    text = screen([found])
    assert max(map(len, text.splitlines())) <= 80
    for row in found.rows:
        for cell in row.cells:
            assert all(line in text for line in rendered.lines(cell, lambda _: ""))
    for column in found.columns:
        assert all(word in text for word in column.split())


def test_a_cell_has_three_lines() -> None:
    """Published, measured with its interval, verdict with the difference; one where nothing was run.

    What the published number ran on is a fourth where a ratio was decided, and stands below the table for all.
    """
    (own,) = [c for c in claims_of(table("spp-table-10")) if c.printed == "102"]
    text = screen([table("spp-table-10", [result(own, 104.0, 3.0)])])
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("speed-up"))
    assert "102×" in lines[at]
    assert "38×" in lines[at]
    assert "104.0× [101.0, 107.0]" in lines[at + 1]
    assert "met, +2 %" in lines[at + 2]
    assert "there: GPU, not named" in lines[at + 3]
    assert "Published times: GPU, not named beside the table." in text
    assert "1 met; 16 published alone." in text


def test_the_hardware_of_each_table_is_told() -> None:
    """All kinds of it; of accuracies there is none. A note says that shares depend on it. [FRCN Table 4, Figure 2]"""
    two = "two machines: Nvidia K40, and one not stated"
    assert set(table("fast-table-4").hardware) == {"Nvidia K40", None, two}
    assert table("spp-table-11").hardware == table("spp-complexity").hardware == []
    text = " ".join(screen([table("fast-table-4")]).split())
    assert "Nvidia K40" in text
    assert "hardware not stated" in text
    assert two in text
    assert "Published times" not in screen([table("spp-table-11")])
    assert "depend on the hardware" in str(table("fast-figure-2").note)
    assert "Published times: Nvidia K40." in "\n".join(rendered.markdown(table("fast-figure-2"), Notes()))


def test_an_untrained_accuracy_says_so() -> None:
    """The word, and no number."""
    scores = claims_of(table("fast-table-6"))
    text = screen([table("fast-table-6", [result(one, None, 0.0, "untrained") for one in scores])])
    assert text.count("untrained") == len(scores) + 1
    assert "12 not comparable" in text.lower()
    assert "not comparable, 12: untrained" in text


@pytest.mark.parametrize("name", names())
def test_markdown_is_a_table_that_others_read(name: str) -> None:
    """As many rows and cells as the paper's, by another program's reading; footnotes are those of its dashes."""
    found = table(name, everything(name))
    notes = Notes()
    blocks = rendered.markdown(found, notes)
    tokens = MarkdownIt("commonmark").enable("table").parse("\n\n".join(blocks))
    assert sum(token.type == "tr_open" for token in tokens) == len(found.rows) + 1
    assert sum(token.type == "td_open" for token in tokens) == len(found.rows) * (len(found.columns) + 1)
    assert blocks[0].startswith(f"## {found.source}")


def test_hostile_words_stay_in_their_cell() -> None:
    """What comes from a run folder can break neither the table nor open a tag."""
    (own,) = [c for c in claims_of(table("spp-table-10")) if c.printed == "102"]
    odd = result(own, 104.0, 3.0, "network <b>|x`, ZF-5 there")
    text = "\n\n".join(rendered.markdown(table("spp-table-10", [odd]), Notes()))
    assert "<b>" not in text
    assert "not comparable, 1: network &lt;b>\\|x\\`, ZF-5 there" in text


def test_no_number_of_a_paper_stands_in_the_layout() -> None:
    """Places are named by what is known of a number; the digits stand in the reference tables alone."""

    def values(node: Any) -> list[Any]:
        if isinstance(node, dict):
            return [value for each in node.values() for value in values(each)]
        return [value for each in node for value in values(each)] if isinstance(node, list) else [node]

    assert all(isinstance(value, str) for value in values(LAYOUT))
    assert values(LAYOUT)
    printed = {claim.printed for claim in CLAIMS if "." in claim.printed and len(claim.printed) > 3}
    assert not [value for value in values(LAYOUT) if value in printed]
