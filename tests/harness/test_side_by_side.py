"""Unlike runs share a page and no number; like runs are told to agree or not, and nothing is pooled in silence."""

from __future__ import annotations

import copy
import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from harness.plan import Plan
from harness.runs import RunError, RunFolder
from harness.side_by_side import compare_runs, markdown, terminal

MakeRun = Callable[..., RunFolder]

OVER = "over images within one process"
_RUNS = Path(__file__).parents[2] / "results/runs"


def around(value: float | None, half: float, name: str = "value") -> dict[str, Any]:
    if value is None:
        return {name: None, "low": None, "high": None, "reason": "the method has no such stage", "interval": OVER}
    return {name: value, "low": value - half, "high": value + half, "reason": None, "interval": OVER}


def summary_of(speedup: float | None, half: float, *, methods: tuple[str, ...]) -> dict[str, Any]:
    """Each method is `speedup` times faster than the one before it."""
    seconds = [8.0 / (speedup or 1) ** place for place in range(len(methods))]
    return {
        "schema_version": 2,
        "samples": 1,
        "trust": {"verdict": "ok", "reasons": []},
        "baseline": methods[0],
        "plan": {"dataset": "shapes", "methods": list(methods), "precision": "fp32", "device": "cpu"},
        "machine": {"cpu": "A CPU", "threads": 2, "device": "cpu"},
        "methods": {
            name: {
                "status": "ok",
                "reason": None,
                "trained": True,
                "map": {"voc07": around(0.5, 0.03125)},
                "seconds": {"total": around(each, 0.25, "mean")},
            }
            for name, each in zip(methods, seconds, strict=True)
        },
        "speedup": {
            name: {ratio: around(speedup, half) for ratio in ("conv", "features", "total")} for name in methods[1:]
        },
    }


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """A finished run of this name, speed-up and half width; `manifest` is laid over its manifest."""

    def make(
        name: str,
        speedup: float | None = 4.0,
        half: float = 0.25,
        *,
        methods: tuple[str, ...] = ("rcnn", "spp", "fast"),
        summary: dict[str, Any] | None = None,
        **manifest: Any,
    ) -> RunFolder:
        folder = RunFolder(tmp_path / name)
        folder.path.mkdir()
        folder.write_manifest(
            {
                "schema_version": 2,
                "status": "complete",
                "created": f"2026-11-2{len(name) % 10}T10:00:00+00:00",
                "command": "harness compare",
                "plan": Plan.of({"methods": methods}).model_dump(mode="json"),
                "machine": {"cpu": "A CPU", "threads": 2, "device": "cpu"},
                "software": {"torch": "2.15.0"},
                "flags": {"matmul_allow_tf32": False},
                "source": {"commit": "a" * 40, "dirty": False, "diff_sha256": None, "reason": None},
                "dataset": {"images": 60, "test_sha256": "1" * 64},
                "weights_sha256": "2" * 64,
                "methods": {},
            }
            | manifest
        )
        found = summary_of(speedup, half, methods=methods)
        folder.write_summary(found | (summary or {}))
        (folder.path / "samples.jsonl").write_text(json.dumps({"of": name}) + "\n")
        return folder

    return make


def screen(model: Any) -> str:
    """As a terminal of 80 columns shows it, with the codes that rich writes."""
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    console.print(terminal(model))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def test_like_runs_overlap_where_their_intervals_have_a_value_in_common(make_run: MakeRun) -> None:
    """Touching counts; one that lies apart is told so; both renderings say it."""
    touching = compare_runs([make_run("a", 4.0, 0.25), make_run("b", 4.5, 0.25)])
    assert touching["comparable"] is True
    assert touching["speedups"]["spp"]["total"]["overlap"] is True
    assert "the intervals overlap, the widest is 12.5 % of its ratio" in screen(touching)
    apart = compare_runs([make_run("c", 4.0, 0.25), make_run("dd", 4.75, 0.25)])
    assert apart["speedups"]["fast"]["conv"]["overlap"] is False
    assert "fast speed-up conv: the intervals lie apart" in screen(apart)
    assert re.search(r"\| fast +\| speed-up total .*\| +apart \|", markdown(apart))


