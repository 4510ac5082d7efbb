"""Makes the committed tables and figures of all that is committed, the README's extract of it, and the JSON Schemas.

``python -m harness.publish`` in a checkout reads `results/runs/RUN/summary.json` of every run and writes
`results/tables/RUN.md`, the figures that it shows as `results/figures/RUN-*`, `results/pages/RUN.html`, what stands in
README.md between ``<!-- generated: RUN -->`` and ``<!-- /generated -->``, and `results/schemas`; of a reproduction, the
table and the README. What else is published stands in `KINDS`, a few lines each. With ``--check`` it writes nothing,
names what is stale and what in a run folder does not follow from its samples, and ends with 1 where anything is.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness import report, reproduction, schemas, scoreboards
from harness.claims import read_claims
from harness.figures import draw, svgs
from harness.freshness import outdated
from harness.proposals import study
from harness.publication import Kind, Made, collected, of_model
from harness.rendering import caption, recall, scoreboard
from harness.rendering.recall_figure import recall_figure
from harness.rendering.reproduction import excerpt, markdown
from harness.runs import RunError, RunFolder
from harness.scoreboard import Scoreboard
from harness.storage import StorageError
from harness.traceability import check
from harness.webpage import webpage

__all__ = ["KINDS", "generate", "main", "publish", "stale", "untraceable"]

_BLOCK = re.compile(r"(<!-- generated: (?P<run>[\w.-]+) -->\n)(?P<body>.*?)(<!-- /generated -->)", re.DOTALL)
_GENERATED = ("tables", "figures", "pages", "schemas")
"""Folders of results that hold nothing else."""
_DRAWN = "shapes"
"""The data set whose images are drawn anew wherever they are needed."""


def _of_run(source: Path, name: str) -> Made:
    """Table, figures and page of one run.

    Pictures of detections are shown of drawn scenes alone: photographs are others' work, and are not at hand wherever
    it is checked that a page is not stale.
    """
    folder, claims = RunFolder(source.parent), read_claims()
    summary = folder.read_summary()
    pictured = folder if str(caption.plan(summary).get("dataset")).partition(":")[0] == _DRAWN else None
    text = report.page(summary, claims, figures=f"../figures/{name}-")
    extract = report.excerpt(summary, claims, figures=f"results/figures/{name}-")
    shown = text + report.excerpt(summary, claims, figures=f"../figures/{name}-")
    page = webpage(summary, folder.read_manifest(), claims, svgs(summary, pictured))
    files = {f"pages/{name}.html": page.encode()}
    with tempfile.TemporaryDirectory() as scratch:
        for path in draw(summary, Path(scratch), pictured):
            if f"{name}-{path.stem}." in shown:
                files[f"figures/{name}-{path.name}"] = path.read_bytes()
    return Made(text, files, extract)


def _of_reproduction(source: Path, name: str) -> Made:
    model = reproduction.read(source.parent)
    return Made(markdown(model, runs=f"../runs/{name}/"), extract=excerpt(model))


def _recall(found: study.Study, figures: str) -> str:
    return recall.table(found, f"{figures}recall.svg")


def _scoreboard(board: Scoreboard, _figures: str) -> str:
    return scoreboard.markdown(board, runs="../runs/")


def _score(board: Scoreboard) -> str:
    return scoreboard.excerpt(board, runs="results/runs/")


def _problems(source: Path) -> list[str]:
    try:
        return check(source.parent)
    except RunError as error:
        return [str(error)]


KINDS: tuple[Kind, ...] = (
    Kind("runs/*/summary.json", _of_run, _problems),
    Kind(f"runs/*/{reproduction.FILE}", _of_reproduction, _problems),
    Kind(f"runs/*/{study.FILE}", of_model(study.read, _recall, figures={"recall": recall_figure})),
    Kind("scoreboards/*.toml", of_model(scoreboards.read, _scoreboard, extract=_score)),
)
"""All that something is generated of."""


def generate(root: Path) -> dict[Path, bytes]:
    """What the generated files of the checkout at `root` ought to hold, by path relative to it.

    Raises:
        harness.claims.ClaimError: the published numbers cannot be read.
        harness.storage.StorageError: the summary of a run or another source cannot be read, or two make one file.
    """
    made, extracts = collected(KINDS, root / "results")
    files = {Path("results", name): content for name, content in made.items()}
    for name in schemas.FORMS:
        files[Path("results", "schemas", schemas.file_name(name))] = schemas.text(name).encode()
    readme = root / "README.md"
    if readme.is_file():
        files[Path("README.md")] = _filled(readme.read_bytes().decode(), extracts).encode()
    return files


def _filled(readme: str, extracts: Mapping[str, str]) -> str:
    """The README with each generated block filled; the block of a run that is not there is empty."""

    def block(found: re.Match[str]) -> str:
        run = found["run"]
        if run not in extracts:
            return f"{found[1]}{found[4]}"
        table = f"results/tables/{run}.md"
        return f"{found[1]}\n{extracts[run]}\nAll of it: [{table}]({table}).\n\n{found[4]}"

    return _BLOCK.sub(block, readme)


def stale(root: Path) -> list[Path]:
    """Generated files, relative to `root`, that are missing, hold something else, or belong to no run.

    One that another version of its tool made is passed over, see `harness.freshness`.
    """
    return _stale(root, generate(root))


def _stale(root: Path, expected: Mapping[Path, bytes]) -> list[Path]:
    old = [Path(name) for name in outdated(root, {path.as_posix(): content for path, content in expected.items()})]
    kept = [path for name in _GENERATED for path in (root / "results" / name).glob("[!.]*")]
    return sorted([*old, *(path.relative_to(root) for path in kept if path.relative_to(root) not in expected)])


def untraceable(root: Path) -> list[str]:
    """What in the committed run folders does not hold together, a line each; see `harness.traceability`."""
    return [
        f"{source.parent.relative_to(root)}: {problem}"
        for kind in KINDS
        if kind.check is not None
        for source in kind.sources(root / "results")
        for problem in kind.check(source)
    ]


def publish(root: Path) -> list[Path]:
    """Write what is stale and remove what belongs to no run; returns the paths, relative to `root`."""
    expected = generate(root)
    changed = _stale(root, expected)
    for path in changed:
        if path in expected:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(expected[path])
        else:
            (root / path).unlink()
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m harness.publish``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m harness.publish", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; name what is stale and end with 1")
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout [the current folder]")
    options = parser.parse_args(arguments)
    if not (options.root / "results").is_dir():
        parser.error(f"{options.root.absolute()} holds no folder results; run it in a checkout or give one with --root")
    try:
        return _checked(options.root) if options.check else _published(options.root)
    except StorageError as error:
        parser.error(str(error))


def _published(root: Path) -> int:
    for path in publish(root):
        sys.stdout.write(f"written: {path}\n")
    return 0


def _checked(root: Path) -> int:
    changed = stale(root)
    for path in changed:
        sys.stdout.write(f"stale: {path}\n")
    if changed:
        sys.stdout.write("make them anew with: python -m harness.publish\n")
    wrong = untraceable(root)
    for line in wrong:
        sys.stdout.write(f"does not follow: {line}\n")
    return 1 if changed or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
