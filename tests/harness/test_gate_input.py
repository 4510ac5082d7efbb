"""What a gate cannot read is refused in a line that names the file and the place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.baseline import BaselineError
from harness.gate import GateError, gate
from harness.runs import RunError
from verdicts import Planted, edited, relogged


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda manifest: manifest.pop("created"), "damaged at created: Field required"),
        (lambda manifest: manifest.update(machine=3), "damaged at machine: Input should be a valid dictionary"),
        (lambda manifest: manifest.pop("dataset"), "damaged at dataset: Field required"),
        (lambda manifest: manifest["plan"].pop("seed"), "damaged at plan.seed: Field required"),
        (lambda manifest: manifest["plan"].update(colour="red"), "damaged at plan: --colour: there is no such option"),
        (lambda manifest: manifest.update(resumed=[{}]), "damaged at resumed.0.source: Field required"),
        (lambda manifest: manifest["methods"]["spp"].update(status="oom"), "the status is oom, without a reason"),
        (lambda manifest: manifest.update(schema_version="2"), "has schema 2"),
    ],
)
def test_a_damaged_manifest_is_refused_in_a_line(
    planted: Planted, kept: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], words: str
) -> None:
    """That names the file and the place."""
    run = edited(planted(2), tmp_path / "run", "manifest.json", change)
    for path in (kept, tmp_path / "new.json"):
        with pytest.raises(RunError) as caught:
            gate(run, path)
        assert words in str(caught.value)
        assert str(run) in str(caught.value)
        assert "\n" not in str(caught.value)


def replaced(name: str, text: str) -> Callable[[Path], object]:
    """A file with another content."""

    def change(run: Path) -> None:
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text(text, encoding="utf-8")

    return change


def mended(name: str, change: Callable[[Any], object]) -> Callable[[Path], object]:
    """A JSON file with one thing other."""
    return lambda run: edited(run, run, name, change)


def unlike(change: Callable[[dict[str, Any]], object], name: str = "samples.jsonl") -> Callable[[Path], object]:
    """A log with each line other."""
    return lambda run: relogged(run, run, change, name)


TRUTH, SAMPLES, SPP = "truth.json", "samples.jsonl", "detections/spp.json"
DAMAGES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a list for the truth": (TRUTH, replaced(TRUTH, "[]"), "damaged at the file: Input should be an object"),
    "no truth": (TRUTH, lambda run: (run / TRUTH).unlink(), "is missing"),
    "no images": (TRUTH, mended(TRUTH, lambda truth: truth.pop("images")), "damaged at images: Field required"),
    "not one image": (
        TRUTH,
        mended(TRUTH, lambda truth: truth.update(images=[])),
        "damaged at images: List should have",
    ),
    "an image twice": (
        TRUTH,
        mended(TRUTH, lambda truth: truth["images"].append(truth["images"][0])),
        "is in it twice",
    ),
    "another image's object": (
        TRUTH,
        mended(TRUTH, lambda truth: truth["annotations"][0].update(image_id="x")),
        "image x is not in the truth",
    ),
    "a class from 0": (
        TRUTH,
        mended(TRUTH, lambda truth: truth["categories"][0].update(id=0)),
        "the categories are not numbered from 1",
    ),
    "no detections": ("detections/rcnn.json", lambda run: shutil.rmtree(run / "detections"), "is missing"),
    "a method's detections": (SPP, lambda run: (run / SPP).unlink(), "is missing; measure again"),
    "an object for detections": (SPP, replaced(SPP, "{}"), "damaged at the file: Input should be a valid array"),
    "no JSON": (SPP, replaced(SPP, "[{"), "damaged at the file: Invalid JSON"),
    "no score": (SPP, mended(SPP, lambda rows: rows[3].pop("score")), "damaged at 3.score: Field required"),
    "not a number": (SPP, mended(SPP, lambda rows: rows[0].update(score=float("nan"))), "should be a finite number"),
    "another image": (SPP, mended(SPP, lambda rows: rows[0].update(image_id="x")), "image x is not in the truth"),
    "another class": (SPP, mended(SPP, lambda rows: rows[0].update(category_id=3)), "there is no category 3"),
    "no known method": (
        SAMPLES,
        unlike(lambda line: line.update(method="x")),
        "it has samples of x, which was not planned",
    ),
    "no samples": (SAMPLES, lambda run: (run / SAMPLES).unlink(), "has no samples, though the run is complete"),
    "a text for a time": (
        SAMPLES,
        unlike(lambda line: line["seconds"].update(total="long")),
        "line 1, is damaged at seconds.total: Input should be a valid number",
    ),
    "no time": (SAMPLES, unlike(lambda line: line["seconds"].pop("conv", None)), "on 000004 has no time for conv"),
    "a list for conditions": (
        "conditions.jsonl",
        unlike(lambda line: line.update(cpu=[1]), "conditions.jsonl"),
        "line 1, is damaged at cpu: Input should be an object",
    ),
    "a list for counts": ("flops.json", replaced("flops.json", "[]"), "damaged at the file: Input should be an object"),
    "a list for a fit": ("models/spp.json", replaced("models/spp.json", "[]"), "damaged at the file"),
}


@pytest.mark.parametrize(("name", "change", "words"), DAMAGES.values(), ids=DAMAGES)
def test_damaged_records_are_refused_in_a_line(
    planted: Planted, kept: Path, tmp_path: Path, name: str, change: Callable[[Path], object], words: str
) -> None:
    """That names the file; what was lost on the disk is no loss of speed or accuracy."""
    run = Path(shutil.copytree(planted(2), tmp_path / "run"))
    change(run)
    with pytest.raises(RunError) as caught:
        gate(run, kept)
    assert str(run / name) in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_that_broke_off_is_judged(planted: Planted, kept: Path, tmp_path: Path) -> None:
    """Detections are in a log until a method is finished, and one that did not begin has none; that is no damage."""
    run = relogged(planted(2), tmp_path / "run", lambda line: line["method"] != "fast")
    rows = json.loads((run / SPP).read_text())
    logged = {image: [row for row in rows if row["image_id"] == image] for image in {row["image_id"] for row in rows}}
    lines = [json.dumps({"image_id": image, "rows": of}) for image, of in logged.items()]
    (run / "detections" / "spp.jsonl").write_text("\n".join(lines) + '\n{"image_id"')
    (run / SPP).unlink()
    (run / "detections" / "fast.json").unlink()
    edited(run, run, "manifest.json", lambda manifest: manifest.update(status="interrupted"))
    gates = {one.title: one for one in gate(run, kept).gates}
    assert gates["schema"].reason == "the run is interrupted, not complete"
    assert gates["method of fast"].reason == "measured on 0 of 48 images"
    assert gates["mAP voc07 of spp"].outcome == "pass"


def test_boxes_of_unknown_cost_are_no_damage(planted: Planted, kept: Path) -> None:
    """Nobody knows what making the boxes of a file took."""
    seconds = {f"{index:06}": None for index in range(48)}
    assert gate(planted(2, manifest={"dataset": {"proposal_seconds_by_image": seconds}}), kept).outcome == "pass"


def test_a_stage_in_some_processes_alone_is_refused_in_a_line(planted: Planted, kept: Path, tmp_path: Path) -> None:
    """There is no ratio over processes then."""

    def change(line: dict[str, Any]) -> None:
        if line["role"] == "measured" and line["process"] == 1 and line["method"] == "spp":
            line["seconds"]["conv"] = 0.0

    run = relogged(planted(2), tmp_path / "run", change)
    with pytest.raises(RunError, match=r"the times in .* cannot be summarised: expected finite values only"):
        gate(run, kept)


def test_bad_input_is_refused_in_a_line(planted: Planted, tmp_path: Path, kept: Path) -> None:
    """No run, no baseline, no share; nothing is written."""
    with pytest.raises(RunError, match="holds no run"):
        gate(tmp_path, kept)
    (tmp_path / "other.json").write_text('{"methods": 1}')
    with pytest.raises(BaselineError, match="is no baseline"):
        gate(planted(2), tmp_path / "other.json")
    for value in (-0.1, 1.0, float("nan")):
        with pytest.raises(GateError, match="--tolerance: expected a share from 0 to below 1"):
            gate(planted(2), kept, tolerance=value)
        with pytest.raises(GateError, match="--map-tolerance: expected a share"):
            gate(planted(2), kept, map_tolerance=value)
