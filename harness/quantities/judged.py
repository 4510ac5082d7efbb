"""Each published number of a run's methods beside the run's own: what was measured for it, and the verdict.

Where a source leaves open whether pooling is in a ratio, both are measured, and what decides must come out either way.

A claim and a method belong together where they have the same name; where the run has that method on several networks,
the one which the claim is about. All that differs otherwise is told, and then there is no verdict but the number stands
where there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from harness.claims import Claim
from harness.estimate import Estimate as Shown
from harness.networks import is_printed_as, split
from harness.quantities import coverage
from harness.quantities.comparability import SCORES, UNTRAINED, differences, doubt, ran_on
from harness.quantities.coverage import Measured, covered, left_out, with_pooling
from harness.quantities.estimates import missing
from harness.quantities.observations import Observed
from harness.verdicts import Verdict, delta, verdict

__all__ = ["JUDGED", "Judged", "judge", "judged"]

Judged = dict[str, Any]
"""All columns of a claim, ``measured_as``, ``measured`` in the claim's unit, ``verdict``, ``delta``, ``reason``."""

JUDGED = SCORES | {"conv", "pool", "fc", "total", "full_system", "share", "speedup_conv", "speedup_total"}
"""Quantities that a run measures. Hours of training are another kind of run, and pixels are counted without any."""

_TOO_WIDE = "the interval reaches what would meet it and what would not; measure more images or --processes"
_POOLING = "it depends on whether pooling is inside, which the paper does not say"
_OF_HARDWARE = "seconds and hours are those of their hardware"


def judge(
    claims: Iterable[Claim],
    summary: Mapping[str, Any],
    observed: Observed,
    proposal_seconds: Mapping[str, float | None] | None = None,
) -> list[Judged]:
    """One for each published number of the run's methods, in the order of `claims`.

    The ratio of a method to itself is left out, and so is the average precision of a class where it is not comparable.

    Args:
        claims: all there are.
        summary: the result model as far as it is known: plan, machine, dataset, trust and methods.
        observed: what makes the figures of the run.
        proposal_seconds: by image, what making its boxes took.
    """
    found = []
    for claim in claims:
        method = _named(claim.name, claim.backbone, summary) if claim.quantity in JUDGED else None
        if method is None or claim.relative_to == f"{claim.name}@{claim.backbone}":
            continue
        one = _judge_one(claim, summary, observed, method, proposal_seconds or {})
        if claim.quantity != "ap" or one["verdict"] != "not comparable":
            found.append(one)
    return found


def judged(
    claim: Claim,
    measured_as: Mapping[str, Any] | None,
    measured: Measured,
    differing: Sequence[str] = (),
    doubtful: str | None = None,
) -> Judged:
    """A claim with what was measured for it, by whatever means.

    Args:
        claim: what was published.
        measured_as: ``method``, ``baseline`` and ``stages``; None where nothing was run for it.
        measured: ``value``, ``low``, ``high``, ``reason`` and ``interval``, in the claim's unit.
        differing: what keeps the two from being compared.
        doubtful: why the measured number decides nothing.
    """
    found, reason = _decided(claim, measured, differing, doubtful)
    return {
        **asdict(claim),
        "stages": list(claim.stages),
        "measured_as": None if measured_as is None else dict(measured_as),
        "measured": dict(measured),
        "verdict": found,
        "delta": delta(claim, measured["value"]),
        "reason": reason,
    }


def _decided(
    claim: Claim, measured: Measured, differing: Sequence[str], doubtful: str | None
) -> tuple[Verdict, str | None]:
    """The verdict, and why it is that where the numbers do not say so themselves."""
    if differing:
        return "not comparable", "; ".join(differing)
    if measured["value"] is None:
        return "inconclusive", measured["reason"]
    if doubtful:
        return "inconclusive", f"not decided: {doubtful}"
    found = verdict(claim, measured["low"], measured["high"])
    if found == "not comparable":
        return found, _OF_HARDWARE
    if found == "inconclusive":
        return found, measured["reason"] or _TOO_WIDE
    return found, None


def _named(name: str, network: str, summary: Mapping[str, Any], besides: str | None = None) -> str | None:
    """The run's method of this name: that on the network which a paper prints so, else its first."""
    candidates = [method for method in summary["methods"] if split(method)[0] == name and method != besides]
    own = [method for method in candidates if is_printed_as(ran_on(summary, method), network)]
    return next(iter([*own, *candidates]), None)


def _judge_one(
    claim: Claim, summary: Mapping[str, Any], observed: Observed, method: str, proposal_seconds: Mapping[str, Any]
) -> Judged:
    baseline = None
    differing = []
    if claim.relative_to is not None:
        other, _, network = claim.relative_to.partition("@")
        baseline = _named(other, network, summary, besides=method)
        asked = claim.relative_to if other == claim.name else other
        differing = [] if baseline else [f"no {asked} in this run, which it is relative to"]
    differing = [*differences(claim, summary, method, baseline), *differing]
    stages = covered(claim)
    measured_as = {"method": method, "baseline": baseline, "stages": list(stages)}
    measured = _measure(claim, summary, observed, (method, baseline), proposal_seconds)
    doubtful = None if claim.quantity in SCORES else doubt(summary)
    found = judged(claim, measured_as, measured, differing, doubtful)
    if found["verdict"] == "not comparable":
        return found
    told = [found["reason"], left_out(stages, claim.quantity)]
    pooled = with_pooling(claim)
    if pooled is not None and measured["value"] is not None:
        whole = replace(claim, stages=pooled)
        pair = (method, baseline)
        inside = judged(whole, None, _measure(whole, summary, observed, pair, proposal_seconds), (), doubtful)
        if found["verdict"] != "inconclusive" and inside["verdict"] != found["verdict"]:
            found["verdict"] = "inconclusive"
            told.insert(0, _POOLING)
        told.append(_with_pool(inside))
    found["reason"] = "; ".join(each for each in told if each) or None
    return found


def _with_pool(inside: Judged) -> str:
    """The number that it would be, and what it would come to."""
    of = inside["measured"]
    if of["value"] is None:
        return f"with pool not known: {of['reason']}"
    decimals = Shown(of["value"], of["low"], of["high"]).decimals
    value, *ends = (round(of[end], decimals) for end in ("value", "low", "high") if of[end] is not None)
    told = f"{value:.{max(decimals, 0)}f}×"
    if ends:
        told += f" [{', '.join(f'{end:.{max(decimals, 0)}f}' for end in ends)}]"
    return f"with pool {told}: {inside['verdict']}"


def _measure(
    claim: Claim,
    summary: Mapping[str, Any],
    observed: Observed,
    pair: tuple[str, str | None],
    proposal_seconds: Mapping[str, float | None],
) -> Measured:
    """The run's number; `pair` is the method and its baseline."""
    method, baseline = pair
    about = summary["methods"]
    for name in pair:
        if name is not None and about[name]["status"] != "ok":
            return _nothing(f"{name}: {about[name]['status']}: {about[name]['reason']}")
    if claim.quantity in SCORES:
        differing = differences(claim, summary, method, None)
        return _nothing(UNTRAINED) if UNTRAINED in differing else coverage.mean_ap(about[method], claim)
    if claim.relative_to is not None and baseline is None:
        return _nothing("the run has no such baseline")
    own, stages = observed.by_method[method], covered(claim)
    if claim.quantity == "share":
        return coverage.share(own, stages)
    if baseline is not None:
        return coverage.speedup(observed.by_method[baseline], own, stages)
    return coverage.seconds(own, stages, proposal_seconds)


def _nothing(reason: str) -> Measured:
    return {**missing(reason), "interval": None}
