"""What is taken among the committed runs is finished, whole, small and packed; all else is refused in a line."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import adopt as adopting
from harness.adopt import AdoptionError, adopt, main
from harness.reports import write_reports
from harness.runs import RunError, RunFolder
from harness.summary import summarise
from harness.traceability import check
from verdicts import Planted, edited, relogged

pytestmark = pytest.mark.usefixtures("no_pictures")

MADE = {
    *("manifest.json", "summary.json", "report.md"),
    *("truth.json.gz", "samples.jsonl.gz", "conditions.jsonl.gz"),
    *(f"detections/{method}.json.gz" for method in ("rcnn", "spp", "fast")),
}


@pytest.fixture(scope="module")
def reported(planted: Planted, tmp_path_factory: pytest.TempPathFactory, no_pictures: None) -> Path:
    """A run with its reports, a model, a figure, a traceback and a scratch file; not to be changed."""
    run = Path(shutil.copytree(planted(2, processes=1), tmp_path_factory.mktemp("reported") / "run"))
    folder = RunFolder(run)
    write_reports(folder, folder.read_summary())
    for name in ("models/spp.safetensors", "figures/stages.svg", "errors/spp.txt", "work/spp/step", "photograph.jpg"):
        (run / name).parent.mkdir(exist_ok=True, parents=True)
        (run / name).write_bytes(b"left behind")
    folder.write_fit("spp", {"total": 1.0})
    return run


@pytest.fixture
def run(reported: Path, tmp_path: Path) -> Path:
    """A copy, to be changed."""
    return Path(shutil.copytree(reported, tmp_path / "scratch" / "run"))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The folder of the committed runs of a checkout."""
    folder = tmp_path / "results" / "runs"
    folder.mkdir(parents=True)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(run: Path, name: str, runs: Path, **options: Any) -> str:
    """Why a run is not taken; nothing is left in the committed runs, and the run stays as it is."""
    before, others = contents(run), contents(runs)
    with pytest.raises((AdoptionError, RunError)) as told:
        adopt(run, name, runs, **options)
    assert (contents(run), contents(runs)) == (before, others)
    assert "\n" not in str(told.value)
    return str(told.value)


def test_a_run_is_packed_and_says_the_same(run: Path, runs: Path) -> None:
    """Bytes of records and report are the run's own, nothing else goes along, and the run stays as it was."""
    before = contents(run)
    made = adopt(run, "demo", runs)
    assert made == runs / "demo"
    assert contents(run) == before
    assert set(contents(made)) == MADE
    for name, content in contents(made).items():
        plain = name.removesuffix(".gz")
        assert (gzip.decompress(content) if name != plain else content) == before[plain]
    assert check(made) == []
    assert summarise(RunFolder(made)) == RunFolder(run).read_summary()
    assert [path.name for path in runs.iterdir()] == ["demo"]


def test_it_is_made_the_same_again(run: Path, runs: Path) -> None:
    """Byte for byte, so that to adopt a run anew changes nothing in a repository; of a packed run, too."""
    first = contents(adopt(run, "first", runs))
    assert contents(adopt(run, "second", runs)) == first
    assert contents(adopt(runs / "first", "third", runs)) == first


def test_a_committed_run_can_be_packed_in_its_place(run: Path, runs: Path) -> None:
    """Its place is its own, so that is a replacement; figures and page beside it go."""
    shutil.copytree(run, runs / "demo")
    adopt(runs / "demo", "demo", runs, replace=True)
    assert set(contents(runs / "demo")) == MADE
    assert [path.name for path in runs.iterdir()] == ["demo"]


def test_a_place_that_is_taken_is_refused(run: Path, runs: Path, planted: Planted) -> None:
    """A run gives way with --replace alone, and what is no run never does."""
    adopt(run, "demo", runs)
    assert refusal(run, "demo", runs).endswith("is there already; choose another name, or replace it with --replace")
    edited(run, run, "manifest.json", lambda one: one.update(more=1))
    adopt(run, "demo", runs, replace=True)
    assert json.loads((runs / "demo" / "manifest.json").read_text())["more"] == 1
    assert [path.name for path in runs.iterdir()] == ["demo"]
    (runs / "thesis").mkdir()
    (runs / "thesis" / "thesis.tex").touch()
    assert "holds no run, and is not replaced" in refusal(run, "thesis", runs, replace=True)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "-x", "a/b", "../a", "a b", "süß", "a\n"])
