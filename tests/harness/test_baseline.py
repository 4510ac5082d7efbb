"""The file of baselines: it gives back what was written, holds no seconds, and refuses what it cannot read."""

from __future__ import annotations

import copy
import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gated import IMAGES, Change, plant
from harness.accuracy import METRICS, ClassMatches, average_precision
from harness.baseline import SCHEMA_VERSION, BaselineError, Baselines, Cost, Entry, MethodEntry, Origin
from harness.gates.measured import Measured, without_idle
from harness.likeness import differences
from harness.plan import Plan
from harness.resampling import map_intervals

DEVICE = "CPU (Some CPU)"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plant(tmp_path_factory.mktemp("runs") / "base", 1, Change(processes=2))


@pytest.fixture(scope="module")
def measured(run: Path) -> Measured:
    return Measured.of(run)


costs = st.floats(0, 1e6)
names = st.text(string.ascii_letters + " :+.é", min_size=1, max_size=8)


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Any entry that is whole."""
    n, processes = draw(st.integers(1, 4)), draw(st.integers(1, 3))

    def column(of: st.SearchStrategy[Any], length: int = n) -> list[Any]:
        return draw(st.lists(of, min_size=length, max_size=length))

    def cost() -> Cost:
        return Cost(images=column(costs), processes=column(costs, processes))

    def method() -> MethodEntry:
        ranks = st.integers(1, n).flatmap(lambda at: st.sampled_from((at, -at)))
        ranked = draw(st.none() | st.dictionaries(names, st.lists(ranks, max_size=3)))
        return MethodEntry(
            conv=cost(),
            total=cost(),
            lag=draw(st.none() | st.just(column(st.floats(-9, 9)))),
            detections_sha256=draw(st.text("0123456789abcdef", min_size=64, max_size=64)),
            ranked=ranked,
            ranked_reason="untrained" if ranked is None else None,
        )

    return Entry(
        origin=Origin(run=draw(names), measured="2026-01-02T03:04:05+00:00", commit=draw(st.none() | names)),
        manifest={
            "plan": Plan.of({}).model_dump(mode="json"),
            "machine": {"gpu": None, "threads": draw(st.integers())},
        },
        baseline="rcnn",
        images=column(names),
        blocks=draw(st.none() | st.just(column(st.integers(-5, 50)))),
        methods={name: method() for name in {"rcnn", *draw(st.lists(names, max_size=2))}},
    )


@settings(deadline=None, max_examples=40)
@given(found=st.dictionaries(names, entries(), max_size=2))
def test_what_is_written_is_read(found: dict[str, Entry], tmp_path_factory: pytest.TempPathFactory) -> None:
    """To the last digit, whatever the devices, methods and numbers; and writing it again changes no byte."""
    path = tmp_path_factory.mktemp("file") / "baseline.json"
    baselines = Baselines(devices=found)
    baselines.write(path)
    text = path.read_bytes()
    again = Baselines.read(path)
    assert again == baselines
    again.write(path)
    assert path.read_bytes() == text
    assert json.loads(text)["schema_version"] == SCHEMA_VERSION


def test_no_file_is_no_baseline_yet(tmp_path: Path) -> None:
    """The first run makes one."""
    assert Baselines.read(tmp_path / "none.json").devices == {}


def test_a_list_is_a_line(measured: Measured, tmp_path: Path) -> None:
    """So that a commit shows which of the columns changed, and the file is no longer than that."""
    path = tmp_path / "baseline.json"
    Baselines().with_entry(DEVICE, measured.entry).write(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert sum('"images": ["000000","000001"' in line for line in lines) == 1
    assert len(lines) < 150


def test_entries_of_other_devices_stay(measured: Measured) -> None:
    """Whatever becomes of one."""
    one = Baselines().with_entry("GPU (Some GPU)", measured.entry)
    both = one.with_entry(DEVICE, measured.entry)
    assert list(both.devices) == ["GPU (Some GPU)", DEVICE]
    assert list(one.devices) == ["GPU (Some GPU)"]


def test_no_seconds_are_kept(run: Path, measured: Measured, tmp_path: Path) -> None:
    """A run whose every time is four times as long has the same entry, but for when it was begun and from where."""
    same = Measured.of(plant(tmp_path / "base", 1, Change(processes=2, scale=4.0)))
    assert same.entry == measured.entry
    baseline = measured.entry.methods["rcnn"]
    assert np.mean(baseline.total.images) == pytest.approx(1, rel=1e-6)
    assert np.mean(baseline.total.processes) == pytest.approx(1, rel=1e-6)


def test_costs_are_means_of_the_samples(run: Path, measured: Measured) -> None:
    """By a literal loop over the lines of the log."""
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    lines = [line for line in lines if line["role"] == "measured"]

    def mean(method: str, name: str, **where: Any) -> float:
        own = [one for one in lines if one["method"] == method and all(one[key] == where[key] for key in where)]
        return float(np.mean([one["seconds"][name] for one in own]))

    unit = mean("rcnn", "total")
    entry = measured.entry
    for image in ("000000", "000031"):
        at = entry.images.index(image)
        assert entry.methods["spp"].conv.images[at] == pytest.approx(mean("spp", "conv", image=image) / unit, rel=1e-6)
        places = [
            float(np.mean([one["position"] for one in lines if one["method"] == method and one["image"] == image]))
            for method in ("rcnn", "spp")
        ]
        assert entry.methods["spp"].lag is not None
        assert entry.methods["spp"].lag[at] == pytest.approx(places[0] - places[1])
        block = next(one["block"] for one in lines if one["image"] == image)
        assert entry.blocks is not None
        assert entry.blocks[at] == block
    by_process = [mean("fast", "total", process=process) / unit for process in (0, 1)]
    assert entry.methods["fast"].total.processes == pytest.approx(by_process, rel=1e-6)
    assert entry.methods["rcnn"].lag is None


def test_what_is_kept_of_a_manifest_is_all_that_is_compared(measured: Measured) -> None:
    """A run differs from its own entry in nothing, be it said or in the way; also of a run with all there is."""
    assert differences([measured.manifest, measured.entry.manifest]) == []
    published = Path(__file__).parents[2] / "results" / "runs" / "shapes-default"
    whole = Measured.of(published)
    assert differences([whole.manifest, whole.entry.manifest]) == []
    assert "proposal_seconds_by_image" not in json.dumps(whole.entry.manifest)


matches = st.lists(st.tuples(st.sampled_from((1, -1, 0)), st.integers(0, 5)), max_size=20)


@given(rows=matches, missed=st.lists(st.integers(0, 5), max_size=4))
def test_what_is_left_out_changes_no_average_precision(rows: list[tuple[int, int]], missed: list[int]) -> None:
    """Nor its interval: difficult objects, and false detections below the last true one."""
    outcomes, images = np.array(rows or np.zeros((0, 2)), dtype=np.int64).T
    positives = np.array(sorted([*images[outcomes == 1].tolist(), *missed]), dtype=np.int64)
    whole = ClassMatches(np.zeros(len(rows)), outcomes.astype(np.int8), images, positives)
    kept = np.array(without_idle(whole), dtype=np.int64)
    found = ClassMatches(np.zeros(len(kept)), np.sign(kept).astype(np.int8), np.abs(kept) - 1, positives)
    for metric in METRICS:
        assert average_precision(found, metric) == average_precision(whole, metric)
    drawn = map_intervals({"whole": [whole], "kept": [found]}, 6, baseline="whole", seed=0, draws=20)
    assert drawn.map["kept"] == drawn.map["whole"]


def broken(change: Callable[[dict[str, Any]], object], entry: Entry, path: Path) -> Path:
    """A file with one thing wrong."""
    values = {"schema_version": 1, "devices": {DEVICE: copy.deepcopy(entry.model_dump(mode="json"))}}
    change(values)
    path.write_text(json.dumps(values))
    return path


DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "newer": (lambda file: file.update(schema_version=2), "has schema 2; this version of harness reads up to 1"),
    "no version": (lambda file: file.pop("schema_version"), "is no baseline of harness gate"),
    "a run's summary": (lambda file: file.pop("devices"), "is no baseline"),
    "a key is gone": (lambda file: file["devices"][DEVICE].pop("images"), "images: Field required"),
    "a key too many": (lambda file: file["devices"][DEVICE].update(more=1), "more: Extra inputs are not permitted"),
    "an image too few": (
        lambda file: file["devices"][DEVICE]["methods"]["spp"]["conv"]["images"].pop(),
        f"spp: conv: expected one value for each of {IMAGES} images, got {IMAGES - 1}",
    ),
    "a process too few": (
        lambda file: file["devices"][DEVICE]["methods"]["spp"]["conv"]["processes"].pop(),
        "expected one value a process",
    ),
    "a negative cost": (
        lambda file: file["devices"][DEVICE]["methods"]["spp"]["total"]["images"].__setitem__(0, -1.0),
        "should be greater than or equal to 0",
    ),
    "no number": (
        lambda file: file["devices"][DEVICE]["methods"]["spp"]["total"]["images"].__setitem__(0, float("nan")),
        "should be",
    ),
    "an image that is not there": (
        lambda file: file["devices"][DEVICE]["methods"]["spp"]["ranked"].update(disc=[IMAGES + 1]),
        "spp: ranked names an image that is not there",
    ),
    "no reason": (
        lambda file: file["devices"][DEVICE]["methods"]["spp"].update(ranked=None),
        "ranked is null where there is a ranked_reason, and only there",
    ),
    "no plan": (
        lambda file: file["devices"][DEVICE]["manifest"].pop("plan"),
        f"damaged at devices.{DEVICE}: plan: Field required",
    ),
    "another's plan": (
        lambda file: file["devices"][DEVICE]["manifest"]["plan"].update(colour="red"),
        f"damaged at devices.{DEVICE}: plan: --colour: there is no such option",
    ),
    "a machine that is none": (
        lambda file: file["devices"][DEVICE]["manifest"].update(machine=3),
        f"damaged at devices.{DEVICE}: machine: Input should be a valid dictionary",
    ),
    "a process that is none": (
        lambda file: file["devices"][DEVICE]["manifest"].update(processes=[{"threads": "all"}]),
        "processes.0.threads: Input should be a valid integer",
    ),
    "no methods": (lambda file: file["devices"][DEVICE].update(methods={}), "it has no methods"),
    "another's method": (
        lambda file: file["devices"][DEVICE].update(baseline="other"),
        "the method that speed-ups are over, other, has no times",
    ),
}


@pytest.mark.parametrize(("change", "words"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_refused_in_a_line(
    change: Callable[[dict[str, Any]], object], words: str, measured: Measured, tmp_path: Path
) -> None:
    """That names the file, the place, and what to do."""
    path = broken(change, measured.entry, tmp_path / "baseline.json")
    with pytest.raises(BaselineError) as caught:
        Baselines.read(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 200_000, "[]", "7", "\x00", "null", '{"devices": {}}', '{"schema_version": 2}']
)
def test_what_is_no_json_object_is_refused(text: str, tmp_path: Path) -> None:
    """And a folder is no file."""
    path = tmp_path / "baseline.json"
    path.write_text(text)
    told = r"baseline\.json is no baseline of harness gate; name another file, or one that does not exist yet$"
    with pytest.raises(BaselineError, match=told):
        Baselines.read(path)
    with pytest.raises(BaselineError, match=r"cannot be read \(Is a directory\); choose another --baseline"):
        Baselines.read(tmp_path)


def test_a_file_that_cannot_be_written_is_said_in_a_line(measured: Measured, tmp_path: Path) -> None:
    """Such as one below a file."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BaselineError, match=r"cannot be written .*; choose another --baseline"):
        Baselines().with_entry(DEVICE, measured.entry).write(tmp_path / "file" / "baseline.json")
