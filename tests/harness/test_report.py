"""The report: every number from the result model, nothing invented for what is missing."""

from __future__ import annotations

import copy
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from harness.claims import read_claims
from harness.rendering.cells import rounded
from harness.rendering.published import published, published_beside
from harness.report import excerpt, markdown, page, terminal
from harness.tables import Estimate, headline, methods, rated

CLAIMS = read_claims()


def interval(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean * 0.95, "high": mean * 1.05}


def result(voc07: float, conv: float, fc: float, total: float) -> dict[str, Any]:
    named = {
        "prepare": 0.011,
        "propose": 0.0,
        "conv": conv,
        "pool": 0.007,
        "fc": fc,
        "decode": 0.003,
        "suppress": 0.002,
    }
    seconds: dict[str, Any] = {name: interval(value) for name, value in named.items()}
    seconds["unattributed"] = interval(total - sum(named.values()))
    seconds |= {"features": interval(0.9 * total), "total": interval(total), "full_system": None}
    return {
        "status": "ok",
        "reason": None,
        "paper": "SPP",
        "trained": True,
        "map": {
            "voc07": {"value": voc07, "low": None, "high": None, "tie_low": voc07, "tie_high": voc07, "reason": None},
            "voc10": {"value": voc07 + 0.01, "low": None, "high": None, "reason": None},
        },
        "ap": {"disc": 0.8123, "ring": None, "a|b\nc": 0.4321},
        "seconds": seconds,
        "fit_seconds": {"finetune": 61.7, "svm": 12.3, "total": 75.4},
        "model_bytes": 493824,
        "detections": 4321,
    }


def ratio(value: float) -> dict[str, Any]:
    return {"value": value, "low": value - 1.2, "high": value + 1.1, "flop_ratio": None, "reason": "not counted"}


SUMMARY: dict[str, Any] = {
    "schema_version": 1,
    "trust": {"verdict": "inconclusive", "reasons": ["clock fell by 7 %", "another process ran"]},
    "created": "2026-01-02T03:04:05Z",
    "command": "harness compare --methods rcnn,spp,fast --seed 3",
    "baseline": "rcnn",
    "plan": {
        "methods": ["rcnn", "spp", "fast"],
        "dataset": "shapes",
        "split": "test",
        "backbone": "mini",
        "weights": "auto",
        "policy": "shared",
        "device": "cpu",
        "precision": "fp32",
        "processes": 1,
        "seed": 3,
        "fc_width": 256,
    },
    "machine": {
        "cpu": "Some CPU",
        "memory_bytes": 8 * 2**30,
        "gpu": None,
        "gpu_reason": "no CUDA device",
        "threads": 2,
    },
    "dataset": {
        "name": "shapes",
        "classes": ["disc", "ring", "a|b\nc"],
        "train_images": 40,
        "images": 24,
        "proposals_per_image": {"mean": 1834.26, "min": 512, "max": 1999},
        "recall": {"0.5": 0.953, "0.7": None, "0.7_reason": "not asked for"},
        "proposal_seconds": 0.7123,
    },
    "methods": {
        "rcnn": result(0.7123, 8.123, 0.0712, 8.765),
        "spp": result(0.6891, 0.0531, 0.0892, 0.1923),
        "fast": {"status": "oom", "reason": "no memory | at 1999 boxes", "paper": "FRCN"},
    },
    "speedup": {"spp": {"conv": ratio(153.0), "features": ratio(47.3), "total": ratio(45.6)}},
    "claims": None,
    "claims_reason": "they are not computed yet",
}


V1 = json.loads((Path(__file__).parent / "data" / "summary-v1.json").read_text(encoding="utf-8"))


