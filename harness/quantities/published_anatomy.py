"""The papers' own speed-ups taken apart: how much was the algorithm, and how much the implementation of its day.

A paper prints the seconds of two methods. Their operations are counted here, on an image of VOC's size with 2,000
boxes (`harness.operating_point`), so operations over seconds is the rate at which the code of then carried them out.
The ratio of operations is what the algorithm saves on any machine; the ratio of the rates is what else the printed
speed-up holds: larger batches, another mix of layers, another library.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from harness.claims import DETECTING, Claim
from harness.networks import AS_PRINTED

__all__ = ["operating_point", "published_anatomy"]

_COUNTED = DETECTING[:-1]
_NOT_STATED = "the source does not say which stages its seconds cover, so all up to suppression are counted"


@cache
def operating_point() -> Mapping[str, Any]:
    """What `harness.operating_point` counted: ``image``, ``classes``, ``operations`` by network, method and stage."""
    found: dict[str, Any] = json.loads((files("harness") / "operations.json").read_text(encoding="utf-8"))
    return found


def published_anatomy(claims: Iterable[Claim], methods: Collection[str] | None = None) -> list[dict[str, Any]]:
    """One for each of conv, fc and total whose seconds a paper prints for a method and for the baseline of its ratio.

    Each has ``source``, ``version``, ``locator``; ``method`` and ``backbone``, ``baseline`` and ``baseline_backbone``
    as printed; ``stage`` and the ``stages`` whose operations are counted; ``seconds``, ``operations`` and ``rate``
    (FLOP/s) of baseline and method; ``speedup``, ``flop_ratio``, ``utilisation_ratio``; ``printed``, the ratio's digits
    where the source prints one; the ``image`` that is counted; and a ``note`` or None. `seconds`, `rate`, `speedup` and
    `utilisation_ratio` are ``value``, ``low`` and ``high``: all that the printed digits allow, which stand beside
    `seconds` as ``printed``. Of versions that print the same the latest stands for all.

    Args:
        claims: as of `harness.claims.read_claims`.
        methods: names without network; others are left out. None: all.
    """
    latest: dict[tuple[str, ...], dict[str, Any]] = {}
    for rows in _tables(claims):
        for own, base, printed in _pairs(rows):
            if methods is None or own.name in methods:
                key = tuple(each for of in (own, base) for each in (of.source, of.name, of.backbone, of.printed))
                key = (*key, own.quantity)
                if key not in latest or latest[key]["version"] < own.version:
                    latest[key] = _taken_apart(own, base, printed)
    return list(latest.values())


def _tables(claims: Iterable[Claim]) -> Iterator[Sequence[Claim]]:
    """The claims of each table about methods whose operations are known, whole and not of a part."""
    by_table: dict[str, list[Claim]] = {}
    for claim in claims:
        network = _network(claim.backbone)
        if network and not claim.part and claim.name in operating_point()["operations"][network]:
            by_table.setdefault(claim.citation, []).append(claim)
    yield from by_table.values()


def _network(printed: str) -> str | None:
    return next((ours for ours, names in AS_PRINTED.items() if printed in names), None)


def _pairs(rows: Sequence[Claim]) -> Iterator[tuple[Claim, Claim, Claim | None]]:
    """Seconds of a method, the same of its baseline, and the printed ratio of the two, where it stands there."""
    seconds = {(row.name, row.backbone, row.quantity): row for row in rows if row.unit == "s"}
    ratios = {(row.name, row.backbone, row.quantity): row for row in rows if row.relative_to}
    for (name, backbone, quantity), own in seconds.items():
        ratio = ratios.get((name, backbone, f"speedup_{quantity}"))
        of_any = ratio or ratios.get((name, backbone, "speedup_total"))
        baseline = of_any.relative_to if of_any else None
        if baseline and baseline != f"{name}@{backbone}" and quantity in ("conv", "fc", "total"):
            base = seconds.get((*_both(baseline), quantity))
            if base:
                yield own, base, ratio


def _both(baseline: str) -> tuple[str, str]:
    name, _, backbone = baseline.partition("@")
    return name, backbone


def _taken_apart(own: Claim, base: Claim, printed: Claim | None) -> dict[str, Any]:
    stages = [stage for stage in _COUNTED if stage in (own.stages or base.stages or _COUNTED)]
    asked = [sum(_operations(claim)[stage] for stage in stages) for claim in (base, own)]
    speedup = _speedup(own, base, printed)
    flop_ratio = asked[0] / asked[1]
    return {
        "source": own.source,
        "version": own.version,
        "locator": own.locator,
        "method": own.name,
        "backbone": own.backbone,
        "baseline": base.name,
        "baseline_backbone": base.backbone,
        "stage": own.quantity,
        "stages": stages,
        "seconds": [{**_bounds(claim), "printed": claim.printed} for claim in (base, own)],
        "operations": asked,
        "rate": [_over(count, _bounds(claim)) for count, claim in zip(asked, (base, own), strict=True)],
        "speedup": speedup,
        "printed": printed.printed if printed else None,
        "flop_ratio": flop_ratio,
        "utilisation_ratio": {end: value / flop_ratio for end, value in speedup.items()},
        "image": operating_point()["image"],
        "note": None if own.stages or base.stages else _NOT_STATED,
    }


def _operations(claim: Claim) -> Mapping[str, int]:
    found: Mapping[str, int] = operating_point()["operations"][_network(claim.backbone)][claim.name]
    return found


def _bounds(claim: Claim) -> dict[str, float]:
    return {"value": claim.value, "low": claim.low, "high": claim.high}


def _over(count: float, seconds: Mapping[str, float]) -> dict[str, float]:
    return {"value": count / seconds["value"], "low": count / seconds["high"], "high": count / seconds["low"]}


def _speedup(own: Claim, base: Claim, printed: Claim | None) -> dict[str, float]:
    """The ratio of the seconds, or the printed one where its digits say more, as they do beside 0.06 s."""
    ratio = {"value": base.value / own.value, "low": base.low / own.high, "high": base.high / own.low}
    if printed is None or printed.high - printed.low >= ratio["high"] - ratio["low"]:
        return ratio
    return _bounds(printed)
