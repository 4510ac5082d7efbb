"""Does a run folder hold together: its summary follows from its samples, its reports from its summary?

Three questions, each asked without the answer of the one before: whether `harness.summary` derives the same summary
anew; whether the reports are those that the summary on disk gives; and, by a reader that knows nothing of how reports
are written, whether each number in them is a rounding of one of the summary's.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from harness import reports, reproduction, summary
from harness.claims import ClaimError, read_claims
from harness.freshness import outdated
from harness.gates.manifests import damage_of_run
from harness.gates.promises import broken_promise
from harness.gates.records import check_records
from harness.intervals import StatisticsError
from harness.presets import PresetError
from harness.rendering.reproduction import markdown
from harness.runs import RunFolder
from harness.storage import StorageError
from harness.tracing.passages import Passage, of_html, of_markdown
from harness.tracing.tracer import Tracer

__all__ = ["check", "first_difference"]

_DIGITS = 1e-9
"""Relative: another machine may add up in another order."""
_SHOWN = 60
"""Characters of a line that is quoted."""
_READERS = {"report.md": of_markdown, "report.html": of_html}
_DERIVED = ("summary.json", "report.md", "report.html", "figures")
_ANEW = "write it anew with `harness report RUN`"
_RESUME = "write it anew with `harness reproduce NAME --resume --out FOLDER`"


def check(run: Path) -> list[str]:
    """What does not hold together in a run folder, a line each; nothing where all does. Nothing is written.

    Of the folder of a reproduction, its own report and the runs that it is made of. A folder may be passed on without
    its page and its figures, which are large and can be had again.

    Raises:
        harness.runs.RunError: there is no run, or it is of a later version.
    """
    folder = RunFolder(run)
    if (run / reproduction.FILE).exists():
        return _check_reproduction(run)
    manifest = folder.read_manifest()
    if wrong := damage_of_run(manifest):
        return [f"manifest.json is damaged at {wrong}"]
    try:
        check_records(folder, manifest)
        kept = folder.read_summary()
        if wrong := broken_promise(kept):
            return [f"summary.json breaks its promise: {wrong}"]
        return [*_stale_summary(folder, kept), *_stale_reports(folder, kept), *_untraced(run, kept, manifest)]
    except (StorageError, StatisticsError, ClaimError) as error:
        return [str(error)]


def _check_reproduction(out: Path) -> list[str]:
    try:
        model = reproduction.read(out)
        made = {"report.md": markdown(model).encode()}
        found = [*_unlike(out, made, _RESUME), *_untraced(out, model, {}), *_strayed(out, model)]
    except (StorageError, PresetError, ClaimError) as error:
        return [str(error)]
    folders = [part["folder"] for part in model["parts"] if part["folder"]]
    runs = [name for name in folders if RunFolder(out / name).exists]
    return [*found, *(f"{name}: {problem}" for name in runs for problem in check(out / name))]


def _strayed(out: Path, model: Mapping[str, Any]) -> Iterator[str]:
    """Numbers of a reproduction that are not those of the run which it says they are of.

    Hours of training and counts are of no run, and are not looked at.
    """
    for part in model["parts"]:
        if part["kind"] not in ("speed", "accuracy") or not part["folder"] or part["status"] == "error":
            continue
        folder = RunFolder(out / part["folder"])
        if not folder.exists:
            yield f"{part['folder']} is missing, in which {part['name']} was measured"
            continue
        told = {reproduction.key(one): one for one in folder.read_summary().get("claims") or ()}
        for one in model["claims"]:
            if one.get("run") != part["name"]:
                continue
            theirs = told.get(reproduction.key(one), {})
            named = f"{one['source']} {one['locator']}, {one['method']} {one['quantity']} {one['printed']}"
            if found := first_difference(one["measured"], theirs.get("measured", {})):
                yield f"{reproduction.FILE}: {named}: {found} by {part['folder']}/summary.json"
            elif not model["labels"]["quick"] and one["verdict"] != theirs["verdict"]:
                yield f"{reproduction.FILE}: {named}: {one['verdict']}, and {theirs['verdict']} by {part['folder']}"


def _stale_summary(folder: RunFolder, kept: Mapping[str, Any]) -> Iterator[str]:
    # A stage that takes no time in one process of several has no ratio there.
    with np.errstate(divide="ignore", invalid="ignore"):
        derived = summary.summarise(folder)
    if found := first_difference(kept, derived):
        yield f"summary.json does not follow from the samples: {found}; {_ANEW}"


def first_difference(kept: object, derived: object, path: tuple[str, ...] = ()) -> str | None:
    """Where two results differ first, and how; None where they differ nowhere beyond the last digits.

    What is told of trust comes last: it speaks of numbers that stand elsewhere.
    """
    where = ".".join(path)
    if isinstance(kept, Mapping) and isinstance(derived, Mapping):
        for key in derived:
            if key not in kept:
                return f"{'.'.join((*path, str(key)))} is missing"
        for key in kept:
            if key not in derived:
                return f"nothing gives {'.'.join((*path, str(key)))}"
        pairs = [(str(key), kept[key], derived[key]) for key in sorted(derived, key=lambda key: key == "trust")]
    elif _is_list(kept) and _is_list(derived):
        if len(kept) != len(derived):
            return f"{where} has {len(kept)} entries and would have {len(derived)}"
        pairs = [(str(at), *each) for at, each in enumerate(zip(kept, derived, strict=True))]
    elif _equal(kept, derived):
        return None
    else:
        return "{} is {} and would be {}".format(where, *_short(kept, derived))
    found = (first_difference(one, other, (*path, key)) for key, one, other in pairs)
    return next((each for each in found if each), None)


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _equal(one: object, other: object) -> bool:
    numbers = [each for each in (one, other) if isinstance(each, int | float) and not isinstance(each, bool)]
    if len(numbers) == 2:
        return math.isclose(*numbers, rel_tol=_DIGITS, abs_tol=0.0)
    return one == other and type(one) is type(other)


def _short(*values: object) -> tuple[str, ...]:
    """Both quoted, from a little before where they differ."""
    texts = [repr(value) for value in values]
    alike = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False))))
    start = max(alike - _SHOWN // 2, 0)
    return tuple(
        ("…" if start else "") + text[start : start + _SHOWN] + ("…" if len(text) > start + _SHOWN else "")
        for text in texts
    )


def _stale_reports(folder: RunFolder, kept: dict[str, Any]) -> Iterator[str]:
    """Reports and figures that are missing, of something else, or of nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        beside = Path(scratch)
        for entry in folder.path.iterdir():
            if entry.name not in _DERIVED:
                (beside / entry.name).symlink_to(entry.absolute(), target_is_directory=entry.is_dir())
        reports.write_reports(RunFolder(beside), kept)
        passed_on = {name for name in ("report.html", "figures") if not (folder.path / name).exists()}
        made = {
            name: (beside / name).read_bytes() for name in _reports(beside) if name.partition("/")[0] not in passed_on
        }
        yield from _unlike(folder.path, made)
        for name in _reports(folder.path):
            if name not in made:
                yield f"{name} is of nothing in summary.json; remove it"