def row(text: str, first: str, nth: int = 0) -> list[str]:
    """Cells of the nth table row that begins with a cell."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [cells for cells in rows if cells[0] == first][nth]


def test_headline_numbers_are_those_of_the_summary() -> None:
    """mAP in percent, seconds per image and the ratio with its interval stand in the row of the method."""
    text = markdown(SUMMARY, CLAIMS)
    assert row(text, "**rcnn**")[1:9] == ["71.2", "8.12", "0.0712", "8.77", "baseline", "baseline", "mini", "ok"]
    assert row(text, "**spp**")[1:7] == [
        "68.9",
        "0.0531",
        "0.0892",
        "0.1923",  # its half width is 0.0096, so the fourth digit is the last worth showing
        "153.0× [151.8, 154.1]",
        "45.6× [44.4, 46.7]",
    ]
    assert row(text, "features")[2] == "47.3× [46.1, 48.4]"


def test_a_failed_method_is_a_row_with_its_reason_and_no_zero() -> None:
    """`oom` shows as a status, dashes and a footnote."""
    text = markdown(SUMMARY, CLAIMS)
    cells = row(text, "**fast**")
    assert all(re.fullmatch(r"–\[\^\d+\]", cell) for cell in cells[1:7])
    assert cells[8] == r"oom: no memory \| at 1999 boxes"
    number = cells[1].removeprefix("–[^").removesuffix("]")
    assert rf"[^{number}]: oom: no memory \| at 1999 boxes" in text


def test_a_method_that_was_not_reached_is_skipped() -> None:
    """A plan of three with two results still has three rows."""
    cut = copy.deepcopy(SUMMARY)
    del cut["methods"]["fast"]
    assert methods(cut)["fast"]["status"] == "skipped"
    assert row(markdown(cut), "**fast**")[8].startswith("skipped: ")


def test_published_rows_stand_in_the_same_columns_as_printed() -> None:
    """The rows of [SPP Table 9] and [FRCN Table 4] keep their digits and name their source."""
    text = markdown(SUMMARY, CLAIMS)
    assert "| 58.0 | 0.053 | 0.089 | 0.142 | 170× | 64× | ZF-5 |" in re.sub(r" +", " ", text)
    assert "SPP Table 9 (1406.4729v4); conv ratio SPP Section 4.3 (1406.4729v2)" in text
    assert "0.10 s" in text
    assert [r.method for r in published(CLAIMS, ["fast"])] == ["fast"] * 3 + ["fast:svd"] * 3


def test_a_ratio_printed_in_the_text_joins_the_table_with_its_baseline() -> None:
    """270x is relative to ZF-5 and so belongs to Table 10, 170x is relative to Alex-5 and to Table 9. [SPP 4.3]"""
    found = {(r.source or "")[:12]: r.speedup_conv.value for r in published(CLAIMS, ["spp"]) if r.method == "spp"}
    assert found == {"SPP Table 9 ": 170.0, "SPP Table 10": 270.0}


def test_missing_values_carry_their_reason() -> None:
    """Each dash has a footnote, and each footnote says why."""
    text = markdown(SUMMARY, CLAIMS)
    notes = dict(re.findall(r"^\[\^(\d+)\]: (.+)$", text, flags=re.MULTILINE))
    used = set(re.findall(r"–\[\^(\d+)\]", text))
    assert used == set(notes)
    assert "not asked for" in notes.values()
    assert "no object of this class counts in the evaluated images" in notes.values()
    assert not re.search(r"\b(nan|None|null|inf)\b", text)


UNTRAINED: dict[str, Any] = {"value": None, "low": None, "high": None, "reason": "untrained: nothing was learnt"}


def untrained() -> dict[str, Any]:
    """A run of five methods of which none was trained."""
    run = copy.deepcopy(SUMMARY)
    names = ["rcnn", "spp", "spp:5", "fast", "fast:svd"]
    run["plan"]["methods"], run["dataset"]["train_images"] = names, 0
    run["methods"] = {name: result(0.5, 8.123, 0.0712, 8.765) for name in names}
    run["speedup"] = {name: {key: ratio(153.0) for key in ("conv", "features", "total")} for name in names[1:]}
    for about in run["methods"].values():
        about |= {"trained": False, "map": {"voc07": UNTRAINED, "voc10": UNTRAINED}, "ap": None, "fit_seconds": {}}
    return run


def test_an_untrained_run_says_so_and_shows_no_zero() -> None:
    """In the place of each mAP, with the reason; there is neither a training nor a class to show."""
    text = markdown(untrained(), CLAIMS)
    assert re.fullmatch(r"untrained\[\^\d+\]", row(text, "**spp:5**")[1])
    assert "]: untrained: nothing was learnt" in text
    assert "Nothing was trained" in text
    assert "finetune" not in text
    assert "\n| disc " not in text
    assert "Average precision" not in text
    assert "of an mAP" not in text
    assert "24 images, untrained" in excerpt(untrained(), CLAIMS, figures="")


def test_five_methods_fit_a_terminal() -> None:
    """80 columns, no line broken or cut, and the papers' rows are those of the variants that were run."""
    lines = screen(untrained())
    assert max(map(len, lines)) <= 80
    own = [line for line in lines if "153.0× ± 1.2" in line]
    assert [line.split()[:2] for line in own] == [[name, "untrained"] for name in ("spp", "spp:5", "fast", "fast:svd")]
    text = "\n".join(lines)
    assert "mAP: untrained: nothing was learnt." in text
    for words in (
        "fast:svd   56.5      –      –   0.06         –      169×  FRCN Table 4, CaffeNet",
        "SPP Table 9, ZF-5",
    ):
        assert words in text
    assert "…" not in text


