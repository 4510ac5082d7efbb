"""Published numbers are read as typed, and each says how exactly it is known."""

from __future__ import annotations

import csv
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.claims import DETECTING, READINGS, UNITS, Claim, ClaimError, read_claims

HEADER = (
    "source,version,locator,method,variant,backbone,train,test,stages,quantity,part,printed,reading,unit,relative_to,"
    "hardware,note"
)
GOOD = "SPP,1406.4729v4,Table 9,spp,,ZF-5,VOC07,VOC07 test,conv,conv,,0.053,printed,s,,a GPU,"
CLAIMS = read_claims()


def refused(folder: Path, line: str) -> str:
    folder.joinpath("odd.csv").write_text(f"{HEADER}\n{GOOD}\n{line}\n", encoding="utf-8")
    with pytest.raises(ClaimError) as caught:
        read_claims(folder)
    return str(caught.value)


def a_claim(printed: str, reading: str) -> Claim:
    return replace(CLAIMS[0], printed=printed, reading=reading)


@pytest.mark.parametrize(
    ("printed", "reading", "low", "high"),
    [
        ("0.10", "printed", 0.095, 0.105),
        ("22", "printed", 21.5, 22.5),
        ("270", "printed", 269.5, 270.5),
        ("160", "about", 155, 165),
        ("2000", "about", 1500, 2500),
        ("24", "about", 23.5, 24.5),
        ("0.2", "about", 0.15, 0.25),
        ("0.20", "about", 0.195, 0.205),
        ("30", "cut", 30, 31),
        ("2.5", "cut", 2.5, 2.6),
        ("58.2", "by eye", 57.7, 58.7),
    ],
)
def test_the_reading_says_what_a_number_may_stand_for(printed: str, reading: str, low: float, high: float) -> None:
    """Rounded: half a unit either way; about: zeros behind it are no digits; cut: only upwards; by eye: five units."""
    claim = a_claim(printed, reading)
    assert (claim.low, claim.high) == pytest.approx((low, high), abs=1e-12)


@given(st.decimals("0.001", "10000", places=3), st.integers(0, 3))
def test_what_was_rounded_or_cut_lies_within_its_interval(true: Decimal, places: int) -> None:
    """A number that is written with fewer digits, rounded or cut off, is allowed by what was written."""
    unit = Decimal(1).scaleb(-places)
    rounded = a_claim(f"{true.quantize(unit, 'ROUND_HALF_UP')}", "printed")
    cut = a_claim(f"{true.quantize(unit, 'ROUND_DOWN')}", "cut")
    for claim in (rounded, cut):
        assert claim.low - 1e-9 <= float(true) <= claim.high + 1e-9


@given(st.integers(1, 99_999), st.sampled_from(READINGS))
def test_every_reading_holds_the_printed_number(number: int, reading: str) -> None:
    """The printed digits themselves are always among what they may stand for, and the interval is not a point."""
    claim = a_claim(str(number), reading)
    assert claim.low <= claim.value <= claim.high
    assert claim.low < claim.high


def test_fields_are_typed() -> None:
    """Stages are names of the harness, absent baselines and hardware are None, readings and units are known."""
    for claim in CLAIMS:
        assert set(claim.stages) <= {"proposals", *DETECTING}
        assert claim.reading in READINGS
        assert claim.unit == UNITS[claim.quantity]
        assert claim.hardware != ""
        assert (claim.relative_to is None) == (claim.unit != "x")
        assert claim.relative_to is None or all(claim.relative_to.partition("@"))
        assert isinstance(claim.value, float)


def test_stage_names_are_those_of_the_detectors() -> None:
    """The names which the reporting path spells out are the contract's stages, in order."""
    contract = pytest.importorskip("detectors.contract")
    assert tuple(stage.value for stage in contract.Stage.of_detecting()) == DETECTING


def test_every_row_of_the_files_is_read() -> None:
    """As many claims as lines in the three files, each with a quantity that has a unit."""
    folder = Path(__file__).parents[2] / "results" / "reference"
    rows = [
        row for path in folder.glob("*.csv") for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())
    ]
    assert len(rows) == len(CLAIMS)
    assert {row["quantity"] for row in rows} <= set(UNITS)


@pytest.mark.parametrize(
    ("column", "text", "says"),
    [
        ("source", "", "source is empty"),
        ("version", "", "version is empty"),
        ("locator", "", "locator is empty"),
        ("reading", "", "reading is empty"),
        ("reading", "roughly", "no reading 'roughly'; there are printed, about, cut, by eye"),
        ("printed", "~0.05", "printed must be digits"),
        ("printed", "nan", "printed must be digits"),
        ("unit", "ms", "conv is given in 's'"),
        ("quantity", "speed", "no quantity 'speed'"),
        ("stages", "conv nms", "no stage 'nms'"),
        ("relative_to", "rcnn@ZF-5", "relative_to is for ratios"),
    ],
)
def test_a_bad_cell_is_named_with_file_and_line(tmp_path: Path, column: str, text: str, says: str) -> None:
    """The message leads to the line."""
    cells = dict(zip(HEADER.split(","), GOOD.split(","), strict=True)) | {"locator": "Table 10", column: text}
    message = refused(tmp_path, ",".join(cells.values()))
    assert message.startswith("odd.csv line 3: ")
    assert says in message


def test_an_average_precision_without_its_class_is_refused(tmp_path: Path) -> None:
    """The mean over classes is another quantity."""
    line = GOOD.replace("conv,conv,,0.053,printed,s", ",ap,,43.1,printed,%")
    assert "part is empty" in refused(tmp_path, line)


def test_rows_that_differ_in_part_or_data_stand_side_by_side(tmp_path: Path) -> None:
    """Two classes, or two training sets, are two numbers; the same line twice is a slip."""
    line = GOOD.replace("conv,conv,,0.053,printed,s", ",ap,cow,43.1,printed,%")
    lines = [HEADER, line, line.replace("cow", "dog"), line.replace("VOC07,", "VOC12,")]
    (tmp_path / "odd.csv").write_text("\n".join(lines), encoding="utf-8")
    assert [claim.part for claim in read_claims(tmp_path)] == ["cow", "dog", "cow"]


def test_a_broken_table_is_named(tmp_path: Path) -> None:
    """A doubled row, an unquoted comma, an open quote, a wrong header and an empty folder each have their message."""
    assert "says the same as odd.csv line 2" in refused(tmp_path, GOOD)
    assert "odd.csv line 3: expected 17 cells, got 18" in refused(tmp_path, GOOD + ",and more")
    assert refused(tmp_path, GOOD + '"unclosed').startswith("odd.csv line 3")
    assert refused(tmp_path, '"unclosed').startswith("odd.csv line 3")
    (tmp_path / "odd.csv").write_text("a,b\n", encoding="utf-8")
    with pytest.raises(ClaimError, match=r"odd\.csv line 1: expected the columns source,version"):
        read_claims(tmp_path)
    (tmp_path / "odd.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(ClaimError, match=r"odd\.csv: is not UTF-8"):
        read_claims(tmp_path)
    (tmp_path / "odd.csv").unlink()
    with pytest.raises(ClaimError, match="holds no reference table"):
        read_claims(tmp_path)
