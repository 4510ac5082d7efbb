"""The published numbers are all there, as the papers print them, and nowhere else."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.claims import Claim
from printed import CLAIMS, VOC, find, printed

ROOT = Path(__file__).parents[2]
VERSIONS = {
    "RCNN": {"1311.2524v5", "rbgirshick/rcnn@43b0334"},
    "SPP": {"1406.4729v1", "1406.4729v2", "1406.4729v4"},
    "FRCN": {"1504.08083v2", "rbgirshick/fast-rcnn#62"},
}
ROWS = {
    **{("RCNN", "Abstract"): 1, ("RCNN", "Section 2.2"): 4, ("RCNN", "Section 3.3"): 1, ("RCNN", "Section 4.3"): 1},
    **{("RCNN", "Section 4.6"): 2, ("RCNN", "Appendix B"): 1, ("RCNN", "README"): 3, ("RCNN", "Figure 3"): 10},
    **{("RCNN", "Table 1"): 6 * 21, ("RCNN", "Table 2"): 10 * 21, ("RCNN", "Table 3"): 2 * 21, ("RCNN", "Table 4"): 8},
    # Two ends of v4; four of v1 and v2. Pixels 2, boxes 3, EdgeBoxes 3, and twice two ratios of conv.
    **{("SPP", "Abstract"): 2 + 4, ("SPP", "Section 4.1"): 2, ("SPP", "Section 4.2"): 1, ("SPP", "Section 4.3"): 12},
    # A column: mAP by layer, three times; two ratios.
    **{("SPP", "Table 9"): 3 * (5 + 3) + 2, ("SPP", "Table 10"): 3 * (2 + 3) + 2, ("SPP", "Table 7"): 10 * 21},
    **{("SPP", "Table 11"): 10 * 21, ("SPP", "Table 12"): 3 * 21, ("SPP", "Table 13"): 7, ("SPP", "Section 4.5"): 9},
    **{("FRCN", "Abstract"): 4, ("FRCN", "Section 1.1"): 1, ("FRCN", "Section 4.4"): 4, ("FRCN", "Section 4.5"): 2},
    **{("FRCN", "Table 1"): 5 * 21, ("FRCN", "Table 2"): 5 * 21, ("FRCN", "Table 3"): 5 * 21},
    # Three networks, two methods, five rows; SVD 3 x 3; SPP-net. A pie: mAP, time, five parts in % and ms.
    **{("FRCN", "Table 4"): 3 * 2 * 5 + 9 + 5, ("FRCN", "Figure 2"): 2 * (2 + 5 * 2) + 1, ("FRCN", "Table 5"): 8},
    **{("FRCN", "Table 6"): 12, ("FRCN", "Table 7"): 14, ("FRCN", "Table 8"): 9, ("FRCN", "Figure 3"): 4},
    **{("FRCN", "Section 5.5"): 4, ("FRCN", "Section 5.6"): 2, ("FRCN", "Issue 62"): 1},
}


def by_row() -> dict[tuple[str, ...], list[Claim]]:
    """Average precisions by row of their table."""
    rows: dict[tuple[str, ...], list[Claim]] = defaultdict(list)
    for claim in CLAIMS:
        if claim.quantity == "ap":
            rows[claim.citation, claim.name, claim.backbone, claim.train, claim.test].append(claim)
    return rows


def test_each_table_has_as_many_numbers_as_the_paper_prints() -> None:
    """Counted in the papers, table by table; nothing stands under another place."""
    assert Counter((claim.source, claim.locator) for claim in CLAIMS) == ROWS


def test_every_number_has_its_source() -> None:
    """No claim stands without paper, a version that was read, and place; the three methods have their network."""
    for claim in CLAIMS:
        assert claim.version in VERSIONS[claim.source]
        assert claim.locator.startswith(("Table ", "Figure ", "Section ", "Appendix ", "Abstract", "README", "Issue "))
        assert claim.backbone or claim.method not in ("rcnn", "spp", "fast")


@pytest.mark.parametrize("row", by_row().items(), ids=lambda row: " ".join(row[0][:4]))
def test_average_precisions_of_the_classes_give_the_printed_mean(row: tuple[tuple[str, ...], list[Claim]]) -> None:
    """Twenty classes of VOC in order; their mean differs from the printed mAP by rounding alone (0.08 at most)."""
    _, claims = row
    assert tuple(claim.part for claim in claims) == VOC
    first = claims[0]
    (mean,) = (
        claim
        for claim in find(first.source, first.locator, first.name, first.backbone, "map")
        if (claim.version, claim.train, claim.test) == (first.version, first.train, first.test)
    )
    assert sum(claim.value for claim in claims) / len(VOC) == pytest.approx(mean.value, abs=0.08 + 1e-9)


@pytest.mark.parametrize(
    ("where", "cells"),
    [
        ("SPP;Table 9;rcnn;Alex-5", "58.5 8.96 0.07 9.03 -"),
        ("SPP;Table 9;spp;ZF-5", "58.0 0.053 0.089 0.142 64"),
        ("SPP;Table 9;spp:5;ZF-5", "59.2 0.293 0.089 0.382 24"),
        ("SPP;Table 10;rcnn;ZF-5", "59.2 14.37 0.089 14.46 -"),
        ("SPP;Table 10;spp;ZF-5", "58.0 0.053 0.089 0.142 102"),
        ("SPP;Table 10;spp:5;ZF-5", "59.2 0.293 0.089 0.382 38"),
        ("FRCN;Table 4;fast;CaffeNet", "57.1 - - 0.10 98"),
        ("FRCN;Table 4;fast;VGG_CNN_M_1024", "59.2 - - 0.15 80"),
        ("FRCN;Table 4;fast;VGG16", "66.9 - - 0.32 146"),
        ("FRCN;Table 4;fast:svd;CaffeNet", "56.5 - - 0.06 169"),
        ("FRCN;Table 4;fast:svd;VGG_CNN_M_1024", "58.7 - - 0.08 150"),
        ("FRCN;Table 4;fast:svd;VGG16", "66.6 - - 0.22 213"),
        ("FRCN;Table 4;rcnn;CaffeNet", "58.5 - - 9.8 1"),
        ("FRCN;Table 4;rcnn;VGG_CNN_M_1024", "60.2 - - 12.1 1"),
        ("FRCN;Table 4;rcnn;VGG16", "66.0 - - 47.0 1"),
        ("FRCN;Table 4;spp:5;VGG16", "63.1 - - 2.3 20"),
        ("FRCN;Table 5;fast:fc6;VGG16", "61.4 - - 0.32 -"),
        ("FRCN;Table 5;fast;VGG16", "66.9 - - 0.32 -"),
        ("FRCN;Table 5;fast:conv2;VGG16", "67.2 - - 0.32 -"),
        ("FRCN;Table 5;spp:5;VGG16", "63.1 - - 2.3 -"),
        ("FRCN;Table 7;spp;ZF-5", "58.0 - - 0.14 -"),
        ("FRCN;Table 7;spp:5;ZF-5", "59.2 - - 0.38 -"),
        ("FRCN;Table 7;fast;CaffeNet", "57.1 - - 0.10 -"),
        ("FRCN;Table 7;fast:5;CaffeNet", "58.4 - - 0.39 -"),
        ("FRCN;Table 7;fast;VGG_CNN_M_1024", "59.2 - - 0.15 -"),
        ("FRCN;Table 7;fast:5;VGG_CNN_M_1024", "60.7 - - 0.64 -"),
        ("FRCN;Table 7;fast;VGG16", "66.9 - - 0.32 -"),
    ],
)
def test_each_printed_row_is_as_in_the_paper(where: str, cells: str) -> None:
    """The digits of the tables with times, typed in a second time here. [SPP Tables 9, 10; FRCN Tables 4, 5, 7]"""
    source, locator, name, backbone = where.split(";")
    quantities = ("map", "conv", "fc", "total", "speedup_total")
    assert " ".join(printed(source, locator, name, backbone, each) for each in quantities) == cells


@pytest.mark.parametrize(
    ("where", "cells"),
    [
        # [SPP Table 9]: pool5, fc6, ftfc6, ftfc7 of each column
        ("SPP;Table 9;spp:pool5 spp:fc6 spp:ftfc6 spp:ftfc7;ZF-5", "43.0 42.5 52.3 54.5"),
        ("SPP;Table 9;spp:5:pool5 spp:5:fc6 spp:5:ftfc6 spp:5:ftfc7;ZF-5", "44.9 44.8 53.7 55.2"),
        ("SPP;Table 9;rcnn:pool5 rcnn:fc6 rcnn:ftfc6 rcnn:no-bb;Alex-5", "44.2 46.2 53.1 54.2"),
        ("SPP;Table 10;spp:ftfc7 spp:5:ftfc7 rcnn:no-bb;ZF-5", "54.5 55.2 55.1"),
        # [FRCN Table 6]
        ("FRCN;Table 6;fast:classes fast:no-bb fast:stage-wise fast;CaffeNet", "52.2 53.3 54.6 57.1"),
        ("FRCN;Table 6;fast:classes fast:no-bb fast:stage-wise fast;VGG_CNN_M_1024", "54.7 55.5 56.6 59.2"),
        ("FRCN;Table 6;fast:classes fast:no-bb fast:stage-wise fast;VGG16", "62.6 63.4 64.0 66.9"),
        # [FRCN Table 8]
        ("FRCN;Table 8;rcnn fast:svm fast;CaffeNet", "58.5 56.3 57.1"),
        ("FRCN;Table 8;rcnn fast:svm fast;VGG_CNN_M_1024", "60.2 58.7 59.2"),
        ("FRCN;Table 8;rcnn fast:svm fast;VGG16", "66.0 66.8 66.9"),
    ],
)
def test_accuracies_are_as_in_the_paper(where: str, cells: str) -> None:
    """Ablations, typed in a second time here."""
    source, locator, names, backbone = where.split(";")
    assert " ".join(printed(source, locator, name, backbone, "map") for name in names.split()) == cells


def test_training_times_are_as_in_the_paper() -> None:
    """Hours and ratios equal the first two rows of [FRCN Table 4]."""
    sizes = ("CaffeNet", "VGG_CNN_M_1024", "VGG16")
    hours = [printed("FRCN", "Table 4", name, size, "train") for name in ("fast", "rcnn") for size in sizes]
    assert hours == ["1.2", "2.0", "9.5", "22", "28", "84"]
    assert [printed("FRCN", "Table 4", "fast", size, "speedup_train") for size in sizes] == ["18.3", "14.0", "8.8"]
    assert [printed("FRCN", "Table 4", "spp:5", "VGG16", each) for each in ("train", "speedup_train")] == ["25", "3.4"]


def digits(written: str) -> int:
    """Significant digits of a literal; zeros at either end do not make a number distinctive."""
    return len(written.replace("_", "").replace(".", "").strip("0"))


def literals() -> Iterator[tuple[str, float]]:
    """Numbers in the code of both packages that have three digits or more; strings, docstrings with them, have none."""
    for path in sorted(path for package in ("harness", "detectors") for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and digits(repr(node.value)) >= 3:
                yield path.relative_to(ROOT).as_posix(), node.value


JUSTIFIED = {
    ("detectors/parts/backbones/architecture.py", 0.406),
    ("detectors/parts/backbones/architecture.py", 0.229),
}
"""ImageNet's mean and deviation of colours, which are some class's average precision by accident."""


def test_no_code_repeats_a_number_that_stands_here() -> None:
    """No literal of three digits or more equals a printed number, or a printed percentage as a fraction."""
    values = {claim.value for claim in CLAIMS if digits(claim.printed) >= 3}
    values |= {round(claim.value / 100, 9) for claim in CLAIMS if claim.unit == "%" and digits(claim.printed) >= 3}
    assert {(path, value) for path, value in literals() if value in values} == JUSTIFIED
