"""The papers' tables in their own shape, each cell with its published number and what a run measured for it.

``papertables.toml`` says which number stands where, by what is known of it and never by the number itself.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import BaseModel, ConfigDict

from harness.claims import Claim

__all__ = ["Cell", "PaperRow", "PaperTable", "PaperTableError", "names", "tables"]

Judged = Mapping[str, Any]
"""As `harness.quantities.judged` makes them."""

_COLUMNS = tuple(field.name for field in fields(Claim))

_TIMELESS = frozenset({"map", "ap", "pixel_ratio_conv"})
"""Quantities that are neither a time nor made of times."""


class PaperTableError(ValueError):
    """There is no such table, or two published numbers claim one cell; the message is one line."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One place of a table."""

    claim: Claim | None
    """What is published there; None where the paper has nothing either."""
    judged: Judged | None
    """The same with what was measured; None where nothing was run for it."""


@dataclass(frozen=True, slots=True)
class PaperRow:
    """One line."""

    title: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class PaperTable:
    """One table or figure of a paper."""

    name: str
    """Such as ``spp-table-10``."""
    title: str
    source: str
    """Where it stands, such as ``SPP Table 10 (1406.4729v4)``."""
    columns: tuple[str, ...]
    rows: tuple[PaperRow, ...]
    note: str | None

    @property
    def judged(self) -> list[Judged]:
        """All that was measured for it, row by row."""
        return [cell.judged for row in self.rows for cell in row.cells if cell.judged is not None]

    @property
    def hardware(self) -> list[str | None]:
        """What its times, and ratios and shares of times, were taken on, each once; None where that is not stated."""
        published = (cell.claim for row in self.rows for cell in row.cells if cell.claim is not None)
        return list(dict.fromkeys(claim.hardware for claim in published if claim.quantity not in _TIMELESS))


class _Selector(BaseModel):
    """Fields of a claim and what may stand there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = ""
    append: str | tuple[str, ...] = ()
    source: str | tuple[str, ...] | None = None
    version: str | tuple[str, ...] | None = None
    locator: str | tuple[str, ...] | None = None
    name: str | tuple[str, ...] | None = None
    backbone: str | tuple[str, ...] | None = None
    quantity: str | tuple[str, ...] | None = None
    part: str | tuple[str, ...] | None = None
    relative_to: str | tuple[str, ...] | None = None
    hardware: str | tuple[str, ...] | None = None

    def fits(self, claim: Claim, variants: tuple[str, ...] = ()) -> bool:
        """Whether a claim has all of it; with `variants`, one of them stands behind its name."""
        for field in type(self).model_fields:
            if field in ("title", "append"):
                continue
            wanted = _several(getattr(self, field))
            if field == "name" and wanted and variants:
                wanted = tuple(f"{name}:{variant}" for name in wanted for variant in variants)
            if wanted is not None and getattr(claim, field) not in wanted:
                return False
        return True


class _Layout(BaseModel):
    """One table as it is written down."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    note: str | None = None
    where: tuple[_Selector, ...]
    columns: tuple[_Selector, ...]
    rows: tuple[_Selector, ...]


def _several(value: str | tuple[str, ...] | None) -> tuple[str, ...] | None:
    return (value,) if isinstance(value, str) else value


@cache
def _layouts() -> Mapping[str, _Layout]:
    text = (files("harness") / "papertables.toml").read_text(encoding="utf-8")
    return {name: _Layout.model_validate(values) for name, values in tomllib.loads(text).items()}


def names() -> tuple[str, ...]:
    """Of all tables, in the order of the papers."""
    return tuple(_layouts())


def tables(judged: Iterable[Judged], claims: Iterable[Claim], wanted: Iterable[str] | None = None) -> list[PaperTable]:
    """The papers' tables with what was measured.

    Args:
        judged: from one run or several; of a number that stands there twice the first counts.
        claims: all that is published.
        wanted: names of the tables; None for all.

    Raises:
        PaperTableError: no table has such a name, or two published numbers have a place in one cell.
    """
    measured: dict[tuple[Any, ...], Judged] = {}
    for one in judged:
        measured.setdefault(_key(one), one)
    published = list(claims)
    return [_filled(name, _layout(name), published, measured) for name in (names() if wanted is None else wanted)]


def _layout(name: str) -> _Layout:
    if name not in _layouts():
        raise PaperTableError(f"no table {name!r} of a paper; there are {', '.join(names())}")
    return _layouts()[name]


def _key(one: Judged) -> tuple[Any, ...]:
    """What tells a claim from all others."""
    return tuple(tuple(one[column]) if column == "stages" else one[column] for column in _COLUMNS)


def _filled(
    name: str, layout: _Layout, claims: Sequence[Claim], measured: Mapping[tuple[Any, ...], Judged]
) -> PaperTable:
    own = [claim for claim in claims if any(where.fits(claim) for where in layout.where)]
    rows = tuple(
        PaperRow(row.title, tuple(_cell(name, row, column, own, measured) for column in layout.columns))
        for row in layout.rows
    )
    citations = dict.fromkeys(claim.citation for claim in own)
    columns = tuple(column.title for column in layout.columns)
    return PaperTable(name, layout.title, ", ".join(citations), columns, rows, layout.note)


def _cell(
    name: str, row: _Selector, column: _Selector, claims: Sequence[Claim], measured: Mapping[tuple[Any, ...], Judged]
) -> Cell:
    variants = _several(row.append) or ()
    found = [claim for claim in claims if row.fits(claim) and column.fits(claim, variants)]
    if len(found) > 1:
        raise PaperTableError(f"{name}: {row.title}, {column.title}: {len(found)} published numbers have this place")
    if not found:
        return Cell(None, None)
    key = tuple(getattr(found[0], field) for field in _COLUMNS)
    return Cell(found[0], measured.get(key))
