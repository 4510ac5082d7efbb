"""A run whose records are packed says what it said before, to every command that reads runs; and it does not go on."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from typer.testing import CliRunner

from harness import load_run
from harness.cli import app
from harness.datasets.shapes import Shapes
from harness.evaluate import evaluate_file
from harness.gate import gate
from harness.reports import write_reports
from harness.runs import RunError, RunFolder
from harness.side_by_side import compare_runs
from harness.storage import StorageError
from harness.summary import sample_lines, summarise
from harness.traceability import check
from verdicts import Planted

pytestmark = pytest.mark.usefixtures("no_pictures")


def packed(run: Path) -> Path:
    """A run with its records packed in their place, by the standard library."""
    for path in [*run.glob("*.jsonl"), *run.glob("detections/*"), run / "truth.json", run / "flops.json"]:
        if path.exists():
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    return run


@pytest.fixture(scope="module")
def plain(planted: Planted, tmp_path_factory: pytest.TempPathFactory, no_pictures: None) -> Path:
    """A run with its reports and its counts; not to be changed."""
    run = Path(shutil.copytree(planted(2), tmp_path_factory.mktemp("plain") / "run"))
    folder = RunFolder(run)
    folder.write_flops({"spp": {"reason": "its operations are of its own kind"}})
    write_reports(folder, summarise(folder))
    return run


@pytest.fixture
def run(plain: Path, tmp_path: Path) -> Path:
    """The same, packed; to be changed."""
    return packed(Path(shutil.copytree(plain, tmp_path / "packed")))


def harness(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)


def test_nothing_that_is_packed_is_left_plain(run: Path) -> None:
    """So that the tests below read packed files and no others."""
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    assert names == {
        *("manifest.json", "summary.json", "report.md", "report.html"),
        *("truth.json.gz", "samples.jsonl.gz", "conditions.jsonl.gz", "flops.json.gz"),
        *(f"detections/{method}.json.gz" for method in ("rcnn", "spp", "fast")),
    }


def test_what_is_read_is_the_same(plain: Path, run: Path) -> None:
    """Record by record, and the summary that is derived of them."""
    one, other = RunFolder(plain), RunFolder(run)
    assert one.read_samples() == other.read_samples() != []
    assert one.read_conditions() == other.read_conditions() != []
    assert one.read_truth() == other.read_truth()
    assert one.read_flops() == other.read_flops() != {}
    assert one.read_detections("spp") == other.read_detections("spp") != []
    assert one.first_detections("spp", "000003") == other.first_detections("spp", "000003") != []
    assert sample_lines(one) == sample_lines(other) > 0
    assert summarise(one) == summarise(other)


def test_tables_for_pandas_are_the_same(plain: Path, run: Path) -> None:
    """Every one of them."""
    one, other = load_run(plain), load_run(run)
    names = [name for name, value in vars(one).items() if isinstance(value, pd.DataFrame)]
    assert {"samples", "detections", "truth", "conditions"} <= set(names)
    for name in names:
        assert_frame_equal(getattr(one, name), getattr(other, name))


def test_it_is_reported_and_holds_together(plain: Path, run: Path) -> None:
    """The same report, byte for byte, and a check that passes before and after, as a command and within."""
    assert check(run) == []
    shown = harness("report", run)
    assert shown.exit_code == 0
    assert (run / "report.md").read_bytes() == (plain / "report.md").read_bytes()
    checked = harness("report", run, "--check")
    assert (checked.exit_code, checked.stdout) == (0, f"{run}: every number follows from its samples\n")


def test_a_change_within_a_packed_file_is_found(run: Path) -> None:
    """Of one time of one sample, and of a row of detections that is of no image."""
    path = run / "samples.jsonl.gz"
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    before = path.read_bytes()
    for line in lines:
        if line["method"] == "spp":
            line["seconds"]["total"] *= 1.5
    path.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()))
    assert check(run)[0].startswith("summary.json does not follow from the samples: ")
    path.write_bytes(before)
    (run / "detections" / "spp.json.gz").write_bytes(gzip.compress(b'[{"image_id": "none"}]'))
    (found,) = check(run)
    assert "spp.json is damaged at " in found


def test_a_gate_decides_the_same(plain: Path, run: Path, kept: Path) -> None:
    """Gate by gate, with the same numbers."""
    one, other = gate(plain, kept).as_dict(), gate(run, kept).as_dict()
    assert one["gates"] == other["gates"] != []
    assert one["outcome"] == other["outcome"] == "pass"


def test_a_baseline_can_be_made_of_it(plain: Path, run: Path, tmp_path: Path) -> None:
    """And holds what one of the plain run holds, but for the name of its folder."""
    kept = []
    for name, folder in (("one", plain), ("other", run)):
        assert gate(folder, tmp_path / f"{name}.json").baseline == "made"
        kept.append((tmp_path / f"{name}.json").read_text().replace(f'"{folder.name}"', '"run"'))
    assert kept[0] == kept[1]


def test_a_packed_copy_is_no_second_measurement(plain: Path, run: Path, planted: Planted) -> None:
    """It agrees with its run in every digit; another run beside it is another one."""
    with pytest.raises(RunError, match="hold the same measurements; name each run once"):
        compare_runs([RunFolder(plain), RunFolder(run)])
    assert len(compare_runs([RunFolder(planted(3)), RunFolder(run)])["runs"]) == 2


def test_packed_detections_are_evaluated(tmp_path: Path) -> None:
    """To the same average precision as plain ones, under the name of the packed file."""
    scenes, rows = Shapes("test", 3), []
    for index, image in enumerate(scenes.ids):
        truth = scenes.truth(index)
        for box, label in zip(truth.boxes[1:], truth.labels[1:], strict=True):
            x1, y1, x2, y2 = map(float, box)
            rows.append({"image_id": image, "category_id": int(label), "bbox": [x1, y1, x2 - x1, y2 - y1], "score": 1})
    about: dict[str, Any] = {"dataset": "shapes", "split": "test", "images": 3, "metric": "voc07"}
    (tmp_path / "plain.json").write_text(json.dumps(rows))
    (tmp_path / "packed.json.gz").write_bytes(gzip.compress(json.dumps(rows).encode()))
    found = evaluate_file(tmp_path / "packed.json.gz", **about)
    assert found == evaluate_file(tmp_path / "plain.json", **about)
    assert 0 < found["map"] < 1
    (tmp_path / "packed.json.gz").write_bytes(b"no such form")
    shown = harness("evaluate", "--detections", tmp_path / "packed.json.gz", "--images", 3)
    assert shown.exit_code == 2
    assert "packed.json.gz cannot be read: " in shown.stderr
    assert shown.stderr.count("\n") == 1


def test_it_does_not_go_on(run: Path) -> None:
    """What was added would stand beside what is packed; the refusal is one line, and nothing is touched."""
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    told = (
        r"packed cannot go on: it was packed to be kept \(conditions\.jsonl\.gz\); resume the run that it was made of"
    )
    with pytest.raises(RunError, match=told):
        RunFolder(run).check_free(resume=True, overwrite=False)
    shown = harness("compare", "--resume", "--out", run)
    assert shown.exit_code == 2
    assert shown.stderr.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    RunFolder(run).check_free(resume=False, overwrite=True)


def test_a_record_that_is_there_twice_is_refused(plain: Path, run: Path) -> None:
    """By all that read runs, with one line that names both."""
    for name, read in (
        ("samples.jsonl", RunFolder.read_samples),
        ("conditions.jsonl", RunFolder.read_conditions),
        ("truth.json", RunFolder.read_truth),
        ("flops.json", RunFolder.read_flops),
        ("detections/spp.json", lambda folder: folder.read_detections("spp")),
    ):
        shutil.copy(plain / name, run / name)
        words = rf"{Path(name).name} and {Path(name).name}\.gz are both there"
        with pytest.raises(StorageError, match=words):
            read(RunFolder(run))
        (problem,) = check(run)
        assert "are both there" in problem
        (run / name).unlink()


@pytest.mark.parametrize("command", [lambda run: ["report", run], lambda run: ["report", run, "--markdown"]])
def test_a_damaged_packed_record_is_a_line(run: Path, command: Callable[[Path], list[object]]) -> None:
    """On standard error, with exit code 2."""
    path = run / "samples.jsonl.gz"
    path.write_bytes(path.read_bytes()[:-20])
    shown = harness(*command(run))
    assert shown.exit_code == 2
    assert "samples.jsonl.gz cannot be read: " in shown.stderr
    assert shown.stderr.count("\n") == 1
