"""A scoreboard in Markdown, on a terminal and on the command line: all that it found, and a page that is whole."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner, Result

from harness.cli.score import score
from harness.contenders import read_run
from harness.relations import Expected
from harness.rendering.points import expected, points, signed
from harness.rendering.scoreboard import excerpt, markdown
from harness.rendering.scoreboard_screen import terminal
from harness.scoreboard import Scoreboard, score_runs
from harness.statistics import Estimate
from scored import ids, plant

APP = typer.Typer()
APP.command()(score)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two methods on 24 images, two on the same, and one on half of them after another fit."""
    root = tmp_path_factory.mktemp("runs")
    small = {"train_images": 100, "train_sha256": "1"}
    about = {"fast:5": {"summary": {"status": "error", "reason": "no | cell"}}}
    return [
        plant(root / "first", {"spp": 0.7, "spp:ftfc7": 0.6}, images=ids(24)),
        plant(root / "second", {"fast": 0.8, "fast:svd": 0.8, "fast:5": 0.8}, images=ids(24), methods=about),
        plant(root / "part", {"rcnn:pyramid": 0.7, "mine|x": 0.5}, images=ids(12), dataset=small),
    ]


@pytest.fixture(scope="module")
def board(runs: list[Path]) -> Scoreboard:
    return score_runs([read_run(path, path.name) for path in runs], title="Title | <b>", note="A note")


def test_every_method_and_relation_has_its_row(board: Scoreboard) -> None:
    """With as many cells as the head; by class, too; for each board."""
    text = markdown(board)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for part in board.boards:
        assert f"## {part.images} images" in text
        for entry in part.entries:
            assert any(entry.title.replace("|", "\\|") in line for line in rows)
        for one in part.judged:
            wanted = (f"| {one.left} − {one.right} ", one.verdict, *(where for _, where in one.published))
            assert any(all(words in line for words in wanted) for line in rows)
            assert any(one.sentence in line for line in rows)
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_what_a_user_named_breaks_neither_cell_nor_page(board: Scoreboard) -> None:
    """Neither a bar nor a tag gets through."""
    text = markdown(board)
    assert text.startswith("# Title \\| &lt;b>\n")
    assert "mine\\|x" in text
    assert "fast:5 of second: error: no \\| cell" in text


def test_every_footnote_is_there_once(board: Scoreboard) -> None:
    """Each mark has its text."""
    text = markdown(board)
    marks = set(re.findall(r"\[\^\d+\](?!:)", text))
    notes = re.findall(r"^(\[\^\d+\]):", text, re.MULTILINE)
    assert marks == set(notes)
    assert len(notes) == len(set(notes)) > 0
    assert "they do not share what the relation asks for: training images: 300 of train against 100 of train" in text
    assert "the interval is wider than what is expected" in text


def test_an_excerpt_has_every_accuracy_and_verdict_as_the_page_has_them(board: Scoreboard) -> None:
    """Row by row the same cells; no footnote, since those of two extracts of a README would bear the same numbers."""
    short, whole = excerpt(board, runs="results/runs/"), markdown(board)
    assert "harness score results/runs/first results/runs/second results/runs/part --markdown\n" in short
    assert "[^" not in short
    for part in board.boards:
        assert f"{part.images} images.**" in short
    plain = re.sub(r"\[\^\d+\]", "", whole)
    cells = [line.split(" | ") for line in plain.splitlines() if line.startswith("|")]
    squeezed = [[cell.strip(" |") for cell in row] for row in cells]
    rows = [[cell.strip(" |") for cell in line.split(" | ")] for line in short.splitlines() if line.startswith("|")]
    body = [row for row in rows if row[0] not in {"row", "relation"} and ":--" not in row[0]]
    assert len(body) == sum(len(part.entries) + len(part.judged) for part in board.boards)
    for row in body:
        assert any(set(row[1:]) <= set(other) for other in squeezed), row


def test_a_page_says_what_its_numbers_are_not(board: Scoreboard) -> None:
    """What intervals leave out, what is other than in the papers, which images, which relations were not measured."""
    text = markdown(board)
    for words in (
        "what another fit of the same method would give is in none of them",
        "What is other here:",
        "Of the 24 images, those on which alone there is part.",
        "No margin is added",
        "Not measured, since no two methods are here for them: ",
        "<details><summary>Average precision of each class",
        "A note",
    ):
        assert words in text


