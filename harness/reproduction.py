"""What came of a preset: every number that its table prints, with what was measured for it and the verdict.

    <out>/reproduction.json     this model
    <out>/report.md             the same in words
    <out>/runs/PART/            of a part of kind speed or accuracy: a run folder as of `harness compare`;
                                of one of kind training: training.json and fits.jsonl; of kind count: counts.json

Several parts may have something to say of one number. What decides is the kind of part that is made for its quantity:
a time that was taken beside a long fit does not replace one that was taken for its own sake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.claims import Claim
from harness.forms.form import first_error
from harness.forms.reproduction import Reproduction
from harness.papertables import tables
from harness.presets import Kind, Options, PresetError
from harness.quantities.comparability import NOT_RUN, UNTRAINED
from harness.quantities.judged import Judged
from harness.storage import read_json, write_json
from harness.verdicts import VERDICTS
from harness.wording import counted

__all__ = [
    "FILE",
    "SCHEMA_VERSION",
    "SMOKE",
    "claims_of",
    "counts",
    "exit_code",
    "key",
    "kind_for",
    "label",
    "measured_nothing",
    "options_of",
    "published_in",
    "read",
    "unmeasured",
    "write",
]

SCHEMA_VERSION = 1
"""Of reproduction.json. It grows when an old reader would misunderstand a new file."""

FILE = "reproduction.json"

SMOKE = "smoke version"
"""Why nothing is comparable that was measured with --quick."""

_MEASURED = frozenset({"ok", "partial"})

_KINDS: Mapping[str, Kind] = {
    "map": "accuracy",
    "ap": "accuracy",
    "train": "training",
    "speedup_train": "training",
    "pixel_ratio_conv": "count",
}

_NOT_MET, _INCONCLUSIVE, _PARTIAL = 1, 4, 5

_FAILED = frozenset({"error", "partial"})


def kind_for(quantity: str) -> Kind:
    """Which kind of part measures a quantity."""
    return _KINDS.get(quantity, "speed")


def published_in(table: str, claims: Iterable[Claim]) -> list[Claim]:
    """All that a table of a paper prints, row by row."""
    cells = (cell for one in tables((), claims, [table]) for row in one.rows for cell in row.cells)
    return [cell.claim for cell in cells if cell.claim is not None]


def unmeasured(claim: Claim, reason: str) -> Judged:
    """A claim for which nothing was measured. Of an average precision the table says ``untrained``, never a number.

    Of what was not tried, which `reason` then begins with, it says ``not run``.
    """
    reason = UNTRAINED if kind_for(claim.quantity) == "accuracy" else reason
    shown = NOT_RUN if reason.startswith(NOT_RUN) else reason
    nothing = {"value": None, "low": None, "high": None, "reason": shown, "interval": None}
    about = {**asdict(claim), "stages": list(claim.stages), "measured_as": None, "measured": nothing}
    return {**about, "verdict": "not comparable", "delta": None, "reason": reason, "run": None}


def claims_of(
    claims: Iterable[Claim],
    parts: Sequence[tuple[str, Kind, Sequence[Judged]]],
    *,
    why: Callable[[Claim], str | None],
    quick: bool,
) -> list[Judged]:
    """One for each claim, in their order: what the parts say of it, the most decided first.

    A claim that no part is made for, such as one of a method that is not ours, is left out: it stands alone.

    Args:
        claims: what was published.
        parts: name, kind and judged claims of each that was run.
        why: of a claim that none of them measured, the reason; None where no part would.
        quick: nothing that was measured is comparable.
    """
    told: dict[tuple[object, ...], list[Judged]] = {}
    for name, kind, found in parts:
        for one in found:
            if kind_for(one["quantity"]) == kind:
                told.setdefault(key(one), []).append({**one, "run": name})
    result = []
    for claim in claims:
        mine = told.get(key(asdict(claim)))
        if mine is not None:
            best = min(mine, key=_rank)
            result.append(_smoke(best) if quick else best)
        elif (reason := why(claim)) is not None:
            result.append(unmeasured(claim, reason))
    return result


def key(claim: Mapping[str, Any]) -> tuple[object, ...]:
    """What tells a published number from all others."""
    names = ("source", "version", "locator", "method", "variant", "backbone", "train", "test", "quantity", "part")
    return tuple(claim[name] for name in (*names, "relative_to", "hardware"))


def _rank(one: Judged) -> tuple[int, bool, int]:
    """Decided, measured, and with the fewest differences: of two runs the one on the networks of the claim.

    Met goes not before not met: of two that decide otherwise the first stands, whichever it is.
    """
    order = {"met": 0, "not met": 0, "inconclusive": 1, "not comparable": 2}
    reasons = len(one["reason"].split("; ")) if one["reason"] else 0
    return order[one["verdict"]], one["measured"]["value"] is None, reasons


def _smoke(one: Judged) -> Judged:
    return {**one, "verdict": "not comparable", "reason": SMOKE}


def counts(claims: Iterable[Judged]) -> dict[str, int]:
    """How many claims have each verdict."""
    found = [one["verdict"] for one in claims]
    return {verdict: found.count(verdict) for verdict in VERDICTS}


def exit_code(*reproductions: Mapping[str, Any]) -> int:
    """1 where a claim was not met, 5 where a part failed, 4 where a claim could not be decided, else 0.

    Where nothing at all was measured for one of them, nothing of it was decided.
    """
    found = counts(claim for each in reproductions for claim in each["claims"])
    if found["not met"]:
        return _NOT_MET
    if any(part["status"] in _FAILED for each in reproductions for part in each["parts"]):
        return _PARTIAL
    return _INCONCLUSIVE if found["inconclusive"] or any(map(measured_nothing, reproductions)) else 0


def measured_nothing(reproduction: Mapping[str, Any]) -> bool:
    """Whether no part gave a number."""
    return not any(part["status"] in _MEASURED for part in reproduction["parts"])


def label(reproduction: Mapping[str, Any]) -> str:
    """What must stand beside every number.

    Such as ``CPU (AMD EPYC), untrained, 2 images, drawn scenes of 500x375, 16 random boxes each, quick``.
    """
    labels = reproduction["labels"]
    images = labels["images"]
    if labels["device"] is None and not labels["counted"]:
        return "nothing was measured"
    found = [
        labels["device"],
        "counted on shapes alone" if labels["counted"] else None,
        "untrained" if labels["untrained"] else None,
        None if images is None else counted(images, "image"),
        " and ".join(labels["data"]),
        "training extrapolated" if labels["extrapolated"] else None,
        "quick" if labels["quick"] else None,
    ]
    return ", ".join(each for each in found if each)


def read(out: Path) -> dict[str, Any]:
    """The model in a folder.

    Raises:
        PresetError: it was written by a newer version, or is damaged.
        StorageError: there is none, or it cannot be read.
    """
    found: dict[str, Any] = read_json(out / FILE)
    if not isinstance(found, dict) or found.get("schema_version") != SCHEMA_VERSION:
        version = found.get("schema_version") if isinstance(found, dict) else None
        raise PresetError(f"{out / FILE} has schema {version}; this version of harness reads {SCHEMA_VERSION}")
    try:
        Reproduction.model_validate(found)
    except ValidationError as error:
        raise PresetError(f"{out / FILE} is damaged at {first_error(error, 'the file')}") from None
    return found


def write(out: Path, reproduction: Mapping[str, Any]) -> None:
    """Replace the model in a folder."""
    write_json(out / FILE, reproduction)


def options_of(out: Path, preset: str, given: Mapping[str, Any]) -> Options:
    """The options of a reproduction that goes on: as it was begun with.

    Args:
        out: its folder; of ``all``, that which holds a folder for each preset.
        preset: what is asked for.
        given: options of the command line, those alone that were given, as `Options.of` takes them.

    Raises:
        PresetError: it was begun with others, or for another preset, or one cannot be.
        StorageError: there is none.
    """
    if preset == "all":
        begun = sorted(path.parent for path in out.glob(f"*/{FILE}"))
        if not begun:
            raise PresetError(f"nothing to resume in {out}: no folder in it holds {FILE}")
        return options_of(begun[0], begun[0].name, given)
    before = read(out)
    if before["preset"] != preset:
        raise PresetError(f"{out} reproduces {before['preset']}, not {preset}; choose another --out")
    kept, now = Options(**before["options"]), Options.of(given)
    for name in given:
        then, value = getattr(kept, name), getattr(now, name)
        if then != value:
            began = f"without --{name}" if then is None or then is False or then == {} else f"with {_words(then)}"
            asked = "" if value is True else f", not {_words(value)}"
            raise PresetError(f"--{name}: begun {began}{asked}; --resume keeps it: leave it out")
    return kept


def _words(value: object) -> str:
    """An option's value as it is typed."""
    return " ".join(f"{key}={each}" for key, each in value.items()) if isinstance(value, Mapping) else str(value)
