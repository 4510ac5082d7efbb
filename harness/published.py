"""The papers' own numbers, arranged in the rows of a run's headline table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.claims import Claim
from harness.tables import Estimate, MethodRow, Summary, methods

__all__ = ["published", "published_beside"]


def published(claims: Iterable[Claim], names: Sequence[str] | None = None) -> list[MethodRow]:
    """The rows of the papers' tables in the columns of `headline`, the oldest paper first.

    A ratio that a paper prints in its text stands in the row of the table which it was computed from: that with the
    same paper, method, backbone and baseline.

    Args:
        claims: as read by `harness.claims.read_claims`.
        names: methods without their variants; a row of another method is left out. None keeps all.
    """
    tables: dict[tuple[str, ...], dict[str, Claim]] = {}
    texts: list[Claim] = []
    for claim in sorted(claims, key=lambda claim: claim.version):  # arXiv numbers begin with the year
        if not claim.locator.startswith("Table"):
            texts.append(claim)
        elif names is None or claim.method in names:
            key = (claim.citation, claim.name, claim.backbone)
            tables.setdefault(key, {})[claim.quantity] = claim
    return [_published_row(cells, texts) for cells in tables.values()]


def published_beside(claims: Iterable[Claim], summary: Summary) -> list[MethodRow]:
    """Few published rows for a narrow place: of the run's methods, with a total, the first network of each table."""
    names, seen = methods(summary), set()
    rows = []
    for row in published(claims, [name.partition(":")[0] for name in names]):
        if row.method in names and row.total.value is not None and (row.source, row.method) not in seen:
            seen.add((row.source, row.method))
            rows.append(row)
    return rows


def _published_row(cells: Mapping[str, Claim], texts: Sequence[Claim]) -> MethodRow:
    first = next(iter(cells.values()))
    ratio = cells.get("speedup_total")
    baseline = ratio.relative_to if ratio else None
    source, conv_ratio = first.citation, cells.get("speedup_conv")
    for text in texts:
        same = (text.source, text.name, text.backbone) == (first.source, first.name, first.backbone)
        if same and text.quantity == "speedup_conv" and text.relative_to == baseline:
            conv_ratio, source = text, f"{source}; conv ratio {text.citation}"
    return MethodRow(
        method=first.name,
        backbone=first.backbone,
        source=source,
        status="published",
        reason=None,
        map=_printed(cells.get("map"), power=-2),
        conv=_printed(cells.get("conv")),
        fc=_printed(cells.get("fc")),
        total=_printed(cells.get("total")),
        speedup_conv=_printed(conv_ratio),
        speedup_total=_printed(ratio),
        baseline=baseline,
    )


def _printed(claim: Claim | None, power: int = 0) -> Estimate:
    if claim is None:
        return Estimate(None, reason="the source prints none there")
    return Estimate(claim.value, fixed_decimals=claim.decimals).shifted(power)