def screen(run: dict[str, Any]) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=80, no_color=True).print(terminal(run, CLAIMS))
    return stream.getvalue().splitlines()


def test_other_arithmetic_than_float32_is_said_beside_the_device() -> None:
    """On the screen and in every report; float32 goes without saying."""
    run = copy.deepcopy(SUMMARY)
    assert ", fp32" not in screen(run)[0]
    run["plan"]["precision"] = "bf16"
    assert "CPU (Some CPU, 2 threads), bf16" in screen(run)[0]
    assert "CPU (Some CPU, 2 threads), bf16" in page(run, CLAIMS, figures="")


def test_operations_take_speed_ups_apart() -> None:
    """In 10^9 per image; what is missing has its reason, and a run that counted none has no such part."""
    assert "Floating-point operations" not in markdown(SUMMARY)
    run = copy.deepcopy(SUMMARY)
    for about in run["methods"].values():  # as of a run folder without counts that is summarised anew
        about |= {"flops": None, "flops_reason": "floating-point operations were not counted"}
    assert "Floating-point operations" not in markdown(run)
    run = copy.deepcopy(SUMMARY)
    stages = {"prepare": 1e6, "propose": 0, "conv": 5.25e9, "pool": 0, "fc": 1.5e9, "decode": 2e7, "suppress": None}
    run["methods"]["rcnn"] |= {"flops": {**stages, "total": 6.8e9, "features": 6.7e9}, "flops_reason": None}
    run["methods"]["spp"] |= {"flops": None, "flops_reason": "it reads values back"}
    run["speedup"]["spp"]["conv"] |= {"flop_ratio": 12.5, "utilisation_ratio": 12.24}
    run["speedup"]["spp"]["total"] |= {"flop_ratio": None, "utilisation_ratio": None, "flop_reason": "no operations"}
    text = markdown(run)
    assert row(text, "conv", 2)[1] == "5.25"
    assert row(text, "conv: ratio of operations")[2] == "12.5×"
    assert row(text, "conv: ratio of utilisation")[2] == "12.24×"  # as well known as the speed-up: 12.15 to 12.33
    notes = dict(re.findall(r"^\[\^(\d+)\]: (.+)$", text, flags=re.MULTILINE))
    assert {"it reads values back", "no operations", "this is the baseline"} <= set(notes.values())
    assert "## Floating-point operations" in page(run, figures="")


def with_peak() -> dict[str, Any]:
    """A run whose methods did 4e12 operations an image in conv on a device that does 1e12 a second at most."""
    run = copy.deepcopy(SUMMARY)
    rates = {"matmul_flops_per_second": 1e12, "copy_bytes_per_second": 5e10}
    each = {**rates, "precision": "fp32", "matmul_size": 2048, "copy_bytes": 2**28, "process": 0}
    run |= {"peak": {**rates, "precision": "fp32", "processes": [each]}, "peak_reason": None}
    share = {"compute": 0.4924, "memory": 0.1231, "reason": None}
    for about in run["methods"].values():
        about |= {"peak_share": {"conv": share}, "launches": {"conv": 41.0}, "launches_reason": None}
    return run


def test_shares_of_the_peak_stand_in_a_table_of_their_own() -> None:
    """In the report and in the page; a run without a peak has none, and the screen has one line of it."""
    assert "device's peak" not in markdown(SUMMARY) + "".join(screen(SUMMARY))
    for text in (markdown(with_peak()), page(with_peak(), figures="")):
        assert "## Share of the device's peak" in text
        line = next(line for line in text.splitlines() if re.match(r"\| conv +\| rcnn", line))
        assert [cell.strip() for cell in line.split("|")[2:-1]] == ["rcnn", "8120", "49.2", "12.3", "41"]
    lines = screen(with_peak())
    assert [line.strip() for line in lines if "peak" in line] == ["conv, % of the device's peak: rcnn 49, spp 49"]
    assert max(map(len, lines)) <= 80