def test_runs_are_linked_where_their_folders_are_known(board: Scoreboard) -> None:
    """And only there."""
    assert "- [first](../runs/first): `harness compare`" in markdown(board, runs="../runs/")
    assert "- first: `harness compare`" in markdown(board)


def test_what_all_share_is_said_once_and_what_not_has_a_column(board: Scoreboard) -> None:
    """The second board has two training sets."""
    first, second = markdown(board).split("## 12 images")
    assert "training images 300 of train" in first
    assert "| training images" not in first
    assert "| training images" in second


def test_a_terminal_of_80_columns_holds_it(board: Scoreboard) -> None:
    """No line is cut, and every method and verdict is there."""
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(terminal(board))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    for part in board.boards:
        assert {one.verdict for one in part.judged} <= set(re.findall("not met|met|inconclusive|not comparable", text))
        assert all(entry.method in text for entry in part.entries)
    assert "No score: fast:5 of second: error: no | cell" in text
    assert "…" not in text


@pytest.mark.parametrize(
    ("value", "low", "high", "told"),
    [
        (0.0123, -0.004, 0.0287, "+1.2 [−0.4, +2.9]"),
        (-0.0004, -0.0196, 0.0188, "0.0 [−2.0, +1.9]"),
        (-0.0003, -0.0011, 0.0004, "−0.03 [−0.11, +0.04]"),
        (0.0, 0.0, 0.0, "0.0 [0.0, 0.0]"),
        (0.02, None, None, "+2.0!why"),
        (None, None, None, "–!why"),
    ],
)
def test_differences_carry_their_sign(value: float | None, low: float | None, high: float | None, told: str) -> None:
    """In points; what is missing says why."""
    assert signed(Estimate(value, low, high, "why"), lambda reason: f"!{reason}") == told


def test_expected_ranges_in_words() -> None:
    """Open at either end, or closed."""
    found = [expected(Expected(*ends)) for ends in ((-1.5, 1.5), (0.0, None), (-1.0, None, True), (None, 2.0))]
    assert found == ["−1.5 to +1.5", "0.0 or more", "above −1.0", "+2.0 or less"]
    assert [points(each) for each in (1.25, -0.04, 0.0)] == ["+1.2", "0.0", "0.0"]


# The command


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(APP, [*map(str, arguments)])


def test_json_is_alone_on_standard_output(runs: list[Path], board: Scoreboard) -> None:
    """And holds what the board does."""
    found = json.loads(run(*runs, "--json").stdout)
    assert found["boards"] == json.loads(json.dumps(board.as_dict()))["boards"]


def test_the_command_prints_or_writes(runs: list[Path], tmp_path: Path) -> None:
    """A terminal's tables, Markdown, or a file whose name is printed."""
    assert "The papers' relations" in run(*runs).stdout
    text = run(*runs, "--markdown").stdout
    out = tmp_path / "new/board.md"
    done = run(*runs, "--markdown", "--out", out)
    assert (done.stdout, out.read_text()) == (f"{out}\n", text)


def test_a_file_that_is_there_is_kept(runs: list[Path], tmp_path: Path) -> None:
    """Unless its user gives it up."""
    out = tmp_path / "board.md"
    out.write_text("mine")
    refused = run(*runs, "--markdown", "--out", out)
    assert (refused.exit_code, refused.stdout, out.read_text()) == (2, "", "mine")
    assert "is there already; name another, or say --overwrite" in refused.stderr
    assert run(*runs, "--markdown", "--out", out, "--overwrite").exit_code == 0
    assert out.read_text().startswith("# Accuracy")