def _reports(run: Path) -> list[str]:
    """What is derived of a run's summary, relative to the run."""
    figures = (path.relative_to(run).as_posix() for path in sorted((run / "figures").glob("[!.]*")))
    return [*(name for name in _READERS if (run / name).exists()), *figures]


def _unlike(run: Path, made: Mapping[str, bytes], anew: str = _ANEW) -> Iterator[str]:
    for name in outdated(run, made):
        if not (run / name).exists():
            yield f"{name} is missing; {anew}"
        else:
            told = _first_line((run / name).read_bytes(), made[name]) if name in _READERS else ""
            yield f"{name} is not what the summary gives{told}; {anew}"


def _first_line(found: bytes, expected: bytes) -> str:
    """Which line of a report differs first, quoted."""
    both = [each.decode("utf-8", errors="replace").splitlines() for each in (found, expected)]
    for number, (one, other) in enumerate(zip(*both, strict=False), start=1):
        if one != other:
            return " from line {} on: {}, not {}".format(number, *_short(one, other))
    return f": it has {len(both[0])} lines, not {len(both[1])}"


def _untraced(folder: Path, kept: Mapping[str, Any], manifest: Mapping[str, Any]) -> Iterator[str]:
    tracer = Tracer(kept, manifest, read_claims())
    for name, passages_of in _READERS.items():
        path = folder / name
        if path.exists():
            for passage in passages_of(path.read_text(encoding="utf-8")):
                yield from _told(name, passage, tracer)


def _told(name: str, passage: Passage, tracer: Tracer) -> Iterator[str]:
    for number in tracer.unexplained(passage):
        quoted = passage.text if len(passage.text) <= _SHOWN else f"{passage.text[:_SHOWN]}…"
        yield f"{name}, {passage.place}: {number} in {quoted!r} is no rounding of a number in the summary"
