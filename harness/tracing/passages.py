"""A report taken apart into passages: what a reader sees, each with the heading, row and column that it stands under.

Markdown is turned into HTML first, so that both kinds of report are read by one reader.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from harness.wording import one_line

__all__ = ["Passage", "of_html", "of_markdown"]

_HIDDEN = frozenset({"script", "style", "svg", "template"})
"""The ticks of a figure's axes are nobody's numbers."""
_WITHIN_LINE = frozenset({"a", "abbr", "b", "code", "em", "i", "small", "span", "strong", "sub", "sup"})
_HEADING = re.compile(r"h[1-6]")
_CELLS = frozenset({"td", "th"})
_FOOTNOTE = re.compile(r"\[\^\d+\](: )?")
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Passage:
    """A line of a paragraph, or of a cell of a table."""

    text: str
    heading: str = ""
    """The last before it."""
    row: tuple[str, ...] = ()
    """All cells of its row; empty outside of tables."""
    column: str = ""
    """Head of its column."""
    corner: str = ""
    """Head of the first column, which often tells the unit of the table."""

    @property
    def place(self) -> str:
        """For people, such as ``Where the time goes, row conv, column spp``."""
        row = f"row {self.row[0] or '(no name)'}" if self.row else ""
        return ", ".join(part for part in (self.heading, row, self.column and f"column {self.column}") if part)


def of_markdown(text: str) -> list[Passage]:
    """The passages of a Markdown file; marks of footnotes are left out, and pictures."""
    from markdown_it import MarkdownIt

    plain = _IMAGE.sub("", _FOOTNOTE.sub("", text))
    return of_html(MarkdownIt("commonmark").enable("table").render(plain))


def of_html(text: str) -> list[Passage]:
    """The passages of a page that a reader can see, figures aside."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    reader.end_line()
    return reader.passages


@dataclass
class _Table:
    rows: list[list[list[str]]] = field(default_factory=list)
    """Row by row, cell by cell, the lines of each."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.passages: list[Passage] = []
        self._hidden = 0
        self._heading = ""
        self._in_heading = False
        self._text: list[str] = []
        self._tables: list[_Table] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden += 1
        if self._hidden or tag in _WITHIN_LINE:
            return
        self.end_line()
        if tag == "table":
            self._tables.append(_Table())
        elif tag == "tr" and self._tables:
            self._tables[-1].rows.append([])
        elif tag in _CELLS and self._tables and self._tables[-1].rows:
            self._tables[-1].rows[-1].append([])
        elif _HEADING.fullmatch(tag):
            self._in_heading = True

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden -= 1
        if self._hidden or tag in _WITHIN_LINE:
            return
        self.end_line()
        if _HEADING.fullmatch(tag):
            self._in_heading = False
        elif tag == "table" and self._tables:
            self._end_table(self._tables.pop())

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._text.append(data)

    def end_line(self) -> None:
        """What was read since the last end is a line of its own."""
        line = one_line("".join(self._text))
        self._text = []
        if not line:
            return
        if self._in_heading:
            self._heading = line
        rows = self._tables[-1].rows if self._tables else []
        if rows and rows[-1]:
            rows[-1][-1].append(line)
        else:
            self.passages.append(Passage(line, self._heading))

    def _end_table(self, table: _Table) -> None:
        if not table.rows:
            return
        head, *body = [tuple(" ".join(cell) for cell in row) for row in table.rows]
        corner = head[0] if head else ""
        self.passages += [Passage(cell, self._heading) for cell in head if cell]
        for row, cells in zip(body, table.rows[1:], strict=True):
            for at, lines in enumerate(cells):
                column = head[at] if at < len(head) else ""
                self.passages += [Passage(line, self._heading, row, column, corner) for line in lines]
