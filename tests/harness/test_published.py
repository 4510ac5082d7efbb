"""A run is set beside the papers' speeds of whole methods, however much else of the papers is kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from harness.rendering.published import main, published, published_beside
from printed import CLAIMS


def test_main_numbers_are_those_of_whole_methods_where_speed_is_printed() -> None:
    """The tables of times, the mAP of R-CNN's own two tables, and what the texts say of seconds and conv."""
    found = Counter((claim.source, claim.locator) for claim in main(CLAIMS))
    assert {place for place in found if place[1].startswith("Table")} == {
        *(("RCNN", "Table 2"), ("RCNN", "Table 3")),
        *(("SPP", "Table 9"), ("SPP", "Table 10"), ("FRCN", "Table 4")),
    }
    assert not any(claim.part or claim.quantity == "ap" for claim in main(CLAIMS))
    assert {claim.variant for claim in main(CLAIMS)} == {"", "5", "svd"}


def test_each_main_row_stands_once() -> None:
    """A method and network of a table is one row, with its mAP of whole methods and not that of a layer."""
    rows = published(CLAIMS, ["rcnn", "spp", "fast"])
    assert len(rows) == 2 + 6 + 10
    assert len({(row.source, row.method, row.backbone) for row in rows}) == len(rows)
    by_place = {((row.source or "")[:12], row.method, row.backbone): row.map.value for row in rows}
    assert by_place["SPP Table 9 ", "spp", "ZF-5"] == 0.58
    assert by_place["RCNN Table 2", "rcnn", "AlexNet"] == 0.585


def test_other_tables_do_not_flood_the_headline() -> None:
    """The same numbers at other places, for parts, or for variants without times leave the published rows alone."""
    more = [replace(claim, locator="Table 99") for claim in CLAIMS]
    more += [replace(claim, part="cow") for claim in CLAIMS]
    more += [replace(claim, variant="pool5") for claim in CLAIMS]
    summary = {"plan": {"methods": ["rcnn", "spp", "fast"], "backbone": "caffenet"}}
    assert published([*CLAIMS, *more]) == published(CLAIMS)
    assert published_beside([*CLAIMS, *more], summary) == published_beside(CLAIMS, summary)
