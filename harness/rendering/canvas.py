"""What all figures share: their look, their size, their title, and how numbers and names are written in them.

There are two looks. A file, `STYLE`, is wide, white, bears its title, and has text as outlines so that it looks the
same everywhere. A web page's figure, `WEB_STYLE`, is drawn for the width of a phone, without a title, as the page has
one, and with text as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor, log10
from textwrap import fill
from typing import TYPE_CHECKING, Any

from harness.rendering import caption
from harness.rendering.cells import rounded
from harness.rendering.palette import GRID, INK, MUTED, Look
from harness.tables import Estimate, Summary
from harness.wording import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["STYLE", "WEB_STYLE", "aside", "blank", "in_words", "legend", "narrow", "shortened", "time_axis"]

STYLE: Any = {
    "text.parse_math": False,
    "svg.hashsalt": "rcnn-harness",
    "svg.fonttype": "path",
    "figure.figsize": (12.0, 6.0),
    "font.family": "DejaVu Sans",
    "font.size": 13,
    "axes.titlesize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "grid.color": GRID,
    "hatch.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
WEB_STYLE: Any = {
    **STYLE,
    "svg.fonttype": "none",
    "figure.figsize": (5.0, 4.0),
    "font.size": 11,
    "axes.titlesize": 11,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "savefig.edgecolor": "none",
}
_NARROW_INCHES = 8.0


def narrow() -> bool:
    """Whether figures are drawn for the width of a phone: panels then stand below each other."""
    from matplotlib import rcParams

    return bool(rcParams["figure.figsize"][0] < _NARROW_INCHES)


def blank(height_inches: float, title: str, summary: Summary) -> Figure:
    """An empty figure that is titled with what it shows and of which run; a narrow one bears no title."""
    from matplotlib import rcParams
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(rcParams["figure.figsize"][0], height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    if not narrow():
        figure.suptitle(f"{title}\n{one_line(_subtitle(summary))}", fontsize=15)
    return figure


def _subtitle(summary: Summary) -> str:
    plan, machine = caption.plan(summary), summary.get("machine") or {}
    gpu = caption.on_gpu(summary)
    device = str(machine.get("gpu" if gpu else "cpu") or ("GPU" if gpu else "CPU"))
    images = (summary.get("dataset") or {}).get("images", plan.get("images"))
    count = "" if images is None else f"{images} images, "
    where = f"{'GPU' if gpu else 'CPU'}: {device}{caption.precision(summary)}"
    return f"{plan.get('dataset', '?')}, {count}{caption.backbone(summary)}, {where}"


def aside(figure: Figure, text: str) -> None:
    """A muted line below everything, cut where it would not fit."""
    figure.supxlabel(shortened(text, 55 if narrow() else 120), fontsize="small", color=MUTED)


def legend(
    figure: Figure,
    looks: Mapping[str, Look],
    labels: Sequence[str] | None = None,
    *,
    note: str | None = None,
    lines: bool = True,
) -> None:
    """The looks of methods below everything, each with its name or a label of its own; a muted `note` over them.

    Without `lines` for a figure that has only marks.
    """
    from matplotlib.font_manager import FontProperties
    from matplotlib.lines import Line2D

    if not looks:
        return
    handles = [
        Line2D([], [], color=look.colour, marker=look.mark, linestyle=look.stroke if lines else "none")
        for look in looks.values()
    ]
    texts = [shortened(name, 60) for name in labels or looks]
    characters = 50 if narrow() else 115
    columns = min(len(texts), max(1, characters // (max(map(len, texts)) + 8)))
    placed = figure.legend(handles, texts, loc="outside lower center", ncols=columns, frameon=False, handlelength=2.6)
    if note:
        placed.set_title(fill(note, characters), prop=FontProperties(size="small"))
        placed.get_title().set(color=MUTED, multialignment="center")


def time_axis(axes: Axes, which: str) -> None:
    """Make the axis ``x`` or ``y`` logarithmic, with three ticks or more, in seconds, milliseconds or microseconds."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axis.get_view_interval()
    most = 5 if which == "x" and narrow() else 8  # labels beside each other take more room than above
    digits = next((each for each in _DIGITS if _FEWEST <= len(_between(low, high, each)) <= most), None)
    axis.set_major_locator(MaxNLocator(4) if digits is None else LogLocator(subs=digits))
    axis.set_major_formatter(FuncFormatter(lambda seconds, _position: _tick(seconds)))
    axis.set_minor_formatter(NullFormatter())


_DIGITS = ((1, 2, 5), (1, 3), (1,), (1, 2, 3, 5, 7), (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9))
"""Of ticks on a logarithmic axis, best first."""
_FEWEST = 3


def _between(low: float, high: float, digits: Sequence[float]) -> list[float]:
    """Which ticks an axis of times from `low` to `high` has."""
    exponents = range(floor(log10(max(low, 1e-9))), floor(log10(max(high, 1e-9))) + 1)
    return [tick for exponent in exponents for digit in digits if low <= (tick := digit * 10.0**exponent) <= high]


def _tick(seconds: float) -> str:
    factor, unit = (1, "s") if seconds >= 1 else (1e3, "ms") if seconds >= 1e-3 else (1e6, "µs")
    return f"{factor * seconds:g} {unit}"


def shortened(text: str, characters: int) -> str:
    """One line of so many characters at most, with an ellipsis where something was cut."""
    text = one_line(text)
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def in_words(seconds: Estimate, unit: str | None = None) -> str:
    """In ``s`` or ``ms``, or the one of them that a reader would say; three digits or the fewer that the interval
    supports."""
    unit = unit or ("s" if (seconds.value or 0.0) >= 1 else "ms")
    shown = seconds if unit == "s" else seconds.shifted(3)
    decimals = min(shown.decimals, Estimate(shown.value).decimals)
    return f"{rounded(shown.value or 0.0, decimals)} {unit}"