def test_notices_stand_under_their_method() -> None:
    """One line for each text, with the images that it was said of."""
    assert "## Notices" not in markdown(SUMMARY)
    run = copy.deepcopy(SUMMARY)
    run["notices"] = [
        {"method": "rcnn", "image": None, "text": "few | objects"},
        *({"method": "rcnn", "image": f"i{index}", "text": "chunk halved to 64"} for index in range(5)),
        {"method": "spp", "image": "i7", "text": "chunk halved to 64"},
    ]
    text = markdown(run)
    assert r"- **rcnn**: few \| objects (while fitting)" in text
    assert "- **rcnn**: chunk halved to 64 (5 images: i0, i1, i2, …)" in text
    assert "- **spp**: chunk halved to 64 (1 image: i7)" in text


def test_a_fit_that_serves_two_methods_is_counted_once() -> None:
    """Its seconds stand with the first, the other names it."""
    run = copy.deepcopy(SUMMARY)
    run["methods"]["spp"] |= {"fitted_as": "rcnn", "chunk": 128}
    text = markdown(run)
    assert row(text, "finetune")[1] == "61.7"
    assert row(text, "finetune")[2].startswith("–[^")
    assert "spp detects with the model that was fitted as rcnn" in text
    assert "]: fitted as rcnn" in text
    assert row(text, "boxes computed at a time")[2] == "128"


def test_names_cannot_break_a_table() -> None:
    """A class name with a pipe and a newline stays in one cell."""
    text = markdown(SUMMARY)
    assert row(text, r"a\|b c")[1] == "43.2"
    tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_settings_come_before_numbers() -> None:
    """Command, device, trust with its reasons and the warning about a CPU precede the headline."""
    before, _, _ = markdown(SUMMARY, CLAIMS).partition("## Speed and accuracy")
    for words in (SUMMARY["command"], "CPU (Some CPU", "fp32", "shared", "clock fell by 7 %", "another process ran"):
        assert words in before
    assert "not comparable with the papers' times on a GPU" in before
    gpu = copy.deepcopy(SUMMARY)
    gpu["plan"]["device"], gpu["machine"]["gpu"] = "cuda", "Some GPU"
    assert "GPU (Some GPU)" in markdown(gpu)
    assert "Measured on a CPU" not in markdown(gpu)


def test_stages_show_milliseconds_and_shares_with_the_rest_named() -> None:
    """conv of 53.1 ms in 192.3 ms is 27.6 %; what lies between stages has its own row, and full_system its dash."""
    text = markdown(SUMMARY)
    assert row(text, "conv", 1)[2] == "53.1 (27.6 %)"
    assert row(text, "unattributed")[2] == "27.0 (14.0 %)"
    assert row(text, "full_system")[2].startswith("–")
    assert row(text, "finetune")[1] == "61.7"
    assert row(text, "per image, mean")[1] == "1834.3"


def test_tied_scores_are_told() -> None:
    """Where the order of equal scores moves the mAP, the report says from where to where."""
    assert "ranked either way" not in markdown(SUMMARY)
    run = copy.deepcopy(SUMMARY)
    run["methods"]["spp"]["map"]["voc07"] |= {"tie_low": 0.6812, "tie_high": 0.6934}
    assert "mAP 68.12 to 69.34 %" in markdown(run)


def test_the_interval_is_named_after_what_it_covers() -> None:
    """Where the run keeps a label, that; in one of schema 1, over images below three processes."""
    run = copy.deepcopy(SUMMARY)
    assert "interval over images within one process" in markdown(run)
    run["plan"]["processes"] = 3
    assert "interval over 3 processes" in markdown(run)
    run["schema_version"] = 2
    run["speedup"]["spp"]["total"]["interval"] = "over images within each of 2 processes"  # the third one broke off
    assert "interval over images within each of 2 processes" in markdown(run)
    assert "interval over images within each of 2 processes" in "\n".join(screen(run))


def test_terminal_shows_headline_papers_and_trust() -> None:
    """Measured and published rows, the failed method and the verdict stand on a screen of 80 columns, unbroken."""
    stream = io.StringIO()
    Console(file=stream, width=80, no_color=True).print(terminal(SUMMARY, CLAIMS))
    text = stream.getvalue()
    for words in (
        "45.6× ± 1.2",
        "64×",
        "98×",
        "fast: oom: no memory",
        "trust: inconclusive\n- clock fell by 7 %\n- another",
    ):
        assert words in text
    assert "spp:5" not in text
    assert "…" not in text
    for source in ("SPP Table 10, ZF-5", "FRCN Table 4, CaffeNet"):
        assert source in text


