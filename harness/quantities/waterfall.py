"""From R-CNN to Fast R-CNN with SVD step by step: what each idea is worth where it comes in.

A hybrid takes some stages from one method and the rest from another, image by image. The first is R-CNN as it was
measured, the last the method that the run comes to, and each in between changes one thing more. The factor of a step
is the mean time of the hybrid before it over that of the one after it, so the factors multiply to the total speed-up.
Their order is a choice: an idea that came in later would find less, or more, left to save.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.claims import DETECTING
from harness.networks import split
from harness.quantities.estimates import as_dict, interval_over, mean_over, ratio_over
from harness.quantities.observations import Floats, Observations

__all__ = ["PARTS", "waterfall"]

PARTS = (*DETECTING, "unattributed")
"""What a total is made of: they add up to it."""

_IMAGE, _REST = ("prepare", "conv"), ("propose", "decode", "suppress", "unattributed")
_ROLES = ("rcnn", "spp:5", "spp", "fast", "fast:svd")
"""Methods that a step can be made of, from the dearest to the cheapest."""

_ALONE = "it needs rcnn and one of spp, spp:5, fast and fast:svd on the same network"
_NO_STAGES = "the stages of a method are not all known"
_NO_TIME = "the stages put together take no time"


@dataclass(frozen=True, slots=True)
class _Change:
    """One step."""

    key: str
    name: str
    role: str
    """The method whose time is taken."""
    stages: Sequence[str]
    """For these."""


@dataclass(frozen=True, slots=True)
class _Hybrid:
    """What an image would take with each stage as one of the methods has it."""

    seconds: Floats
    """(P, I): a row a process, a column an image."""
    position: Floats
    """(I,): how many places later than R-CNN its stages ran, mean over its seconds."""


def waterfall(observed: Mapping[str, Observations]) -> dict[str, Any]:
    """Steps with the time after each and the factor that it is worth, on the network that has most of the methods.

    Returns:
        ``steps``, of which the first is R-CNN and has no factor: ``key``, ``name``, ``method`` and ``stages`` that were
        taken from it, ``seconds`` (``mean``, ``low``, ``high``, ``reason``), ``factor`` (``value``, ``low``, ``high``,
        ``reason``); ``total``, the factor of all; ``interval``, what intervals cover; ``network``, as the methods'
        names say it; and ``reason``, why there are no steps.
    """
    network, methods = _methods(observed)
    if not methods:
        return _nothing(_ALONE)
    if any(part not in of.stages for of in methods.values() for part in PARTS):
        return _nothing(_NO_STAGES)
    changes = list(_changes(methods))
    hybrids = list(_hybrids(methods, changes))
    if any(not hybrid.seconds.sum(axis=1).min() > 0 for hybrid in hybrids):
        return _nothing(_NO_TIME)
    blocks = methods["rcnn"].blocks

    def factor(before: _Hybrid, after: _Hybrid) -> dict[str, Any]:
        return as_dict(ratio_over(before.seconds, after.seconds, blocks, before.position - after.position))

    def step(key: str, name: str, role: str, stages: Sequence[str], hybrid: _Hybrid) -> dict[str, Any]:
        method = role if network is None else f"{role}@{network}"
        seconds = as_dict(mean_over(hybrid.seconds, blocks), "mean")
        return {"key": key, "name": name, "method": method, "stages": list(stages), "seconds": seconds, "factor": None}

    steps = [step("rcnn", "R-CNN", "rcnn", PARTS, hybrids[0])]
    for change, before, after in zip(changes, hybrids, hybrids[1:], strict=False):
        made = step(change.key, change.name, change.role, change.stages, after)
        steps.append({**made, "factor": factor(before, after)})
    covers = interval_over(len(hybrids[0].seconds))
    total = factor(hybrids[0], hybrids[-1])
    return {"steps": steps, "total": total, "interval": covers, "network": network, "reason": None}


def _nothing(reason: str) -> dict[str, Any]:
    return {"steps": [], "total": None, "interval": None, "network": None, "reason": reason}


def _methods(observed: Mapping[str, Observations]) -> tuple[str | None, dict[str, Observations]]:
    """The network, and by role what was measured on it; nothing where R-CNN is alone or missing on every network."""
    by_network: dict[str | None, dict[str, Observations]] = {}
    for name, of in observed.items():
        role, network = split(name)
        if role in _ROLES:
            by_network.setdefault(network, {})[role] = of
    found = [(network, of) for network, of in by_network.items() if "rcnn" in of and len(of) > 1]
    return max(found, key=lambda one: len(one[1]), default=(None, {}))


def _changes(methods: Mapping[str, Observations]) -> Iterator[_Change]:
    """The steps that these methods allow."""
    chain = [role for role in ("spp:5", "spp", "fast") if role in methods] or ["fast:svd"]
    last = "fast:svd" if "fast" not in chain and "fast:svd" in methods else chain[-1]
    if last not in chain:
        chain.append(last)
    before = None
    for role in chain:
        yield _Change(*_of_image(before, role), role, _IMAGE)
        before = role
    yield _Change("pool", "pool every box from the shared map", last, ("pool",))
    fc = (
        "fully connected layers, factorised (SVD)"
        if last == "fast:svd"
        else f"fully connected layers of {_TITLES[last]}"
    )
    yield _Change("fc", fc, last, ("fc",))
    yield _Change("rest", "scores, suppression and the rest", last, _REST)
    if last == "fast" and "fast:svd" in methods:
        # All of it, so that the last is that method as it was measured.
        yield _Change("svd", "fully connected layers factorised (SVD)", "fast:svd", PARTS)


_TITLES = {"spp": "SPP-net", "spp:5": "SPP-net", "fast": "Fast R-CNN"}


def _of_image(before: str | None, role: str) -> tuple[str, str]:
    """Key and name of a step that changes how the image goes through the convolutions."""
    if before is None:
        at = ", at five sizes" if role == "spp:5" else ""
        return "shared", f"convolve the image once, not every box{at}"
    if before == "spp:5":
        return "sizes", "one image size instead of five"
    return "resolution", "a smaller image"


def _hybrids(methods: Mapping[str, Observations], changes: Sequence[_Change]) -> Iterator[_Hybrid]:
    """R-CNN, and what it has become after each change."""
    lags = {role: of.lag(methods["rcnn"]) for role, of in methods.items()}
    taken = dict.fromkeys(PARTS, "rcnn")
    yield _hybrid(methods, taken, lags)
    for change in changes:
        taken.update(dict.fromkeys(change.stages, change.role))
        yield _hybrid(methods, taken, lags)


def _hybrid(methods: Mapping[str, Observations], taken: Mapping[str, str], lags: Mapping[str, Floats]) -> _Hybrid:
    roles = set(taken.values())
    if len(roles) == 1:
        role = roles.pop()
        return _Hybrid(methods[role].values("total"), lags[role])
    by_role = {
        role: np.sum([methods[role].values(part) for part, of in taken.items() if of == role], axis=0) for role in roles
    }
    seconds: Floats = np.sum(list(by_role.values()), axis=0)
    each = seconds.mean(axis=0)
    weighed = np.sum([of.mean(axis=0) * lags[role] for role, of in by_role.items()], axis=0)
    position: Floats = np.divide(weighed, each, out=np.zeros_like(weighed), where=each > 0)
    return _Hybrid(seconds, position)
