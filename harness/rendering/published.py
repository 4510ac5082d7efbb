"""The papers' own numbers, arranged in the rows of a run's headline table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.claims import Claim
from harness.networks import network_of, split
from harness.tables import Estimate, MethodRow, Summary, methods

__all__ = ["main", "published", "published_beside"]

_MAIN = {
    "RCNN": ("Section 2.2", "Table 2", "Table 3"),
    "SPP": ("Section 4.3", "Table 9", "Table 10"),
    "FRCN": ("Table 4",),
}
"""Where each paper prints its speed, and its accuracy beside it; ablations and accuracy by class stand elsewhere."""

_AS_IT_IS = ("", "5", "svd")
"""Variants that these places time; the rows of Table 9 for layers have no times of their own."""

_NETWORKS = {
    "alexnet": "Alex-5",
    "caffenet": "CaffeNet",
    "vgg-m": "VGG_CNN_M_1024",
    "vgg16": "VGG16",
    "zf5": "ZF-5",
}
"""What the papers' tables of times call a backbone of `detectors`; the others stand in none of them."""


def main(claims: Iterable[Claim]) -> list[Claim]:
    """Those that a run is set beside in its headline: whole methods where their paper prints its speed."""
    return [
        claim
        for claim in claims
        if claim.locator in _MAIN.get(claim.source, ()) and claim.variant in _AS_IT_IS and not claim.part
    ]


def published(claims: Iterable[Claim], names: Sequence[str] | None = None) -> list[MethodRow]:
    """The rows of the papers' tables in the columns of `headline`, the oldest paper first.

    A ratio that a paper prints in its text stands in the row of the table which it was computed from: that with the
    same paper, method, backbone and baseline.

    Args:
        claims: as read by `harness.claims.read_claims`; `main` says which of them are meant.
        names: methods without their variants; a row of another method is left out. None keeps all.
    """
    tables: dict[tuple[str, ...], dict[str, Claim]] = {}
    texts: list[Claim] = []
    for claim in sorted(main(claims), key=lambda claim: claim.version):  # arXiv numbers begin with the year
        if not claim.locator.startswith("Table"):
            texts.append(claim)
        elif names is None or claim.method in names:
            key = (claim.citation, claim.name, claim.backbone)
            tables.setdefault(key, {})[claim.quantity] = claim
    return [_published_row(cells, texts) for cells in tables.values()]


def published_beside(claims: Iterable[Claim], summary: Summary) -> list[MethodRow]:
    """Few published rows for a narrow place: of the run's methods, with a total, and what their ratios are relative to.

    A method has its rows of the run's own network; where there are none, those of the first network of each table.
    """
    timed = [row for row in published(claims) if row.total.value is not None]
    about = {"backbone": "", **(summary.get("plan") or {})}
    shown: set[tuple[str, str | None]] = set()
    for name in methods(summary):
        network = _NETWORKS.get(network_of(about, name))
        rows = [row for row in timed if row.method == split(name)[0]]
        first = {_table(row): _place(row) for row in reversed(rows)}
        own = [_place(row) for row in rows if row.backbone == network]
        shown.update(own or first.values())
    shown |= {(_table(row), row.baseline) for row in timed if _place(row) in shown}
    return [row for row in timed if _place(row) in shown]


def _table(row: MethodRow) -> str:
    return (row.source or "").partition(";")[0]


def _place(row: MethodRow) -> tuple[str, str | None]:
    """Table, then method and network as a ratio names its baseline."""
    return _table(row), f"{row.method}@{row.backbone}"


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