def beside(methods: str, backbone: str) -> list[tuple[str, str, str, float | None]]:
    """Method, network, table and total speed-up of the published rows of a narrow place."""
    rows = published_beside(CLAIMS, {"plan": {"methods": methods.split(","), "backbone": backbone}})
    return [(r.method, r.backbone, (r.source or "").partition(" (")[0], r.speedup_total.value) for r in rows]


def test_published_rows_are_those_of_the_runs_own_network() -> None:
    """[FRCN Table 4] has CaffeNet, VGG_CNN_M_1024 and VGG16, [SPP Table 10] ZF-5; others get a table's first."""
    for backbone, network, ratio in (
        ("caffenet", "CaffeNet", 98),
        ("vgg-m", "VGG_CNN_M_1024", 80),
        ("vgg16", "VGG16", 146),
    ):
        assert sorted(beside("rcnn,fast", backbone)) == [
            ("fast", network, "FRCN Table 4", ratio),
            ("rcnn", network, "FRCN Table 4", 1),
        ]
    assert beside("rcnn", "zf5") == [("rcnn", "ZF-5", "SPP Table 10", None)]
    assert beside("rcnn", "alexnet") == [("rcnn", "Alex-5", "SPP Table 9", None)]
    assert ("fast", "CaffeNet", "FRCN Table 4", 98) in beside("rcnn,fast", "mini")


@pytest.mark.parametrize("backbone", ["mini", "alexnet", "caffenet", "vgg-m", "vgg16", "zf5"])
@pytest.mark.parametrize("names", ["rcnn,spp:5,fast", "spp,fast:svd", "rcnn,spp,spp:5,fast,fast:svd"])
def test_a_published_ratio_stands_with_its_baseline(names: str, backbone: str) -> None:
    """R-CNN of the same table whose total over this row's is the printed ratio, within the digits printed."""
    rows = published_beside(CLAIMS, {"plan": {"methods": names.split(","), "backbone": backbone}})
    totals = {((r.source or "").partition(";")[0], f"{r.method}@{r.backbone}"): r.total.value for r in rows}
    assert len(totals) == len(rows)
    for each in rows:
        if each.speedup_total.value is not None:
            below = totals[(each.source or "").partition(";")[0], str(each.baseline)]
            assert below is not None
            assert each.total.value is not None
            assert below / each.total.value == pytest.approx(each.speedup_total.value, rel=0.05)


def test_the_longest_name_of_a_network_fits_a_terminal() -> None:
    """VGG_CNN_M_1024 in 80 columns: its rows take a second line, nothing is cut."""
    run = untrained()
    run["plan"]["backbone"] = "vgg-m"
    lines = screen(run)
    assert max(map(len, lines)) <= 80
    assert "…" not in "\n".join(lines)
    assert sum(line.rstrip().endswith("VGG_CNN_M_1024") for line in lines) == 3


def test_a_gpu_run_is_named_after_what_ran_it() -> None:
    """A plan says `auto`; the machine says what that came to."""
    run = copy.deepcopy(SUMMARY)
    run["plan"]["device"] = "auto"
    run["machine"] |= {"device": "cuda", "gpu": "Some GPU"}
    text = markdown(run)
    assert "GPU (Some GPU)" in text
    assert "Measured on a CPU" not in text


def test_the_short_forms_say_what_the_report_says() -> None:
    """Rows of a page and of an excerpt are those of the report; their figures are where the caller says.

    The seconds of a CPU stand in reports alone: the README's extract has its ratios.
    """
    short, whole = excerpt(SUMMARY, CLAIMS, figures="a/run-"), markdown(SUMMARY, CLAIMS)
    cells = row(whole, "**spp**")
    assert row(short, "**spp**") == [*cells[:2], *cells[5:7]]
    on_gpu = {**SUMMARY, "machine": {**SUMMARY["machine"], "device": "cuda", "gpu": "Some GPU"}}
    assert row(excerpt(on_gpu, CLAIMS, figures=""), "**spp**") == cells[:7]
    assert SUMMARY["command"] in short
    assert "CPU (Some CPU, 2 threads), 24 images after training on 40, 2026-01-02" in short
    text = page(SUMMARY, CLAIMS, figures="b/run-")
    assert row(text, "**spp**") == row(whole, "**spp**")
    assert row(text, "conv", 1) == row(whole, "conv", 1)
    for words, folder in ((short, "a"), (text, "b")):
        assert f"]({folder}/run-speed_accuracy.svg)" in words
        assert f"]({folder}/run-stages.svg)" in words
        assert set(re.findall(r"–\[\^(\d+)\]", words)) == set(re.findall(r"^\[\^(\d+)\]:", words, re.MULTILINE))


