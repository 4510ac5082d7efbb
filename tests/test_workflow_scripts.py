"""The scripts of the workflows do what they say, with made-up programs on the PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / ".github" / "scripts"
TOOLS = (
    *(
        "bash",
        "cat",
        "env",
        "git",
        "grep",
        "head",
        "id",
        "mkdir",
        "mktemp",
        "realpath",
        "rm",
        "sed",
        "tail",
        "tee",
        "tr",
    ),
)

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


VERDICTS = {0: "pass          on CPU: 3 gates", 1: "fail          on CPU: 3 gates", 4: "inconclusive  on CPU: 3 gates"}


def gates(
    machine: Machine, base: int, head: int, says: str = "pass  schema: whole", as_json: int | None = None
) -> None:
    """`harness gate` with these exit codes for the two runs; of the head it says `says` and the verdict."""
    of_base = f"{VERDICTS[base].split()[0]}  schema: of the base\n{VERDICTS[base]}"
    lines = 'printf "%s\\n"'
    machine.install(
        "harness",
        'case "$*" in\n'
        f'  *--json) {lines} "{{" "}}"; exit {head if as_json is None else as_json} ;;\n'
        f'  *"run/base "*) {lines} "{of_base}"; exit {base} ;;\n'
        f'  *) {lines} "{says}" "{VERDICTS[head]}"; exit {head} ;;\n'
        "esac",
    )
    for name in ("base", "head"):
        (machine.folder / "run" / name).mkdir(parents=True)


INCONCLUSIVE = """inconclusive  trust: drift
inconclusive  speed-up conv of spp: 1x; would pass, not decided
inconclusive  speed-up total of spp: 1x; would fail, not decided"""


@pytest.mark.parametrize(
    ("head", "says", "told"),
    [
        (0, "pass          speed-up: 2x", ""),
        (
            1,
            "pass          schema: whole\nfail          speed-up: 1x",
            "::error title=Gate failed::run: speed-up: 1x\n",
        ),
        (4, "inconclusive  trust: drift", "::warning title=Gate inconclusive::run: trust: drift\n"),
        (
            4,
            INCONCLUSIVE,
            "::warning title=Gate inconclusive::run: speed-up total of spp: 1x; would fail, not decided\n",
        ),
        (4, "pass          schema: whole", "::warning title=Gate inconclusive::run: on CPU: 3 gates\n"),
    ],
)
def test_a_gate_that_fails_fails_the_job(machine: Machine, head: int, says: str, told: str) -> None:
    """Code 1 is a failure and 4 a warning, of what would fail rather than why it is not known; all is in the folder."""
    gates(machine, 0, head, says)
    found, output = machine.run("gate.sh", "run")
    assert found == (1 if head == 1 else 0)
    assert told in output
    assert output.count("::") == (2 if told else 0)
    assert (machine.folder / "run" / "gate.txt").read_text(encoding="utf-8").startswith(says)
    assert (machine.folder / "run" / "gate.json").read_text(encoding="utf-8") == "{\n}\n"
    assert machine.called() == [
        "harness gate run/base --baseline run/baseline.json",
        "harness gate run/head --baseline run/baseline.json --require-baseline",
        "harness gate run/head --baseline run/baseline.json --require-baseline --json",
    ]


@pytest.mark.parametrize("base", [1, 4])
@pytest.mark.parametrize(
    ("head", "says", "told"),
    [
        (4, "inconclusive  baseline: no entry", "::warning title=Gate inconclusive::run: baseline: no entry"),
        (1, "fail          method of spp: oom", "::error title=Gate failed::run: method of spp: oom"),
    ],
)
def test_a_head_without_a_base_is_judged_by_itself(
    machine: Machine, base: int, head: int, says: str, told: str
) -> None:
    """It must not make a baseline, for it would pass, whatever it is. A base that fails fails the job."""
    gates(machine, base, head, says)
    found, output = machine.run("gate.sh", "run")
    assert found == (1 if 1 in (base, head) else 0)
    title = {1: "::error title=Base failed", 4: "::warning title=No baseline"}[base]
    assert f"{title}::run: the run of the base is" in output
    assert ": schema: of the base\n" in output
    assert told in output
    assert all("--require-baseline" in call for call in machine.called("run/head"))


@pytest.mark.parametrize("code", [0, 1, 2, 4, 120, 127])
@pytest.mark.parametrize("run", ["base", "head"])
def test_an_answer_without_a_verdict_ends_the_job(machine: Machine, run: str, code: int) -> None:
    """A program that crashes ends with code 1, as one that says fail; whatever it ends with, it is no answer."""
    gates(machine, 0, 0)
    program = machine.programs / "harness"
    crash = f'if [[ "$2" == */{run} ]]; then echo "Traceback" >&2; exit {code}; fi\n'
    program.write_text(program.read_text(encoding="utf-8").replace("case", f"{crash}case", 1), encoding="utf-8")
    found, output = machine.run("gate.sh", "run")
    assert found == (code or 1)
    assert f"::error title=No verdict::run: the gate of run/{run} ended with code {code}; see the log\n" in output


@pytest.mark.parametrize(("head", "code"), [(0, 1), (0, 4), (1, 0), (4, 120)])
def test_two_answers_must_agree(machine: Machine, head: int, code: int) -> None:
    """The lines and the JSON, which are asked for one after the other."""
    gates(machine, 0, head, as_json=code)
    found, output = machine.run("gate.sh", "run")
    assert found == 1
    assert f"::error title=No verdict::run: the gate ended with code {code} for JSON, and with {head}" in output


@pytest.mark.parametrize("name", ["gate.txt", "gate.json"])
@pytest.mark.parametrize("code", [0, 4])
def test_what_cannot_be_kept_ends_the_job(machine: Machine, name: str, code: int) -> None:
    """As on a disk that is full."""
    gates(machine, code, code)
    (machine.folder / "run" / name).mkdir()
    assert machine.run("gate.sh", "run")[0] == 1


def test_a_gate_needs_both_runs(machine: Machine) -> None:
    """Nothing is asked before they are there; the line says what is missing."""
    gates(machine, 0, 0)
    assert machine.run("gate.sh") == (2, "gate.sh: name the folder that holds base and head\n")
    told = "gate.sh: there is no folder nowhere/base; base_and_head.sh measures it\n"
    assert machine.run("gate.sh", "nowhere") == (2, told)
    (machine.folder / "run" / "head").rmdir()
    assert machine.run("gate.sh", "run")[0] == 2
    assert not machine.called()


def test_a_baseline_of_another_job_is_not_used(machine: Machine) -> None:
    """The base of this job makes it anew."""
    gates(machine, 0, 0)
    machine.install("harness", '[[ ! -e run/baseline.json ]] || echo "there is one"')
    (machine.folder / "run" / "baseline.json").write_text("{}", encoding="utf-8")
    assert "there is one" not in machine.run("gate.sh", "run")[1]
    assert machine.called()


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
    code, output = machine.run("base_and_head.sh", "other", cwd=repository, BASE="refs/pull/7/head")
    assert code == 2
    assert "BASE=refs/pull/7/head is no commit of this clone" in output
    assert len(machine.called("state")) == 2
    assert (repository / "out").exists()
    assert not (repository / "other").exists()


def test_a_repository_of_today_is_held_against_the_commit_before(machine: Machine, tmp_path: Path) -> None:
    """No commit is a day old there; and the first of all has none before it."""
    root = tmp_path / "young"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main")
    measuring(machine)
    for number in range(3):
        (root / "state").write_text(f"{number}\n", encoding="utf-8")
        git(root, "add", "state")
        git(root, "commit", "--quiet", "-m", "a state")
        if number == 0:
            code, output = machine.run("base_and_head.sh", "out", cwd=root)
            assert (code, "BASE=HEAD~1 is no commit of this clone" in output) == (2, True)
            assert not (root / "out").exists()
    assert machine.run("base_and_head.sh", "out", cwd=root)[0] == 0
    assert machine.called("state") == ["state: 1", "state: 2"]


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
