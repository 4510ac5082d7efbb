"""Every number of a report is led back to the summary by a reader that knows nothing of how reports are written."""

from __future__ import annotations

import json
import random
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.claims import read_claims
from harness.tracing.literals import Literals
from harness.tracing.numerals import NUMBER, Numeral
from harness.tracing.origins import Origins
from harness.tracing.passages import Passage, of_html, of_markdown
from harness.tracing.template_wording import TEMPLATE_WORDING
from harness.tracing.tracer import Tracer
from harness.tracing.units import SUFFIX, scales_of, scales_within

RUNS = Path(__file__).parents[2] / "results" / "runs"
FEW = {"features": {"mean": 2.1, "low": 0.011, "high": 393.2}}
"""Of two images, whose interval is so wide that its lower end is rounded away."""
SUMMARY: dict[str, Any] = {
    "command": "harness compare --methods rcnn,spp:5 --images 48",
    "plan": {"methods": ["rcnn", "spp:5"], "sweep": "proposals=300"},
    "machine": {"threads": 2, "memory_bytes": 25276502016, "cpu": "Some CPU 7000"},
    "dataset": {"classes": ["ring"]},
    "trust": {"reasons": ["p95 needs 59 images, there are 48"]},
    "methods": {
        "rcnn": {"seconds": {"conv": {"mean": 0.75, "low": 0.7, "high": 0.8}, "total": {"mean": 1.5}}},
        "spp:5": {"seconds": {"conv": {"mean": 0.0625}, "total": {"mean": 0.25}, **FEW}, "ap": {"ring": 0.4321}},
    },
    "speedup": {"spp:5": {"conv": {"value": 12.0, "low": 11.25, "high": 13.0}, "total": {"value": 6.0}}},
    "lines": {"spp:5": {"proposals": {"slope": {"value": 0.000123, "low": 0.0001, "high": 0.0002}}}},
    "claims": [
        {
            **{"source": "SPP", "locator": "Table 10", "version": "1406.4729v4", "printed": "30", "delta": -0.6},
            "measured": {"value": 14.0, "low": 13.25, "high": 15.0},
        }
    ],
    "notices": [{"method": "rcnn", "text": "slow", "image": str(i)} for i in range(17)],
    "series": {"rcnn": [0.123456]},
}


@pytest.fixture
def tracer() -> Tracer:
    """Of a made-up summary."""
    return Tracer(SUMMARY, {"created": "2026-01-02T03:04:05+00:00"}, read_claims())


def cell(text: str, row: str = "rcnn", column: str = "", corner: str = "method", heading: str = "") -> Passage:
    """A cell of a table."""
    return Passage(text, heading, (row, text), column, corner)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("10.5× [9.0, 12.2]", ["10.5", "9.0", "12.2"]),
        ("-310 and −2 and +3.2 %", ["-310", "−2", "+3.2"]),
        ("1,024 of 12,345.6", ["1,024", "12,345.6"]),
        ("VOC07 p50 ZF-5 fp32 1406.4729v4 torch 2.15.0 2nd", []),
        ("12x, 48ms, 9h", ["12", "48", "9"]),
    ],
)
def test_numbers_stand_by_themselves(text: str, numbers: list[str]) -> None:
    """Those of names and versions are no numbers."""
    assert re.findall(NUMBER, text) == numbers


@given(
    st.floats(-1e6, 1e6).filter(lambda number: abs(number) > 1e-6),
    st.integers(-3, 6),
)
def test_a_rounding_is_known_as_one(number: float, decimals: int) -> None:
    """Whatever the digit that it was rounded to; and a number a whole digit away is not taken for it."""
    assume(abs(number) >= 10.0 ** -min(decimals, 0))  # no report rounds all of a number away
    written = f"{round(number, decimals) + 0.0:.{max(decimals, 0)}f}"
    assert Numeral(written).rounds(number)
    assert Numeral(written.replace("-", "−")).rounds(number)
    step = 10.0 ** -max(decimals, 0)
    zeros = len(written) - len(written.rstrip("0")) if decimals <= 0 else 0
    assert not Numeral(written).rounds(number + 2 * step * 10**zeros)


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        (" ms", 1e3),
        ("×", 1.0),
        (" %", 100.0),
        (" points", 100.0),
        (" GiB", 2.0**-30),
        (" GFLOP/s", 1e-9),
        (" TFLOP/s", 1e-12),
        (" s", 1.0),
        (" µs", 1e6),
        (" · 10^9", 1e-9),
    ],
)
def test_a_unit_behind_a_number_says_its_scale(text: str, scale: float) -> None:
    """Seconds, fractions, bytes and operations are what a summary holds."""
    found = SUFFIX.match(text)
    assert found is not None
    assert scales_of(found)[0] == pytest.approx(scale)


