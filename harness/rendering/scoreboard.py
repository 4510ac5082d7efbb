"""A scoreboard in Markdown: accuracy of each method beside what its paper prints, and the verdict on each relation."""

from __future__ import annotations

from collections.abc import Iterator

from harness.accuracy import METRICS
from harness.relating import DECIDING, Judged
from harness.rendering.cells import Mark, Notes, escaped, in_brackets, rounded, table
from harness.rendering.points import counts, decimals, expected, percent, points, signed
from harness.scoreboard import Board, Entry, Scoreboard
from harness.wording import counted, one_line

__all__ = ["FOUND", "INTERVALS", "POWER", "alike", "difference", "differences_to", "excerpt", "markdown", "which"]

FOUND = "Found: objects that some detection that was kept matches with an IoU of 0.5 or more, whatever its score."
INTERVALS = (
    "In brackets: 95 % intervals over the images, all from the same draws of them. They say what other sets of as many "
    "images would give; what another fit of the same method would give is in none of them."
)
POWER = (
    "Met: the whole interval agrees with what is expected; not met: none of it does; inconclusive: a part of it does. "
    "No margin is added. Each interval stands for itself: of twenty, one is expected to miss. The methods are of "
    "one fit each: where another fit would give another difference, no verdict says so."
)
_TELLS_APART = (
    "Tells apart: half the width of the interval, about the least difference that these images can tell from none."
)
_PRINTED = "Printed: mAP of VOC07 test on the network that stands beside it, for order and distances"


def markdown(board: Scoreboard, *, runs: str | None = None) -> str:
    """All of it, with the average precisions of the classes folded.

    `runs` is what stands before the name of a run in a link to its folder; None where nothing is linked.
    """
    notes = Notes()
    blocks = [
        f"# {escaped(board.title)}",
        *([escaped(board.note)] if board.note else []),
        *(block for part in board.boards for block in _board(part, board.boards[0], notes)),
        *_left_out(board),
        "## Runs",
        "\n".join(_run(board, name, runs) for name in board.commands),
        *notes.lines(),
    ]
    return "\n\n".join(blocks) + "\n"


def excerpt(board: Scoreboard, *, runs: str) -> str:
    """The least that shows what was found: of each set of images the accuracies and the verdicts, without footnotes.

    `runs` is what stands before the name of a run in the command that scores them.
    """
    asked = "" if board.methods is None else f" --methods {','.join(board.methods)}"
    command = f"harness score {' '.join(runs + name for name in board.commands)}{asked} --markdown"
    blocks = [f"```sh\n{command}\n```"]
    for part in board.boards:
        about = f"**{escaped(board.title)}: {counted(part.images, 'image')}.** {escaped(alike(part))}"
        rows = [
            (
                escaped(entry.title),
                *(escaped(entry.given[what]) for what in part.varying),
                in_brackets(percent(entry.map[DECIDING]), _unmarked, interval=True),
                difference(entry, part, _unmarked),
            )
            for entry in part.entries
        ]
        blocks += [about.rstrip(), table(("row", *part.varying, "mAP VOC07 (%)", "difference"), rows)]
        if part.judged:
            verdicts = [(*row[:-2], row[-1]) for row in _related(part, _unmarked)]
            header = ("relation", "left − right", "expected", "published", "measured", "verdict")
            blocks += [table(header, verdicts, words=(0, 1, 3))]
            blocks += [f"In points of VOC07 mAP: {counts(part.judged)}."]
    return "\n\n".join([*blocks, INTERVALS]) + "\n"


def _unmarked(_reason: str) -> str:
    """A mark that shows nothing: the reason stands in the whole table."""
    return ""


def which(part: Board, largest: Board) -> str:
    """Of a board on some images alone, which these are."""
    names = ", ".join(part.runs)
    return (
        f"Of the {largest.images:,} images, those on which alone there is {names}. Here the detections of every method "
        "count on these images only."
    )


def differences_to(part: Board) -> str:
    """To which method the differences of a board are."""
    if part.baseline is None:
        return "The method that differences are to is not on these images, so there are none."
    return f"Differences are to {part.baseline}, in points of VOC07 mAP."


def difference(entry: Entry, part: Board, notes: Mark) -> str:
    """The cell of one, marked where it is not of methods alone."""
    if part.baseline is None:
        return "–"
    if entry.key == part.baseline:
        return "baseline"
    told = notes(f"not of methods alone: {'; '.join(entry.unlike)}") if entry.unlike else ""
    return signed(entry.difference[DECIDING], notes) + told


def alike(part: Board) -> str:
    """What all scores of a board rest on, in one line; empty where they share nothing."""
    common = {what: shown for what, shown in part.entries[0].given.items() if what not in part.varying}
    return f"All methods: {'; '.join(f'{what} {shown}' for what, shown in common.items())}." if common else ""


def _linked(name: str, runs: str | None) -> str:
    return escaped(name) if runs is None else f"[{escaped(name)}]({runs}{name})"