def test_a_difference_that_is_not_of_methods_alone_is_marked(board: Scoreboard) -> None:
    """In its cell, with what the two do not share; on a terminal, too."""
    part = board.boards[1]
    (entry,) = (one for one in part.entries if one.method == "rcnn:pyramid")
    assert entry.unlike == ("training images: 100 of train against 300 of train",)
    text = markdown(board).split("## 12 images")[1]
    (row,) = (line for line in text.splitlines() if line.startswith(f"| {entry.title}") and "published" not in line)
    assert re.search(r"\]\[\^\d+\] \|", row)
    assert "not of methods alone: training images: 100 of train against 300 of train" in text
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(terminal(board))
    assert "* rcnn:pyramid, not of methods alone: training images" in " ".join(console.export_text().split())


def test_a_verdict_says_that_it_is_of_one_fit_each(board: Scoreboard) -> None:
    """Intervals are over images alone."""
    assert "of one fit each" in markdown(board)


def test_the_source_is_told_where_runs_are_of_several(runs: list[Path], board: Scoreboard, tmp_path: Path) -> None:
    """Older runs keep no settings, so that their source is all there is to see a change by."""
    assert "measured by the source" not in markdown(board)
    other = plant(tmp_path / "other", {"fast": 0.8}, images=ids(24), commit="e" * 40)
    found = score_runs([read_run(path, path.name) for path in (runs[0], other)], title="T")
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(terminal(found))
    assert f"Run other: measured by the source {'e' * 12}" in console.export_text()
    text = markdown(found)
    assert f"- first: `harness compare`, measured by the source {'d' * 12}" in text
    assert f"- other: `harness compare`, measured by the source {'e' * 12}" in text


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("truth.json", {}, "truth.json is damaged at images"),
        ("summary.json", {}, "summary.json breaks its promise"),
        (
            "detections/fast.json",
            [{"image_id": "zap", "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}],
            "image zap",
        ),
        ("manifest.json", {"schema_version": 2, "status": "complete"}, "manifest.json is damaged at"),
    ],
)
def test_a_damaged_run_is_refused_in_one_line(tmp_path: Path, file: str, content: object, words: str) -> None:
    """Exit code 2, with the file that is wrong."""
    path = plant(tmp_path / "run", {"fast": 0.8}, images=ids(5))
    (path / file).write_text(json.dumps(content))
    done = run(path)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_baseline_that_the_largest_board_lacks_is_not_replaced(runs: list[Path]) -> None:
    """Where it was asked for; the board says so."""
    found = score_runs([read_run(path, path.name) for path in runs], title="T", baseline="rcnn:pyramid")
    first, second = found.boards
    assert (first.baseline, second.baseline) == (None, "rcnn:pyramid")
    assert all(entry.difference == {} for entry in first.entries)
    assert "is not on these images, so there are none" in markdown(found).split("## 12 images")[0]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(terminal(found))
    assert "is not on these images" in " ".join(console.export_text().split())


def test_a_file_of_runs_is_taken_alone(runs: list[Path], tmp_path: Path) -> None:
    """It says itself what is compared."""
    (tmp_path / "scoreboards").mkdir()
    (tmp_path / "runs").symlink_to(runs[0].parent)
    path = tmp_path / "scoreboards/board.toml"
    path.write_text('title = "T"\nruns = ["first", "second"]\nmethods = ["fast"]\n')
    text = run(path, "--markdown").stdout
    assert text.startswith("# T\n")
    assert "| fast " in text
    assert "| spp " not in text
    for more in ([runs[0]], ["--baseline", "fast"], ["--methods", "fast"]):
        assert run(path, *more).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["first", "--json", "--markdown"], "--json and --markdown contradict each other"),
        (["first", "--out", "x.json"], "--out takes JSON or Markdown"),
        (["first", "--json", "--out", "."], "--out . is a folder"),
        (["first", "--json", "--out", "first/truth.json/x"], "--out: first/truth.json/x cannot be written"),
        (["first", "first"], "a run folder is named twice"),
        (["none"], "holds no run"),
        (["first", "--baseline", "fats"], "no run has a score of 'fats'; there are spp, spp:ftfc7"),
        (["first", "--methods", "spp,fats"], "no run has a score of 'fats'; there are spp, spp:ftfc7"),
    ],
)
def test_mistakes_are_said_in_one_line(
    runs: list[Path], monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    """Exit code 2, nothing on standard output."""
    monkeypatch.chdir(runs[0].parent)
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