@pytest.mark.parametrize(
    ("passage", "scale"),
    [
        (cell("1", row="very first call (ms)"), 1e3),
        (cell("1", column="of the copy (%)"), 100.0),
        (cell("1", row="conv", corner="10^9 operations per image"), 1e-9),
        (cell("1", heading="Average precision (VOC07, %)"), 100.0),
        (cell("1", row="microseconds a mark", corner="overhead"), 1e6),
        (cell("1", column="total (s/image)", corner="ms"), 1.0),
        (cell("1", row="shapes warmed up", corner="warm-up"), 1.0),
    ],
)
def test_a_label_says_the_scale_of_a_bare_number(passage: Passage, scale: float) -> None:
    """The nearest label with a unit counts: row, column, corner, heading."""
    assert scales_within(passage) == pytest.approx((scale,))


def test_both_kinds_of_report_give_the_same_passages() -> None:
    """A table in Markdown and the same in HTML; marks of footnotes and pictures are nobody's numbers."""
    markdown = "## Times\n\n| ms | spp |\n|:---|---:|\n| conv | 12[^1] |\n\n![of 7](a.svg)\n\n[^1]: why"
    page = (
        "<style>p{top:9px}</style><h2>Times</h2><table><tr><th>ms</th><th>spp</th></tr>"
        "<tr><td>conv</td><td><b>12</b></td></tr></table><svg><text>7</text></svg><p>why</p><script>3</script>"
    )
    assert of_markdown(markdown) == of_html(page)
    assert Passage("12", "Times", ("conv", "12"), "spp", "ms") in of_html(page)
    assert of_html(page)[-1] == Passage("why", "Times")
    assert Passage("12", "Times", ("conv", "12"), "spp", "ms").place == "Times, row conv, column spp"


def test_lines_of_a_cell_are_apart() -> None:
    """Published, measured and verdict stand in one cell, each in its line."""
    found = of_markdown("| a | b |\n|---|---|\n| x | 30×<br>12.0×<br>not met |\n")
    assert [one.text for one in found if one.column == "b"] == ["30×", "12.0×", "not met"]


@pytest.mark.parametrize(
    ("passage", "explained"),
    [
        (cell("0.75", column="conv (s/image)"), True),
        (cell("0.76", column="conv (s/image)"), False),
        (cell("750", row="conv", column="rcnn", corner="ms per image"), True),
        (cell("750 (50.0 %)", row="conv", column="rcnn", corner="ms per image"), True),
        (cell("750 (51.0 %)", row="conv", column="rcnn", corner="ms per image"), False),
        (cell("62.5", row="conv", column="rcnn", corner="ms per image"), False),
        (cell("1500", row="conv", column="rcnn", corner="ms per image"), False),
        (cell("12.0× [11.2, 13.0]", row="spp:5"), True),
        (cell("12.0× [11.2, 13.1]", row="spp:5"), False),
        (cell("12.0× [11.2, –]", row="spp:5"), False),
        (cell("6.0× [11.2, 13.0]", row="spp:5"), False),
        (cell("2000 [0, 393000]", row="features", column="spp:5", corner="ms per image"), True),
        (cell("2000 [0, 395000]", row="features", column="spp:5", corner="ms per image"), False),
        (cell("12.0× ± 1.0", row="spp:5"), True),
        (cell("12.0× ± 1.5", row="spp:5"), False),
        (cell("43.2", row="ring", column="spp:5", heading="Average precision (VOC07, %)"), True),
        (cell("43.2", row="ring", column="rcnn", heading="Average precision (VOC07, %)"), False),
        (cell("12.3 [10.0, 20.0]", row="each 100 proposals more (ms)", column="spp:5"), True),
        (Passage("it said so of 17 images"), True),
        (Passage("it said so of 18 images"), False),
        (cell("23.5 GiB", row="memory", column="value"), True),
        (cell("2", row="threads", column="value"), True),
        (cell("6", row="threads", column="value"), False),
        (cell("Some CPU 7000", row="cpu", column="value"), True),
        (Passage("harness compare --methods rcnn,spp:5 --images 48"), True),
        (Passage("Not shown: p95 needs 59 images; p99 needs 59 images."), True),
        (Passage("Not shown: p95 needs 58 images."), False),
        (Passage("0.123456 s"), False),
    ],
)
def test_a_number_is_explained_by_its_own_method_stage_and_unit(
    tracer: Tracer, passage: Passage, explained: bool
) -> None:
    """One that is right elsewhere, of another interval, or of what figures alone show, explains nothing."""
    assert (tracer.unexplained(passage) == []) is explained


