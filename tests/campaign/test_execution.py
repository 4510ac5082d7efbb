"""Parts of the campaign go on after any interruption, keep their limits, and are begun in an order that ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from campaigning import FOLDER, ROOT, measure, state, where_it_is

pytestmark = where_it_is

PROBE = '''"""Stands in for a measurement: a line for each time it is begun, then it waits."""
import os, time
from pathlib import Path

def test_probe():
    log = Path({folder!r}) / "begun.txt"
    with log.open("a") as file:
        file.write(f"{{os.getpid()}}\\n")
    if len(log.read_text().split()) <= {slow}:
        time.sleep(20)
'''


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Path]:
    """A campaign of two parts; the second, of two commands, waits for 20 s the first `slow` times."""

    def write(*, slow: int, part_seconds: float = 60, second: str = "pytest --version", expected: float = 1) -> Path:
        probe = tmp_path / "test_probe.py"
        probe.write_text(PROBE.format(folder=str(tmp_path), slow=slow))
        path = tmp_path / "small.toml"
        path.write_text(
            "schema_version = 1\ninputs = {images = 1, boxes = 1}\nvalues = {}\nquick = {}\n"
            f"limits = {{part_seconds = {part_seconds}, fixed_seconds = 1}}\n"
            "part = [\n"
            '  {name = "first", about = "", commands = ["pytest --version"], seconds = 1},\n'
            f'  {{name = "second", about = "", seconds = {expected}, commands = ["{second}",\n'
            f'    "pytest {probe} -q -n 0 -p no:cacheprovider --rootdir {tmp_path} -c /dev/null"]}},\n'
            "]\n"
        )
        return path

    return write


def begun(folder: Path) -> list[int]:
    """The process of each time that the probe was begun."""
    log = folder / "begun.txt"
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def wait_for(true: Callable[[], bool], seconds: float = 60) -> None:
    """Until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_a_part_that_was_ended_in_the_middle_goes_on(
    small: Callable[..., Path], tmp_path: Path, sign: signal.Signals, code: int
) -> None:
    """What was done before is not done again, whatever ended the script; the part says so and is finished by the same
    command."""
    words = ["--campaign", small(slow=1), "--out", tmp_path / "runs", "run", "all"]
    process = subprocess.Popen([sys.executable, str(FOLDER / "measure.py"), *map(str, words)], cwd=ROOT)
    try:
        wait_for(lambda: len(begun(tmp_path)) == 1)
        process.send_signal(sign)
        assert process.wait(timeout=30) == code
    finally:
        process.kill()
    before = state(tmp_path / "runs")
    assert before["first"]["status"] == "done"
    assert before["second"]["status"] == ("running" if sign is signal.SIGKILL else "interrupted")
    assert [one["exit_code"] for one in before["second"]["commands"]] == [0]
    done = measure(*words)
    assert (done.returncode, len(begun(tmp_path))) == (0, 2), done.stdout + done.stderr
    assert "first: done before" in done.stdout
    after = state(tmp_path / "runs")["second"]
    assert after["status"] == "done"
    assert after["commands"][0] == before["second"]["commands"][0]


def test_the_limit_interrupts_a_part(small: Callable[..., Path], tmp_path: Path) -> None:
    """It ends at the limit with exit code 75, nothing of it runs on, and the other parts are carried out."""
    words = ["--campaign", small(slow=99, part_seconds=8), "--out", tmp_path / "runs", "run", "second", "first"]
    began = time.monotonic()
    done = measure(*words)
    assert done.returncode == 75, done.stdout + done.stderr
    assert time.monotonic() - began < 60
    assert "go on with the same command" in done.stdout
    found = state(tmp_path / "runs")
    assert (found["first"]["status"], found["second"]["status"]) == ("done", "interrupted")
    assert "at the limit" in found["second"]["reason"]
    assert not any(psutil.pid_exists(process) for process in begun(tmp_path))


def test_what_begins_anew_and_is_too_long_for_the_limit_has_failed(small: Callable[..., Path], tmp_path: Path) -> None:
    """The first time something else took of its limit, so it is begun again; with all of it it fails, and says why."""
    words = ["--campaign", small(slow=99, part_seconds=6), "--out", tmp_path / "runs", "run", "all"]
    assert [measure(*words).returncode for _ in range(2)] == [75, 1]
    before = len(begun(tmp_path))
    assert measure(*words).returncode == 1
    assert len(begun(tmp_path)) == before <= 2
    found = state(tmp_path / "runs")["second"]
    assert found["status"] == "failed"
    assert found["reason"].startswith("pytest reached the limit after ")
    assert "raise part_seconds" in found["reason"]