def test_an_interval_that_begins_at_zero_can_be_the_widest(make_run: MakeRun) -> None:
    """Of 200 % of its ratio; zero is an end like any other."""
    model = compare_runs([make_run("a", 4.0, 4.0), make_run("b", 4.0, 0.25)])
    assert "the intervals overlap, the widest is 200.0 % of its ratio" in " ".join(screen(model).split())


def test_a_summary_that_is_not_of_the_samples_on_disk_is_made_anew(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a run that went on since, of one that is not complete, and of one that does not say of how many it is."""
    anew: list[str] = []

    def summarise(folder: RunFolder) -> dict[str, Any]:
        anew.append(folder.path.name)
        return folder.read_summary()

    monkeypatch.setattr("harness.side_by_side.summarise", summarise)
    compare_runs([make_run("a"), make_run("b")])
    assert anew == []
    went_on = make_run("c")
    with (went_on.path / "samples.jsonl").open("a") as file:
        file.write("{}\n")
    unfinished, silent = make_run("d", status="running"), make_run("e", summary={"samples": None})
    compare_runs([went_on, unfinished, silent])
    assert anew == ["c", "d", "e"]


def test_two_runs_are_not_pooled(make_run: MakeRun) -> None:
    """An interval over two values would say nothing; the reason stands beside."""
    model = compare_runs([make_run("a", 4.0), make_run("b", 4.25)])
    ratio = model["speedups"]["fast"]["total"]
    assert (ratio["pooled"], ratio["pooled_reason"]) == (None, "an interval over runs needs 3 of them")
    assert [(one["run"], one["value"]) for one in ratio["runs"]] == [("A", 4.0), ("B", 4.25)]


def test_three_like_runs_have_an_interval_over_runs_that_says_so(make_run: MakeRun) -> None:
    """Student's t on the logarithms of one value a run, and what is doubtful among them."""
    doubt = {"trust": {"verdict": "inconclusive", "reasons": ["noise"]}}
    values = (4.0, 4.25, 4.5)
    runs = [make_run(f"run{at}", value, summary=doubt if at else None) for at, value in enumerate(values)]
    model = compare_runs(runs)
    pooled = model["speedups"]["spp"]["total"]["pooled"]
    logs = np.log(values)
    low, high = stats.t.interval(0.95, 2, logs.mean(), logs.std(ddof=1) / math.sqrt(3))
    assert pooled["value"] == pytest.approx(math.exp(logs.mean()))
    assert (pooled["low"], pooled["high"]) == pytest.approx((math.exp(low), math.exp(high)))
    assert pooled["interval"] == "over 3 runs, 2 of them inconclusive"
    flowing = " ".join(screen(model).split())
    assert "; over 3 runs, 2 of them inconclusive: 4.25× [3.67, 4.91]" in flowing
    assert "interval over 3 runs, 2 of them inconclusive." in markdown(model)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"commit": "b" * 40, "dirty": False}, "the source differs in commit"),
        ({"commit": "a" * 40, "dirty": True, "diff_sha256": "c" * 64}, "the source differs in dirty, diff_sha256"),
    ],
)
def test_runs_of_another_source_are_alike_and_are_not_pooled(
    source: dict[str, Any], reason: str, make_run: MakeRun
) -> None:
    """Between them, what is measured may have changed."""
    model = compare_runs([make_run("a"), make_run("bb"), make_run("ccc", source=source | {"reason": None})])
    assert model["comparable"] is True
    ratio = model["speedups"]["spp"]["total"]
    assert (ratio["overlap"], ratio["pooled"]) == (True, None)
    assert ratio["pooled_reason"].startswith(reason)


