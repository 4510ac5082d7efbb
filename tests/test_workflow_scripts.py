"""The scripts of the workflows do what they say, with made-up programs on the PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / ".github" / "scripts"
TOOLS = ("bash", "cat", "env", "git", "grep", "head", "id", "mkdir", "mktemp", "rm", "sed", "tail", "tee", "tr")

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason="the scripts are for machines with bash, git and GNU's tools"
)


class Machine:
    """Programs that a script finds, and nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs = folder, folder / "bin"
        self.programs.mkdir(parents=True)
        for tool in TOOLS:
            (self.programs / tool).symlink_to(str(shutil.which(tool)))
        self.log = folder / "log"

    def install(self, name: str, body: str) -> None:
        """A program of this name, which first writes down how it was called."""
        program = self.programs / name
        program.write_text(f'#!/usr/bin/env bash\necho "{name} $*" >>"{self.log}"\n{body}\n', encoding="utf-8")
        program.chmod(0o755)

    def run(self, script: str, *arguments: str, cwd: Path | None = None, **variables: str) -> tuple[int, str]:
        """Exit code and output."""
        own = {"PATH": str(self.programs), "RUNNER_TEMP": str(self.folder), "HOME": str(self.folder)}
        done = subprocess.run(
            ["bash", str(SCRIPTS / script), *arguments],
            cwd=cwd or self.folder,
            env={**own, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def called(self, part: str = "") -> list[str]:
        """How programs were called, where `part` was in the call."""
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return [line for line in lines if part in line]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without a GPU."""
    made = Machine(tmp_path / "machine")
    made.install("sudo", 'shift; exec "$@"')
    return made


def gpus(machine: Machine, default: str = "1410", lock: int = 0, reset: int = 0) -> None:
    """Two GPUs of this default clock, whose clocks are locked and reset with these exit codes."""
    machine.install(
        "nvidia-smi",
        'case "$*" in\n'
        '  "--query-gpu=index"*) printf "0\\n1\\n" ;;\n'
        f'  *clocks.default_applications.graphics*) echo "{default}" ;;\n'
        "  *clocks.max.graphics*) echo 1980 ;;\n"
        f"  *--lock-gpu-clocks*) exit {lock} ;;\n"
        f"  *--reset-gpu-clocks*) exit {reset} ;;\n"
        "esac",
    )


def test_clocks_are_locked_and_let_go(machine: Machine) -> None:
    """Every GPU is locked at its default clock, then reset, once."""
    gpus(machine)
    assert machine.run("clocks.sh", "lock")[0] == 0
    assert [line.split("nvidia-smi ")[1] for line in machine.called("nvidia-smi -i") if "--lock" in line] == [
        "-i 0 --lock-gpu-clocks=1410",
        "-i 1 --lock-gpu-clocks=1410",
    ]
    assert machine.run("clocks.sh", "unlock")[0] == 0
    reset = [line for line in machine.called("--reset-gpu-clocks") if line.startswith("nvidia-smi")]
    assert reset == ["nvidia-smi -i 0 --reset-gpu-clocks", "nvidia-smi -i 1 --reset-gpu-clocks"]
    assert machine.run("clocks.sh", "unlock") == (0, "nothing was locked\n")


def test_only_the_gpus_of_the_job_are_touched(machine: Machine) -> None:
    """CUDA_VISIBLE_DEVICES names them, the clock is the one that is asked for."""
    gpus(machine)
    machine.run("clocks.sh", "lock", CUDA_VISIBLE_DEVICES="1", GPU_CLOCK_MHZ="1200")
    machine.run("clocks.sh", "unlock")
    assert {line for line in machine.called("nvidia-smi -i") if line.startswith("nvidia-smi")} == {
        "nvidia-smi -i 1 --lock-gpu-clocks=1200",
        "nvidia-smi -i 1 --reset-gpu-clocks",
    }


def test_a_gpu_without_a_default_clock_is_locked_at_its_highest(machine: Machine) -> None:
    """``[N/A]`` is no clock."""
    gpus(machine, default="[N/A]")
    machine.run("clocks.sh", "lock")
    assert machine.called("--lock-gpu-clocks=1980")


def test_clocks_that_may_not_be_locked_cost_a_warning(machine: Machine) -> None:
    """The job goes on, and what was not locked is not reset."""
    gpus(machine, lock=4)
    code, told = machine.run("clocks.sh", "lock")
    assert code == 0
    assert told.count("::warning") == 2
    assert machine.run("clocks.sh", "unlock") == (0, "nothing was locked\n")
    assert not machine.called("--reset-gpu-clocks")


def test_clocks_that_stay_locked_fail_the_job(machine: Machine) -> None:
    """The next user of the machine would measure with them; the line says how to undo it."""
    gpus(machine, reset=4)
    machine.run("clocks.sh", "lock")
    code, told = machine.run("clocks.sh", "unlock")
    assert code == 1
    assert "sudo nvidia-smi -i 0 --reset-gpu-clocks" in told


def test_a_machine_without_a_gpu_has_nothing_to_lock(machine: Machine) -> None:
    """Both commands end well there."""
    assert machine.run("clocks.sh", "lock") == (0, "no GPU that nvidia-smi knows: nothing to lock\n")
    assert machine.run("clocks.sh", "unlock") == (0, "nothing was locked\n")
    assert machine.run("clocks.sh", "look")[0] == 2


def gates(machine: Machine, base: int, head: int, says: str = "pass  schema") -> None:
    """`harness gate` with these exit codes for the two runs."""
    machine.install(
        "harness", f'if [[ "$2" == */base ]]; then echo "of the base"; exit {base}; fi\necho "{says}"\nexit {head}'
    )


@pytest.mark.parametrize(
    ("head", "says", "code", "told"),
    [
        (0, "pass  speed-up", 0, ""),
        (1, "fail  speed-up total of spp", 1, "::error title=Gate failed::run: fail  speed-up total of spp"),
        (4, "inconclusive  trust", 0, "::warning title=Gate inconclusive::run: inconclusive  trust"),
        (2, "", 2, ""),
    ],
)
def test_a_gate_that_fails_fails_the_job(machine: Machine, head: int, says: str, code: int, told: str) -> None:
    """Code 1 is a failure and 4 a warning; the reason stands in the annotation, lines and JSON in the folder."""
    gates(machine, 0, head, says)
    (machine.folder / "run").mkdir()
    found, output = machine.run("gate.sh", "run")
    assert found == code
    assert told in output
    assert told or "::" not in output
    assert (machine.folder / "run" / "gate.txt").read_text(encoding="utf-8") == f"{says}\n"
    assert machine.called() == [
        "harness gate run/base --baseline run/baseline.json",
        "harness gate run/head --baseline run/baseline.json --json",
        "harness gate run/head --baseline run/baseline.json",
    ]


@pytest.mark.parametrize("base", [1, 4])
def test_a_head_is_not_held_against_itself(machine: Machine, base: int) -> None:
    """Where the base made no baseline the head must not make one: it would pass, whatever it is."""
    gates(machine, base, 0)
    (machine.folder / "run").mkdir()
    code, output = machine.run("gate.sh", "run")
    assert code == 0
    assert "::warning title=Gate inconclusive::" in output
    assert (machine.folder / "run" / "gate.txt").read_text(encoding="utf-8") == "of the base\n"
    assert len(machine.called("harness")) == 1


def test_a_baseline_of_another_job_is_not_used(machine: Machine) -> None:
    """The base of this job makes it anew."""
    machine.install("harness", '[[ ! -e run/baseline.json ]] || echo "there is one"')
    (machine.folder / "run").mkdir()
    (machine.folder / "run" / "baseline.json").write_text("{}", encoding="utf-8")
    assert "there is one" not in machine.run("gate.sh", "run")[1]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Three commits on main: two and one and a half days old, and of now."""
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main")
    for days in (2, 1.5, 0):
        (root / "state").write_text(f"{days} days\n", encoding="utf-8")
        git(root, "add", "state")
        moment = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="seconds")
        git(root, "commit", "--quiet", "-m", f"{days}", GIT_AUTHOR_DATE=moment, GIT_COMMITTER_DATE=moment)
    return root


def git(root: Path, *arguments: str, **variables: str) -> str:
    who = {f"GIT_{role}_{field}": "nobody@localhost" for role in ("AUTHOR", "COMMITTER") for field in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", *arguments],
        cwd=root,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, **who, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def measuring(machine: Machine, base: int = 0, head: int = 0) -> None:
    """`uv run` that notes which state of the source it is run with, and ends with these codes."""
    machine.install(
        "uv",
        f'echo "state: $(cat "$3/state")" >>"{machine.log}"\n'
        f'case "$*" in *"/base --overwrite") exit {base} ;; *) exit {head} ;; esac',
    )


def test_base_and_head_are_measured_alike(machine: Machine, repository: Path) -> None:
    """The base is main as it was a day ago; both get the same options, and no copy of the source stays."""
    measuring(machine)
    code, output = machine.run("base_and_head.sh", "out", "--images", "2", cwd=repository)
    assert code == 0, output
    assert machine.called("state") == ["state: 1.5 days", "state: 0 days"]
    said = [line.partition("harness compare ")[2] for line in machine.called("uv run")]
    out = repository / "out"
    assert said == [f"--images 2 --out {out}/{name} --overwrite" for name in ("base", "head")]
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_a_base_can_be_named(machine: Machine, repository: Path) -> None:
    """As a commit, a branch or a tag; what the clone does not hold is refused before anything is measured."""
    measuring(machine)
    machine.run("base_and_head.sh", "out", cwd=repository, BASE=git(repository, "rev-parse", "HEAD~2"))
    assert machine.called("state") == ["state: 2 days", "state: 0 days"]
    code, output = machine.run("base_and_head.sh", "out", cwd=repository, BASE="refs/pull/7/head")
    assert code == 2
    assert "BASE=refs/pull/7/head is no commit of this clone" in output
    assert len(machine.called("state")) == 2


def test_a_repository_of_today_is_held_against_its_first_commit(machine: Machine, tmp_path: Path) -> None:
    """No commit is a day old there."""
    root = tmp_path / "young"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main")
    for number in range(2):
        (root / "state").write_text(f"{number}\n", encoding="utf-8")
        git(root, "add", "state")
        git(root, "commit", "--quiet", "-m", "a state")
    measuring(machine)
    assert machine.run("base_and_head.sh", "out", cwd=root)[0] == 0
    assert machine.called("state") == ["state: 0", "state: 1"]


def test_a_gpu_must_be_there_where_one_is_named(machine: Machine, repository: Path) -> None:
    """DEVICE=cuda refuses a machine without one, in both runs."""
    measuring(machine)
    machine.run("base_and_head.sh", "out", cwd=repository, DEVICE="cuda")
    assert [line for line in machine.called("uv run") if "--require-gpu" in line] == machine.called("uv run")


@pytest.mark.parametrize(("base", "measured", "code"), [(5, 2, 0), (3, 1, 3)])
def test_a_partial_run_is_for_the_gate(machine: Machine, repository: Path, base: int, measured: int, code: int) -> None:
    """Where a method failed the head is measured all the same; where the machine was refused nothing more is."""
    measuring(machine, base=base)
    assert machine.run("base_and_head.sh", "out", cwd=repository)[0] == code
    assert len(machine.called("state")) == measured
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_a_summary_is_of_what_there_is(machine: Machine) -> None:
    """One run, base and head with their gates, or the statement that there is nothing."""
    machine.install("harness", 'echo "report of $*"')
    out = machine.folder / "out"
    assert machine.run("summary.sh", "out") == (0, "Nothing was measured in out.\n")
    (out / "head").mkdir(parents=True)
    (out / "head" / "manifest.json").touch()
    assert machine.run("summary.sh", "out")[1] == "report of report out/head --markdown\n"
    (out / "base").mkdir()
    (out / "base" / "manifest.json").touch()
    (out / "gate.txt").write_text("fail  speed-up\n", encoding="utf-8")
    text = machine.run("summary.sh", "out")[1]
    assert "```text\nfail  speed-up\n```\n" in text
    assert text.endswith("report of report out/head out/base --markdown\n")
    assert machine.run("summary.sh", "out/head")[1] == "report of report out/head --markdown\n"
