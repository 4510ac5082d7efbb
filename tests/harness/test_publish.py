"""Publishing: generated files follow from the runs, and a file that does not is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness import figures, traceability
from harness.publish import main, publish, stale, untraceable
from harness.runs import RunFolder
from harness.schemas import FORMS, file_name

RUN: dict[str, Any] = {
    "schema_version": 1,
    "command": "harness compare --methods rcnn,spp",
    "baseline": "rcnn",
    "plan": {"methods": ["rcnn", "spp"], "dataset": "shapes", "backbone": "mini"},
    "machine": {"cpu": "Some CPU", "threads": 2, "device": "cpu"},
    "methods": {
        name: {
            "status": "ok",
            "map": {"voc07": {"value": 0.625}},
            "seconds": {"conv": {"mean": total / 2}, "fc": {"mean": total / 4}, "total": {"mean": total}},
        }
        for name, total in (("rcnn", 8.0), ("spp", 0.5))
    },
    "speedup": {"spp": {"conv": {"value": 16.0, "low": 15.0, "high": 17.0}, "total": {"value": 16.0}}},
}
README = "before\n<!-- generated: demo -->\n<!-- /generated -->\nafter\n"
SCHEMAS = sorted(f"results/schemas/{file_name(name)}" for name in FORMS)
OF_RUN = [
    "README.md",
    *(f"results/figures/demo-{name}" for name in ("speed_accuracy.png", "speed_accuracy.svg")),
    *(f"results/figures/demo-{name}" for name in ("stages.png", "stages.svg")),
    "results/pages/demo.html",
    "results/tables/demo.md",
]
FILES = sorted([*OF_RUN, *SCHEMAS])


@pytest.fixture(autouse=True)
def one_drawing_each(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Draw the same summary once a test: that figures are reproducible is tested beside `draw`."""
    drawn: dict[str, list[Path]] = {}

    def draw(summary: dict[str, Any], _folder: Path, _run: RunFolder) -> list[Path]:
        key = json.dumps(summary)
        if key not in drawn:
            drawn[key] = figures.draw(summary, tmp_path_factory.mktemp("drawn"))
        return drawn[key]

    monkeypatch.setattr("harness.publish.draw", draw)
    monkeypatch.setattr("harness.publish.svgs", lambda *_: {})
    # The run of these tests is a summary alone; that of samples is asked in `test_traceability`.
    monkeypatch.setattr("harness.publish.check", lambda _run: [])


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with one run that nothing was made of yet."""
    run = tmp_path / "results" / "runs" / "demo"
    run.mkdir(parents=True)
    (run / "summary.json").write_text(json.dumps(RUN))
    (run / "manifest.json").write_text(json.dumps({"schema_version": 1}))
    (tmp_path / "README.md").write_text(README)
    return tmp_path


def test_what_was_published_is_not_stale(checkout: Path) -> None:
    """Publishing writes every generated file, and a second time there is nothing to write."""
    assert [path.as_posix() for path in publish(checkout)] == FILES
    assert stale(checkout) == []
    assert publish(checkout) == []
    assert main(["--check", "--root", str(checkout)]) == 0


def test_the_readme_gets_its_extract_and_keeps_the_rest(checkout: Path) -> None:
    """Between the markers stand the command and the run's numbers; links lead to files that exist."""
    publish(checkout)
    text = (checkout / "README.md").read_text()
    assert text.startswith("before\n<!-- generated: demo -->\n")
    assert text.endswith("<!-- /generated -->\nafter\n")
    for words in ("harness compare --methods rcnn,spp", "62.5", "16.0× [15.0, 17.0]", "CPU (Some CPU, 2 threads)"):
        assert words in text
    for name in ("figures/demo-speed_accuracy.svg", "figures/demo-stages.svg", "tables/demo.md"):
        link = f"results/{name}"
        assert f"]({link})" in text
        assert (checkout / link).is_file()


