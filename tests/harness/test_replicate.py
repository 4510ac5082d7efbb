"""Timed passes in fresh processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from carried_out import run
from harness import replicate
from harness.plan import Plan
from harness.progress import Reporter
from harness.runs import RunFolder

PlanMaker = Callable[..., Plan]


pytestmark = pytest.mark.usefixtures("no_pictures")


@pytest.fixture(scope="module")
def replicated(small_plan: PlanMaker, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A run of two processes, of which the second was killed at first; and what was said of it then."""
    out = tmp_path_factory.mktemp("replicated") / "run"
    plan = small_plan(methods="spp,fast", processes=2)
    original = replicate.exit_code_of

    def second_is_killed(command: Sequence[str]) -> int:
        return -9 if command[-2] == "1" else original(command)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replicate, "exit_code_of", second_is_killed)
        run(plan, out, here=False)
    manifest = RunFolder(out).read_manifest()
    said = [manifest["status"], *(about["reason"] for about in manifest["processes"])]
    run(plan, out, resume=True, here=False)
    return out, said


def test_a_process_that_is_killed_costs_its_own_samples_alone(replicated: tuple[Path, list[str]]) -> None:
    """The run is partial and says why; the other process's samples stand, and a resume measures the rest."""
    out, said = replicated
    assert said == ["partial", None, "process 1 was ended by signal 9; --resume measures what is missing"]
    assert RunFolder(out).read_manifest()["status"] == "complete"


def test_every_process_measures_all_with_the_one_model(replicated: tuple[Path, list[str]]) -> None:
    """Each image once by each method in each process, with detections that are equal to the bit."""
    out, _ = replicated
    folder = RunFolder(out)
    samples = [sample for sample in folder.read_samples() if sample.role == "measured"]
    digests = {(sample.process, sample.method, sample.image): sample.digest for sample in samples}
    assert len(digests) == len(samples) == 2 * 2 * 3
    for (_, method, image), digest in digests.items():
        assert digest == digests[0, method, image]
    assert {sample.status for sample in samples} == {"ok"}
    manifest = folder.read_manifest()
    assert [about["status"] for about in manifest["processes"]] == ["ok", "ok"]
    assert all(about["mark_seconds"] > 0 for about in manifest["processes"])
    assert {condition.process for condition in folder.read_conditions()} == {0, 1}
    assert sorted(path.name for path in (out / "models").glob("*.safetensors")) == [
        "fast.safetensors",
        "spp.safetensors",
    ]


def test_two_processes_have_an_interval_over_images_only(replicated: tuple[Path, list[str]]) -> None:
    """A t interval over two process means says next to nothing; the summary says over what its interval is."""
    summary = RunFolder(replicated[0]).read_summary()
    assert "images" in summary["speedup"]["fast"]["total"]["interval"]
    assert summary["plan"]["processes"] == 2


@pytest.mark.parametrize("how", ["both", "the process alone"])
def test_an_interrupted_process_interrupts_the_run(
    how: str, small_plan: PlanMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Ctrl-C does to a terminal's processes."""

    folder = RunFolder(tmp_path / "run")

    def interrupted(_command: Sequence[str]) -> int:
        """What the process wrote by then stays."""
        manifest = folder.read_manifest()
        folder.write_manifest({**manifest, "notices": [{"method": "spp", "image": None, "text": "halved"}]})
        if how == "both":
            raise KeyboardInterrupt
        return 130

    monkeypatch.setattr(replicate, "exit_code_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(small_plan(methods="spp", weights="random", iterations=0, processes=2), folder.path, here=False)
    assert folder.read_manifest()["status"] == "interrupted"
    assert folder.read_manifest()["notices"][0]["text"] == "halved"


def test_a_process_whose_parent_is_gone_stops(replicated: tuple[Path, list[str]], tmp_path: Path) -> None:
    """Else it would write beside whoever goes on with the run. It has measured nothing by then."""
    out = tmp_path / "run"
    subprocess.run(["cp", "-r", replicated[0], out], check=True)
    (out / "samples.jsonl").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "harness.replicate", out, "0", str(os.getpid() + 1)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert not (out / "samples.jsonl").exists()


def test_the_sentinel_is_made_and_run_in_the_arithmetic_of_the_run(
    replicated: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, silent: Reporter
) -> None:
    """What warms up in another one has other kernels chosen. The run's is strict float32; the process begins with TF32
    and autotuning."""
    out = tmp_path / "run"
    subprocess.run(["cp", "-r", replicated[0], out], check=True)
    (out / "samples.jsonl").unlink()
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    seen: list[tuple[bool, ...]] = []

    def work() -> None:
        seen.append((matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark))

    def make(_device: str) -> Callable[[], None]:
        work()
        return work

    def stop_after_a_look() -> None:
        if len(seen) > made:
            raise KeyboardInterrupt

    made = 1 + 8  # and the calls that warm it up
    monkeypatch.setattr("harness.surroundings.sentinel._work", make)
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
    matmul.allow_tf32 = cudnn.allow_tf32 = cudnn.benchmark = True
    try:
        with pytest.raises(KeyboardInterrupt):
            replicate.measure(RunFolder(out), 0, silent, stop_after_a_look)
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before
    assert len(seen) > made
    assert set(seen) == {(False, False, False)}


def test_what_changed_since_the_run_began_is_refused(
    replicated: tuple[Path, list[str]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """In one line, and nothing is measured."""
    out = tmp_path / "run"
    subprocess.run(["cp", "-r", replicated[0], out], check=True)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["dataset"]["test_boxes_sha256"] = "0" * 64
    (out / "manifest.json").write_text(json.dumps(manifest))
    stdout = os.dup(1)
    try:
        assert replicate.main([str(out), "0", str(os.getppid())]) == 2
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
    said = capfd.readouterr().err.strip().splitlines()
    assert said[-1] == "harness: process 0: the boxes are not what the run began with; start a new run"
