"""From R-CNN to Fast R-CNN with SVD in one picture and one table: what each idea saves of an image's time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import TYPE_CHECKING, Any

from harness.networks import split
from harness.rendering import caption
from harness.rendering.canvas import aside, blank, in_words, narrow, time_axis
from harness.rendering.cells import Notes, escaped, in_brackets, rounded, table
from harness.rendering.palette import INK, MUTED, STAGES
from harness.tables import Estimate, Summary, estimate
from harness.wording import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Step", "in_a_sentence", "section", "steps", "waterfall_figure"]

_TITLE = "What each idea saves of one image's time"
_UNKNOWN = "not computed"
_COLOURS = {
    **dict.fromkeys(("shared", "sizes", "resolution"), STAGES["conv"]),
    "pool": STAGES["pool"],
    "fc": STAGES["fc"],
    "rest": STAGES["suppress"],
    "svd": STAGES["fc"],
}
"""Of a step: that of the stage that it changes, as in the figure of stages."""
_WORDS = {
    "convolve the image once, not every box": "convolve the whole image once, not box by box",
    "convolve the image once, not every box, at five sizes": "convolve the whole image at five sizes, not box by box",
    "one image size instead of five": "scale the image to one size instead of five",
    "a smaller image": "scale the image smaller, as Fast R-CNN does",
}
"""What a step is called where a reader has only its line to go by."""
_TITLES = {
    "rcnn": "R-CNN",
    "spp": "SPP-net",
    "spp:5": "SPP-net, five sizes",
    "fast": "Fast R-CNN",
    "fast:svd": "Fast R-CNN with SVD",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One idea, and what an image takes once it is there."""

    key: str
    name: str
    method: str
    """From which the time of the stages that it changes is taken."""
    seconds: Estimate
    factor: Estimate
    """The time before over the time after; none for the first, which is R-CNN as it was measured."""


def steps(summary: Summary) -> list[Step]:
    """R-CNN and every step after it; none where the run has no waterfall."""
    found: Mapping[str, Any] = summary.get("waterfall") or {}
    return [
        Step(
            each["key"],
            _WORDS.get(str(each["name"]), str(each["name"])),
            str(each["method"]),
            estimate(each, "seconds", _UNKNOWN),
            estimate(each, "factor", "nothing comes before it"),
        )
        for each in found.get("steps") or ()
    ]


def _total(summary: Summary) -> Estimate:
    return estimate(summary.get("waterfall") or {}, "total", _UNKNOWN)


def section(summary: Summary, notes: Notes, figures: str) -> list[str]:
    """Blocks of Markdown; none for a run without the methods that it takes. `figures` stands before a figure's name."""
    shown = steps(summary)
    if not shown:
        return []
    rows = [
        [
            escaped(step.name),
            escaped(step.method),
            in_brackets(step.seconds.shifted(3), notes, interval=True),
            "" if index == 0 else in_brackets(step.factor, notes, "×", interval=True),
        ]
        for index, step in enumerate(shown)
    ]
    last = shown[-1]
    whole = in_brackets(_total(summary), notes, "×", interval=True)
    rows.append(["**all steps**", f"{escaped(shown[0].method)} to {escaped(last.method)}", "", f"**{whole}**"])
    covers = caption.brackets([(summary.get("waterfall") or {}).get("interval")])
    return [
        "## What each idea saves",
        table(("step", "taken from", "ms per image after it", "faster by"), rows, words=(0, 1)),
        "A step takes one thing more from the method beside it and leaves the rest as it was before, image by image; "
        "the first and the last line are methods as they were measured. The factors multiply to the last. Their order "
        f"is a choice: in another one, an idea finds more or less left to save. {covers or ''}".rstrip(),
        f"![{_TITLE}]({figures}waterfall.svg)",
    ]


def in_a_sentence(summary: Summary) -> str:
    """What the figure shows, for those who do not see it; empty where there is none."""
    shown = steps(summary)
    if not shown:
        return ""
    told = [f"{step.name}: {_saved(step.factor)}" for step in shown[1:]]
    first, last = (f"{in_words(step.seconds)} with {_title(step.method)}" for step in (shown[0], shown[-1]))
    whole = f"{_short(_total(summary))} faster in all"
    return f"A bar for each step from {first} to {last}, {whole}. {'; '.join(told)}."