def test_a_name_is_a_name(run: Path, runs: Path, name: str) -> None:
    """One that a table, a link and the README's markers can bear, and never a path."""
    assert "is no name for a run" in refusal(run, name, runs)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda run: edited(run, run, "manifest.json", lambda one: one.update(status="running")), "is not finished"),
        (lambda run: edited(run, run, "manifest.json", lambda one: one.update(status="interrupted")), "go on with"),
        (lambda run: (run / "report.md").unlink(), "report.md is missing; what was measured and reported"),
        (lambda run: (run / "samples.jsonl").unlink(), "samples.jsonl is missing"),
        (lambda run: (run / "manifest.json").unlink(), "holds no run"),
        (lambda run: (run / "detections" / "spp.json").unlink(), "does not hold together: "),
        (lambda run: (run / "report.md").write_text("all is well\n"), "report.md is not what the summary gives"),
        (
            lambda run: edited(run, run, "summary.json", lambda one: one["speedup"]["spp"]["total"].update(low=0.5)),
            "does not hold together: summary.json does not follow from the samples: speedup.spp.total.low is 0.5",
        ),
    ],
)
def test_what_is_not_whole_is_refused(run: Path, runs: Path, damage: Callable[[Path], object], words: str) -> None:
    """With what the committed runs are checked for; a problem is told of the run, not of a passing copy."""
    damage(run)
    told = refusal(run, "demo", runs)
    assert words in told
    assert str(run) in told
    assert ".unfinished" not in told


def test_a_partial_run_is_a_finished_one(planted: Planted, tmp_path: Path, runs: Path) -> None:
    """A method that failed is a result, with its reason."""
    run = Path(shutil.copytree(planted(2, failed="spp"), tmp_path / "run"))
    write_reports(RunFolder(run), RunFolder(run).read_summary())
    made = adopt(run, "demo", runs)
    assert RunFolder(made).read_summary()["methods"]["spp"]["status"] == "error"
    assert "detections/spp.json.gz" not in contents(made)


def test_a_run_that_cannot_be_locked_is_refused(
    run: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, such as where its disk is mounted read-only."""
    opened = Path.open

    def read_only(path: Path, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if path.parent == run and "a" in mode:
            raise PermissionError(30, "Read-only file system")
        return opened(path, mode, *rest, **options)

    monkeypatch.setattr(Path, "open", read_only)
    assert main([str(run), "demo", "--root", str(runs.parents[1])]) == 2
    told = capsys.readouterr().err
    assert "is not writable (Read-only file system, and a run is locked while it is written or copied)" in told
    assert told.count("\n") == 1
    assert list(runs.iterdir()) == []


def test_a_run_that_is_being_written_is_refused(run: Path, runs: Path) -> None:
    """As long as the other process lives."""
    with RunFolder(run).held():
        with pytest.raises(RunError, match="is being written by another process"):
            adopt(run, "demo", runs)
        assert list(runs.iterdir()) == []


def test_what_is_too_large_is_refused_with_its_largest_methods(
    run: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By how much, to the byte, and whose records are the largest; a byte more room and it is taken."""
    made = contents(adopt(run, "demo", runs))
    total = sum(map(len, made.values()))
    monkeypatch.setattr(adopting, "LIMIT_BYTES", total)
    told = refusal(run, "other", runs)
    assert f"takes {total:,} bytes packed, 1 too many for a committed run; most are of " in told
    named = told.partition("most are of ")[2].partition(": ")[0]
    sizes = {part.split(" (")[0]: int(part.split("(")[1].rstrip(")").replace(",", "")) for part in named.split(", ")}
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)
    lines = gzip.decompress(made["samples.jsonl.gz"]).decode().splitlines()
    for method, size in sizes.items():
        own = "\n".join(line for line in lines if json.loads(line)["method"] == method)
        expected = len(made[f"detections/{method}.json.gz"]) + len(gzip.compress(own.encode()))
        assert size == pytest.approx(expected, rel=0.01)
    monkeypatch.setattr(adopting, "LIMIT_BYTES", total + 1)
    adopt(run, "other", runs)


@pytest.mark.parametrize("place", ["/home/ada/run", "/Users/ada/x.py", "/root/work", "C:\\Users\\ada\\x"])
def test_records_that_name_a_home_folder_are_refused(run: Path, runs: Path, place: str) -> None:
    """Such as in the reason of a failure; the command line, which is part of what was measured, may."""
    edited(run, run, "manifest.json", lambda one: one.update(argv=["harness", "compare", "--dataset", f"voc:{place}"]))
    adopt(run, "before", runs)

    def failed(line: dict[str, Any]) -> None:
        if line["image"] == "000003":
            line["reason"] = f"no such file '{place}'"

    relogged(run, run, failed)
    told = refusal(run, "demo", runs)
    assert "samples.jsonl, line " in told
    assert "names a home folder, " in told
    assert "ada" in told or "work" in told


def test_the_command_says_what_it_made(run: Path, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its size, and what comes next; a refusal is one line on standard error and exit code 2."""
    root = runs.parents[1]
    assert main([str(run), "demo", "--root", str(root)]) == 0
    size = sum(map(len, contents(runs / "demo").values()))
    assert capsys.readouterr().out.startswith(f"{runs / 'demo'}: {size:,} bytes of 5,000,000; ")
    assert main([str(run), "demo", "--root", str(root)]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert "--replace" in told.err
    assert main([str(run), "demo", "--replace", "--root", str(root)]) == 0
    assert main([str(run), "demo", "--root", str(run)]) == 2
    assert "holds no folder results" in capsys.readouterr().err
