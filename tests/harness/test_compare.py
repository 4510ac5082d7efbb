"""The experiment: failures are rows, what is measured is kept, and a resumed run is the unbroken one."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from carried_out import run
from detectors.contract import Detections, FitError
from detectors.fast import FastRCNN
from detectors.spp import SPP
from harness.datasets.shapes import Shapes
from harness.plan import Plan, PlanError
from harness.record import Sample
from harness.runs import RunFolder

PlanMaker = Callable[..., Plan]


pytestmark = pytest.mark.usefixtures("no_pictures")


def outputs(out: Path) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """What was measured of each sample, apart from its times."""
    samples = RunFolder(out).read_samples()
    found = {each.key: (each.status, each.index, each.position, each.detections, each.digest) for each in samples}
    assert len(found) == len(samples), "a sample stands there twice"
    return found


def measured(out: Path) -> list[Sample]:
    """The samples that make the figures."""
    return [sample for sample in RunFolder(out).read_samples() if sample.role == "measured"]


@pytest.fixture(scope="module")
def unbroken(small_plan: PlanMaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unbroken") / "run"
    summary = run(small_plan(repeats=2), out)
    assert {about["status"] for about in summary["methods"].values()} == {"ok"}
    return out


def test_an_unbroken_run_has_each_sample_once(unbroken: Path) -> None:
    """Two repeats of three methods on three images, each method at each position; all that is alike, to the bit.

    Few images are timed without marks as well, once.
    """
    found = outputs(unbroken)
    assert len(found) == 2 * 3 * 3 + 3 * 3
    assert {status for status, *_ in found.values()} == {"ok"}
    assert {position for _, _, position, _, _ in found.values()} == {0, 1, 2}
    for (process, _, method, image, *_), (*_, digest) in found.items():
        assert digest == found[process, 0, method, image, "measured", None][-1]
    findings = {one["name"]: one for one in json.loads((unbroken / "summary.json").read_text())["trust"]["findings"]}
    for name in ("repeats", "proof", "closure", "synchronisation"):
        assert findings[name]["verdict"] == "ok", findings[name]
    assert RunFolder(unbroken).read_manifest()["status"] == "complete"


def interrupt_on_call(patch: pytest.MonkeyPatch, owner: type[Any], name: str, nth: int) -> None:
    """Ctrl-C in the middle of the nth call of a method."""
    original, calls = getattr(owner, name), iter(range(1, 10**6))

    def interrupted(*arguments: Any, **named: Any) -> Any:
        if next(calls) == nth:
            raise KeyboardInterrupt
        return original(*arguments, **named)

    patch.setattr(owner, name, interrupted)


PLACES = {
    "fit": (SPP, "fit", 1),
    "between fit and its record": (RunFolder, "write_fit", 2),
    "first warm-up": (FastRCNN, "detect", 1),
    "between blocks": (RunFolder, "append_condition", 2),
    "between detections and sample": (RunFolder, "append_sample", 7),
    "second repeat": (RunFolder, "append_sample", 22),
    "closing the logs": (RunFolder, "finish_detections", 2),
    "writing the summary": (RunFolder, "write_summary", 1),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_run_that_is_resumed_ends_as_the_unbroken_one(
    place: str, small_plan: PlanMaker, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same samples, same digests, same mAP, wherever it was interrupted; what was measured before is kept."""
    plan, out = small_plan(repeats=2), tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_on_call(patch, *PLACES[place])
        with pytest.raises(KeyboardInterrupt):
            run(plan, out)
    folder = RunFolder(out)
    assert folder.read_manifest()["status"] == "interrupted"
    lines = out / "samples.jsonl"
    kept = lines.read_text() if lines.exists() else ""
    summary = run(plan, out, resume=True)
    assert lines.read_text().startswith(kept)
    assert outputs(out) == outputs(unbroken)
    expected = json.loads((unbroken / "summary.json").read_text())
    for method, about in expected["methods"].items():
        assert {key: summary["methods"][method][key] for key in ("map", "ap", "ap_voc10", "detections")} == {
            key: about[key] for key in ("map", "ap", "ap_voc10", "detections")
        }
        assert folder.read_detections(method) == RunFolder(unbroken).read_detections(method)
    assert folder.read_manifest()["status"] == "complete"
    assert not (out / "work").exists()