def _run(board: Scoreboard, name: str, runs: str | None) -> str:
    several = len(set(board.sources.values())) > 1
    source = f", measured by the source {escaped(board.sources[name])}" if several else ""
    return f"- {_linked(name, runs)}: {_code(board.commands[name])}{source}"


def _code(text: str) -> str:
    ticks = "`" * (1 + text.count("`"))
    return f"{ticks}{one_line(text)}{ticks}"


def _left_out(board: Scoreboard) -> list[str]:
    lines = [f"- {escaped(name)}: {escaped(why)}" for name, why in board.left_out.items()]
    return ["## Without a score", "\n".join(lines)] if lines else []


def _board(part: Board, largest: Board, notes: Notes) -> list[str]:
    images = counted(part.images, "image")
    return [
        f"## {images}",
        *([escaped(which(part, largest))] if part is not largest else []),
        *([escaped(alike(part))] if alike(part) else []),
        _table(part, notes),
        f"{INTERVALS} {escaped(differences_to(part))} {FOUND}",
        *_printed(part),
        _classes(part),
        f"### The papers' relations on {images}",
        *_relations(part, notes),
    ]


def _table(part: Board, notes: Notes) -> str:
    header = ("row", "method", *part.varying, "mAP VOC07 (%)", "mAP area (%)", "difference", "found (%)", "printed (%)")
    rows = [
        (
            escaped(entry.title),
            escaped(entry.method),
            *(escaped(entry.given[what]) for what in part.varying),
            *(in_brackets(percent(entry.map[metric]), notes, interval=True) for metric in METRICS),
            difference(entry, part, notes),
            _share(entry.found),
            _beside(entry),
        )
        for entry in part.entries
    ]
    return table(header, rows, words=range(2 + len(part.varying)))


def _share(found: float | None) -> str:
    return "–" if found is None else rounded(100 * found, 1)


def _beside(entry: Entry) -> str:
    one = entry.printed
    return "–" if one is None else escaped(f"{one.printed} ({one.network}, {one.citation})")


def _printed(part: Board) -> list[str]:
    """What keeps the measured from being held against the printed, each once with the number of its rows."""
    those = [entry.printed for entry in part.entries if entry.printed is not None]
    if not those:
        return []
    reasons = [reason for one in those for reason in one.differs]
    lines = []
    for reason in dict.fromkeys(reasons):
        count = reasons.count(reason)
        lines.append(f"- {escaped(reason)}" + ("" if count == len(those) else f" ({count} of {len(those)} rows)"))
    return [f"{_PRINTED}. What is other here:", "\n".join(lines)] if lines else [f"{_PRINTED}."]


def _classes(part: Board) -> str:
    """A row a class, a column a method."""
    numbers = [str(at) for at in range(1, len(part.entries) + 1)]
    rows = [(escaped(name), *(_share(entry.ap[name]) for entry in part.entries)) for name in part.entries[0].ap]
    named = "; ".join(f"{at}: {escaped(entry.title)}" for at, entry in zip(numbers, part.entries, strict=True))
    about = "<summary>Average precision of each class (VOC07, %)</summary>"
    return f"<details>{about}\n\n{table(('class', *numbers), rows)}\n\n{named}.\n\n</details>"


def _relations(part: Board, notes: Notes) -> Iterator[str]:
    if part.judged:
        header = ("relation", "left − right", "expected", "published", "measured", "tells apart", "verdict")
        yield table(header, _related(part, notes), words=(0, 1, 3))
        yield f"In points of VOC07 mAP: {counts(part.judged)}. {POWER} {_TELLS_APART}"
    if part.not_measured:
        yield f"Not measured, since no two methods are here for them: {', '.join(part.not_measured)}."


def _related(part: Board, notes: Mark) -> list[tuple[str, ...]]:
    """A row for each pair; a sentence that several are about stands with the first of them."""
    before = [None, *(judged.relation for judged in part.judged)]
    return [
        (escaped(one.sentence) if one.relation != last else "", *_relation(one, notes))
        for one, last in zip(part.judged, before, strict=False)
    ]


def _relation(judged: Judged, notes: Mark) -> tuple[str, ...]:
    """All but its sentence."""
    return (
        f"{escaped(judged.left)} − {escaped(judged.right)}",
        expected(judged.expected),
        "<br>".join(f"{points(each)} ({escaped(where)})" for each, where in judged.published) or "–",
        signed(judged.difference[DECIDING], notes),
        _half_width(judged.half_width_points),
        judged.verdict + _why(judged, notes),
    )


def _half_width(half_width_points: float | None) -> str:
    return "–" if half_width_points is None else f"± {rounded(half_width_points, decimals(half_width_points))}"


def _why(judged: Judged, notes: Mark) -> str:
    if judged.unlike:
        return notes(f"they do not share what the relation asks for: {'; '.join(judged.unlike)}")
    if judged.verdict == "inconclusive" and judged.out_of_reach:
        return notes("the interval is wider than what is expected, so that no difference could meet it on these images")
    return ""
