"""How a command ends when something is wrong: one line, whatever stands in it."""

from __future__ import annotations

import errno
import os

import pytest
import typer

from harness.cli.exits import leave, one_line_errors
from harness.datasets import DatasetError


def said(error: Exception, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and standard error of a command that fails so."""
    with pytest.raises(typer.Exit) as end, one_line_errors():
        raise error
    return end.value.exit_code, capsys.readouterr().err


def test_what_the_system_refuses_is_said_with_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    """A read-only folder and a name that is too long are no mistakes of this program."""
    for number in (errno.EROFS, errno.ENAMETOOLONG, errno.EACCES):
        refused = OSError(number, os.strerror(number), "some/file")
        assert said(refused, capsys) == (2, f"harness: some/file: {os.strerror(number)}\n")


def test_a_full_disk_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Where a write fails, the system names no file."""
    code, text = said(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), capsys)
    assert code == 2
    assert text.startswith("harness: No space left on device; make room")
    assert "--resume" in text


def test_an_error_that_is_nobodys_input_keeps_its_traceback() -> None:
    """One that no system call gave."""
    with pytest.raises(OSError, match="of a library"), one_line_errors():
        raise OSError("of a library")


def test_names_of_others_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """No escape sequence, no text that runs backwards, no second line."""
    _, text = said(DatasetError("no folder \x1b[2J\u202e\x07a\nb"), capsys)
    assert text == "harness: no folder �[2J��a b\n"


def test_a_name_without_end_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    """What comes before it and after it stays."""
    with pytest.raises(typer.Exit):
        leave(2, f"image_id {'x' * 100_000} is not in this split")
    text = capsys.readouterr().err
    assert len(text) < 1_100
    assert text.startswith("harness: image_id xxx")
    assert text.endswith("xxx is not in this split\n")
