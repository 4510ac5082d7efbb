"""Takes a finished run among the committed ones: packed, small enough for that, and shown to hold together.

``python -m harness.adopt RUN NAME`` in a checkout makes `results/runs/NAME` of a run folder. Manifest, summary and
report.md go along as they are; truth, samples, conditions, counts and detections are packed. All else stays behind:
models, scratch files, locks, tracebacks, and page and figures, which `harness report` makes again. Nothing is changed
in what was measured, nor in the folder that it comes from.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.runs import RunFolder
from harness.storage import PACKED, UNFINISHED, StorageError, pack, read_bytes, stored_as
from harness.traceability import check

__all__ = ["LIMIT_BYTES", "AdoptionError", "adopt", "main"]

LIMIT_BYTES = 5_000_000
"""A committed run takes less."""

_AS_IT_IS = ("manifest.json", "summary.json", "report.md")
_TO_PACK = ("truth.json", "samples.jsonl", "conditions.jsonl", "flops.json")
_NEEDED = ("manifest.json", "truth.json", "samples.jsonl", "summary.json", "report.md")
_NAME = re.compile(r"\w[\w.-]*", re.ASCII)
_HOME = re.compile(rb"(?:/home/|/Users/|/root/|\\\\Users\\\\)[^\s\"'/\\:]+")
"""A place in somebody's home folder, as it stands in JSON."""
_METHODS_NAMED = 3


class AdoptionError(StorageError):
    """A run cannot be taken among the committed ones; the message is one line."""


def adopt(run: Path, name: str, runs: Path, *, replace: bool = False) -> Path:
    """Make `runs`/`name` of a finished run; returns that folder, which is there whole or not at all.

    Raises:
        AdoptionError: the run is not finished, does not hold together, is too large or names somebody's home folder; or
            the place is taken.
        harness.storage.StorageError: there is no run, or it is damaged.
    """
    destination = _place(name, runs, replace=replace)
    folder = RunFolder(run)
    folder.read_finished()
    with folder.held():
        contents = _contents(folder)
    _check_homes(run, contents)
    packed = {name + PACKED: pack(content) for name, content in contents.items() if name not in _AS_IT_IS}
    whole = {name: content for name, content in contents.items() if name in _AS_IT_IS} | packed
    _check_size(folder, whole)
    runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=runs, prefix=UNFINISHED) as scratch:
        made = Path(scratch, "made")
        for each, content in whole.items():
            (made / each).parent.mkdir(parents=True, exist_ok=True)
            (made / each).write_bytes(content)
        _check_together(run, made)
        if destination.exists():
            destination.rename(Path(scratch, "before"))
        made.rename(destination)
    return destination


def _place(name: str, runs: Path, *, replace: bool) -> Path:
    if not _NAME.fullmatch(name):
        raise AdoptionError(f"{name!r} is no name for a run; letters, digits, - _ and . make one, and no path")
    destination = runs / name
    if destination.exists() and not replace:
        raise AdoptionError(f"{destination} is there already; choose another name, or replace it with --replace")
    if destination.exists() and not RunFolder(destination).exists:
        raise AdoptionError(f"{destination} holds no run, and is not replaced; choose another name")
    return destination


def _contents(folder: RunFolder) -> dict[str, bytes]:
    """What goes along, unpacked, by plain name."""
    for name in _NEEDED:
        if stored_as(folder.path / name) is None:
            raise AdoptionError(f"{folder.path / name} is missing; what was measured and reported can be adopted")
    found = (path for suffix in ("json", "jsonl") for path in (folder.path / "detections").glob(f"[!.]*.{suffix}*"))
    detections = sorted({f"detections/{path.name.removesuffix(PACKED)}" for path in found})
    names = [name for name in (*_AS_IT_IS, *_TO_PACK) if stored_as(folder.path / name) is not None]
    return {name: read_bytes(folder.path / name) for name in (*names, *detections)}


def _check_homes(run: Path, contents: Mapping[str, bytes]) -> None:
    """See that records tell nobody's name; the command line of a run is part of what was measured, and stays."""
    for name, content in contents.items():
        if name not in _AS_IT_IS and (found := _HOME.search(content)):
            line, place = content.count(b"\n", 0, found.start()) + 1, found[0].decode("utf-8", errors="replace")
            raise AdoptionError(f"{run / name}, line {line}, names a home folder, {place}; measure it elsewhere")


def _check_size(folder: RunFolder, whole: Mapping[str, bytes]) -> None:
    total = sum(map(len, whole.values()))
    if total < LIMIT_BYTES:
        return
    sizes = _method_sizes(folder, whole)
    largest = sorted(sizes, key=lambda method: (-sizes[method], method))[:_METHODS_NAMED]
    told = ", ".join(f"{method} ({sizes[method]:,})" for method in largest)
    over = total - LIMIT_BYTES + 1
    raise AdoptionError(
        f"{folder.path} takes {total:,} bytes packed, {over:,} too many for a committed run; most are of {told}: "
        "spread the methods over several runs"
    )


def _method_sizes(folder: RunFolder, whole: Mapping[str, bytes]) -> dict[str, int]:
    """Bytes of each method's samples and detections, packed."""
    lines: dict[str, list[str]] = {}
    for sample in folder.read_samples():
        lines.setdefault(sample.method, []).append(sample.as_line())
    sizes = {method: len(pack("\n".join(own).encode())) for method, own in lines.items()}
    for method in sizes:
        sizes[method] += len(whole.get(f"detections/{folder.detections_path(method).name}{PACKED}", b""))
    return sizes


def _check_together(run: Path, made: Path) -> None:
    """See that what was made says all that the run says, by the same check that the committed runs are under."""
    problems = [problem.replace(str(made), str(run)) for problem in check(made)]
    if problems:
        more = f" (and {len(problems) - 1} more; see `harness report {run} --check`)" if problems[1:] else ""
        raise AdoptionError(f"{run} does not hold together: {problems[0]}{more}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m harness.adopt``; returns the exit code: 2 with one line where it is refused."""
    parser = argparse.ArgumentParser(prog="python -m harness.adopt", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a finished run")
    parser.add_argument("name", metavar="NAME", help="what it is called in results/runs")
    parser.add_argument("--replace", action="store_true", help="in the place of the run that is called so")
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout [the current folder]")
    options = parser.parse_args(arguments)
    try:
        if not (options.root / "results").is_dir():
            raise AdoptionError(
                f"{options.root.absolute()} holds no folder results; run it in a checkout, or see --root"
            )
        made = adopt(options.run, options.name, options.root / "results" / "runs", replace=options.replace)
    except StorageError as error:
        sys.stderr.write(f"harness.adopt: {' '.join(str(error).split())}\n")
        return 2
    size = sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
    sys.stdout.write(f"{made}: {size:,} bytes of {LIMIT_BYTES:,}; make its tables with: python -m harness.publish\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
