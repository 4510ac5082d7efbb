"""The report in Markdown as HTML, heading by heading, with its footnotes.

The web page's details are the report itself, so that both show the same digits. What a user named, such as a class or
a file, can neither open a tag nor load or lead to anything: HTML, links and pictures of the Markdown are switched off.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markupsafe import Markup, escape

__all__ = ["Footnote", "Section", "inline", "prose", "read", "unbroken"]

_MARK = re.compile(r"\[\^(\d+)\]")
_FOOTNOTE = re.compile(r"\[\^(\d+)\]: (.*)")
_NOT_A_WORD = re.compile(r"[^a-z0-9]+")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|ms|s|GiB)(?:\W|$))")
_NAME = re.compile(r"\b(?:R-CNN|SPP-net)\b")
_IN_BRACKETS = re.compile(r"\[[-−+–]?\d[^\[\]<>]{0,24}\]|\([-−+]?\d[^()<>]{0,24}\)")
"""Of a number: its interval or share, which may stand on the next line as a whole."""
_CARRIAGE_RETURN = re.compile("\r\n?")
_WHOLE = r'<span class="whole">\g<0></span>'


@dataclass(frozen=True, slots=True)
class Section:
    """What stands under one heading of the second level."""

    key: str
    """The heading as part of an identifier: ``where-the-time-goes``."""
    title: Markup
    body: Markup


@dataclass(frozen=True, slots=True)
class Footnote:
    """Why a number is missing."""

    number: int
    reason: Markup


def read(text: str) -> tuple[list[Section], list[Footnote]]:
    """Sections in their order, and footnotes. What stands before the first section, and pictures, are left out.

    Args:
        text: Markdown as of `harness.report.markdown`; its footnotes, if any, are its last block.
    """
    text = _CARRIAGE_RETURN.sub("\n", text).rstrip("\n")
    body, _, last = text.rpartition("\n\n")
    found = [_FOOTNOTE.fullmatch(line) for line in last.split("\n")]
    if not body or not all(found):
        body, found = text, []
    footnotes = [Footnote(int(each[1]), inline(each[2])) for each in found if each]
    markdown = _markdown()
    return [_section(markdown, *parts) for parts in _parts(markdown.parse(body))], footnotes


def inline(text: str) -> Markup:
    """A line of Markdown without a paragraph around it."""
    return Markup(_markdown().renderInline(text))


def prose(text: str) -> Markup:
    """A sentence that is broken neither before a unit nor within an option, such as ``--repeats``."""
    whole = _BEFORE_UNIT.sub("\N{NO-BREAK SPACE}", _NAME.sub(_WHOLE, str(escape(text))))
    return Markup(_OPTION.sub(r"<code>\g<0></code>", whole))


def unbroken(text: str) -> Markup:
    """A text whose names and options are not broken at their hyphens."""
    return Markup(_OPTION.sub(_WHOLE, _NAME.sub(_WHOLE, str(escape(text)))))


def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.disable(["autolink", "link", "reference"])
    markdown.inline.ruler.before("link", "footnote_mark", _footnote_mark)
    for name, rule in _RULES.items():
        markdown.add_render_rule(name, rule)
    return markdown


def _footnote_mark(state: StateInline, silent: bool) -> bool:
    found = _MARK.match(state.src, state.pos)
    if found is None:
        return False
    if not silent:
        state.push("footnote_mark", "", 0).content = found[1]
    state.pos = found.end()
    return True


def _parts(tokens: Sequence[Token]) -> Iterator[tuple[str, list[Token]]]:
    """Each heading of the second level with the tokens below it, less paragraphs that are pictures alone."""
    title, kept = None, list[Token]()
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if token.type == "heading_open" and token.tag == "h2":
            if title is not None:
                yield title, kept
            title, kept = tokens[index + 1].content, []
            index += 3
        elif token.type == "paragraph_open" and _is_picture(tokens[index + 1]):
            index += 3
        else:
            kept.append(_lower(token))
            index += 1
    if title is not None:
        yield title, kept


def _lower(token: Token) -> Token:
    """A heading within a section, below the one that the page gives the section."""
    return token.copy(tag="h4") if token.type.startswith("heading") else token


def _is_picture(token: Token) -> bool:
    return bool(token.children) and all(child.type in ("image", "softbreak") for child in token.children or ())


def _section(markdown: MarkdownIt, title: str, tokens: Sequence[Token]) -> Section:
    env = {"title": title}
    _label_cells(tokens)
    body = markdown.renderer.render(tokens, markdown.options, env)
    return Section(_NOT_A_WORD.sub("-", title.lower()).strip("-"), inline(title), Markup(body))


def _open_table(
    _: RendererHTML, tokens: Sequence[Token], index: int, options: object, env: MutableMapping[str, Any]
) -> str:
    """A table scrolls within its own box, which a keyboard can reach."""
    label = escape(f"Table: {env.get('title', '')}")
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table class="stacking">\n'


def _label_cells(tokens: Sequence[Token]) -> None:
    """Gives each cell the head of its column, which stands beside it where a screen is too narrow for columns."""
    heads: list[str] = []
    at = 0
    for index, token in enumerate(tokens):
        if token.type == "thead_open":
            heads = []
        elif token.type == "tr_open":
            at = 0
        elif token.type == "th_open":
            heads.append(_plain_text(tokens[index + 1]))
        elif token.type == "td_open":
            token.attrSet("data-label", heads[at])
            at += 1


def _plain_text(token: Token) -> str:
    return "".join(child.content for child in token.children or () if child.type in ("text", "code_inline"))


def _close_table(*_: object) -> str:
    return "</table></div>\n"


def _mark_of_footnote(_: RendererHTML, tokens: Sequence[Token], index: int, *__: object) -> str:
    number = tokens[index].content
    # Drawn by the style sheet: who copies the table wants a dash and not a dash with a digit behind it.
    return f'<sup class="mark"><a href="#note-{number}" aria-label="note {number}" data-mark="{number}"></a></sup>'


def _words_of_picture(_: RendererHTML, tokens: Sequence[Token], index: int, *__: object) -> str:
    return str(escape(tokens[index].content))


def _text(_: RendererHTML, tokens: Sequence[Token], index: int, *__: object) -> str:
    return _IN_BRACKETS.sub(_WHOLE, str(unbroken(tokens[index].content)))


def _fence(_: RendererHTML, tokens: Sequence[Token], index: int, *__: object) -> str:
    token = tokens[index]
    return f'<pre><code class="language-{escape(token.info.strip())}">{unbroken(token.content)}</code></pre>\n'


_RULES: dict[str, Callable[..., str]] = {
    "table_open": _open_table,
    "table_close": _close_table,
    "footnote_mark": _mark_of_footnote,
    "text": _text,
    "fence": _fence,
    "image": _words_of_picture,
}
