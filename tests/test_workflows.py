"""The workflows ask for little, run nothing of strangers on the GPU's machine, and name what there is."""

from __future__ import annotations

import configparser
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from harness.cli import app

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
FILES = sorted((GITHUB / "workflows").glob("*.yml"))
SCRIPTS = sorted((GITHUB / "scripts").glob("*.sh"))
UPLOAD, CHECKOUT = "actions/upload-artifact@", "actions/checkout@"

Step = dict[str, Any]


def workflow(name: str) -> dict[str, Any]:
    """A workflow; its triggers are under ``on``, which YAML 1.1 takes for a truth value."""
    read = yaml.safe_load((GITHUB / "workflows" / name).read_text(encoding="utf-8"))
    read["on"] = read.pop(True)
    return dict(read)


def steps(name: str) -> list[Step]:
    return [step for job in workflow(name)["jobs"].values() for step in job["steps"]]


def position(name: str, part: str) -> int:
    """Of the only step whose command holds `part`."""
    (found,) = [index for index, step in enumerate(steps(name)) if part in step.get("run", "")]
    return found


def matrices(name: str) -> set[str]:
    """Environments of tox that a matrix names."""
    jobs = workflow(name)["jobs"].values()
    return {env for job in jobs for env in job.get("strategy", {}).get("matrix", {}).get("env", ())}