def test_a_sample_line_torn_by_a_kill_is_measured_again(
    small_plan: PlanMaker, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill leaves half a line, no manifest that says so, and a lost image."""
    plan, out = small_plan(repeats=2), tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_on_call(patch, RunFolder, "append_sample", 12)
        with pytest.raises(KeyboardInterrupt):
            run(plan, out)
    with (out / "samples.jsonl").open("a") as file:
        file.write('{"process":0,"repeat":0,"meth')
    manifest = RunFolder(out).read_manifest()
    RunFolder(out).write_manifest({**manifest, "status": "running"})
    run(plan, out, resume=True)
    assert outputs(out) == outputs(unbroken)


def test_resuming_a_complete_run_measures_nothing(
    small_plan: PlanMaker, unbroken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And derives the same summary."""
    before = (unbroken / "samples.jsonl").read_bytes(), (unbroken / "summary.json").read_bytes()
    monkeypatch.setattr(FastRCNN, "detect", None)
    run(small_plan(repeats=2), unbroken, resume=True)
    assert ((unbroken / "samples.jsonl").read_bytes(), (unbroken / "summary.json").read_bytes()) == before


def test_resuming_with_another_plan_is_refused(small_plan: PlanMaker, unbroken: Path) -> None:
    """By name of the option, with what it was and what it would be, and nothing is touched."""
    before = {path: path.stat().st_mtime_ns for path in unbroken.rglob("*")}
    expected = (
        "--fc-width: the run was planned with 16, not 17; --seed: the run was planned with 0, not 5; "
        "--resume keeps the run's plan: leave those options out"
    )
    with pytest.raises(PlanError, match=f"^{re.escape(expected)}$"):
        run(small_plan(repeats=2, seed=5, fc_width=17), unbroken, resume=True)
    with pytest.raises(PlanError, match=r"^--methods: the run was planned with rcnn,spp,fast, not rcnn,spp;"):
        run(small_plan(repeats=2, methods="rcnn,spp"), unbroken, resume=True)
    assert {path: path.stat().st_mtime_ns for path in unbroken.rglob("*")} == before


def test_resuming_with_another_commit_is_told(
    small_plan: PlanMaker, unbroken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manifest has the commit of the start and one for each resume; report.md names them where they differ."""
    out = tmp_path / "run"
    shutil.copytree(unbroken, out)
    folder = RunFolder(out)
    began = {"commit": "a" * 40, "dirty": False, "reason": None}
    manifest = {key: value for key, value in folder.read_manifest().items() if key != "resumed"}
    folder.write_manifest({**manifest, "source": began})
    # What was written before `resumed` existed goes on too.
    for source, told in ((began, False), ({**began, "dirty": True}, True), ({**began, "commit": "b" * 40}, True)):
        monkeypatch.setattr("harness.manifest.describe_source", lambda source=source: source)
        run(small_plan(repeats=2), out, resume=True)
        assert folder.read_manifest()["source"] == began
        assert folder.read_manifest()["resumed"][-1]["source"] == source
        assert ("begun with commit aaaaaaaaaaaa; resumed" in (out / "report.md").read_text()) is told
    first, second, third = folder.read_manifest()["resumed"]
    assert (out / "report.md").read_text().count(
        f"begun with commit aaaaaaaaaaaa; resumed {second['at']} with commit aaaaaaaaaaaa and uncommitted changes; "
        f"resumed {third['at']} with commit bbbbbbbbbbbb"
    ) == 1
    assert json.loads((out / "summary.json").read_text())["other_sources"] == [second, third]
    assert first["source"] == began


def test_resuming_with_other_boxes_is_refused(
    small_plan: PlanMaker, unbroken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan names the same file, but what is in it changed."""
    from harness import preparation as module

    original = module.gather
    monkeypatch.setattr(module, "gather", lambda *a, **k: original(*a, **{**k, "max_proposals": 5}))
    with pytest.raises(PlanError, match="train_boxes_sha256, test_boxes_sha256 changed since the run began"):
        run(small_plan(repeats=2), unbroken, resume=True)


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*arguments: Any, **named: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError("the dog\nate it"), "error"),
        (ValueError("a bug, not bad input"), "error"),
        (FitError("too few boxes"), "error"),
        (torch.OutOfMemoryError("no memory"), "oom"),
        (MemoryError(), "oom"),
    ],
)
def test_a_method_that_cannot_be_fitted_is_a_row(
    error: Exception, status: str, small_plan: PlanMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its reason; the others are measured, and a ratio over a baseline that failed is not invented."""
    monkeypatch.setattr(SPP, "fit", raising(error))
    summary = run(small_plan(methods="spp,fast"), tmp_path / "run")
    failed = summary["methods"]["spp"]
    assert failed["status"] == status
    assert failed["reason"].startswith(type(error).__name__)
    assert "\n" not in failed["reason"]
    assert "seconds" not in failed
    assert summary["methods"]["fast"]["status"] == "ok"
    assert summary["speedup"] == {}
    assert RunFolder(tmp_path / "run").read_manifest()["status"] == "partial"
    assert "Traceback" in (tmp_path / "run/errors/spp.txt").read_text()
    report = (tmp_path / "run/report.md").read_text()
    assert "spp" in report


def test_a_method_that_failed_to_fit_is_tried_again_on_resume(
    small_plan: PlanMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory may be free again. The others are measured beside it, since a ratio is of one time; old lines stay."""
    plan, out = small_plan(methods="spp,fast"), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(SPP, "fit", raising(MemoryError()))
        run(plan, out)
    kept = (out / "samples.jsonl").read_text()
    summary = run(plan, out, resume=True)
    assert summary["methods"]["spp"]["status"] == "ok"
    assert (out / "samples.jsonl").read_text().startswith(kept)
    assert {sample.attempt for sample in RunFolder(out).read_samples()} == {1}
    assert len(measured(out)) == 2 * 3


def test_an_image_that_fails_is_a_sample_with_its_reason(
    small_plan: PlanMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other images and methods are measured; the method's means are not taken over what is left."""
    original = FastRCNN.detect
    third = Shapes("test", 3).image(2)

    def sometimes(self: Any, image: torch.Tensor, proposals: torch.Tensor) -> Detections:
        if image.permute(1, 2, 0).shape == third.shape and (image.permute(1, 2, 0).numpy() == third).all():
            raise torch.OutOfMemoryError("no memory")
        return original(self, image, proposals)

    monkeypatch.setattr(FastRCNN, "detect", sometimes)
    summary = run(small_plan(methods="spp,fast"), tmp_path / "run")
    failed = [sample for sample in measured(tmp_path / "run") if sample.status != "ok"]
    assert [(each.method, each.status, each.seconds) for each in failed] == [("fast", "oom", None)]
    assert summary["methods"]["fast"]["status"] == "oom"
    assert "1 of 3 samples failed" in summary["methods"]["fast"]["reason"]
    assert summary["methods"]["spp"]["status"] == "ok"
    assert len(measured(tmp_path / "run")) == 6


def found(box: list[float], score: float = 0.5, label: int = 1, count: int = 1) -> Detections:
    return Detections(torch.tensor([box] * count), torch.full((count,), score), torch.full((count,), label))


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (found([-1.0, 0.0, 5.0, 5.0]), r"box \[-1.0, 0.0, 5.0, 5.0\] is not a box inside the image, 0 0 "),
        (found([0.0, 0.0, 5.0, 5000.0]), "is not a box inside the image"),
        (found([9.0, 0.0, 5.0, 5.0]), "is not a box inside the image"),
        (found([0.0, 0.0, float("nan"), 5.0]), "a box has a corner that is not finite"),
        (found([0.0, 0.0, 5.0, 5.0], float("nan")), "a score is not finite"),
        (found([0.0, 0.0, 5.0, 5.0], float("inf")), "a score is not finite"),
        (found([0.0, 0.0, 5.0, 5.0], label=0), r"a label is not one of 1\.\.8"),
        (found([0.0, 0.0, 5.0, 5.0], label=9), r"a label is not one of 1\.\.8"),
        (found([0.0, 0.0, 5.0, 5.0], count=101), "101 detections, more than the 100"),
        (None, "detect returned NoneType"),
    ],
)
def test_output_that_breaks_the_contract_is_an_error_that_says_what(
    output: Any, words: str, small_plan: PlanMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No mAP is computed from nonsense."""
    monkeypatch.setattr(FastRCNN, "fit", lambda *_, **__: None)
    monkeypatch.setattr(FastRCNN, "save", lambda _, path: path.touch())
    monkeypatch.setattr(FastRCNN, "detect", lambda *_: output)
    out = tmp_path / "run"
    summary = run(small_plan(methods="fast", images=1, train_images=1), out)
    (sample,) = measured(out)
    assert_error(sample, words)
    assert summary["methods"]["fast"]["status"] == "error"


def assert_error(sample: Sample, words: str) -> None:
    assert sample.status == "error"
    assert sample.reason is not None
    assert re.search(words, sample.reason), sample.reason
    assert sample.seconds is None


def test_repeats_that_differ_cost_the_trust(
    small_plan: PlanMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which of them was timed, and which was scored?"""
    scores: Iterator[float] = iter(index / 64 for index in range(64))
    monkeypatch.setattr(FastRCNN, "fit", lambda *_, **__: None)
    monkeypatch.setattr(FastRCNN, "save", lambda _, path: path.touch())
    monkeypatch.setattr(FastRCNN, "detect", lambda *_: found([0.0, 0.0, 5.0, 5.0], next(scores)))
    summary = run(small_plan(methods="fast", images=1, train_images=1, repeats=2), tmp_path / "run")
    assert summary["trust"]["verdict"] == "inconclusive"
    (finding,) = [one for one in summary["trust"]["findings"] if one["name"] == "repeats"]
    assert finding["verdict"] == "inconclusive"
    assert "fast" in finding["text"]
    assert finding["text"] in summary["trust"]["reasons"]


def test_five_methods_are_timed_untrained(small_plan: PlanMaker, tmp_path: Path) -> None:
    """The operations of each stage are those of hand arithmetic; the variants of a method differ where they should."""
    names = ("rcnn", "spp", "spp:5", "fast", "fast:svd")
    summary = run(small_plan(methods=",".join(names), weights="random", iterations=None), tmp_path / "run")
    about = summary["methods"]
    assert {name: (each["status"], each["trained"]) for name, each in about.items()} == dict.fromkeys(
        names, ("ok", False)
    )
    boxes, classes, width = summary["dataset"]["proposals_per_image"]["mean"], 8, 16
    flops = {name: each["flops"] for name, each in about.items()}
    # mini on a 64-px crop: sides of 32, 16 and 8 after the layers with stride, 3x3 kernels but for the first, 5x5.
    layers = 75 * 24 * 32**2 + 216 * 48 * 16**2 + (432 * 96 + 864 * 96 + 864 * 64) * 8**2
    assert flops["rcnn"]["conv"] == pytest.approx(boxes * 2 * layers)
    for name, pooled in (("rcnn", 64 * 36), ("spp", 64 * 50), ("spp:5", 64 * 50), ("fast", 64 * 36)):
        assert flops[name]["fc"] == pytest.approx(boxes * 2 * width * (pooled + width))
    for name, pooled in (("rcnn", 64 * 36), ("spp", 64 * 50)):
        # One SVM and one ridge regression of four numbers a class.
        assert flops[name]["decode"] == pytest.approx(boxes * 2 * classes * (width + 4 * pooled))
    assert flops["fast"]["decode"] == pytest.approx(boxes * 2 * width * (classes + 1 + 4 * classes))
    assert flops["spp:5"]["conv"] > 3 * flops["spp"]["conv"]
    assert flops["fast:svd"]["conv"] == flops["fast"]["conv"]


def test_settings_of_the_plan_reach_the_detector(small_plan: PlanMaker) -> None:
    """Iterations, width and policy; 'paper' leaves each paper's own."""
    from harness.preparation import prepare

    prepared = prepare(small_plan(methods="rcnn", iterations=7, fc_width=48))
    (method,) = prepared.methods
    assert (prepared.config(method).iterations, prepared.config(method).fc_width) == (7, 48)
    assert prepared.config(method).policy.per_image == 100
    papers = prepare(small_plan(methods="rcnn", iterations="paper", policy="paper"))
    assert papers.config(method).iterations == method.config.iterations
    assert papers.config(method).policy == method.detector.paper_policy
    assert papers.device == "cpu"


def test_quick_training_grows_with_the_images_and_never_beyond_the_papers(small_plan: PlanMaker) -> None:
    """Each method's own number an image, and a handful of images counts as 100."""
    from harness.preparation import prepare

    few = prepare(small_plan(methods="fast", iterations="quick"))
    (method,) = few.methods
    assert few.config(method).iterations == 100 * FastRCNN.quick_per_image
    many = prepare(small_plan(methods="fast", iterations="quick", train_images=300, proposals="selective-search"))
    assert many.config(method).iterations == 300 * FastRCNN.quick_per_image
    assert many.config(method).iterations <= method.config.iterations
