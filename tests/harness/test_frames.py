"""A run as tables: every row of its files, the same columns and types whatever the run holds, and no pandas before."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import harness
from harness import frames
from harness.frames import LoadedRun, load_run
from harness.runs import RunError
from verdicts import Planted, edited, relogged

ROOT = Path(__file__).parents[2]
RUNS = ROOT / "results" / "runs"
TABLES = (
    *("samples", "stages", "detections", "truth", "images"),
    *("conditions", "methods", "speedups", "ap", "claims"),
)


def dtypes(run: LoadedRun) -> dict[str, dict[str, str]]:
    """Columns and the names of their types, by table; categories apart, which are the run's own."""
    return {name: {key: str(kind) for key, kind in getattr(run, name).dtypes.items()} for name in TABLES}


def text(path: Path) -> str:
    """Of a record, which may be packed."""
    return path.read_text() if path.is_file() else gzip.decompress(Path(f"{path}.gz").read_bytes()).decode()


def lines(path: Path) -> list[dict[str, Any]]:
    """Of a log."""
    return [json.loads(line) for line in text(path).splitlines()]


def test_harness_is_imported_without_pandas_and_torch() -> None:
    """`load_run` alone brings pandas, and never torch."""
    code = (
        "import sys, harness\n"
        "print({'pandas', 'torch'} & set(sys.modules))\n"
        "harness.load_run\n"
        "print({'pandas', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines() == ["set()", "{'pandas'}"]


def test_harness_has_no_other_names() -> None:
    """A wrong one is said to be wrong, as of any module."""
    assert harness.load_run is load_run
    with pytest.raises(AttributeError, match="'harness' has no attribute 'load_runs'"):
        harness.load_runs  # noqa: B018


@pytest.mark.parametrize("name", ["shapes-default", "caffenet-speed"])
def test_every_row_of_a_recorded_run_is_there(name: str) -> None:
    """Counted in its files without this program."""
    path = RUNS / name
    run, kept = load_run(path), lines(path / "samples.jsonl")
    assert len(run.samples) == len(kept)
    assert run.samples["total_seconds"].sum() == pytest.approx(sum(one["seconds"]["total"] for one in kept))
    marked = [one for one in kept if one["role"] == "measured"]
    assert len(run.stages) == 8 * len(marked)
    assert len(run.conditions) == len(lines(path / "conditions.jsonl"))
    found = [json.loads(text(Path(str(file).removesuffix(".gz")))) for file in (path / "detections").iterdir()]
    assert len(run.detections) == sum(map(len, found))
    assert run.detections["score"].sum() == pytest.approx(sum(row["score"] for rows in found for row in rows))
    truth = json.loads(text(path / "truth.json"))
    assert (len(run.truth), len(run.images)) == (len(truth["annotations"]), len(truth["images"]))
    x, y, width, height = truth["annotations"][0]["bbox"]
    first = run.truth.iloc[0]
    assert (first["x1_px"], first["y1_px"]) == (x, y)
    assert (first["x2_px"], first["y2_px"]) == (pytest.approx(x + width), pytest.approx(y + height))
    assert (run.truth["difficult"] == [bool(one["ignore"]) for one in truth["annotations"]]).all()


def test_stages_of_a_sample_add_up_to_its_total() -> None:
    """And belong to it by its number."""
    run = load_run(RUNS / "shapes-default")
    sums = run.stages.groupby("sample")["seconds"].sum()
    totals = run.samples.loc[sums.index, "total_seconds"]
    pd.testing.assert_series_equal(sums, totals, check_names=False, check_index=False)
    row = run.stages.iloc[-1]
    sample = run.samples.loc[row["sample"]]
    assert (row["method"], row["image"]) == (sample["method"], sample["image"])


def test_results_are_those_of_the_summary() -> None:
    """Means of a run of one repeat follow from its samples; mAP and speed-ups are the summary's own."""
    run = load_run(RUNS / "shapes-default")
    summary = json.loads((RUNS / "shapes-default" / "summary.json").read_text())
    measured = run.samples.query("role == 'measured'")
    means = measured.groupby("method", observed=True)["total_seconds"].mean()
    for _, row in run.methods.iterrows():
        about = summary["methods"][row["method"]]
        assert row["total_seconds"] == pytest.approx(means[row["method"]])
        assert row["map_voc07"] == about["map"]["voc07"]["value"]
        own = run.ap.query("method == @row['method'] and metric == 'voc07'")
        assert own["ap"].mean() == pytest.approx(row["map_voc07"])
        assert own["ap"].tolist() == list(about["ap"].values())
    for _, row in run.speedups.iterrows():
        node = summary["speedup"][row["method"]][row["quantity"]]
        assert (row["speedup"], row["low"], row["high"]) == (node["value"], node["low"], node["high"])
    assert len(run.claims) == len(summary["claims"] or ())


def test_methods_and_stages_are_in_their_order() -> None:
    """That of the plan and that of detecting, so that tables and plots need no sorting."""
    run = load_run(RUNS / "caffenet-speed")
    methods = ["rcnn", "spp", "spp:5", "fast", "fast:svd"]
    assert list(run.samples["method"].cat.categories) == methods
    assert run.methods["method"].tolist() == methods
    assert list(run.stages["stage"].cat.categories)[:3] == ["prepare", "propose", "conv"]
    assert run.samples["method"].cat.ordered
    assert run.samples["image"].cat.categories.tolist() == run.images["image"].tolist()


def test_columns_and_types_are_the_same_for_every_run(planted: Planted, tmp_path: Path) -> None:
    """Trained or not, on a GPU or not, with a failed method, without detections, without samples."""
    expected = dtypes(load_run(RUNS / "shapes-default"))
    assert all(not columns.keys() & {"object"} for columns in expected.values())
    assert "object" not in {kind for columns in expected.values() for kind in columns.values()}
    empty = relogged(planted(2), tmp_path / "empty", lambda _: False)
    for file in (empty / "detections").iterdir():
        file.write_text("[]")
    (empty / "conditions.jsonl").unlink()
    for path in (RUNS / "caffenet-speed", planted(2, device="cuda"), planted(2, failed="spp"), empty):
        assert dtypes(load_run(path)) == expected


def test_a_failed_method_has_a_row_and_no_numbers(planted: Planted) -> None:
    """It was planned, and why it is not there is told."""
    run = load_run(planted(2, failed="spp"))
    row = run.methods.set_index("method").loc["spp"]
    assert (row["status"], row["reason"]) == ("error", "planted: no model")
    assert pd.isna(row["total_seconds"])
    assert not (run.samples["method"] == "spp").any()
    assert not (run.speedups["method"] == "spp").any()


def test_what_a_device_was_like_is_told(planted: Planted) -> None:
    """Clock, temperature, memory and throttling on a GPU; NA on a CPU."""
    gpu, cpu = load_run(planted(2, device="cuda")), load_run(planted(2))
    assert (gpu.samples["device_temperature_c"] == 60.0).all()
    assert gpu.samples["device_memory_bytes"].dtype == "Int64"
    assert (gpu.conditions["foreign_processes"] == 0).all()
    assert cpu.samples["device_clock_mhz"].isna().all()
    assert cpu.conditions["foreign_processes"].isna().all()


def test_a_run_without_a_summary_is_summarised(planted: Planted, tmp_path: Path) -> None:
    """Such as one that was interrupted; nothing is written."""
    run = Path(shutil.copytree(planted(2), tmp_path / "run"))
    (run / "summary.json").unlink()
    before = sorted(run.rglob("*"))
    pd.testing.assert_frame_equal(load_run(run).speedups, load_run(planted(2)).speedups)
    assert sorted(run.rglob("*")) == before


def test_a_summary_of_an_earlier_version_has_no_claims(planted: Planted, tmp_path: Path) -> None:
    """It is read, and the table is empty."""

    def change(summary: dict[str, Any]) -> None:
        summary.update(claims=None, claims_reason="not computed")

    run = load_run(edited(planted(2), tmp_path / "run", "summary.json", change))
    assert run.claims.empty
    assert {"printed", "measured", "verdict"} <= set(run.claims.columns)


def test_what_was_loaded_stays_as_it_is(planted: Planted, tmp_path: Path) -> None:
    """A run that is not there is refused in a line."""
    run = load_run(str(planted(2)))
    with pytest.raises(FrozenInstanceError):
        run.samples = run.stages  # type: ignore[misc]
    with pytest.raises(TypeError):
        run.summary["trust"] = None  # type: ignore[index]
    with pytest.raises(RunError, match="holds no run"):
        load_run(tmp_path)


def _examples() -> list[str]:
    """The worked example in the module, and the README's where it has one."""
    text = (frames.__doc__ or "").partition("::\n")[2]
    marked = re.search(r"<!-- example: load_run -->\n```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return [textwrap.dedent(text), *([marked[1]] if marked else [])]


@pytest.mark.parametrize("code", _examples())
def test_the_worked_example_works(
    code: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As it stands, in a checkout; its numbers are those of the summary."""
    monkeypatch.chdir(ROOT)
    found: dict[str, Any] = {}
    exec(compile(code, "example", "exec"), found)
    run = found["run"]
    assert len(found["ratio"]) == len(run.images)
    mean = run.speedups.set_index(["method", "quantity"]).loc[("fast", "total"), "speedup"]
    assert found["ratio"].min() < mean < found["ratio"].max()
    shares = found["stages"]["rcnn"] / found["stages"]["rcnn"].sum()
    seconds = run.methods.set_index("method").loc["rcnn"]
    assert shares["conv"] == pytest.approx(seconds["conv_seconds"] / seconds["total_seconds"])
    assert "mean" in capsys.readouterr().out