def test_an_edited_table_is_named(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A number changed by hand makes the check end with 1 and name that file alone; publishing heals it."""
    publish(checkout)
    table = checkout / "results" / "tables" / "demo.md"
    table.write_text(table.read_text().replace("62.5", "72.5"))
    assert main(["--check", "--root", str(checkout)]) == 1
    assert capsys.readouterr().out.splitlines()[0] == f"stale: {Path('results/tables/demo.md')}"
    assert [path.name for path in publish(checkout)] == ["demo.md"]
    assert "72.5" not in table.read_text()


def test_a_changed_run_makes_all_of_its_files_stale(checkout: Path) -> None:
    """Every generated file depends on what was measured."""
    publish(checkout)
    changed = json.loads(json.dumps(RUN))
    changed["methods"]["spp"]["seconds"]["total"]["mean"] = 0.7
    changed["speedup"]["spp"]["total"]["value"] *= 1.1
    (checkout / "results" / "runs" / "demo" / "summary.json").write_text(json.dumps(changed))
    assert [path.as_posix() for path in stale(checkout)] == OF_RUN


def test_files_of_a_run_that_is_gone_are_stale(checkout: Path) -> None:
    """Tables and figures without a run are named and removed, and the README's block is emptied."""
    publish(checkout)
    (checkout / "results" / "runs" / "demo" / "summary.json").unlink()
    assert [path.as_posix() for path in publish(checkout)] == OF_RUN
    assert (checkout / "README.md").read_text() == README
    assert stale(checkout) == []


def test_a_figure_of_another_matplotlib_is_passed_over(checkout: Path) -> None:
    """Its bytes differ whatever the numbers are, so only a figure of the same version can be judged."""
    publish(checkout)
    figure = checkout / "results" / "figures" / "demo-stages.svg"
    drawn = figure.read_text()
    figure.write_text(drawn.replace("Matplotlib v", "Matplotlib v0.", 1) + "\n")
    assert stale(checkout) == []
    figure.write_text(drawn + "\n")
    assert [path.name for path in stale(checkout)] == ["demo-stages.svg"]


def test_a_page_with_figures_of_another_matplotlib_is_passed_over(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures within a page do not name what drew them, those beside it do; its words are compared all the same."""
    monkeypatch.setattr("harness.publish.svgs", lambda *_: {"stages": "<svg><title>Stages</title></svg>"})
    publish(checkout)
    figure = checkout / "results" / "figures" / "demo-stages.svg"
    figure.write_text(figure.read_text().replace("Matplotlib v", "Matplotlib v0.", 1))
    monkeypatch.setattr("harness.publish.svgs", lambda *_: {"stages": "<svg><title>Stages</title><g/></svg>"})
    assert stale(checkout) == []
    page = checkout / "results" / "pages" / "demo.html"
    page.write_text(page.read_text().replace("62.5", "72.5", 1))
    assert [path.name for path in stale(checkout)] == ["demo.html"]


def test_a_schema_that_was_edited_is_named(checkout: Path) -> None:
    """Schemas are generated, too; one that no form has any more is removed."""
    publish(checkout)
    schema = checkout / SCHEMAS[0]
    schema.write_text(schema.read_text().replace('"type": "string"', '"type": "number"', 1))
    (schema.parent / "old.schema.json").write_text("{}")
    names = {schema.name, "old.schema.json"}
    assert {path.name for path in stale(checkout)} == names
    assert {path.name for path in publish(checkout)} == names
    assert stale(checkout) == []


def test_figures_that_no_page_shows_are_not_published(checkout: Path) -> None:
    """They lie in the run folder; here they would lie twice."""
    publish(checkout)
    drawn = {path.stem.removeprefix("demo-") for path in (checkout / "results" / "figures").iterdir()}
    pages = (checkout / "results" / "tables" / "demo.md").read_text() + (checkout / "README.md").read_text()
    assert drawn
    assert all(f"demo-{name}.svg" in pages for name in drawn)


@pytest.mark.parametrize(
    ("dataset", "pictured"), [("shapes", True), ("voc:/data/VOC2007", False), ("shapes-of:x", False)]
)
def test_photographs_are_not_published(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, pictured: bool
) -> None:
    """Figures and page are made with the run folder, which leads to its images, where those are drawn scenes alone."""
    summary = {**RUN, "plan": {**RUN["plan"], "dataset": dataset}}
    (checkout / "results" / "runs" / "demo" / "summary.json").write_text(json.dumps(summary))
    given: list[RunFolder | None] = []
    monkeypatch.setattr("harness.publish.draw", lambda _summary, _folder, run: given.append(run) or [])
    monkeypatch.setattr("harness.publish.svgs", lambda _summary, run: given.append(run) or {})
    publish(checkout)
    assert [run is not None for run in given] == [pictured, pictured]


def test_a_run_that_does_not_hold_together_is_named(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `harness.traceability` finds makes the check fail, though nothing generated is stale."""
    publish(checkout)
    monkeypatch.setattr("harness.publish.check", traceability.check)
    told = "results/runs/demo: manifest.json is damaged at plan: Field required"
    assert untraceable(checkout) == [told]
    monkeypatch.setattr("harness.publish.check", lambda run: [f"{run.name} is wrong"])
    assert main(["--check", "--root", str(checkout)]) == 1
    assert capsys.readouterr().out == f"does not follow: {Path('results/runs/demo')}: demo is wrong\n"
    assert main(["--root", str(checkout)]) == 0


def test_outside_a_checkout_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without results is wrong usage, not an empty success."""
    with pytest.raises(SystemExit) as ended:
        main(["--check", "--root", str(tmp_path)])
    assert ended.value.code == 2
    assert "holds no folder results" in capsys.readouterr().err