def test_almost_nothing_still_makes_a_report() -> None:
    """A summary of a run that ended at once has a title and a row for each planned method."""
    text = markdown({"plan": {"methods": ["rcnn"]}})
    assert row(text, "**rcnn**")[8].startswith("skipped")
    assert "no verdict was recorded" in text


@pytest.mark.parametrize(
    ("estimate", "decimals"),
    [
        (Estimate(24.13, 23.0, 25.2), 1),
        (Estimate(24.13, 24.12, 24.14), 2),
        (Estimate(200.64247798945837, 200.64247798945826, 200.64247798945848), 1),
        (Estimate(123456.7, 123456.6, 123456.8), -2),
        (Estimate(0.0, -0.01, 0.01), 3),
        (Estimate(1234.0, 1100.0, 1300.0), -1),
        (Estimate(0.1, 0.0, 0.2), 2),
        (Estimate(0.0531), 4),
        (Estimate(153.2), 0),
        (Estimate(0.0), 0),
        (Estimate(5.0, 5.0, 5.0), 2),
    ],
)
def test_digits_follow_the_interval(estimate: Estimate, decimals: int) -> None:
    """One digit beyond the leading one of the half width, four significant digits at most; else three."""
    assert estimate.decimals == decimals


@given(st.floats(1e-6, 1e6), st.floats(1e-15, 0.9))
def test_no_interval_is_narrow_enough_for_a_fifth_digit(value: float, relative: float) -> None:
    """An interval that collapsed to the rounding of a float says nothing of sixteen digits."""
    decimals = Estimate(value, value - relative * value, value + relative * value).decimals
    assert abs(round(value, decimals)) <= 10_000 * 10.0**-decimals


@given(st.floats(1e-6, 1e6), st.floats(0.02, 0.9))
def test_what_is_shown_lies_well_inside_the_interval(value: float, relative: float) -> None:
    """Rounding moves a number by at most a fifteenth of its half width, and shows no digit below a hundredth of it."""
    half_width = relative * value
    decimals = Estimate(value, value - half_width, value + half_width).decimals
    assert abs(round(value, decimals) - value) <= half_width / 15
    assert 10.0**-decimals >= half_width / 101


@given(st.floats(1e-3, 1e3), st.sampled_from([2, 3]))
def test_a_change_of_unit_keeps_significant_digits(value: float, power: int) -> None:
    """Seconds and milliseconds show the same digits."""
    estimate = Estimate(value, 0.9 * value, 1.2 * value)
    assert estimate.shifted(power).decimals == estimate.decimals - power


def test_headline_keeps_raw_fractions_and_seconds() -> None:
    """Units are the report's business alone."""
    spp = headline(SUMMARY)[1]
    assert (spp.map.value, spp.total.value, spp.speedup_total.value) == (0.6891, 0.1923, 45.6)


def test_reporting_loads_neither_torch_nor_a_plotting_library() -> None:
    """Importing the whole reporting path stays quick."""
    heavy = ("torch", "matplotlib", "pandas", "rich")
    code = f"import harness.report, harness.figures, sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_collapsed_interval_shows_no_digits_of_a_float() -> None:
    """On the screen and in the report, of a ratio that three images gave to the last bit."""
    run, value = copy.deepcopy(SUMMARY), 200.64247798945837
    run["speedup"]["spp"]["total"] = {"value": value, "low": value - 1.1e-13, "high": value + 1.1e-13}
    assert row(markdown(run), "**spp**")[6] == "200.6× [200.6, 200.6]"
    assert "200.6× ± 0.0" in "\n".join(screen(run))


