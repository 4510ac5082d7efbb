"""What is published of a kind is what its functions make; each target has one source, and each source its files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.publication import Kind, Made, PublicationError, collected, of_model
from harness.publish import KINDS, main, publish, stale
from harness.storage import StorageError, read_json
from verdicts import Planted

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def table(model: dict[str, Any], figures: str = "") -> str:
    """One number, and a link to the figure where there is one."""
    return f"| value |\n|---|\n| {model['value']} |\n\n![growth]({figures}growth.svg)\n"


def figure(model: dict[str, Any]) -> Figure:
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(2, 2))
    drawn.subplots().plot([0, model["value"]])
    return drawn


BOARDS = Kind("boards/*.json", of_model(read_json, table))
BOXES = Kind("runs/*/boxes.json", of_model(read_json, table, figures={"growth": figure}, extract=table))


def place(root: Path, name: str, **model: Any) -> Path:
    path = root / "results" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(model))
    return path


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a source of each kind, and a README that shows one."""
    monkeypatch.setattr("harness.publish.KINDS", (BOARDS, BOXES))
    monkeypatch.setattr("harness.publish.schemas.FORMS", {})
    place(tmp_path, "boards/photographs.json", value=5)
    place(tmp_path, "runs/boxes-voc07/boxes.json", value=7)
    (tmp_path / "README.md").write_text("<!-- generated: boxes-voc07 -->\n<!-- /generated -->\n")
    return tmp_path


FILES = [
    "README.md",
    *("results/figures/boxes-voc07-growth.png", "results/figures/boxes-voc07-growth.svg"),
    *("results/tables/boxes-voc07.md", "results/tables/photographs.md"),
]


def test_each_source_gets_its_files(checkout: Path) -> None:
    """A table that says what it was made of, both forms of a figure, and the README; a second time, nothing."""
    assert [path.as_posix() for path in publish(checkout)] == FILES
    text = (checkout / "results/tables/boxes-voc07.md").read_text()
    assert text.startswith("<!-- Made by `python -m harness.publish` from results/runs/boxes-voc07/boxes.json; not to")
    assert text.endswith(f"-->\n\n{table({'value': 7}, '../figures/boxes-voc07-')}")
    assert (checkout / "results/tables/../figures/boxes-voc07-growth.svg").is_file()
    assert "from results/boards/photographs.json;" in (checkout / "results/tables/photographs.md").read_text()
    assert table({"value": 7}) in (checkout / "README.md").read_text()
    assert b"Matplotlib v" in (checkout / "results/figures/boxes-voc07-growth.svg").read_bytes()
    assert publish(checkout) == stale(checkout) == []


def test_a_source_that_changed_makes_its_own_files_stale(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And nobody else's."""
    publish(checkout)
    place(checkout, "runs/boxes-voc07/boxes.json", value=8)
    assert [path.as_posix() for path in stale(checkout)] == FILES[:4]
    publish(checkout)
    place(checkout, "boards/photographs.json", value=6)
    assert main(["--check", "--root", str(checkout)]) == 1
    assert capsys.readouterr().out.splitlines()[0] == f"stale: {Path(FILES[-1])}"


def test_files_of_a_source_that_is_gone_are_removed(checkout: Path) -> None:
    """Nothing is shown of what nobody can look up."""
    publish(checkout)
    (checkout / "results/runs/boxes-voc07/boxes.json").unlink()
    assert [path.as_posix() for path in publish(checkout)] == FILES[:4]
    assert sorted(path.name for path in (checkout / "results").rglob("*.*")) == ["photographs.json", "photographs.md"]


def test_a_figure_is_drawn_the_same_again_and_like_the_others(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte for byte, whatever style its reader prefers; one of another matplotlib is not compared."""
    import matplotlib as mpl

    publish(checkout)
    monkeypatch.setitem(mpl.rcParams, "lines.linewidth", 9.0)
    assert stale(checkout) == []
    path = checkout / "results/figures/boxes-voc07-growth.svg"
    path.write_text(path.read_text().replace("Matplotlib v", "Matplotlib v0.", 1) + "\n")
    assert stale(checkout) == []


def test_two_sources_of_one_table_are_refused(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Else the later would be published and the earlier never seen; one line names both."""
    place(checkout, "boards/boxes-voc07.json", value=1)
    kinds, results = (BOARDS, BOXES), checkout / "results"
    told = "results/boards/boxes-voc07.json and results/runs/boxes-voc07/boxes.json both make tables/boxes-voc07.md"
    with pytest.raises(PublicationError, match=told):
        collected(kinds, results)
    with pytest.raises(SystemExit) as ended:
        main(["--root", str(checkout)])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_a_damaged_source_is_told_in_a_line(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its file, and as wrong input."""
    (checkout / "results/boards/photographs.json").write_text("{")
    with pytest.raises(SystemExit) as ended:
        main(["--check", "--root", str(checkout)])
    assert ended.value.code == 2
    assert "photographs.json cannot be read: " in capsys.readouterr().err


def test_what_is_not_whole_yet_is_passed_over(checkout: Path) -> None:
    """A folder that is being made has a name that begins with a dot."""
    place(checkout, "runs/.unfinished-x/boxes.json", value=1)
    place(checkout, "boards/.hidden.json", value=1)
    _, extracts = collected((BOARDS, BOXES), checkout / "results")
    assert list(extracts) == ["boxes-voc07"]


def test_sources_are_named_by_their_file_or_their_folder(tmp_path: Path) -> None:
    """Whichever the pattern leaves open."""
    assert BOARDS.name(tmp_path / "boards" / "voc07.json") == "voc07"
    assert BOXES.name(tmp_path / "runs" / "voc07" / "boxes.json") == "voc07"


def test_a_source_may_have_no_table(tmp_path: Path) -> None:
    """Only what a kind makes is there."""
    place(tmp_path, "boards/one.json", value=1)
    kind = Kind("boards/*.json", lambda _source, name: Made(files={f"pages/{name}.html": b"page"}))
    assert collected((kind,), tmp_path / "results") == ({"pages/one.html": b"page"}, {})


def test_a_scoreboard_is_published_of_the_runs_that_it_names(planted: Planted, tmp_path: Path) -> None:
    """Under the name of its file, with links that lead from the table to the runs."""
    results = tmp_path / "results"
    shutil.copytree(planted(2), results / "runs" / "demo")
    (results / "scoreboards").mkdir()
    (results / "scoreboards" / "planted.toml").write_text('title = "Planted"\nruns = ["demo"]\n')
    boards = tuple(kind for kind in KINDS if kind.pattern.startswith("scoreboards/"))
    files, _ = collected(boards, results)
    (text,) = (content.decode() for content in files.values())
    assert list(files) == ["tables/planted.md"]
    assert "from results/scoreboards/planted.toml; not to be edited" in text
    found = read_json(results / "runs" / "demo" / "summary.json")["methods"]["spp"]["map"]["voc07"]["value"]
    assert f"{100 * found:.1f} [" in text
    assert "](../runs/demo)" in text
    (results / "scoreboards" / "planted.toml").write_text('title = "Planted"\nruns = ["none"]\n')
    with pytest.raises(StorageError, match="no run none in"):
        collected(boards, results)
