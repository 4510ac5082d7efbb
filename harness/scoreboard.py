"""Accuracy of many methods over several runs on the same images, and what it says of the papers' relations.

Methods are compared on images that all of them were tested on: runs on the same images share a board; a run on some of
them alone brings a second board, on which the detections of every method count on those images only. On a board all
methods see the same draws of images, so every difference has an interval of its own, whichever runs its methods are of.

An interval covers what other sets of as many images would give. It does not cover another fit of the same method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from harness.accuracy import average_precision
from harness.claims import Claim, read_claims
from harness.contenders import Contender, Run, restricted
from harness.grounds import Named, named, unlike, varying, words
from harness.quantities.comparability import differences
from harness.quantities.scores import matched, share_found
from harness.relating import DECIDING, SEED, By, Judged, relate
from harness.relations import SAME, Same, of_one_method
from harness.relations_file import Layout, Reference, read_reference
from harness.resampling import map_intervals
from harness.storage import StorageError

__all__ = ["Board", "Entry", "Printed", "Scoreboard", "ScoreboardError", "score_runs"]


class ScoreboardError(StorageError):
    """Runs cannot be scored together; the message is one line."""


@dataclass(frozen=True, slots=True)
class Printed:
    """The mAP that a paper prints of a method, with its own network and on its own data."""

    printed: str
    """In percent."""
    citation: str
    network: str
    differs: tuple[str, ...]
    """What keeps the measured one from being held against it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One method of one run on one board. Accuracies are fractions."""

    key: str
    """What it is called on the board; no two have the same."""
    title: str
    method: str
    run: str
    given: Mapping[Same, str]
    """What its score rests on, by the words of `harness.relations.SAME`."""
    map: By
    difference: By
    """To the baseline's; empty for the baseline itself, and where no baseline is on the board."""
    unlike: tuple[str, ...]
    """Why that is not a difference of methods alone: what the two do not share."""
    ap: Mapping[str, float | None]
    """VOC07 average precision by class; None where the images hold no object of it."""
    found: float | None
    """The share of objects that some detection matches with an IoU of 0.5 or more, whatever its score."""
    detections: int
    printed: Printed | None


@dataclass(frozen=True, slots=True)
class Board:
    """All methods on one set of images."""

    images: int
    runs: tuple[str, ...]
    """Those that have no other images; the others have these among theirs."""
    baseline: str | None
    """Key of an entry; None where the method that was asked for is not on this board."""
    varying: tuple[Same, ...]
    """In what the entries differ besides their method: keys of `Entry.given`."""
    entries: tuple[Entry, ...]
    judged: tuple[Judged, ...]
    not_measured: tuple[str, ...]
    """Ids of relations of which no pair was measured."""


