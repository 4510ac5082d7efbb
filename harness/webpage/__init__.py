"""A run as one web page for readers of the papers' abstracts: `report.html`, which needs nothing but itself.

Everything is within the file: words, figures, styles and data. Its content security policy forbids whatever would come
from elsewhere, and all scripts but the few lines that save the data. Numbers are those of the result model in the
digits of the report, which is the page's own last part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from harness import report
from harness.claims import Claim
from harness.rendering import caption, provenance
from harness.tables import Summary
from harness.webpage import accuracy, explanations, headline
from harness.webpage.embedding import embedded, fingerprint
from harness.webpage.judgements import judgements
from harness.webpage.markup import inline, prose, read, unbroken
from harness.webpage.plates import plates
from harness.webpage.reservations import reservations

__all__ = ["webpage"]


def webpage(
    summary: Summary,
    manifest: Mapping[str, Any],
    claims: Iterable[Claim] = (),
    figures: Mapping[str, str] | None = None,
) -> str:
    """The whole page.

    Args:
        summary: the result model.
        manifest: of the run; it is embedded as it is.
        claims: published numbers, as of `harness.claims.read_claims`.
        figures: SVG by name, as of `harness.figures.svgs`.
    """
    claims = tuple(claims)
    script = _part("page.js")
    details, footnotes = read(report.markdown(summary, claims))
    return _template().render(
        style=_part("page.css"),
        **_told(summary),
        judged=judgements(summary, claims),
        accuracies_unlike=accuracy.unlike_the_papers(summary, claims),
        plates=plates(figures or {}),
        details=details,
        sections=[section.key for section in details],
        footnotes=footnotes,
        script=script,
        fingerprint=fingerprint(script),
        documents=[embedded("summary.json", summary), embedded("manifest.json", manifest)],
    )


def _told(summary: Summary) -> dict[str, Any]:
    """What the page says of a run alone, by the names that the template has for it."""
    return {
        "title": headline.title(summary),
        "accuracies": accuracy.accuracies(summary),
        "conditions": headline.conditions(summary),
        "ran_on": inline(provenance.ran_on(summary)),
        "cards": headline.cards(summary),
        "short_names": headline.short_names(summary),
        "intervals": headline.intervals(summary),
        "untrained": caption.untrained(summary),
        "trust": reservations(summary),
        "steps": explanations.steps(summary),
        "where_time_goes": explanations.where_time_goes(summary),
        "operations": explanations.operations(summary),
        "in_the_papers": explanations.in_the_papers(summary),
        "unlike_the_papers": explanations.unlike_the_papers(summary),
        "command": str(summary.get("command") or ""),
        "created": str(summary.get("created") or "")[:10],
    }


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("harness.webpage"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["prose"] = prose
    environment.filters["unbroken"] = unbroken
    return environment.get_template("page.html")


@cache
def _part(name: str) -> Markup:
    """What stands in the page as it is."""
    return Markup((files("harness.webpage") / "templates" / name).read_text(encoding="utf-8").rstrip("\n"))
