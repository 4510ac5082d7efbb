"""Texts of others within Markdown, read by a Markdown parser."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from harness.rendering.cells import escaped, table

_PIECES = [*"[]()!^|`\\ x", "<b>", "http://a.b", "javascript:0", "<!--", "&lt;"]


def _tokens(text: str) -> list[str]:
    """Kinds of all that a parser finds in the only cell of a table."""
    parsed = MarkdownIt("commonmark", {"html": True}).enable("table").parse(table(("one",), [(text,)]))
    return [token.type for line in parsed for token in (line, *(line.children or ()))]


@given(st.lists(st.sampled_from(_PIECES), max_size=12).map("".join))
def test_a_text_of_others_is_nothing_but_text(text: str) -> None:
    """No link, no picture, no code, no tag and no second cell."""
    plain = _tokens("x")
    assert set(_tokens(escaped(text))) <= set(plain) | {"text_special"}
    assert _tokens(escaped(text)).count("td_open") == plain.count("td_open") == 1


def test_a_name_is_no_footnote() -> None:
    """Those of the page have numbers of their own."""
    assert escaped("a[^1]") == "a\\[^1]"