def test_printed_numbers_stand_beside_their_source(tracer: Tracer) -> None:
    """A published row shows what its source prints and nothing that was measured, which no other shows."""
    claim = next(one for one in read_claims() if one.printed == "14.46")
    row = ("rcnn", "14.46", "published", claim.citation)
    assert tracer.unexplained(Passage("14.46", "", row, "total (s/image)", "method")) == []
    other = ("rcnn", "0.75", "published", claim.citation)
    assert tracer.unexplained(Passage("0.75", "", other, "total (s/image)", "method")) == ["0.75"]
    assert tracer.unexplained(Passage("14.46 s")) == ["14.46"]
    assert tracer.unexplained(Passage(f"{claim.citation}: rcnn with ZF-5 14.46 s")) == []
    assert tracer.unexplained(Passage(f"{claim.citation}: rcnn with ZF-5 14.47 s")) == ["14.47"]


def test_a_judged_claim_is_in_its_own_unit(tracer: Tracer) -> None:
    """Measured beside published, and how far they are apart."""
    heading, elsewhere = "The papers' claims", "SPP Table 9 (1406.4729v4)"
    assert tracer.unexplained(Passage("14.0× [13.2, 15.0]", heading)) == []
    assert tracer.unexplained(Passage("-60 %", heading)) == []
    assert tracer.unexplained(Passage("-61 %", heading)) == ["-61"]
    assert tracer.unexplained(Passage("-60 %")) == ["-60"]
    assert tracer.unexplained(Passage("-60 %", elsewhere)) == ["-60"]


def test_a_row_that_cites_shows_nothing_else_of_the_run(tracer: Tracer) -> None:
    """Such as a row of a paper's table: what stands beside the printed number is what was judged for it."""
    row = ("conv", "SPP Table 10 (1406.4729v4)", "14.0×")
    assert tracer.unexplained(Passage("14.0×", "", row, "measured", "claim")) == []
    assert tracer.unexplained(Passage("12.0×", "", row, "measured", "claim")) == ["12.0"]
    assert tracer.unexplained(Passage("12.0×", "", ("conv", "12.0×"), "measured", "stage")) == []


def test_numbers_by_rule_are_those_that_the_rules_name() -> None:
    """The share of a stage, worked out here by hand."""
    found = {one.path: one.value for one in Origins(SUMMARY).numbers}
    assert found["methods", "spp:5", "share of the total", "conv"] == 0.25
    assert found["speedup", "spp:5", "conv", "longer arm"] == 1.0
    assert not any("series" in path for path in found)


def test_a_text_hides_no_number_beside_it() -> None:
    """Known texts are taken out as whole words, so that what stands beside them is still read."""
    literals = Literals([{"methods": ["spp:5"]}], read_claims())
    assert "12" in literals.hide("spp:5 took 12 s")
    assert "5" in literals.hide("xspp:5")


def _mutated(text: str, rng: random.Random) -> str | None:
    """With one digit of one number another; None where it has no number."""
    places = [at for found in re.finditer(NUMBER, text) for at in range(*found.span()) if text[at].isdigit()]
    if not places:
        return None
    at = rng.choice(places)
    return text[:at] + rng.choice([digit for digit in "0123456789" if digit != text[at]]) + text[at + 1 :]


@pytest.mark.parametrize("name", ["shapes-default", "caffenet-speed"])
def test_a_changed_digit_is_nearly_always_found(name: str) -> None:
    """With thousands of numbers to choose from, few wrong ones may pass for the rounding of another.

    Each cell of the committed report's tables with one digit changed, by a fixed seed: in more than five of six
    cells that a method's name makes narrow, the change is found without asking what wrote the report.
    """
    run, rng = RUNS / name, random.Random(6)
    summary, manifest = (json.loads((run / f"{each}.json").read_text()) for each in ("summary", "manifest"))
    tracer = Tracer(summary, manifest, read_claims())
    cells = [one for one in of_markdown((run / "report.md").read_text()) if one.column in summary["plan"]["methods"]]
    found = []
    for one in cells:
        assert tracer.unexplained(one) == []
        if (text := _mutated(one.text, rng)) is not None:
            found.append(bool(tracer.unexplained(replace(one, text=text))))
    assert len(found) > 100
    assert sum(found) / len(found) > 5 / 6


def test_listed_wording_is_wording_of_reports() -> None:
    """A sentence that no report of the committed runs has any more need not be listed, rare ones aside."""
    names = ("shapes-default", "caffenet-speed")
    pages = [of_markdown((RUNS / name / "report.md").read_text()) for name in names]
    pages += [of_html((RUNS.parent / "pages" / f"{name}.html").read_text()) for name in names]
    lines = {one.text for page in pages for one in page}
    unused = {one.pattern for one in TEMPLATE_WORDING if not any(one.search(line) for line in lines)}
    assert unused <= {r"^< 0\.1$"}