def test_a_summary_of_schema_1_is_shown_as_it_is() -> None:
    """Its numbers stand in every form; of what it did not keep there is no section, and nothing is invented."""
    text = markdown(V1, CLAIMS)
    assert row(text, "**spp**")[5:7] == ["71× [58, 84]", "7.24× [7.04, 7.44]"]
    assert "interval over images within one process" in text
    assert "**Trust: ok.**" in text
    for words in ("## The stopwatch", "## Over the images", "geometric mean", "speed_accuracy", "difference to"):
        assert words not in text
    assert not re.search(r"\b(nan|None|null|inf)\b", text)
    assert row(page(V1, CLAIMS, figures=""), "**spp**") == row(text, "**spp**")
    assert row(excerpt(V1, CLAIMS, figures=""), "**spp**")[2:4] == ["71× [58, 84]", "7.24× [7.04, 7.44]"]
    lines = screen(V1)
    assert max(map(len, lines)) <= 80
    assert "trust: ok" in lines


def found(name: str, verdict: str, text: str) -> dict[str, str]:
    return {"name": name, "verdict": verdict, "text": text}


def test_trust_shows_all_that_was_looked_at() -> None:
    """In the report a row for each finding, before the headline; on the screen the reasons, and the names of notes."""
    run = copy.deepcopy(SUMMARY)
    reason = "the fixed work slowed down by 3.1 %; wait | for a quiet machine"
    run["trust"] = {
        "verdict": "inconclusive",
        "reasons": [reason],
        "findings": [
            found("images", "ok", "24 images measured"),
            found("drift", "inconclusive", reason),
            *(found(name, "note", "x") for name in ("position", "load", "clock", "repeats", "proof")),
        ],
    }
    before, _, after = markdown(run).partition("## Speed and accuracy")
    assert row(before, "drift")[1:] == ["inconclusive", reason.replace("|", r"\|")]
    assert row(before, "images")[1:] == ["ok", "24 images measured"]
    assert reason.replace("|", r"\|") in excerpt(run, figures="")
    assert "trust" not in after.lower()
    lines = screen(run)
    assert lines[-3:] == [
        "trust: inconclusive",
        f"- {reason}",
        "noted, see the report: position, load, clock, repeats and 1 more",
    ]


def number(value: float | None, reach: float = 0.1, reason: str | None = None) -> dict[str, Any]:
    low, high = (None, None) if value is None else (value * (1 - reach), value * (1 + reach))
    return {"value": value, "low": low, "high": high, "reason": reason}


def timed() -> dict[str, Any]:
    """A summary of schema 2 with all that its stopwatch kept."""
    run = copy.deepcopy(SUMMARY)
    run["schema_version"] = 2
    few = number(None, reason="p99 needs 299 images, there are 24")
    names = ("rcnn", "spp")
    run["speedup"]["spp"]["total"] |= {"geometric_mean": number(43.21, 0.03), "processes": {"0": 45.0, "1": 46.2}}
    run["map_difference"] = {"spp": {"voc07": {"value": -0.0232, "low": -0.05, "high": 0.004, "reason": None}}}
    p95 = {**number(0.19), "high": None}
    run["percentiles"] = {
        name: {"total": {"p50": number(0.15), "p90": number(0.18), "p95": p95, "p99": few}, "interval": "over images"}
        for name in names
    }
    run["overhead"] = {
        name: {"marks": 14.0, "mark_seconds": 1.23e-6, "bound": 0.000123}
        | {"unmarked": {**number(1.0012, 0.02), "interval": "over a few images"}}
        for name in names
    }
    run["warm_up"] = {
        name: {"first_seconds": 0.9, "steady_seconds": 0.2, "first_touch_seconds": 1.5, "buckets": 3, "unsteady": 0}
        | {"cold_samples": 2, "reason": None}
        for name in names
    }
    line = {"intercept": number(0.1), "slope": number(0.0002), "over": "sweep", "interval": "over swept images"}
    line["left_out"] = {"proposals=1000": "oom: no | memory"}
    run["lines"] = {name: {"proposals": line, "megapixels": {"reason": "all images have one size"}} for name in names}
    at = {"mean": 0.2, "low": 0.19, "high": 0.21, "reason": None, "boxes": 97.25}
    run["sweep"] = {"points": ["proposals=100"], "seconds": {name: {"proposals=100": at} for name in names}}
    run["sweep"]["interval"] = "over images within process 0"
    run["passes"] = {"complete": [], "left_out": [{"process": 1, "repeat": 2}, {"process": 3, "repeat": 0}]}
    process = {"status": "ok", "reason": None, "resident": True, "threads": 2, "block_images": 3}
    run["processes"] = [{"process": 0, **process}, {"process": 1, **process, "resident": False}]
    return run


