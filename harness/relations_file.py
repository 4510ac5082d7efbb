"""What `results/reference/relations.toml` says: the papers' relations, and the rows of a scoreboard.

It names printed numbers by their place and holds none itself; here they are looked up among the claims.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.claims import Claim, ClaimError
from harness.relations import Expected, Own, Pair, Published, Relation, Same, of_one_method

__all__ = ["Layout", "Reference", "RelationError", "read_reference"]


class RelationError(ClaimError):
    """The relations cannot be read, or name a row that no paper has; the message is one line."""


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Rows(_Form):
    """Two rows of one table, as ``method@network``."""

    at: str
    left: str
    right: str
    train: str | None = None


class _Printed(_Form):
    """One row of a table."""

    at: str
    name: str


class _Pair(_Form):
    left: str
    right: str
    same: tuple[Same, ...] | None = None
    published: tuple[_Rows, ...] = ()


class _Relation(_Form):
    id: str
    sentence: str
    source: str
    low: float | None = None
    high: float | None = None
    above: bool = False
    same: tuple[Same, ...] | None = None
    pairs: tuple[_Pair, ...] = Field(min_length=1)


class _Row(_Form):
    method: str
    title: str
    printed: _Printed | None = None


class _File(_Form):
    same: tuple[Same, ...]
    own: dict[str, tuple[str, ...]] = {}
    relation: tuple[_Relation, ...]
    row: tuple[_Row, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """A row of a scoreboard."""

    method: str
    title: str
    printed: Claim | None
    """The mAP that stands beside it; None where no paper prints one."""


@dataclass(frozen=True, slots=True)
class Reference:
    """All that `relations.toml` says, with the published numbers in their places."""

    relations: tuple[Relation, ...]
    rows: tuple[Layout, ...]
    """In the order in which scoreboards have them."""
    own: Own


def read_reference(claims: Sequence[Claim], path: Traversable | None = None) -> Reference:
    """Read relations and rows, and find the published numbers that they name.

    Args:
        claims: all that is published.
        path: by default ``relations.toml`` of the installed package, or of a checkout.

    Raises:
        RelationError: the file cannot be read, or names a row that is not there once.
    """
    path = _default() if path is None else path
    try:
        found = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise RelationError(f"{path.name}: cannot be read ({error})") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise RelationError(f"{path.name}: {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None
    _check_once(path.name, "relation", (one.id for one in found.relation))
    _check_once(path.name, "row", ("+".join([of[0], *sorted(of[1])]) for of in map(_method, found.row)))
    rows = [claim for claim in claims if claim.quantity == "map" and not claim.part]
    relations = tuple(_relation(path.name, one, found.same, rows) for one in found.relation)
    return Reference(relations, tuple(_layout(path.name, one, rows) for one in found.row), Own(found.own))


def _default() -> Traversable:
    packaged = files("harness") / "reference"
    folder = packaged if packaged.is_dir() else Path(__file__).parents[1] / "results" / "reference"
    return folder / "relations.toml"


def _method(row: _Row) -> tuple[str, frozenset[str]]:
    return of_one_method(row.method)


def _check_once(where: str, what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise RelationError(f"{where}: {what} {name} stands there twice; keep one")
        seen.add(name)


def _relation(where: str, one: _Relation, same: tuple[Same, ...], rows: Sequence[Claim]) -> Relation:
    if one.low is None and one.high is None:
        raise RelationError(f"{where}: relation {one.id} expects nothing; give low, high or both")
    if one.low is not None and one.high is not None and one.low > one.high:
        raise RelationError(f"{where}: relation {one.id} expects {one.low} to {one.high}; give the lower end as low")
    of_all = same if one.same is None else one.same
    pairs = tuple(
        Pair(
            pair.left,
            pair.right,
            of_all if pair.same is None else pair.same,
            tuple(_published(where, two, rows) for two in pair.published),
        )
        for pair in one.pairs
    )
    return Relation(one.id, one.sentence, one.source, Expected(one.low, one.high, one.above), pairs)


def _layout(where: str, row: _Row, rows: Sequence[Claim]) -> Layout:
    printed = None if row.printed is None else _claim(where, row.printed.at, row.printed.name, None, rows)
    return Layout(row.method, row.title, printed)


def _published(where: str, two: _Rows, rows: Sequence[Claim]) -> Published:
    return Published(*(_claim(where, two.at, name, two.train, rows) for name in (two.left, two.right)))


def _claim(where: str, at: str, name: str, train: str | None, rows: Sequence[Claim]) -> Claim:
    found = [
        claim
        for claim in rows
        if (f"{claim.source} {claim.locator}", f"{claim.name}@{claim.backbone}") == (at, name)
        and train in (None, claim.train)
    ]
    if len(found) != 1:
        told = "has no" if not found else f"has {len(found)}"
        raise RelationError(f"{where}: {at} {told} mAP of {name}; name one row of the CSV files, by train if need be")
    return found[0]
