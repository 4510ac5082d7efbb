"""Makes the committed tables and figures of the committed runs, and the README's extract of them.

``python -m harness.publish`` in a checkout reads `results/runs/RUN/summary.json` of every run and writes
`results/tables/RUN.md`, `results/figures/RUN-*` and what stands in README.md between ``<!-- generated: RUN -->`` and
``<!-- /generated -->``. With ``--check`` it writes nothing, names what is stale, and ends with 1 where anything is.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness import report
from harness.claims import Claim, read_claims
from harness.figures import draw
from harness.runs import RunFolder
from harness.tables import Summary

__all__ = ["generate", "main", "publish", "stale"]

_NOTICE = "<!-- Made by `python -m harness.publish` from results/runs/{run}/summary.json; not to be edited. -->\n\n"
_BLOCK = re.compile(r"(<!-- generated: (?P<run>[\w.-]+) -->\n)(?P<body>.*?)(<!-- /generated -->)", re.DOTALL)
_DRAWN_BY = re.compile(rb"Matplotlib v(?:ersion)?([0-9][\w.+]*)")


def generate(root: Path) -> dict[Path, bytes]:
    """What the generated files of the checkout at `root` ought to hold, by path relative to it.

    Raises:
        harness.claims.ClaimError: the published numbers cannot be read.
        harness.runs.RunError: the summary of a run cannot be read.
    """
    claims = read_claims()
    runs = sorted(path.parent for path in (root / "results" / "runs").glob("*/summary.json"))
    summaries = {run.name: RunFolder(run).read_summary() for run in runs}
    files: dict[Path, bytes] = {}
    for run, summary in summaries.items():
        text = report.page(summary, claims, figures=f"../figures/{run}-")
        files[Path("results", "tables", f"{run}.md")] = (_NOTICE.format(run=run) + text).encode()
        with tempfile.TemporaryDirectory() as folder:
            for path in draw(summary, Path(folder)):
                files[Path("results", "figures", f"{run}-{path.name}")] = path.read_bytes()
    readme = root / "README.md"
    if readme.is_file():
        files[Path("README.md")] = _filled(readme.read_bytes().decode(), summaries, claims).encode()
    return files


def _filled(readme: str, summaries: Mapping[str, Summary], claims: Sequence[Claim]) -> str:
    """The README with each generated block filled; the block of a run that is not there is empty."""

    def block(found: re.Match[str]) -> str:
        run = found["run"]
        if run not in summaries:
            return f"{found[1]}{found[4]}"
        text = report.excerpt(summaries[run], claims, figures=f"results/figures/{run}-")
        table = f"results/tables/{run}.md"
        return f"{found[1]}\n{text}\nEvery stage: [{table}]({table}).\n\n{found[4]}"

    return _BLOCK.sub(block, readme)


def stale(root: Path) -> list[Path]:
    """Generated files, relative to `root`, that are missing, hold something else, or belong to no run.

    A figure that another version of matplotlib drew is passed over, for its bytes cannot be had again; the table of the
    same run still tells whether the numbers have moved.
    """
    return _stale(root, generate(root))


def _stale(root: Path, expected: Mapping[Path, bytes]) -> list[Path]:
    old = [path for path, content in expected.items() if not _same(root / path, content)]
    kept = [path for name in ("tables", "figures") for path in (root / "results" / name).glob("[!.]*")]
    return sorted([*old, *(path.relative_to(root) for path in kept if path.relative_to(root) not in expected)])


def _same(path: Path, content: bytes) -> bool:
    if not path.is_file():
        return False
    found = path.read_bytes()
    if found == content:
        return True
    before, now = _DRAWN_BY.search(found), _DRAWN_BY.search(content)
    return path.suffix in (".svg", ".png") and before is not None and now is not None and before[1] != now[1]


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
    if options.check and changed:
        sys.stdout.write("make them anew with: python -m harness.publish\n")
    return 1 if options.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