@dataclass(frozen=True, slots=True)
class Scoreboard:
    """What is known of the accuracy of the methods of several runs."""

    title: str
    note: str | None
    commands: Mapping[str, str]
    """By run, what made it."""
    sources: Mapping[str, str]
    """By run, the state of the source that measured it."""
    left_out: Mapping[str, str]
    """By method and run, why it has no score."""
    methods: tuple[str, ...] | None
    """Those that were asked for; None: all."""
    boards: tuple[Board, ...]
    """The one on most images first."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"scoreboard_version": 1, **asdict(self)}


def score_runs(
    runs: Sequence[Run],
    *,
    title: str,
    note: str | None = None,
    order: Sequence[str] | None = None,
    baseline: str | None = None,
    methods: Sequence[str] | None = None,
) -> Scoreboard:
    """Score the methods of several runs.

    Args:
        runs: read by `harness.contenders.read_run`, each once.
        title: of the scoreboard.
        note: what a reader must know besides.
        order: methods in the order of their rows; None for that of SPP Table 9. What it does not name comes after.
        baseline: the method that differences are to; None for the first of the first run that has a score. A board
            without it takes its own first method where none was named, and has no differences where one was.
        methods: those that get a row; None for all.

    Raises:
        ScoreboardError: the runs have no images or classes in common, or objects that differ; no method has a score;
            or `order`, `baseline` or `methods` name a method that no run has.
        harness.claims.ClaimError: the published numbers cannot be read.
    """
    claims = read_claims()
    reference = read_reference(claims)
    _check(runs)
    contenders = [one for run in runs for one in run.contenders]
    if not contenders:
        reasons = {why for run in runs for why in run.left_out.values()}
        raise ScoreboardError(f"no method has a score: {'; '.join(sorted(reasons)) or 'no run was given'}")
    if methods is not None:
        _check_known(methods, contenders)
        runs = [_only(run, methods) for run in runs]
        contenders = [one for run in runs for one in run.contenders]
    _check_known((*(order or ()), *([baseline] if baseline is not None else [])), contenders)
    first = of_one_method(baseline or contenders[0].method)
    rank = [of_one_method(name) for name in order or [row.method for row in reference.rows]]
    contenders.sort(key=lambda one: rank.index(of) if (of := of_one_method(one.method)) in rank else len(rank))
    return Scoreboard(
        title,
        note,
        {run.name: run.command for run in runs},
        {run.name: run.source for run in runs},
        {f"{method} of {run.name}": why for run in runs for method, why in run.left_out.items()},
        None if methods is None else tuple(methods),
        tuple(_board(part, contenders, first, reference, named_so=baseline is not None) for part in _parts(runs)),
    )


def _only(run: Run, methods: Sequence[str]) -> Run:
    wanted = {of_one_method(name) for name in methods}
    return replace(run, contenders=tuple(one for one in run.contenders if of_one_method(one.method) in wanted))


def _check_known(names: Sequence[str], contenders: Sequence[Contender]) -> None:
    known = {of_one_method(one.method) for one in contenders}
    for name in names:
        if of_one_method(name) not in known:
            there = ", ".join(dict.fromkeys(one.method for one in contenders))
            raise ScoreboardError(f"no run has a score of {name!r}; there are {there}")


def _check(runs: Sequence[Run]) -> None:
    """See that runs can share boards: the same classes, the same objects, and images within each other."""
    for at, run in enumerate(runs):
        for other in runs[:at]:
            if run.name == other.name:
                raise ScoreboardError(f"{run.name} stands there twice; name each run once")
            if run.classes != other.classes:
                raise ScoreboardError(f"{other.name} and {run.name} have other classes; score them apart")
            common = set(run.images) & set(other.images)
            unlike = [image for image in run.images if run.truth_sha256[image] != other.truth_sha256.get(image)]
            if differing := [image for image in unlike if image in common]:
                raise ScoreboardError(
                    f"{other.name} and {run.name} have other ground truth for {len(differing)} images, such as "
                    f"{differing[0]}; score them apart"
                )
            if len(common) < min(len(run.images), len(other.images)):
                raise ScoreboardError(
                    f"{other.name} and {run.name} were tested on {len(other.images)} and {len(run.images)} images, of "
                    f"which {len(common)} are common; one must hold all of the other: score them apart"
                )


def _parts(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that have the same images, those with most images first."""
    found: dict[frozenset[str], list[Run]] = {}
    for run in runs:
        if run.contenders:
            found.setdefault(frozenset(run.images), []).append(run)
    return [found[images] for images in sorted(found, key=len, reverse=True)]


def _board(
    part: Sequence[Run], contenders: Sequence[Contender], first: Any, reference: Reference, *, named_so: bool
) -> Board:
    """`first` is the method that differences are to; `named_so`: and no other is."""
    own = part[0]
    there = {one.key: one for one in named([one for one in contenders if set(own.images) <= set(one.images)])}
    number = {image: index for index, image in enumerate(own.images)}
    tables = {key: restricted(one.contender, number) for key, one in there.items()}
    matches = matched(tables, own.truth, len(own.classes))
    asked = next((key for key, one in there.items() if of_one_method(one.contender.method) == first), None)
    drawn = map_intervals(matches, len(own.images), baseline=asked or next(iter(there)), seed=SEED)
    baseline = asked if asked or named_so else next(iter(there))
    given = dict(zip(there, words([one.contender for one in there.values()]), strict=True))
    layout = {of_one_method(row.method): row for row in reference.rows}
    entries = tuple(
        Entry(
            key,
            _title(one, layout),
            one.contender.method,
            one.contender.run,
            given[key],
            drawn.map[key],
            {} if baseline is None else drawn.difference.get(key, {}),
            () if baseline is None else tuple(unlike(one.contender, there[baseline].contender, SAME, reference.own)),
            {name: average_precision(of, DECIDING) for name, of in zip(own.classes, matches[key], strict=True)},
            share_found(matches[key]),
            len(tables[key].scores),
            _printed(one.contender, layout),
        )
        for key, one in there.items()
    )
    judged, not_measured = relate(reference.relations, reference.own, there, matches, len(own.images))
    names = tuple(run.name for run in part)
    differing = tuple(varying([one.contender for one in there.values()]))
    return Board(len(own.images), names, baseline, differing, entries, judged, not_measured)


def _title(one: Named, layout: Mapping[Any, Layout]) -> str:
    row = layout.get(of_one_method(one.contender.method))
    return (one.contender.method if row is None else row.title) + one.suffix


def _printed(contender: Contender, layout: Mapping[Any, Layout]) -> Printed | None:
    row = layout.get(of_one_method(contender.method))
    claim: Claim | None = None if row is None else row.printed
    if claim is None:
        return None
    found = tuple(differences(claim, contender.about, contender.method, None))
    return Printed(claim.printed, f"{claim.source} {claim.locator}", claim.backbone, found)