def test_a_part_that_fails_is_shown_and_waits_to_be_named(small: Callable[..., Path], tmp_path: Path) -> None:
    """Its last lines are printed and the others carried out; `all` passes over it later, its name or --again do not."""
    path = small(slow=0, second="harness report nowhere")
    words = ["--campaign", path, "--out", tmp_path / "runs", "run"]
    done = measure(*words, "all")
    assert (done.returncode, begun(tmp_path)) == (1, [])
    assert "nowhere holds no run" in done.stdout
    assert state(tmp_path / "runs")["second"]["reason"].startswith("harness report ended with exit code 2; see ")
    done = measure(*words, "all")
    assert done.returncode == 1
    assert "second: failed before; name it, or give --again" in done.stdout
    for named in (["second"], ["all", "--again"]):
        done = measure(*words, *named)
        assert done.returncode == 1
        assert "second: harness report nowhere" in done.stdout


def test_what_failed_is_tried_again_after_the_others(small: Callable[..., Path], tmp_path: Path) -> None:
    """It may fail once more, and nothing has to wait for that."""
    words = ["--campaign", small(slow=0), "--out", tmp_path / "runs", "run"]
    assert measure(*words, "second").returncode == 0
    path = tmp_path / "runs" / "state.json"
    content = json.loads(path.read_text())
    content["parts"]["second"] |= {"status": "pending", "commands": []}
    first = measure(*words, "first")
    assert first.returncode == 0
    content["parts"]["first"] = state(tmp_path / "runs")["first"] | {"status": "failed", "commands": []}
    path.write_text(json.dumps(content))
    done = measure(*words, "second", "first")
    assert done.returncode == 0
    assert done.stdout.index("second: done") < done.stdout.index("first: done")


def test_no_part_is_begun_that_cannot_end(small: Callable[..., Path], tmp_path: Path) -> None:
    """`--total` leaves out what is expected to take longer, with 20 s to end in, and says so; the shorter is done."""
    path = small(slow=0, expected=45)
    done = measure("--campaign", path, "--out", tmp_path / "runs", "run", "all", "--total", 60)
    assert done.returncode == 75
    assert re.search(r"second: not begun, 3\d s are left of --total and it may take 45", done.stdout)
    assert state(tmp_path / "runs").keys() == {"first"}
    done = measure("--campaign", path, "--out", tmp_path / "runs", "run", "all", "--total", 80)
    assert done.returncode == 0


def test_other_options_are_refused_in_the_same_folder(small: Callable[..., Path], tmp_path: Path) -> None:
    """What was begun with other commands is not gone on with, and the line says what instead."""
    words = ["--out", tmp_path / "runs", "run", "second"]
    assert measure("--campaign", small(slow=0), *words).returncode == 0
    done = measure("--campaign", small(slow=0, second="pytest --help"), *words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "was begun in" in done.stderr
    assert "choose another --out" in done.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["run", "speed"], "no part 'speed'; there are doctor, "),
        (["run", "sweep", "--inputs", "nowhere"], "nowhere holds no photographs and boxes; make them with `prepare`"),
        (["pack", "--out", "nowhere"], "nowhere holds nothing to pack; run a part first"),
        (["pack", "doctor"], "pack takes no part, got doctor"),
        (["list", "--campaign", "none.toml"], "campaign none.toml cannot be read: "),
        (["prepare", "--voc", "nowhere", "--inputs", "{}/in"], "no folder nowhere/ImageSets/Main"),
        (["prepare", "--inputs", "results"], "is not empty; remove it, or choose another --inputs"),
        (["run", "--images", "0"], "--images: expected 1 or more, got 0"),
        ([], "expected list, packages, prepare, run or pack"),
    ],
)
def test_mistakes_are_refused_in_one_line(words: list[str], line: str, tmp_path: Path) -> None:
    """What, where, what instead; exit code 2."""
    done = measure(*(word.format(tmp_path) for word in words))
    assert done.returncode == 2, done.stdout
    assert done.stderr.count("\n") == 1
    assert line in done.stderr
