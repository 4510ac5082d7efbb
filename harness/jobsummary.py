"""A report as a CI job's summary takes it: no pictures, and never above the size at which GitHub drops all of it.

A step's summary may have 1,024 KiB, and of a larger one nothing is shown [GitHub Docs, Workflow commands, Adding a job
summary]. So what does not fit is left out in whole sections, from the end, and a line says which and where they are;
settings, trust and the headline table stay. Several runs share the room: what one does not need is left to the others.
Pictures are left out since those of a run's folder are not shown there.

All sizes are bytes of UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from string import ascii_lowercase

from markdown_it import MarkdownIt
from markdown_it.token import Token

from harness import report, side_by_side
from harness.claims import Claim, read_claims
from harness.rendering.columns import likeness
from harness.runs import RunFolder
from harness.summary import summarise
from harness.tables import Summary

__all__ = ["LIMIT_BYTES", "markdown", "shortened"]

LIMIT_BYTES = 1000 * 1024
"""Below GitHub's 1,024 KiB, for what else the step writes."""

_STAY = 3
"""Of a report's sections: its title; settings with the device and the trust; speed and accuracy."""

_BETWEEN = "\n---\n\n"
"""A rule between two runs."""

_MARK = re.compile(r"\[\^(\d+)\]")
"""Of a footnote."""

_CARRIAGE_RETURN = re.compile("\r\n?")


@dataclass(frozen=True, slots=True)
class _Page:
    """One report in its sections."""

    sections: tuple[str, ...]
    """The first is what stands before the first heading of the second level."""
    footnotes: tuple[str, ...]
    stay: int
    """Sections, from the first on, that are not left out alone."""
    least: str
    """What is shown where not even these fit."""
    where: str
    """Where all of it is, in words."""

    @classmethod
    def of(cls, text: str, *, stay: int, least: str, where: str) -> _Page:
        """`text` is a page in Markdown whose footnotes, if any, are its last block."""
        body, _, last = text.rstrip("\n").rpartition("\n\n")
        if not last.startswith("[^1]: "):
            return cls(tuple(_sections(text)), (), stay, least, where)
        return cls(tuple(_sections(body)), tuple(last.splitlines()), stay, least, where)

    def labelled(self, label: str) -> _Page:
        """With `label` in the marks of its footnotes, since those of several reports on one page would be mixed up."""
        marks = rf"[^{label}\1]"
        return replace(
            self,
            sections=tuple(_MARK.sub(marks, section) for section in self.sections),
            footnotes=tuple(_MARK.sub(marks, line, count=1) for line in self.footnotes),
            least=_MARK.sub(marks, self.least),
        )

    def within(self, limit_bytes: int) -> str:
        """As many of its sections as fit; nothing where not even the least of it does."""
        kept = (self._first(count) for count in range(len(self.sections), min(self.stay, len(self.sections)) - 1, -1))
        pointer = f"Left out, too large for a job summary. All of it: {self.where}.\n"
        texts = (*kept, f"{self.least}\n{pointer}", pointer)
        return next((text for text in texts if _size_bytes(text) <= limit_bytes), "")

    def _first(self, count: int) -> str:
        body = "".join(self.sections[:count])
        if count < len(self.sections):
            headings = ", ".join(section.splitlines()[0].removeprefix("## ") for section in self.sections[count:])
            body += f"Left out, too large for a job summary: {headings}. All of it: {self.where}.\n\n"
        used = [line for line in self.footnotes if line.partition(":")[0] in body]
        return (body + "\n".join(used)).rstrip("\n") + "\n"


def markdown(folders: Sequence[RunFolder], *, limit_bytes: int = LIMIT_BYTES) -> str:
    """One run's report; or several runs side by side, and then the report of each.

    Every summary is derived anew from the stored samples, and nothing is written.

    Raises:
        RunError: a run is missing or damaged, or stands there twice.
    """
    claims = read_claims()
    if len(folders) == 1:
        return shortened(summarise(folders[0]), claims, where=_report_of(folders[0]), limit_bytes=limit_bytes)
    model = side_by_side.compare_runs(folders)
    text = side_by_side.markdown(model)
    where = f"harness report {' '.join(str(folder.path) for folder in folders)}"
    pages = [_Page.of(text, stay=text.count("\n## ") + 1, least=f"{likeness(model)}.\n", where=where)]
    pages += [_page(summarise(folder), claims, _report_of(folder)) for folder in folders]
    return _sharing([page.labelled(_label(index)) for index, page in enumerate(pages)], limit_bytes)


def shortened(summary: Summary, claims: Iterable[Claim] = (), *, where: str, limit_bytes: int = LIMIT_BYTES) -> str:
    """The report of one summary; `where` says where the whole of it is."""
    return _page(summary, claims, where).within(limit_bytes)


def _report_of(folder: RunFolder) -> str:
    return f"{folder.path}/report.md"


def _page(summary: Summary, claims: Iterable[Claim], where: str) -> _Page:
    text = report.markdown(summary, claims)
    title = text.partition("\n")[0]
    least = "\n".join(_without_pictures(f"{title}\n\n{report.excerpt(summary, figures='')}"))
    return _Page.of(text, stay=_STAY, least=least, where=where)


def _label(index: int) -> str:
    """``a`` to ``z``, then ``aa`` and so on."""
    turn, letter = divmod(index, len(ascii_lowercase))
    return ascii_lowercase[letter] * (turn + 1)


def _sharing(pages: Sequence[_Page], limit_bytes: int) -> str:
    """All pages, in their order. The shortest are served first, so that each leaves what it does not need."""
    room_bytes = limit_bytes - _size_bytes(_BETWEEN) * (len(pages) - 1)
    texts: dict[int, str] = {}
    for index in sorted(range(len(pages)), key=lambda index: _size_bytes("".join(pages[index].sections))):
        texts[index] = pages[index].within(room_bytes // (len(pages) - len(texts)))
        room_bytes -= _size_bytes(texts[index])
    return _BETWEEN.join(texts[index] for index in range(len(pages)) if texts[index])


def _size_bytes(text: str) -> int:
    return len(text.encode())


def _sections(text: str) -> Iterator[str]:
    """What stands before the first heading of the second level, and from there on heading by heading.

    Read as Markdown, since a command in a fence may have a line that looks like a heading.
    """
    lines = _without_pictures(text)
    tokens = MarkdownIt().parse("\n".join(lines))
    starts = [token.map[0] for token in tokens if token.type == "heading_open" and token.tag == "h2" and token.map]
    for start, end in zip([0, *starts], [*starts, len(lines)], strict=True):
        yield "\n".join(lines[start:end]).rstrip("\n") + "\n\n"


def _without_pictures(text: str) -> list[str]:
    """The lines of a page less its paragraphs that are pictures alone."""
    text = _CARRIAGE_RETURN.sub("\n", text)  # the parser, which counts the lines, takes one for the end of a line
    lines = text.split("\n")
    dropped = {
        number
        for token in MarkdownIt().parse(text)
        if token.type == "inline" and token.map and _is_picture(token)
        for number in (*range(*token.map), token.map[1])
    }
    return [line for number, line in enumerate(lines) if number not in dropped]


def _is_picture(token: Token) -> bool:
    return bool(token.children) and all(child.type in ("image", "softbreak") for child in token.children or ())