def test_changes_that_nobody_knows_are_not_pooled(make_run: MakeRun) -> None:
    """Runs of the first schema say that the source was changed and not how."""
    source = {"commit": "a" * 40, "dirty": True, "reason": None}
    model = compare_runs([make_run(name, source=source) for name in ("a", "b", "c")])
    ratio = model["speedups"]["spp"]["total"]
    assert ratio["pooled_reason"] == "what was changed in the source since its commit is not known"


def test_nothing_is_made_from_unlike_runs(make_run: MakeRun) -> None:
    """Fields by name with both values, each run's numbers in its own column, and no other number than theirs."""
    runs = [make_run(name, value) for name, value in (("a", 4.0), ("bb", 4.25), ("ccc", 4.5))]
    other = make_run("dddd", 3.0, machine={"cpu": "Another CPU", "threads": 8, "device": "cpu"})
    model = compare_runs([*runs, other])
    assert model["comparable"] is False
    ratios = [ratio for by_ratio in model["speedups"].values() for ratio in by_ratio.values()]
    assert {ratio["overlap"] for ratio in ratios} == {None}
    assert {ratio["pooled"] for ratio in ratios} == {None}
    page, shown = markdown(model), screen(model)
    for text in (page, shown):
        assert "no number is made from more than one of them" in " ".join(text.split())
        assert "overlap" not in text
        assert "over 3 runs" not in text
    assert re.search(r"\| machine +\| cpu +\| A CPU +\| A CPU +\| A CPU +\| Another CPU +\|", page)
    assert re.search(r"machine +cpu +A, B, C: A CPU · D: Another CPU", shown)
    assert re.search(r"machine +threads +A, B, C: 2 · D: 8", shown)
    own = {"4.00×", "4.25×", "4.50×", "3.00×"}
    assert set(re.findall(r"[\d.]+×", page)) == own
    assert set(re.findall(r"[\d.]+×", shown)) == own


def test_a_run_is_not_compared_with_itself_or_its_copy(make_run: MakeRun, tmp_path: Path) -> None:
    """It would agree in every digit."""
    one, other = make_run("a"), make_run("b")
    with pytest.raises(RunError, match="from two on"):
        compare_runs([one])
    with pytest.raises(RunError, match="hold the same measurements"):
        compare_runs([one, other, RunFolder(tmp_path / "." / "a")])
    (other.path / "samples.jsonl").write_bytes((one.path / "samples.jsonl").read_bytes())
    with pytest.raises(RunError, match=r"/a and .*/b hold the same measurements; name each run once"):
        compare_runs([one, other])
    with pytest.raises(RunError, match="holds no run"):
        compare_runs([one, RunFolder(tmp_path / "nowhere")])


def test_a_method_that_failed_or_is_absent_leaves_a_gap_with_its_reason(make_run: MakeRun) -> None:
    """In one run; the other's numbers stand."""
    summary = summary_of(4.0, 0.25, methods=("rcnn", "spp", "fast"))
    summary["methods"]["fast"] = {"status": "oom", "reason": "OutOfMemoryError: no memory"}
    del summary["speedup"]["fast"]
    model = compare_runs([make_run("a"), make_run("bb", summary=summary)])
    assert model["speedups"]["fast"]["total"]["overlap"] is None
    assert "B, fast: oom: OutOfMemoryError: no memory" in screen(model)
    assert "fast speed-up total: a run has no interval" in screen(model)
    assert re.search(r"\[\^\d\]: oom: OutOfMemoryError: no memory", markdown(model))
    fewer = compare_runs([make_run("ccc"), make_run("dddd", methods=("rcnn", "spp"))])
    assert fewer["comparable"] is False
    assert "not planned in this run" in markdown(fewer)


