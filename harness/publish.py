"""Makes the committed tables and figures of the committed runs, the README's extract of them, and the JSON Schemas.

``python -m harness.publish`` in a checkout reads `results/runs/RUN/summary.json` of every run and writes
`results/tables/RUN.md`, the figures that it shows as `results/figures/RUN-*`, `results/pages/RUN.html`, what stands in
README.md between ``<!-- generated: RUN -->`` and ``<!-- /generated -->``, and `results/schemas`; of a reproduction, the
table and the README. With ``--check`` it writes nothing, names what is stale and what in a run folder does not follow
from its samples, and ends with 1 where anything is.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness import report, reproduction, schemas
from harness.claims import Claim, read_claims
from harness.figures import draw, svgs
from harness.freshness import outdated
from harness.rendering.reproduction import excerpt, markdown
from harness.runs import RunError, RunFolder
from harness.traceability import check
from harness.webpage import webpage

__all__ = ["generate", "main", "publish", "stale", "untraceable"]

_NOTICE = "<!-- Made by `python -m harness.publish` from results/runs/{source}; not to be edited. -->\n\n"
_BLOCK = re.compile(r"(<!-- generated: (?P<run>[\w.-]+) -->\n)(?P<body>.*?)(<!-- /generated -->)", re.DOTALL)
_GENERATED = ("tables", "figures", "pages", "schemas")
"""Folders of results that hold nothing else."""


def generate(root: Path) -> dict[Path, bytes]:
    """What the generated files of the checkout at `root` ought to hold, by path relative to it.

    Raises:
        harness.claims.ClaimError: the published numbers cannot be read.
        harness.runs.RunError: the summary of a run cannot be read.
    """
    claims = read_claims()
    files: dict[Path, bytes] = {}
    extracts: dict[str, str] = {}
    for folder in _folders(root, "summary.json"):
        files |= _of_run(folder, claims)
        extracts[folder.name] = report.excerpt(
            RunFolder(folder).read_summary(), claims, figures=f"results/figures/{folder.name}-"
        )
    for folder in _folders(root, reproduction.FILE):
        model = reproduction.read(folder)
        text = markdown(model, runs=f"../runs/{folder.name}/")
        files[Path("results", "tables", f"{folder.name}.md")] = (
            _NOTICE.format(source=f"{folder.name}/{reproduction.FILE}") + text
        ).encode()
        extracts[folder.name] = excerpt(model)
    for name in schemas.FORMS:
        files[Path("results", "schemas", schemas.file_name(name))] = schemas.text(name).encode()
    readme = root / "README.md"
    if readme.is_file():
        files[Path("README.md")] = _filled(readme.read_bytes().decode(), extracts).encode()
    return files


def _of_run(run: Path, claims: Sequence[Claim]) -> dict[Path, bytes]:
    """Table, figures and page of one run."""
    folder, name = RunFolder(run), run.name
    summary = folder.read_summary()
    text = report.page(summary, claims, figures=f"../figures/{name}-")
    files = {Path("results", "tables", f"{name}.md"): (_NOTICE.format(source=f"{name}/summary.json") + text).encode()}
    shown = text + report.excerpt(summary, claims, figures=f"../figures/{name}-")
    with tempfile.TemporaryDirectory() as scratch:
        for path in draw(summary, Path(scratch), folder):
            if f"{name}-{path.stem}." in shown:
                files[Path("results", "figures", f"{name}-{path.name}")] = path.read_bytes()
    page = webpage(summary, folder.read_manifest(), claims, svgs(summary, folder))
    return {**files, Path("results", "pages", f"{name}.html"): page.encode()}


def _folders(root: Path, holding: str) -> list[Path]:
    """Committed runs or reproductions: those that hold such a file."""
    return sorted(path.parent for path in (root / "results" / "runs").glob(f"*/{holding}"))


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
    found = []
    for run in (*_folders(root, "summary.json"), *_folders(root, reproduction.FILE)):
        try:
            problems = check(run)
        except RunError as error:
            problems = [str(error)]
        found += [f"{run.relative_to(root)}: {problem}" for problem in problems]
    return found


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
    changed = stale(options.root) if options.check else publish(options.root)
    for path in changed:
        sys.stdout.write(f"{'stale' if options.check else 'written'}: {path}\n")
    if not options.check:
        return 0
    if changed:
        sys.stdout.write("make them anew with: python -m harness.publish\n")
    wrong = untraceable(options.root)
    for line in wrong:
        sys.stdout.write(f"does not follow: {line}\n")
    return 1 if changed or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
