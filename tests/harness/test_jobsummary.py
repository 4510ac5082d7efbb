"""A job's summary: all of a report that fits, never more than fits, and the headline whatever happens."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import report
from harness.claims import read_claims
from harness.jobsummary import LIMIT_BYTES, markdown, shortened
from harness.runs import RunError, RunFolder

RUNS = Path(__file__).parents[2] / "results" / "runs"
CLAIMS = read_claims()
WHERE = "the artefact measured-runs"
GITHUB_BYTES = 1024 * 1024
"""Above which a step's summary is dropped [GitHub Docs, Workflow commands, Step isolation and limits]."""


def summary_of(name: str) -> dict[str, Any]:
    return dict(json.loads((RUNS / name / "summary.json").read_text(encoding="utf-8")))


SUMMARY = summary_of("shapes-default")


def with_notices(letter: str, number: int) -> dict[str, Any]:
    """The run, with so much said by one of its methods."""
    said = [{"method": "spp", "text": f"{letter * 200} {index}", "image": None} for index in range(number)]
    return {**SUMMARY, "notices": said}


def headings(text: str) -> list[str]:
    """Of the second level."""
    return [line for line in text.splitlines() if line.startswith("## ")]


def test_a_report_that_fits_is_whole_but_for_its_pictures() -> None:
    """Every line of the report stands in the summary in its order, pictures excepted."""
    whole = [line for line in report.markdown(SUMMARY, CLAIMS).splitlines() if line and not line.startswith("![")]
    assert [line for line in shortened(SUMMARY, CLAIMS, where=WHERE).splitlines() if line] == whole


@pytest.mark.parametrize("letter", ["a", "界"])
def test_the_limit_is_in_bytes_and_below_that_of_github(letter: str) -> None:
    """However many bytes a letter has, the summary stays below 1,024 KiB, and what is left out is named."""
    summary = with_notices(letter, 6_000)
    assert len(report.markdown(summary).encode()) > GITHUB_BYTES
    text = shortened(summary, where=WHERE)
    assert len(text.encode()) <= LIMIT_BYTES < GITHUB_BYTES
    assert "## Notices" not in headings(text)
    told = next(line for line in text.splitlines() if line.startswith("Left out"))
    assert "Notices" in told
    assert WHERE in told


@pytest.mark.parametrize("name", ["shapes-default", "caffenet-speed"])
@settings(max_examples=12, deadline=None)
@given(limit_bytes=st.integers(0, 40_000))
def test_sections_are_left_out_whole_and_from_the_end(name: str, limit_bytes: int) -> None:
    """At any limit the text fits; its sections are the first ones of the report, and the others are named."""
    summary = summary_of(name)
    text = shortened(summary, where=WHERE, limit_bytes=limit_bytes)
    every, kept = headings(report.markdown(summary)), headings(text)
    assert len(text.encode()) <= limit_bytes
    assert kept == every[: len(kept)]
    if kept and kept != every:
        told = next(line for line in text.splitlines() if line.startswith("Left out"))
        assert all(heading.removeprefix("## ") in told for heading in every[len(kept) :])


def test_headline_trust_and_device_stay() -> None:
    """A limit that holds no section still shows the table of the run's own methods, its trust and its machine."""
    text = shortened(SUMMARY, CLAIMS, where=WHERE, limit_bytes=2_500)
    assert not headings(text)
    assert text.startswith("# rcnn vs spp vs fast on shapes")
    assert all(f"**{method}**" in text for method in ("rcnn", "spp", "fast"))
    assert "**Trust: inconclusive.**" in text
    assert "AMD EPYC" in text
    assert text.rstrip().endswith(f"All of it: {WHERE}.")


def test_footnotes_are_those_of_what_is_kept() -> None:
    """Each mark has its footnote, and no footnote stands without its mark."""
    for limit_bytes in (1_000_000, 20_000, 14_000, 2_500):
        text = shortened(SUMMARY, CLAIMS, where=WHERE, limit_bytes=limit_bytes)
        notes = {line.partition(":")[0] for line in text.splitlines() if line.startswith("[^")}
        body = "\n".join(line for line in text.splitlines() if not line.startswith("[^"))
        assert notes == {f"[^{number}]" for number in range(1, 20) if f"[^{number}]" in body}


def test_a_command_with_a_heading_in_it_is_no_section() -> None:
    """A fence is kept whole, whatever its lines look like."""
    summary = {**SUMMARY, "command": "harness compare --out 'a\r\n\n## b\n\n![c](d)'"}
    text = shortened(summary, where=WHERE)
    assert "harness compare --out 'a\n\n## b\n\n![c](d)'\n```" in text
    assert text.count("```") == 2


@pytest.fixture
def _summarised_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The committed summaries serve, so that no interval is drawn anew."""
    monkeypatch.setattr("harness.jobsummary.summarise", RunFolder.read_summary)


def folders() -> list[RunFolder]:
    return [RunFolder(RUNS / name) for name in ("shapes-default", "caffenet-speed")]


@pytest.mark.usefixtures("_summarised_before")
def test_several_runs_stand_side_by_side_and_then_one_by_one() -> None:
    """First the page with a column a run, then each report; no two footnotes have one mark."""
    text = markdown(folders())
    titles = [line for line in text.splitlines() if line.startswith("# ")]
    assert titles == [
        "# Runs side by side",
        "# rcnn vs spp vs fast on shapes",
        "# rcnn vs spp vs spp:5 vs fast vs fast:svd on voc:VOCdevkit/VOC2007",
    ]
    marks = Counter(line.partition(":")[0] for line in text.splitlines() if line.startswith("[^"))
    assert len(marks) > 3
    assert set(marks.values()) == {1}


@pytest.mark.usefixtures("_summarised_before")
@pytest.mark.parametrize("limit_bytes", [60_000, 30_000, 12_000, 5_000, 400, 0])
def test_several_runs_share_the_room(limit_bytes: int) -> None:
    """Together they fit; where there is room for the least of each, each has its table."""
    text = markdown(folders(), limit_bytes=limit_bytes)
    assert len(text.encode()) <= limit_bytes
    if limit_bytes >= 12_000:
        assert text.count("\n---\n") == 2
        assert text.count("**Trust: ") == 2


@pytest.mark.usefixtures("_summarised_before")
def test_what_one_run_does_not_need_is_the_others() -> None:
    """Where all together fit nothing is left out, though one needs more than an equal part; a byte less and it is."""
    whole = markdown(folders())
    parts = [len(part.encode()) for part in whole.split("\n---\n\n")]
    assert max(parts) > sum(parts) / len(parts)
    assert markdown(folders(), limit_bytes=len(whole.encode())) == whole
    assert "Left out" in markdown(folders(), limit_bytes=len(whole.encode()) - 1)


def test_nothing_is_written(tmp_path: Path) -> None:
    """A run folder is as it was."""
    copy = tmp_path / "run"
    shutil.copytree(RUNS / "shapes-default", copy)
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    assert f"{copy}/report.md" in markdown([RunFolder(copy)], limit_bytes=9_000)
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


def test_a_run_that_is_missing_or_named_twice_is_refused(tmp_path: Path) -> None:
    """One line says which."""
    with pytest.raises(RunError, match="holds no run"):
        markdown([RunFolder(tmp_path)])
    with pytest.raises(RunError, match="same measurements"):
        markdown([RunFolder(RUNS / "shapes-default"), RunFolder(RUNS / "shapes-default")])
