"""How a number, a missing number and a text become the cell of a table.

A number is shown with no more digits than its interval supports, a missing one as an en dash with a mark that leads to
the reason. A text cannot break out of its cell.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from harness.tables import Estimate, MethodRow, Summary, methods
from harness.wording import one_line

__all__ = [
    "Mark",
    "Notes",
    "Style",
    "by_method",
    "escaped",
    "headline_cells",
    "in_brackets",
    "plus_minus",
    "rounded",
    "status",
    "table",
]

Mark = Callable[[str], str]
"""Turns the reason of a missing number into the mark that stands behind its dash."""

Style = Callable[..., str]
"""How a number is written: `in_brackets` or `plus_minus`."""


class Notes:
    """Footnotes, one for each different reason."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def __call__(self, reason: str) -> str:
        """The mark of a reason."""
        return f"[^{self._numbers.setdefault(escaped(reason), len(self._numbers) + 1)}]"

    def lines(self) -> list[str]:
        """All footnotes, as one block."""
        return (
            ["\n".join(f"[^{number}]: {reason}" for reason, number in self._numbers.items())] if self._numbers else []
        )


def escaped(value: object) -> str:
    """A text that cannot break out of its Markdown cell, open a tag, or become a link, a picture or a footnote."""
    text = one_line(str(value)).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")
    # Brackets alone are no link, and intervals have them.
    return text.replace("](", "]\\(").replace("][", "]\\[").replace("[^", "\\[^")


def rounded(number: float, decimals: int) -> str:
    """`decimals` may be negative: 1234 with -1 is 1230. What rounds to zero has no sign."""
    return f"{round(number, decimals) + 0.0:.{max(decimals, 0)}f}"


def in_brackets(estimate: Estimate, mark: Mark, unit: str = "", *, interval: bool = False) -> str:
    """Such as ``45.6× [44.4, 46.7]``, the interval's ends where `interval`; ``[44.4, –]`` where one is not known."""
    if estimate.value is None:
        return estimate.missing + mark(estimate.reason or "not recorded")
    text = rounded(estimate.value, estimate.decimals) + unit
    ends = (estimate.low, estimate.high)
    if interval and ends != (None, None):
        text += f" [{', '.join('–' if end is None else rounded(end, estimate.decimals) for end in ends)}]"
    return text


def plus_minus(estimate: Estimate, mark: Mark, unit: str = "", *, interval: bool = False) -> str:
    """Such as ``45.6× ± 1.2``: the longer arm of the interval. For narrow tables.

    In brackets where that would reach beyond 0, which no interval of a time or a ratio does.
    """
    text = in_brackets(estimate, mark, unit)
    if not interval or estimate.value is None or estimate.low is None or estimate.high is None:
        return text
    arm = max(estimate.high - estimate.value, estimate.value - estimate.low)
    if arm >= estimate.value:
        return in_brackets(estimate, mark, unit, interval=True)
    return f"{text} ± {rounded(arm, estimate.decimals)}"


def headline_cells(row: MethodRow, mark: Mark, style: Style = in_brackets) -> list[str]:
    """mAP in percent; conv, fc and total in seconds per image; speed-up of conv and of total."""

    def ratio(estimate: Estimate) -> str:
        if row.source is None and row.method == row.baseline and estimate.value is None and row.status == "ok":
            return "baseline"
        return style(estimate, mark, "×", interval=True)

    return [
        style(row.map.shifted(2), mark, interval=True),
        *(style(seconds, mark) for seconds in (row.conv, row.fc, row.total)),
        ratio(row.speedup_conv),
        ratio(row.speedup_total),
    ]


def status(row: MethodRow) -> str:
    """``ok``, or what went wrong and why."""
    return row.status if row.reason is None else f"{row.status}: {row.reason}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], words: Collection[int] = (0,)) -> str:
    """A Markdown table whose columns `words` are left-aligned and whose others, numbers, stand right."""
    from tabulate import tabulate

    align = ["left" if index in words else "right" for index in range(len(header))]
    return tabulate(list(rows), headers=list(header), tablefmt="pipe", disable_numparse=True, colalign=align)


def by_method(summary: Summary, first: str, rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """A Markdown table with a column for each method; `first` is the head of the column of names."""
    header = (first, *map(escaped, methods(summary)))
    return table(header, [(escaped(name), *cells) for name, cells in rows])
