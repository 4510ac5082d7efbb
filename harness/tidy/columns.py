"""Columns, their types, and the categories of a run in their order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

__all__ = ["SUMS", "Names", "Row", "Types", "ordered", "table"]

Row = Mapping[str, Any]
Types = Mapping[str, Any]
"""Columns with their types, in order."""

SUMS = ("features", "total")
"""Of stages; all else that a sample has seconds of is a part of its total."""


def ordered(values: Iterable[str]) -> pd.CategoricalDtype:
    """A category with this order; what comes twice counts once."""
    return pd.CategoricalDtype(list(dict.fromkeys(values)), ordered=True)


@dataclass(frozen=True)
class Names:
    """What the categories of a run are, in their order."""

    methods: tuple[str, ...]
    method: pd.CategoricalDtype
    image: pd.CategoricalDtype
    classes: Mapping[int, str]
    """By number, from 1."""
    label: pd.CategoricalDtype
    """Of classes."""

    @classmethod
    def of(cls, manifest: Row, truth: Row) -> Names:
        """Of a run's manifest and truth."""
        planned = tuple(manifest["plan"]["methods"])
        classes = {one["id"]: one["name"] for one in truth["categories"]}
        ids = (image["id"] for image in truth["images"])
        return cls(planned, ordered(planned), ordered(ids), classes, ordered(classes.values()))


def table(rows: Iterable[Row], types: Types) -> pd.DataFrame:
    """The columns of `types` and no others; what a row lacks is NA."""
    found = list(rows)
    columns = {name: [row.get(name) for row in found] for name in types}
    return pd.DataFrame({name: pd.Series(columns[name], dtype=kind) for name, kind in types.items()})