def waterfall_figure(summary: Summary) -> Figure | None:
    """A bar a step on a logarithmic axis of time, from before to after; None where the run has no waterfall.

    The methods that it begins and ends with are points: on such an axis a bar from its edge has no length that means
    anything.
    """
    shown = steps(summary)
    if not shown:
        return None
    rows = len(shown) + 1
    figure = blank((1.4 + 0.6 * rows) if narrow() else (2.2 + 0.55 * rows), _TITLE, summary)
    axes = figure.subplots()
    times = [step.seconds.value or 0.0 for step in shown]
    axes.set_xlim(*_limits(times))
    time_axis(axes, "x")
    axes.set(xlabel="time per image, without proposals (log scale)", ylim=(rows - 0.5, -0.7 if narrow() else -0.5))
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    _end(axes, 0, times[0], in_words(shown[0].seconds))
    for index, step in enumerate(shown[1:], start=1):
        _step(axes, index, step, times[index - 1], times[index])
    _end(axes, len(shown), times[-1], f"{in_words(shown[-1].seconds)}, {_short(_total(summary))} faster in all")
    names = [_title(shown[0].method), *(step.name for step in shown[1:]), _title(shown[-1].method)]
    _name(axes, [one_line(name[:1].upper() + name[1:]) for name in names])
    slower = any(after > before for before, after in pairwise(times))
    aside(figure, f"each step keeps those before it{'; hatched: slower' if slower else ''}")
    return figure


def _title(method: str) -> str:
    return _TITLES.get(split(method)[0], method)


def _limits(times: Sequence[float]) -> tuple[float, float]:
    """Room for words on either side of the bars."""
    low, high = min(times), max(times)
    room = (high / low) ** (0.32 if narrow() else 0.25)
    return low / max(1.6, room), high * max(1.3, room**0.4)


def _place(index: int) -> float:
    """Of a bar in its row; a narrow figure has the name above it."""
    return index + 0.12 if narrow() else float(index)


def _height() -> float:
    return 0.36 if narrow() else 0.5


def _end(axes: Axes, index: int, seconds: float, label: str) -> None:
    """A method as it was measured: a point, with its label where more room is."""
    left, right = axes.get_xlim()
    axes.plot([seconds], [_place(index)], "o", color=INK, markersize=7 if narrow() else 9, mew=0, zorder=3)
    side = "right" if _room(left, seconds) > _room(seconds, right) else "left"
    _write(axes, seconds, index, label, side=side, weight="bold")


def _step(axes: Axes, index: int, step: Step, before: float, after: float) -> None:
    """From before to after, with its label where more room is."""
    low, high = min(before, after), max(before, after)
    colour, place, height = _COLOURS.get(step.key, MUTED), _place(index), _height()
    axes.barh(place, high - low, left=low, height=height, color=colour, edgecolor=colour)
    if after > before:
        axes.barh(place, high - low, left=low, height=height, color="none", hatch="///", edgecolor="#ffffff", lw=0)
    if not narrow():  # there, names stand in the way
        for seconds, rows in ((before, (index - 1, index)), (after, (index, index + 1))):
            axes.plot([seconds, seconds], [_place(row) for row in rows], color=MUTED, linewidth=0.8, zorder=0.5)
    left, right = axes.get_xlim()
    after_it = _room(high, right) >= _room(left, low)
    _write(axes, high if after_it else low, index, _saved(step.factor), side="left" if after_it else "right")


def _room(low: float, high: float) -> float:
    """Between two times, on the axis."""
    return log(high / low)


def _write(axes: Axes, seconds: float, index: int, text: str, *, side: str, **look: Any) -> None:
    """Beside a place; `side` is that of the text which lies there."""
    offset = (8 if side == "left" else -8, 0)
    of = {"textcoords": "offset points", "ha": side, "va": "center", "in_layout": False, **look}
    axes.annotate(text, (seconds, _place(index)), xytext=offset, **of)


def _name(axes: Axes, names: Sequence[str]) -> None:
    """Beside the rows, or above their bars where the figure is narrow; first and last are methods as measured."""
    weights = ["bold" if index in (0, len(names) - 1) else "normal" for index in range(len(names))]
    if not narrow():
        axes.set_yticks(range(len(names)), names)
        for label, weight in zip(axes.get_yticklabels(), weights, strict=True):
            label.set_fontweight(weight)
        return
    axes.set_yticks([])
    for index, (name, weight) in enumerate(zip(names, weights, strict=True)):
        place = (0.01, _place(index) - _height() / 2 - 0.04)
        axes.text(*place, name, transform=axes.get_yaxis_transform(), va="bottom", weight=weight)


def _short(factor: Estimate) -> str:
    """Three digits, or the fewer that the interval supports."""
    if factor.value is None:
        return "?×"
    return f"{rounded(factor.value, min(factor.decimals, Estimate(factor.value).decimals))}×"


def _saved(factor: Estimate) -> str:
    """A factor in words."""
    if factor.value is None:
        return "no factor"
    told = _short(factor)
    low, high = (factor.value if end is None else end for end in (factor.low, factor.high))
    if low <= 1 <= high:
        return f"{told} (no clear change)"
    return f"{told} faster" if factor.value > 1 else f"{told} (slower)"