def environments() -> set[str]:
    """Those of tox: sections, and those that are only listed since the first section describes them."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "tox.ini", encoding="utf-8")
    listed = parser["tox"]["env_list"].replace("\n", ",").split(",")
    return {one.strip() for one in listed} | {name.removeprefix("testenv:") for name in parser.sections()}


def lines_of_commands() -> Iterator[tuple[str, str]]:
    """File and line: of the workflows' commands, and of the scripts less their comments."""
    for path in FILES:
        for step in steps(path.name):
            yield from ((path.name, line) for line in step.get("run", "").splitlines())
    for path in SCRIPTS:
        lines = path.read_text(encoding="utf-8").splitlines()
        yield from ((path.name, line) for line in lines if not line.lstrip().startswith("#"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_commit(path: Path) -> None:
    """Every action is named by a whole commit, with the version that it is as a comment."""
    used = re.findall(r"uses: *(.*)", path.read_text(encoding="utf-8"))
    assert used
    for one in used:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one), one


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_permissions_are_the_least(path: Path) -> None:
    """A job may read the repository and nothing else, names no secret, and leaves no token in the checkout."""
    read = workflow(path.name)
    assert read["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in read["jobs"].values())
    assert "secrets." not in path.read_text(encoding="utf-8")
    for step in steps(path.name):
        if step.get("uses", "").startswith(CHECKOUT):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_job_ends(path: Path) -> None:
    """No job runs for GitHub's six hours because something hangs."""
    assert all(0 < job["timeout-minutes"] <= 180 for job in workflow(path.name)["jobs"].values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_commands_hold_no_expression(path: Path) -> None:
    """What someone typed reaches a shell as a variable only, and a command means the same outside of GitHub."""
    assert all("${{" not in step.get("run", "") for step in steps(path.name))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_was_measured_is_kept_whatever_happened(path: Path) -> None:
    """Artefacts and job summaries do not depend on the success of what came before; models are not kept."""
    kept = [step for step in steps(path.name) if step.get("uses", "").startswith(UPLOAD)]
    told = [step for step in steps(path.name) if "GITHUB_STEP_SUMMARY" in step.get("run", "")]
    assert kept
    assert told
    assert all(step["if"] == "always()" for step in (*kept, *told))
    assert all("/models" in step["with"]["path"] for step in kept)
    names = [step["with"]["name"] for step in kept]
    assert len(set(names)) == len(names)


def test_ci_runs_for_every_change() -> None:
    """On pull requests and on main, on every Python that the package declares, and never with a base's rights."""
    assert set(workflow("ci.yml")["on"]) == {"push", "pull_request"}
    declared = re.findall(r"Python :: 3\.(\d+)", (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert {f"py3{minor}" for minor in declared} < matrices("ci.yml")
    assert {"lint", "types", "tables", "workflows"} < matrices("ci.yml")


def test_no_pull_request_reaches_the_gpu() -> None:
    """Only people who may write start it, or the clock; a fork, which has no such variable, starts nothing."""
    read = workflow("gpu.yml")
    assert set(read["on"]) == {"workflow_dispatch", "schedule"}
    for job in read["jobs"].values():
        assert job["if"] == "vars.GPU_RUNNER == 'ready'"
        assert job["runs-on"] == ["self-hosted", "linux", "x64", "gpu"]
    (checkout,) = [step for step in steps("gpu.yml") if step.get("uses", "").startswith(CHECKOUT)]
    assert "ref" not in checkout["with"]


def test_only_the_gpu_workflow_leaves_github_s_machines() -> None:
    """What runs for pull requests runs on machines that are thrown away; the label is one that actionlint is told."""
    assert {job["runs-on"] for job in workflow("ci.yml")["jobs"].values()} == {"ubuntu-latest"}
    told = yaml.safe_load((GITHUB / "actionlint.yaml").read_text(encoding="utf-8"))
    assert told["self-hosted-runner"]["labels"] == ["gpu"]


def test_the_gpu_measures_one_thing_at_a_time() -> None:
    """A second run waits; it neither measures beside the first nor ends it."""
    assert workflow("gpu.yml")["concurrency"] == {"group": "gpu", "cancel-in-progress": False}
    assert len(workflow("gpu.yml")["jobs"]) == 1


def test_clocks_are_unlocked_whatever_happened() -> None:
    """Locked before the first measurement, unlocked after the last in a step that nothing skips."""
    every = steps("gpu.yml")
    locked, unlocked = position("gpu.yml", "clocks.sh lock"), position("gpu.yml", "clocks.sh unlock")
    assert every[unlocked]["if"] == "always()"
    measuring = [
        index for index, step in enumerate(every) if re.search(r"tox -e|base_and_head|doctor", step.get("run", ""))
    ]
    assert measuring
    assert all(locked < index < unlocked for index in measuring)


def test_each_gate_follows_its_measurement() -> None:
    """Base and head are held against each other in the folder in which they were measured, in the same job."""
    commands = [step.get("run", "") for step in steps("gpu.yml")]
    measured = [run.split()[1] for run in commands if "base_and_head.sh" in run]
    assert measured == [run.split()[-1] for run in commands if "gate.sh" in run]
    assert measured == [run.split()[3] for run in commands if "summary.sh" in run]


def test_environments_of_tox_exist() -> None:
    """Every environment that a workflow names stands in tox.ini."""
    named = {env for path in FILES for env in matrices(path.name)}
    named |= {found for _, line in lines_of_commands() for found in re.findall(r"tox -e (\w+)", line)}
    named |= {found for _, line in lines_of_commands() for found in re.findall(r"TOX_ENV:-(\w+)", line)}
    assert {"gpu", "bench"} < named <= environments()


def test_the_gpu_environment_refuses_to_skip() -> None:
    """Without a GPU it fails: tests that are skipped would look like tests that passed."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini", encoding="utf-8")
    assert "--require-gpu" in parser["testenv:gpu"]["commands"]


def harness_commands() -> list[tuple[str, list[str]]]:
    """What is said to harness: the subcommand, and the options behind it."""
    found = []
    for _, line in lines_of_commands():
        for command in re.findall(r"(?:^|[ (])harness ([a-z]+ [^|>)]*|[a-z]+$)", line):
            words = shlex.split(command.split(" || ")[0], comments=True)
            found.append((words[0], [word for word in words if word.startswith("--")]))
    return found


def test_commands_of_harness_exist() -> None:
    """Each subcommand and each option that a workflow or a script names is one of the command line."""
    known: Any = typer.main.get_command(app)
    said = harness_commands()
    assert {"compare", "gate", "report", "doctor"} <= {command for command, _ in said}
    for command, options in said:
        assert command in known.commands, command
        assert set(options) <= {flag for one in known.commands[command].params for flag in one.opts}, command


def test_options_of_the_measurements_exist() -> None:
    """What gpu.yml hands on to `harness compare` are options of it."""
    known: Any = typer.main.get_command(app)
    flags = {flag for one in known.commands["compare"].params for flag in one.opts}
    given = [step["run"] for step in steps("gpu.yml") if "base_and_head.sh" in step.get("run", "")]
    assert given
    assert {word for run in given for word in run.split() if word.startswith("--")} <= flags


def test_files_that_are_named_exist() -> None:
    """Scripts can be run, no script is left over, and Python files are there."""
    lines = [line for _, line in lines_of_commands()] + [(ROOT / "tox.ini").read_text(encoding="utf-8")]
    named = {found for line in lines for found in re.findall(r"\.github/scripts/(\w+\.sh)", line)}
    assert named == {path.name for path in SCRIPTS}
    assert all(os.access(path, os.X_OK) for path in SCRIPTS)
    python = {found for line in lines for found in re.findall(r"python ([\w/]+\.py)", line)}
    assert python
    assert all((ROOT / path).is_file() for path in python)