def test_what_the_stopwatch_kept_is_shown_in_the_report() -> None:
    """Each in its unit, with its interval: ms, percent, points, ms for 100 proposals."""
    text = markdown(timed())
    expected = {
        "total, geometric mean": "43.2× [41.9, 44.5]",
        "mAP VOC07": "-2.3 [-5.0, 0.4]",
        "p50": "150 [135, 165]",
        "without proposals (ms)": "100 [90, 110]",
        "each 100 proposals more (ms)": "20.0 [18.0, 22.0]",
        "p95": "190 [171, –]",
        "proposals=100 (mean 97.2)": "200 [190, 210]",
        "marks an image": "14",
        "microseconds a mark": "1.23",
        "both together, at most (% of the total)": "0.0123",
        "times with marks over times without": "1.001 [0.981, 1.021]",
        "very first call (ms)": "900",
        "first touch of all shapes (ms)": "1500",
        "samples of a shape that was not warmed up": "2",
    }
    assert {first: row(text, first)[2] for first in expected} == expected
    assert row(text, "0") == ["0", "ok", "45.0×", "yes", "2", "3"]
    assert row(text, "1")[3] == "no: no reason was recorded"
    notes = dict(re.findall(r"^\[\^(\d+)\]: (.+)$", text, flags=re.MULTILINE))
    assert "all images have one size" in notes.values()


def test_every_number_is_named_after_what_it_covers() -> None:
    """Percentiles, lines, the sweep and the overhead each, and what enters none of them."""
    text = markdown(timed())
    for words in (
        "In brackets: 95 % interval over images.",
        "A dash in brackets is an end that lies beyond what so few images tell.",
        "Not shown: p99 needs 299 images, there are 24.",
        "that of proposals over the inputs that the sweep changed, all else being equal (in brackets: 95 % interval "
        "over swept images)",
        r"In no line: rcnn at proposals=1000 (oom: no \| memory); spp at proposals=1000 (oom: no \| memory).",
        "In brackets: 95 % interval over images within process 0.",
        "a ratio of 1 says that marking costs nothing. In brackets: 95 % interval over a few images.",
        "In no figure, since not every method measured every image there: process 1 (repeat 2), 3 (repeat 0).",
    ):
        assert words in text


def test_a_machine_shows_counts_and_units_as_a_reader_says_them() -> None:
    """One thread; GiB, and no bytes where there is no number."""
    run = copy.deepcopy(SUMMARY)
    run["machine"] |= {"threads": 1, "memory_limit_bytes": None, "memory_limit_bytes_reason": "no limit was found"}
    text = markdown(run)
    assert "CPU (Some CPU, 1 thread)" in text
    assert row(text, "memory") == ["memory", "8.0 GiB"]
    assert row(text, "memory_limit") == ["memory_limit", "– (no limit was found)"]


def test_the_width_of_an_interval_needs_both_its_ends() -> None:
    """Zero is one."""
    assert Estimate(2.0, 0.0, 3.0).relative_width == 1.5
    widths = [Estimate(*each).relative_width for each in ((2.0, 1.0, None), (2.0, None, 1.0), (0.0, 0.0, 1.0), (None,))]
    assert widths == [None] * 4


def test_flags_stand_with_the_machine() -> None:
    """Those of the environment that were set, and all others."""
    run = timed()
    run["flags"] = {"cudnn_benchmark": False, "environment": {"OMP_NUM_THREADS": "2", "MKL_CBWR": None}}
    text = markdown(run)
    assert row(text, "cudnn_benchmark") == ["cudnn_benchmark", "False"]
    assert row(text, "OMP_NUM_THREADS") == ["OMP_NUM_THREADS", "2"]
    assert "MKL_CBWR" not in text


def test_a_run_without_an_map_has_no_link_to_its_figure() -> None:
    """Neither in the report nor in the short forms."""
    assert rated(untrained()) == []
    for text in (markdown(untrained()), page(untrained(), figures=""), excerpt(untrained(), figures="")):
        assert "stages.svg" in text
        assert "speed_accuracy" not in text


def test_what_rounds_to_zero_has_no_sign() -> None:
    """Minus nothing is nothing."""
    assert [rounded(-0.3, -1), rounded(-0.004, 2), rounded(-0.006, 2)] == ["0", "0.00", "-0.01"]
