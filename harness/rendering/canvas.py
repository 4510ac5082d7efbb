"""What all figures share: their look, their title, and how numbers and names are written in them.

Text is drawn as outlines, so that a figure looks the same everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.rendering import caption
from harness.rendering.cells import rounded
from harness.tables import Estimate, Summary
from harness.wording import one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["STYLE", "blank", "in_words", "shortened"]

STYLE: Any = {
    "text.parse_math": False,
    "svg.hashsalt": "rcnn-harness",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 13,
    "axes.titlesize": 13,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "hatch.linewidth": 0.8,
}
_WIDTH_INCHES = 12.0


def blank(height_inches: float, title: str, summary: Summary) -> Figure:
    """An empty figure that is titled with what it shows and of which run."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_INCHES, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{title}\n{one_line(_subtitle(summary))}", fontsize=15)
    return figure


def _subtitle(summary: Summary) -> str:
    plan, machine = caption.plan(summary), summary.get("machine") or {}
    gpu = caption.on_gpu(summary)
    device = str(machine.get("gpu" if gpu else "cpu") or ("GPU" if gpu else "CPU"))
    images = (summary.get("dataset") or {}).get("images", plan.get("images"))
    count = "" if images is None else f"{images} images, "
    where = f"{'GPU' if gpu else 'CPU'}: {device}{caption.precision(summary)}"
    return f"{plan.get('dataset', '?')}, {count}backbone {plan.get('backbone', '?')}, {where}"


def shortened(text: str, characters: int) -> str:
    """One line of so many characters at most, with an ellipsis where something was cut."""
    text = one_line(text)
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def in_words(seconds: Estimate) -> str:
    """In the unit that a reader would say, three digits or the fewer that the interval supports."""
    value = seconds.value or 0.0
    shown, unit = (seconds, "s") if value >= 1 else (seconds.shifted(3), "ms")
    decimals = min(shown.decimals, Estimate(shown.value).decimals)
    return f"{rounded(shown.value or 0.0, decimals)} {unit}"
