"""Where a scoreboard comes from: run folders that are named on the command line, or a committed TOML file.

``results/scoreboards/NAME.toml`` names runs of ``results/runs`` that are scored together:

    title = "Accuracy on VOC 2007 val"
    runs = ["voc07-spp", "voc07-fast"]
    baseline = "spp"            # optional: the method that differences are to
    order = ["spp", "fast"]     # optional: methods in the order of their rows
    methods = ["spp", "fast"]   # optional: those that get a row, of all that the runs have
    note = "..."                # optional
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.contenders import read_run
from harness.scoreboard import Scoreboard, ScoreboardError, score_runs

__all__ = ["of_folders", "read"]

_RUNS = "runs"
"""The folder beside that of the file."""


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    runs: tuple[str, ...] = Field(min_length=1)
    baseline: str | None = None
    order: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None
    note: str | None = None


def of_folders(
    paths: Sequence[Path], *, baseline: str | None = None, methods: Sequence[str] | None = None
) -> Scoreboard:
    """Score run folders; each is called by its own name, or by its path where two have the same.

    Raises:
        ScoreboardError: the runs cannot be scored together, or one is named twice.
        harness.runs.RunError: a folder holds no finished run.
    """
    names = [path.resolve().name for path in paths]
    if len({path.resolve() for path in paths}) < len(paths):
        raise ScoreboardError("a run folder is named twice; name each once")
    called = [str(path) if names.count(name) > 1 else name for path, name in zip(paths, names, strict=True)]
    runs = [read_run(path, name) for path, name in zip(paths, called, strict=True)]
    return score_runs(runs, title="Accuracy", baseline=baseline, methods=methods)


def read(path: Path) -> Scoreboard:
    """Score what a scoreboard's file names.

    Raises:
        ScoreboardError: it cannot be read, names a run that is not there, or its runs cannot be scored together.
        harness.runs.RunError: a folder holds no finished run.
    """
    try:
        found = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScoreboardError(f"{path} cannot be read: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise ScoreboardError(f"{path}, {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None
    folder = path.resolve().parent.parent / _RUNS
    for name in found.runs:
        if not (folder / name).is_dir():
            raise ScoreboardError(f"{path}: no run {name} in {folder}")
    runs = [read_run(folder / name, name) for name in found.runs]
    about = found.model_dump(include={"title", "note", "order", "baseline", "methods"})
    return score_runs(runs, **about)
