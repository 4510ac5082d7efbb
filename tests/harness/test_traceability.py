"""A run folder holds together, or what does not is named: summary, reports, figures, and each number in them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.claims import read_claims
from harness.presets import Options, chosen
from harness.progress import Reporter
from harness.quantities.judged import judged
from harness.reports import write_reports
from harness.reproduce import reproduce
from harness.reproduce.parts import Outcome, Task
from harness.runs import RunError, RunFolder
from harness.schemas import schema
from harness.traceability import check, first_difference
from verdicts import Planted, edited, relogged


def _draw(summary: dict[str, Any], folder: Path, *_: object, **__: object) -> list[Path]:
    """A figure that shows one number."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = f"<!-- Matplotlib v3.10.8 --><svg>{summary['speedup']['spp']['total']['value']}</svg>\n"
    (folder / "stages.svg").write_text(drawn)
    return [folder / "stages.svg"]


@pytest.fixture(scope="module", autouse=True)
def _quick_figures() -> Any:
    """That figures are reproducible is tested beside them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.figures.draw", _draw)
        patch.setattr("harness.figures.svgs", lambda *_, **__: {})
        yield


@pytest.fixture(scope="module")
def reported(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with all its reports; not to be changed."""
    run = Path(shutil.copytree(planted(2, processes=1), tmp_path_factory.mktemp("reported") / "run"))
    folder = RunFolder(run)
    write_reports(folder, folder.read_summary())
    return run


@pytest.fixture
def run(reported: Path, tmp_path: Path) -> Path:
    """A copy, to be changed."""
    return Path(shutil.copytree(reported, tmp_path / "run"))


def _contents(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_what_was_reported_holds_together(reported: Path) -> None:
    """And nothing in the folder is touched."""
    before = _contents(reported)
    assert check(reported) == []
    assert _contents(reported) == before


def test_a_digit_changed_in_a_report_is_found_twice(run: Path) -> None:
    """As a report that the summary does not give, and as a number that is nowhere in the summary."""
    report = run / "report.md"
    text = report.read_text()
    line = next(line for line in text.splitlines() if line.startswith("| total ") and "×" in line)
    value = line.split("×")[0].split()[-1]
    report.write_text(text.replace(line, line.replace(f"{value}×", f"9{value}×", 1)))
    found = check(run)
    assert len(found) == 2
    assert found[0].startswith("report.md is not what the summary gives from line ")
    assert found[0].endswith("write it anew with `harness report RUN`")
    assert found[1].startswith("report.md, Speed and accuracy, row total, column spp: 9")
    assert found[1].endswith("is no rounding of a number in the summary")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda one: one["speedup"]["fast"]["conv"].update(value=99.5), "speedup.fast.conv.value is 99.5 and would be"),
        (lambda one: one["speedup"]["spp"]["total"].update(low=0.5), "speedup.spp.total.low is 0.5 and would be"),
        (lambda one: one["trust"]["reasons"].append("more"), "trust.reasons"),
        (lambda one: one.pop("percentiles"), "percentiles is missing"),
        (lambda one: one.update(more=1), "nothing gives more"),
        (lambda one: one["machine"].update(threads=4), "machine.threads is 4 and would be 2"),
    ],
)
def test_a_change_in_the_summary_is_named(run: Path, change: Callable[[dict[str, Any]], object], where: str) -> None:
    """By the keys that lead to it, with what the samples give."""
    edited(run, run, "summary.json", change)
    found = check(run)
    assert found[0].startswith(f"summary.json does not follow from the samples: {where}")


def test_the_last_digits_may_be_those_of_another_machine(run: Path) -> None:
    """Sums are added up in another order there."""

    def change(summary: dict[str, Any]) -> None:
        node = summary["speedup"]["spp"]["conv"]
        node["value"] *= 1 + 1e-12

    edited(run, run, "summary.json", change)
    assert [line for line in check(run) if "does not follow" in line] == []


def test_a_changed_sample_is_found(run: Path) -> None:
    """One time of one image, by a thousandth."""

    def change(line: dict[str, Any]) -> None:
        if (line["method"], line["image"], line["repeat"], line["role"]) == ("spp", "000003", 1, "measured"):
            line["seconds"]["total"] *= 1.001
            line["seconds"]["conv"] += line["seconds"]["total"] * (0.001 / 1.001)

    relogged(run, run, change)
    found = check(run)
    assert len(found) == 1
    assert found[0].startswith("summary.json does not follow from the samples: ")


def test_a_figure_that_is_stale_missing_or_of_nothing_is_named(run: Path) -> None:
    """One of another version of matplotlib is passed over: its bytes cannot be had again."""
    figure = run / "figures" / "stages.svg"
    drawn = figure.read_text()
    figure.write_text(drawn.replace("v3.10.8", "v3.10.7").replace("<svg>", "<svg >"))
    assert check(run) == []
    figure.write_text(drawn.replace("<svg>", "<svg >"))
    assert check(run) == ["figures/stages.svg is not what the summary gives; write it anew with `harness report RUN`"]
    figure.rename(figure.with_name("others.svg"))
    assert check(run) == [
        "figures/stages.svg is missing; write it anew with `harness report RUN`",
        "figures/others.svg is of nothing in summary.json; remove it",
    ]


def test_figures_within_a_page_may_be_of_another_version(run: Path) -> None:
    """They do not say of which, so the figures beside the page do; all else in the page is compared."""
    page, figure = run / "report.html", run / "figures" / "stages.svg"
    text = page.read_text()
    page.write_text(text.replace("</main>", "<svg>other</svg></main>", 1))
    assert any(line.startswith("report.html is not what the summary gives") for line in check(run))
    figure.write_text(figure.read_text().replace("v3.10.8", "v3.10.7"))
    assert check(run) == []
    page.write_text(text.replace("</main>", "more</main>", 1))
    assert any(line.startswith("report.html is not what the summary gives") for line in check(run))