def test_doubts_are_named_on_the_screen_and_told_on_the_page(make_run: MakeRun) -> None:
    """A screen has room for the names of findings; what is only noted is no doubt."""
    findings = [
        {"name": "load", "verdict": "inconclusive", "text": "others took 70 %"},
        {"name": "load", "verdict": "inconclusive", "text": "others took 70 %"},
        {"name": "position", "verdict": "note", "text": "1 %"},
    ]
    trust = {"verdict": "inconclusive", "reasons": ["others took 70 %"], "findings": findings}
    model = compare_runs([make_run("a"), make_run("b", summary={"trust": trust})])
    assert "trust: inconclusive (load)" in " ".join(screen(model).split())
    assert "others took" not in screen(model)
    assert "Why B is not to be trusted: others took 70 %." in markdown(model)
    assert "Why A" not in markdown(model)


def test_stages_that_a_method_lacks_have_no_ratio(make_run: MakeRun) -> None:
    """A missing number is a dash, not a zero."""
    model = compare_runs([make_run("a", None), make_run("b", None)])
    assert "the method has no such stage" in markdown(model)
    assert "0.00×" not in screen(model)


@pytest.mark.parametrize("count", [2, 3, 4, 9])
def test_a_screen_is_80_columns_wide(count: int, make_run: MakeRun) -> None:
    """With several methods and any number of runs, no number is cut or broken."""
    unlike = {"cpu": "A processor of a very long name (R) v4 @ 2.20GHz", "threads": 64, "device": "cpu"}
    runs = [make_run(f"run-{at}", 45.625 + at, 1.28125) for at in range(count - 1)]
    model = compare_runs([*runs, make_run("last", 1234.5, 100.0, machine=unlike)])
    text = screen(model)
    assert max(map(len, text.splitlines())) <= 80
    numbers = re.findall(r"[\d.]+×(?: \[[\d.]+, [\d.]+\]| ± [\d.]+)", text)
    assert len(numbers) == count * 2 * 2
    json.dumps(model, allow_nan=False)


HOSTILE = "x|y\n# heading <script>`a` \x1b[2J\u202e [bold]b[/bold]"


def test_names_of_others_break_neither_page_nor_screen(make_run: MakeRun) -> None:
    """A method, a value and a trust's reason that try to: cells stay cells, no tag, no control code."""
    plan = {**Plan.of({}).model_dump(mode="json"), "dataset": HOSTILE}
    summary = summary_of(4.0, 0.25, methods=("rcnn", HOSTILE))
    summary["trust"] = {"verdict": "inconclusive", "reasons": [HOSTILE]}
    summary["speedup"][HOSTILE]["total"]["interval"] = HOSTILE
    hostile = make_run("b|\n<b>", summary=copy.deepcopy(summary), plan=plan, machine={HOSTILE: HOSTILE})
    model = compare_runs([make_run("a", summary=summary), hostile])
    page, shown = markdown(model), screen(model)
    for text in (page, shown):
        assert not set(text) & {"\x1b", "\u202e", "\r"}
    assert "<script>" not in page
    assert not re.search(r"^# heading", page, re.MULTILINE)
    for block in page.split("\n\n"):
        lines = block.splitlines()
        if lines[0].startswith("|"):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert "[bold]b[/bold]" in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80


def test_runs_of_the_first_schema_are_set_side_by_side() -> None:
    """Those that are committed; read alone, nothing is written."""
    folders = [RunFolder(path.parent) for path in sorted(_RUNS.glob("*/manifest.json"))]
    if len(folders) < 2:
        pytest.skip("two runs are needed")
    before = {path: path.stat().st_mtime_ns for folder in folders for path in folder.path.rglob("*")}
    model = compare_runs(folders)
    assert model["comparable"] is False
    assert markdown(model).count("## What hinders a comparison") == 1
    assert max(map(len, screen(model).splitlines())) <= 80
    assert {path: path.stat().st_mtime_ns for folder in folders for path in folder.path.rglob("*")} == before
