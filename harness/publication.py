"""Something committed of which tables and figures are generated, and what is made of it.

A kind of such a thing is a few lines: where its files stand below `results`, how one is read, and what writes its table
and draws its figures. `harness.publish` goes through all kinds; what none of them makes is stale.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from harness.rendering.canvas import STYLE
from harness.storage import StorageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Kind", "Made", "PublicationError", "collected", "of_model"]

Model = TypeVar("Model")

_NOTICE = "<!-- Made by `python -m harness.publish` from results/{source}; not to be edited. -->\n\n"
_DPI = 150


class PublicationError(StorageError):
    """What is committed cannot be published; the message is one line."""


@dataclass(frozen=True)
class Made:
    """What is generated of one source."""

    table: str | None = None
    """Markdown for ``tables/NAME.md``, which says itself what it was made of; None where there is no table."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """All else, by path below `results`."""
    extract: str | None = None
    """Markdown that the README shows between the markers with the source's name; None where it shows nothing."""


@dataclass(frozen=True)
class Kind:
    """One kind of source."""

    pattern: str
    """Of its files below `results`, such as ``runs/*/summary.json``. One that is named by its folder has the same file
    name throughout; one that is named by its own file ends in ``*.SUFFIX``."""
    make: Callable[[Path, str], Made]
    """Of such a file and its name, see `name`."""
    check: Callable[[Path], list[str]] | None = None
    """What does not hold together in the folder of such a file, a line each; None where nothing but what is generated
    depends on it."""

    def sources(self, results: Path) -> list[Path]:
        """Files of this kind, by name; folders that are not whole yet are passed over."""
        found = results.glob(self.pattern)
        return sorted(path for path in found if not any(part[0] == "." for part in path.relative_to(results).parts))

    def name(self, source: Path) -> str:
        """How tables, figures and the README's markers call a source."""
        return source.stem if Path(self.pattern).name.startswith("*") else source.parent.name


def of_model(
    read: Callable[[Path], Model],
    table: Callable[[Model, str], str],
    *,
    figures: Mapping[str, Callable[[Model], Figure]] | None = None,
    extract: Callable[[Model], str] | None = None,
) -> Callable[[Path, str], Made]:
    """Publish a table of a source, and figures beside it.

    Args:
        read: the model in a source file.
        table: its Markdown; the second argument is how the paths of its figures begin: ``recall.svg`` goes after it.
        figures: by the last part of their names, what draws each, in the style of all published figures.
        extract: Markdown for the README.
    """

    def make(source: Path, name: str) -> Made:
        model = read(source)
        files: dict[str, bytes] = {}
        for figure, draw in (figures or {}).items():
            drawn = _drawn(draw, model)
            files |= {f"figures/{name}-{figure}.{suffix}": content for suffix, content in drawn.items()}
        return Made(table(model, f"../figures/{name}-"), files, None if extract is None else extract(model))

    return make


def _drawn(draw: Callable[[Model], Figure], model: Model) -> dict[str, bytes]:
    """A figure as SVG and as PNG, by suffix; the same bytes each time with one version of matplotlib."""
    from matplotlib import style

    found = {}
    with style.context(STYLE, after_reset=True):  # whatever the user's own matplotlibrc says
        figure = draw(model)
        for suffix, about in (("svg", {"Date": None}), ("png", None)):
            file = io.BytesIO()
            figure.savefig(file, format=suffix, dpi=_DPI, metadata=about)
            found[suffix] = file.getvalue()
    return found


def collected(kinds: tuple[Kind, ...], results: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """What is generated of all that is committed: files by path below `results`, and extracts by name.

    Raises:
        PublicationError: two sources make the same file or have the same extract.
        ValueError: a source cannot be read; of the kind's own subclass.
    """
    files: dict[str, bytes] = {}
    extracts: dict[str, str] = {}
    makers: dict[str, str] = {}
    for kind in kinds:
        for source in kind.sources(results):
            name, where = kind.name(source), source.relative_to(results).as_posix()
            made = kind.make(source, name)
            own = dict(made.files)
            if made.table is not None:
                own[f"tables/{name}.md"] = (_NOTICE.format(source=where) + made.table).encode()
            for target in own:
                if (other := makers.setdefault(target, where)) != where:
                    raise PublicationError(f"results/{other} and results/{where} both make {target}; rename one")
            files |= own
            if made.extract is not None:
                extracts[name] = made.extract
    return files, extracts