def test_a_page_is_read_like_a_report(run: Path) -> None:
    """Where there is a report.html, its visible numbers are looked at, too, and those of scripts are not."""
    page = "<h2>Times</h2><p>12345.6 s</p><script>99999.9</script>"
    (run / "report.html").write_text(page)
    found = [line for line in check(run) if "no rounding" in line]
    assert found == ["report.html, Times: 12345.6 in '12345.6 s' is no rounding of a number in the summary"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda run: (run / "summary.json").unlink(), "summary.json is missing"),
        (lambda run: (run / "report.md").unlink(), "report.md is missing; write it anew"),
        (lambda run: (run / "truth.json").write_text("{}"), "truth.json is damaged at images"),
        (lambda run: (run / "detections" / "spp.json").unlink(), "spp.json is missing"),
        (lambda run: edited(run, run, "manifest.json", lambda one: one.pop("created")), "manifest.json is damaged at"),
        (lambda run: edited(run, run, "summary.json", lambda one: one.pop("trust")), "breaks its promise: trust"),
    ],
)
def test_damage_is_a_line(run: Path, damage: Callable[[Path], object], words: str) -> None:
    """What cannot be read cannot be followed, and is said at once."""
    damage(run)
    found = check(run)
    assert len(found) == 1
    assert words in found[0]
    assert "\n" not in found[0]


@pytest.fixture
def reproduced(reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reproduction whose speed part is a run that was never made; every ratio is found at 1.5 to 2.5 times."""

    def measure(task: Task) -> Outcome:
        shutil.copytree(reported, task.folder)
        found = {"value": 2.0, "low": 1.5, "high": 2.5, "reason": None, "interval": "over 3 processes"}
        ratios = [claim for claim in read_claims() if claim.quantity.startswith("speedup")]
        seen = [judged(claim, {"method": claim.name, "baseline": None, "stages": []}, found) for claim in ratios]
        return Outcome("ok", None, seen, device="CPU (Some CPU)", images=2, trust="ok")

    monkeypatch.setattr("harness.reproduce.carry_out", measure)
    out, preset = tmp_path / "table", chosen("spp-table-10")[0]
    reproduce(preset, Options(images=2), out, reporter=Reporter(quiet=True), command="harness reproduce spp-table-10")
    return out


def test_a_reproduction_holds_together_with_its_runs(reproduced: Path) -> None:
    """Its report follows from its model, its numbers are those of its runs, and each run is asked like any other.

    The made-up ratios are of no run, which is named, and nothing else is; a folder without fault is a committed one's.
    """
    strayed = check(reproduced)
    assert strayed
    assert all(line.startswith("reproduction.json: SPP Table 10, spp") for line in strayed)
    assert all(line.endswith("by runs/speed-zf5/summary.json") for line in strayed)
    model = json.loads((reproduced / "reproduction.json").read_text())
    assert Draft202012Validator(schema("reproduction")).is_valid(model)
    report = reproduced / "report.md"
    report.write_text(report.read_text().replace("2.00× [1.50, 2.50]", "2.00× [1.50, 2.60]", 1))
    (reproduced / "runs" / "speed-zf5" / "report.md").unlink()
    found = check(reproduced)
    assert found[0].startswith("report.md is not what the summary gives from line ")
    assert [line for line in found if "2.00× [1.50, 2.60] in " in line and "is no rounding" in line]
    assert found[-1] == "runs/speed-zf5: report.md is missing; write it anew with `harness report RUN`"


def test_a_damaged_reproduction_is_a_line(reproduced: Path) -> None:
    """Named by the keys that lead to what is wrong."""
    edited(reproduced, reproduced, "reproduction.json", lambda model: model["labels"].pop("quick"))
    (found,) = check(reproduced)
    assert found.endswith("reproduction.json is damaged at labels.quick: Field required")


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    """That is wrong usage and no finding."""
    with pytest.raises(RunError, match="holds no run"):
        check(tmp_path)


@pytest.mark.parametrize(
    ("kept", "derived", "found"),
    [
        ({"a": [1.0, 2.0]}, {"a": [1.0, 2.0 * (1 + 1e-10)]}, None),
        ({"a": [1.0, 2.0]}, {"a": [1.0, 2.1]}, "a.1 is 2.0 and would be 2.1"),
        ({"a": [1.0]}, {"a": [1.0, 2.1]}, "a has 1 entries and would have 2"),
        ({"a": 1}, {"a": True}, "a is 1 and would be True"),
        ({"a": None}, {"a": {"b": 1}}, "a is None and would be {'b': 1}"),
        ({"a": {"b": 0.0}}, {"a": {"b": 1e-300}}, "a.b is 0.0 and would be 1e-300"),
    ],
)
def test_differences_are_told_by_their_keys(kept: object, derived: object, found: str | None) -> None:
    """Numbers by their relative distance, all else exactly."""
    assert first_difference(kept, derived) == found


def test_a_long_value_is_cut_to_where_it_differs() -> None:
    """A problem is a line that shows the difference, whatever stands in the file."""
    found = first_difference({"a": "x" * 500 + "1" + "y" * 500}, {"a": "x" * 500 + "2\n" + "y" * 500})
    assert found is not None
    assert len(found) < 200
    assert "x1y" in found
    assert "x2\\ny" in found
    assert "\n" not in found
