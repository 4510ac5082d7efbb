"""Shares of the device's peak: what was counted, by the time that it took, by what the device gives at most."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.claims import DETECTING
from harness.quantities.roofline import OLD_PEAK, SHARED, peak_over, shares, work
from harness.rendering.cells import Notes
from harness.rendering.roofline import in_a_line, roofline, section

STAGES = DETECTING[:-1]
PEAK = {"matmul_flops_per_second": 1e12, "copy_bytes_per_second": 1e11, "precision": "fp32"}
KNOWN = {"peak": PEAK, "peak_reason": None}


def each_stage(first: float, **others: float) -> dict[str, float]:
    """So many in conv and what else is named; none in the other stages; their sum as the total."""
    named = {**dict.fromkeys(STAGES, 0.0), "conv": first, **others}
    return {**named, "total": sum(named.values())}


def counted(**without: Any) -> dict[str, Any]:
    """Of two images: on the mean 4e11 operations and 2e9 bytes in conv, 1e10 bytes in pool."""
    found = {
        "reason": None,
        "images": {"a": each_stage(3e11), "b": each_stage(5e11)},
        "bytes": {"a": each_stage(1e9, pool=1e10), "b": each_stage(3e9, pool=1e10)},
        "launches": {"a": each_stage(12, pool=5), "b": each_stage(14, pool=5)},
    }
    return {key: value for key, value in found.items() if key not in without}


def spent(**seconds: float | None) -> dict[str, Any]:
    return {name: None if value is None else {"mean": value} for name, value in seconds.items()}


SECONDS = spent(
    prepare=0.1, propose=0.0, conv=0.8, pool=0.25, fc=0.1, decode=0.1, suppress=0.05, features=1.25, total=1.6
)


def of_processes(*rates: float) -> list[dict[str, Any]]:
    return [
        {
            "process": number,
            "peak": {
                **{"matmul_flops_per_second": rate, "copy_bytes_per_second": rate / 8, "precision": "tf32"},
                **{"matmul_size": 8192, "copy_bytes": 2**29},
            },
            "peak_reason": None,
        }
        for number, rate in enumerate(rates)
    ]


def test_a_share_is_the_count_over_time_and_peak() -> None:
    """4e11 operations in 0.8 s are half of 1e12 a second; 1e10 bytes in 0.25 s are 0.4 of 1e11."""
    found = shares(counted(), SECONDS, KNOWN)
    assert set(found) == set(SHARED)
    assert found["conv"] == {"compute": pytest.approx(0.5), "memory": pytest.approx(0.025), "reason": None}
    assert found["pool"] == {"compute": 0, "memory": pytest.approx(0.4), "reason": None}
    assert found["total"]["compute"] == pytest.approx(0.25)
    assert found["features"]["compute"] == pytest.approx(4e11 / 1.25 / 1e12)


@given(st.floats(1e-6, 1e3), st.floats(1e6, 1e16), st.floats(1e6, 1e14))
def test_share_times_peak_times_seconds_is_the_count(seconds: float, flops: float, moved: float) -> None:
    """Whatever the device and the time."""
    peak = {"peak": {"matmul_flops_per_second": flops, "copy_bytes_per_second": moved}, "peak_reason": None}
    found = shares(counted(), spent(conv=seconds), peak)["conv"]
    assert found["compute"] * seconds * flops == pytest.approx(4e11)
    assert found["memory"] * seconds * moved == pytest.approx(2e9)


def test_what_is_missing_has_its_reason() -> None:
    """Never a zero: no counts, no bytes in an older file, no peak, no time, no such stage, what is not counted."""
    found = shares(None, SECONDS, KNOWN)["conv"]
    assert (found["compute"], found["memory"]) == (None, None)
    assert "operations were not counted" in found["reason"]
    assert "bytes read and written were not counted" in found["reason"]
    older = shares(counted(bytes=None, launches=None), SECONDS, KNOWN)["conv"]
    assert older["compute"] == pytest.approx(0.5)
    assert older["memory"] is None
    assert older["reason"] == "bytes read and written were not counted"
    failed = shares({"reason": "it reads values back", "images": {}}, SECONDS, KNOWN)["fc"]
    assert failed == {"compute": None, "memory": None, "reason": "it reads values back"}
    nothing = shares(counted(), SECONDS, {"peak": None, "peak_reason": "no room"})
    assert {each["reason"] for each in nothing.values()} == {"no room"}
    every = shares(counted(), SECONDS, KNOWN)
    assert every["propose"]["reason"] == "the method has no such stage"
    assert every["suppress"]["reason"] == "counts end where suppress begins"
    assert shares(counted(), {"conv": None}, KNOWN)["conv"]["reason"] == "no time was measured for this stage"


def test_work_is_the_mean_per_image() -> None:
    """Of operations, bytes and launches, each by itself None where it was not counted."""
    found = work(counted())
    assert [found[key]["conv"] for key in ("flops", "bytes", "launches")] == [4e11, 2e9, 13]
    assert found["launches"]["total"] == 18
    older = work(counted(bytes=None, launches=None))
    assert older["flops"]["conv"] == 4e11
    assert (older["bytes"], older["launches"]) == (None, None)
    assert older["bytes_reason"]
    assert older["launches_reason"]
    assert {key for key, value in work(None).items() if value} == {"flops_reason", "bytes_reason", "launches_reason"}


def test_the_peak_is_the_mean_of_the_processes_that_count() -> None:
    """One that was begun and makes no figure does not; where none is complete, all do."""
    processes = of_processes(1e12, 3e12, 8e12)
    found = peak_over(processes, [(0, 0), (0, 1), (1, 0)])
    assert found["peak_reason"] is None
    assert found["peak"]["matmul_flops_per_second"] == 2e12
    assert found["peak"]["copy_bytes_per_second"] == 2.5e11
    assert [each["process"] for each in found["peak"]["processes"]] == [0, 1]
    assert peak_over(processes, [])["peak"]["matmul_flops_per_second"] == 4e12


def test_without_a_peak_there_is_a_reason() -> None:
    """That of the process; one that ran before peaks were kept, or a run without processes, says that."""
    assert peak_over([{"process": 0, "peak": None, "peak_reason": "no room"}], []) == {
        "peak": None,
        "peak_reason": "no room",
    }
    for old in ([], [{"process": 0, "threads": 2}]):
        assert peak_over(old, [(0, 0)]) == {"peak": None, "peak_reason": OLD_PEAK}
    mixed = [{"process": 0}, *of_processes(0, 3e12)[1:]]
    assert peak_over(mixed, [(0, 0), (1, 0)])["peak"]["matmul_flops_per_second"] == 3e12


def summary(*rates: float) -> dict[str, Any]:
    peak = peak_over(of_processes(*rates), [])
    about = {"status": "ok", "seconds": SECONDS, **work(counted()), "peak_share": shares(counted(), SECONDS, peak)}
    failed = {"status": "oom", "reason": "no memory"}
    return {
        "plan": {"methods": ["a|b", "spp", "fast"]},
        "methods": {"a|b": about, "spp": about, "fast": failed},
        **peak,
    }


def cells(text: str, *first: str) -> list[str]:
    """Cells of the table row that begins so."""
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"]
    return next(row for row in rows if row[: len(first)] == list(first))


def test_the_table_has_a_line_for_each_stage_and_method() -> None:
    """Milliseconds, both shares in percent and the launches; a stage that nobody has is left out."""
    notes = Notes()
    text = "\n".join(section(summary(1e12), notes))
    assert cells(text, "conv", "spp")[2:] == ["800", "50.0", "2.0", "13"]
    assert cells(text, "pool", "spp")[2:] == ["250", "0", "32.0", "5"]
    assert cells(text, "pool", r"a\|b")[2:] == ["250", "0", "32.0", "5"]
    assert {row.stage for row in roofline(summary(1e12))} == {*STAGES, "total"} - {"propose"}
    assert {row.method for row in roofline(summary(1e12))} == {"a|b", "spp"}
    assert (
        "when the process began: 1.00 TFLOP/s in a product of matrices of side 8,192 (tf32), "
        "125 GB/s read and written in a copy of 512 MiB." in text
    )
    several = "\n".join(section(summary(3e11, 5e11), notes))
    assert "when each of 2 processes began, mean: 400 GFLOP/s" in several
    assert notes.lines() == []


def test_the_library_of_the_product_is_told() -> None:
    """All of them, where processes differ; nothing of runs that did not keep it."""
    run = summary(1e12, 1e12, 1e12)
    assert "of side 8,192 (tf32), " in "\n".join(section(run, Notes()))
    for each, library in zip(run["peak"]["processes"], ("oneDNN", None, "MKL"), strict=True):
        each["matmul_library"] = library
    assert "of side 8,192 (tf32, MKL or oneDNN), " in "\n".join(section(run, Notes()))


@pytest.mark.parametrize(("device", "said"), [("cpu", True), ("cuda", False)])
def test_a_cpu_run_says_whose_bytes_and_launches_they_are(device: str, said: bool) -> None:
    """Those of a GPU, whichever device was timed."""
    text = "\n".join(section({**summary(1e12), "machine": {"device": device}}, Notes()))
    assert ("bytes and launches are those that a GPU would be given" in text) is said


def test_a_trifle_is_no_zero() -> None:
    """Below a tenth of a percent it says so; only what is nothing is 0."""
    text = "\n".join(section(summary(1e15), Notes()))
    assert cells(text, "conv", "spp")[3:5] == ["< 0.1", "< 0.1"]
    assert cells(text, "pool", "spp")[3] == "0"


def test_a_run_without_a_peak_has_no_table() -> None:
    """An older one says nothing of it, another one why."""
    old = {**summary(1e12), "peak": None, "peak_reason": OLD_PEAK}
    assert section(old, Notes()) == []
    assert section({key: value for key, value in old.items() if "peak" not in key}, Notes()) == []
    assert in_a_line(old) is None
    title, text = section({**old, "peak_reason": "no room | left"}, Notes())
    assert title == "## Share of the device's peak"
    assert text == r"Not shown: no room \| left."


def test_what_was_not_counted_is_a_dash_with_its_reason() -> None:
    """As of a run whose launches nobody counted."""
    run = summary(1e12)
    for about in run["methods"].values():
        about |= {"launches": None, "launches_reason": "launches were not counted"}
    notes = Notes()
    text = "\n".join(section(run, notes))
    assert cells(text, "conv", "spp")[5] == "–[^1]"
    assert notes.lines() == ["[^1]: launches were not counted"]


def test_launches_are_counts() -> None:
    """Whole where all images have as many; else their mean."""
    run = summary(1e12)
    run["methods"]["spp"] = {**run["methods"]["spp"], "launches": {"conv": 1234.0, "pool": 1234.56}}
    text = "\n".join(section(run, Notes()))
    assert [cells(text, stage, "spp")[5] for stage in ("conv", "pool")] == ["1234", "1234.6"]


def test_the_convolutions_share_fits_a_line() -> None:
    """By method, those that have one, in percent."""
    assert in_a_line(summary(1e12)) == "conv, % of the device's peak: a|b 50, spp 50"
