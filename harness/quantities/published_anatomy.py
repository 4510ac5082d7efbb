"""The papers' own speed-ups taken apart: how much was the algorithm, and how much the code and the rates of its day.

A paper prints the seconds of two methods. Their operations are counted here, on an image of VOC's size with 2,000
boxes (`harness.operating_point`), so operations over seconds is the rate at which the code of then carried them out.
A printed total is the ratio of operations times whatever else there is, rate and mix of layers. Where the source prints
the seconds of conv and of fc, too, these are two factors:

- mix: the baseline's time over what the method's operations of each stage would take at the baseline's rate there, over
  the ratio of operations. It is above 1 where what the method leaves is done in stages that run fast;
- rate: that time over the method's, so how much faster the same stages were carried out.

Operations times mix is what the algorithm saves at the rates of that day.
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
_PRINTED_APART = ("conv", "fc")
_NOT_STATED = "the source does not say which stages its seconds cover, so all up to suppression are counted"
_NO_PARTS = "the source prints no seconds of the stages within, so rate and mix of layers are one factor"

_Bounds = dict[str, float]
"""``value``, ``low`` and ``high``: what is printed, and the least and the most that its digits allow."""
_Parts = Mapping[str, tuple[Claim, Claim]]
"""By stage its seconds, of baseline and method."""


@cache
def operating_point() -> Mapping[str, Any]:
    """What `harness.operating_point` counted: ``image``, ``classes``, ``operations`` by network, method and stage."""
    found: dict[str, Any] = json.loads((files("harness") / "operations.json").read_text(encoding="utf-8"))
    return found


def published_anatomy(claims: Iterable[Claim], methods: Collection[str] | None = None) -> list[dict[str, Any]]:
    """One for each of conv, fc and total whose seconds a paper prints for a method and for the baseline of its ratio.

    Each has ``source``, ``version``, ``locator``; ``method`` and ``backbone``, ``baseline`` and ``baseline_backbone``
    as printed; ``stage`` and the ``stages`` whose operations are counted; ``seconds``, ``operations`` and ``rate``
    (FLOP/s) of baseline and method; ``speedup`` = ``flop_ratio`` x ``utilisation_ratio``, and the latter =
    ``mix_ratio`` x ``rate_ratio``, which are None beside their ``reason`` where no seconds of conv and fc are printed,
    as is ``algorithm_ratio`` = ``flop_ratio`` x ``mix_ratio``; ``printed``, the speed-up's digits where the source
    prints it, and ``printed_pixel_ratio``, those of the ratio of pixels that the convolutions read, with where they
    stand; the ``image`` that is counted; and a ``note`` or None.

    Seconds, rates and ratios are ``value``, ``low`` and ``high``, all that the printed digits allow (`flop_ratio` is
    exact); the digits stand beside `seconds` as ``printed``. The ends of a quotient are made of those of its two parts
    as if these had nothing in common, which can only be too wide. Of versions that print the same the latest stands
    for all.

    Args:
        claims: as of `harness.claims.read_claims`.
        methods: names without network; others are left out. None: all.
    """
    claims = tuple(claims)
    in_pixels = {_of_pixels(claim): claim for claim in claims if claim.quantity == "pixel_ratio_conv"}
    latest: dict[tuple[str, ...], dict[str, Any]] = {}
    for rows in _tables(claims):
        for own, base, printed, parts in _pairs(rows):
            if methods is None or own.name in methods:
                key = tuple(each for of in (own, base) for each in (of.source, of.name, of.backbone, of.printed))
                key = (*key, own.quantity)
                if key not in latest or latest[key]["version"] < own.version:
                    found = _taken_apart(own, base, printed, parts)
                    both = (own.source, own.name, own.backbone, base.name, base.backbone)
                    latest[key] = found | _pixels(in_pixels.get(both) if own.quantity == "conv" else None)
    return list(latest.values())


def _of_pixels(claim: Claim) -> tuple[str, ...]:
    return (claim.source, claim.name, claim.backbone, *_both(claim.relative_to or ""))


def _pixels(claim: Claim | None) -> dict[str, Any]:
    keys = ("printed", "source", "locator")
    return {"printed_pixel_ratio": {key: getattr(claim, key) for key in keys} if claim else None}


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


def _pairs(rows: Sequence[Claim]) -> Iterator[tuple[Claim, Claim, Claim | None, _Parts]]:
    """Seconds of a method, the same of its baseline, the printed ratio of the two where it stands there, and parts."""
    seconds = {(row.name, row.backbone, row.quantity): row for row in rows if row.unit == "s"}
    ratios = {(row.name, row.backbone, row.quantity): row for row in rows if row.relative_to}
    for (name, backbone, quantity), own in seconds.items():
        ratio = ratios.get((name, backbone, f"speedup_{quantity}"))
        of_any = ratio or ratios.get((name, backbone, "speedup_total"))
        baseline = of_any.relative_to if of_any else None
        if baseline and baseline != f"{name}@{backbone}" and quantity in (*_PRINTED_APART, "total"):
            above, below = _both(baseline), (name, backbone)
            if base := seconds.get((*above, quantity)):
                yield own, base, ratio, _parts(seconds, above, below) if quantity == "total" else {}


def _parts(seconds: Mapping[tuple[str, str, str], Claim], above: tuple[str, str], below: tuple[str, str]) -> _Parts:
    """Of the stages of which both are printed."""
    both = {stage: [seconds.get((*of, stage)) for of in (above, below)] for stage in _PRINTED_APART}
    return {stage: (base, own) for stage, (base, own) in both.items() if base and own}


def _both(baseline: str) -> tuple[str, str]:
    name, _, backbone = baseline.partition("@")
    return name, backbone


def _taken_apart(own: Claim, base: Claim, printed: Claim | None, parts: _Parts) -> dict[str, Any]:
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
        "rate": [
            _quotient(dict.fromkeys(("value", "low", "high"), float(count)), _bounds(claim))
            for count, claim in zip(asked, (base, own), strict=True)
        ],
        "speedup": speedup,
        "printed": printed.printed if printed else None,
        "flop_ratio": flop_ratio,
        "utilisation_ratio": _scaled(speedup, 1 / flop_ratio),
        **_factors(base, parts if set(parts) == set(stages) else {}, speedup, flop_ratio),
        "image": operating_point()["image"],
        "note": None if own.stages or base.stages else _NOT_STATED,
    }


def _operations(claim: Claim) -> Mapping[str, int]:
    found: Mapping[str, int] = operating_point()["operations"][_network(claim.backbone)][claim.name]
    return found


def _factors(base: Claim, parts: _Parts, speedup: _Bounds, flop_ratio: float) -> dict[str, Any]:
    """What the algorithm saves at the baseline's rates, of that the mix, and what the same stages gain in rate."""
    if not parts:
        return {**dict.fromkeys(("algorithm_ratio", "mix_ratio", "rate_ratio")), "reason": _NO_PARTS}
    at_old_rates = dict.fromkeys(("value", "low", "high"), 0.0)
    for stage, (above, below) in parts.items():
        left = _operations(below)[stage] / _operations(above)[stage]
        for end, seconds in _bounds(above).items():
            at_old_rates[end] += left * seconds
    algorithm = _quotient(_bounds(base), at_old_rates)
    return {
        "algorithm_ratio": algorithm,
        "mix_ratio": _scaled(algorithm, 1 / flop_ratio),
        "rate_ratio": _quotient(speedup, algorithm),
        "reason": None,
    }


def _bounds(claim: Claim) -> _Bounds:
    return {"value": claim.value, "low": claim.low, "high": claim.high}


def _scaled(bounds: Mapping[str, float], factor: float) -> _Bounds:
    return {end: value * factor for end, value in bounds.items()}


def _quotient(above: Mapping[str, float], below: Mapping[str, float]) -> _Bounds:
    return {
        "value": above["value"] / below["value"],
        "low": above["low"] / below["high"],
        "high": above["high"] / below["low"],
    }


def _speedup(own: Claim, base: Claim, printed: Claim | None) -> _Bounds:
    """The ratio of the seconds, or the printed one where its digits say more, as they do beside 0.06 s."""
    ratio = _quotient(_bounds(base), _bounds(own))
    if printed is None or printed.high - printed.low >= ratio["high"] - ratio["low"]:
        return ratio
    return _bounds(printed)
