"""What keeps a measured number from being held against a published one: each thing that differs, named on both sides.

A ratio of times needs the same networks, the same arithmetic and about as many boxes. It does not need the same
hardware, nor weights that were trained: time does not depend on their values. But both of its times must be of one
machine, here and there. An average precision needs the same data, boxes and rule of which detections are kept, and
weights that were trained as the paper's were. Seconds and hours are those of their hardware.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from harness.claims import Claim
from harness.networks import is_printed_as, network_of

__all__ = ["NOT_RUN", "SCORES", "UNTRAINED", "differences", "doubt", "ran_on"]

SCORES = frozenset({"map", "ap"})

UNTRAINED = "untrained"
"""Instead of an accuracy, and before all else that differs."""

NOT_RUN = "not run"
"""Instead of what no run was made for."""

_BOXES, _BOXES_MARGIN = 2000, 0.10
"""An image, where the source does not name another number [SPP 4.3: n ~ 2000; RCNN 2.1], and by what share more or
fewer are still about as many."""

_TEST_IMAGES, _TRAIN_IMAGES = 4952, 5011
"""Of VOC 2007, ``test`` and ``trainval`` [VOC07 devkit]."""

_TRAINVAL = ("VOC07", "VOC07 trainval")
"""What the papers call the second; the SPP-net paper does not name the split."""

_COUNTED_BOXES = re.compile(r"(\d+) proposals")

_FILES = frozenset({".npz", ".json", ".mat"})
"""What boxes may be read from, or a folder."""

_ASIDE = "interval"
"""The finding that asks for narrow intervals. A verdict looks at the interval itself."""


def differences(claim: Claim, summary: Mapping[str, Any], method: str, baseline: str | None) -> list[str]:
    """Each as ``NAME ours, theirs there``; none where the two numbers are comparable.

    Args:
        claim: what was published.
        summary: the result model as far as it is known, with plan, machine, dataset and methods.
        method: of the run, which has the claim's name.
        baseline: of the run, which a ratio is over; None for what is no ratio.
    """
    if claim.quantity in SCORES:
        found = [*_training(summary, method), *_network(claim, summary, method), *_test_set(claim, summary)]
        if found[:1] == [UNTRAINED]:
            return found
        return [*found, *_training_set(claim, summary), *_source_of_boxes(summary), *_policy(summary)]
    found = _hardware(claim, summary) if claim.unit in ("s", "h") else []
    found += [] if claim.one_machine else ["its two times are of two machines there"]
    found += _network(claim, summary, method)
    if baseline is not None:
        own, printed = ran_on(summary, baseline), (claim.relative_to or "").partition("@")[2]
        if (own, printed) != (ran_on(summary, method), claim.backbone):
            found += _unlike("the baseline's network", own, printed)
    precision = summary["plan"].get("precision") or "fp32"
    if precision != "fp32":
        found.append(f"precision {precision}, float32 there")
    return found + _boxes(claim, summary)


def doubt(summary: Mapping[str, Any]) -> str | None:
    """Why the times of a run decide nothing; None where they may."""
    trust = summary.get("trust") or {}
    findings = trust.get("findings")
    if findings is None:
        reasons = [str(reason) for reason in trust.get("reasons") or ()]
    else:
        against = [one for one in findings if one["verdict"] == "inconclusive" and one["name"] != _ASIDE]
        reasons = [f"{one['name']}: {one['text']}" for one in against]
    if summary.get("other_sources"):
        reasons.insert(0, "the run was measured by more than one state of the source")
    return "; ".join(reasons) or None


def ran_on(summary: Mapping[str, Any], method: str) -> str:
    """Which network a method of the run ran on, in our words."""
    return network_of({"backbone": "not recorded", **summary["plan"]}, method)


def _hardware(claim: Claim, summary: Mapping[str, Any]) -> list[str]:
    machine = summary.get("machine") or {}
    on_gpu = str(machine.get("device") or "cpu").startswith("cuda")
    own = f"{'GPU' if on_gpu else 'CPU'} ({machine.get('gpu' if on_gpu else 'cpu') or 'not named'})"
    return [f"other hardware: {claim.hardware or 'not named'} there, {own} here"]


def _unlike(what: str, network: str, printed: str) -> list[str]:
    return [] if is_printed_as(network, printed) else [f"{what} {network}, {printed} there"]


def _network(claim: Claim, summary: Mapping[str, Any], method: str) -> list[str]:
    return _unlike("network", ran_on(summary, method), claim.backbone)


def _boxes(claim: Claim, summary: Mapping[str, Any]) -> list[str]:
    named = _COUNTED_BOXES.fullmatch(claim.part)
    printed = int(named[1]) if named else _BOXES
    told = f"{'' if named else 'about '}{printed:,} there"
    mean = ((summary.get("dataset") or {}).get("proposals_per_image") or {}).get("mean")
    if mean is None:
        return [f"boxes an image not recorded, {told}"]
    return [] if abs(mean - printed) <= _BOXES_MARGIN * printed else [f"{mean:,.0f} boxes an image, {told}"]


def _training(summary: Mapping[str, Any], method: str) -> list[str]:
    """What was trained otherwise, from the weights that a fit begins with to how long it lasts."""
    plan = summary["plan"]
    weights, iterations = plan.get("weights"), plan.get("iterations")
    trained = (summary["methods"].get(method) or {}).get("trained", True)
    if weights == "random" or not trained:
        return [UNTRAINED]
    found = [] if iterations == "paper" else [f"iterations {iterations}, the paper's there"]
    if weights in ("auto", "torchvision"):
        found.append("pretrained weights of torchvision or the package, the authors' own there")
    return found


def _is_voc07(plan: Mapping[str, Any]) -> bool:
    name = str(plan.get("dataset"))
    return name.startswith("voc:") and "VOC2007" in name


def _test_set(claim: Claim, summary: Mapping[str, Any]) -> list[str]:
    """In what the evaluated images differ, and the boxes made on them."""
    plan, images = summary["plan"], (summary.get("dataset") or {}).get("images")
    found = []
    whole = _is_voc07(plan) and plan.get("split") == "test" and images == _TEST_IMAGES
    if not (claim.test == "VOC07 test" and whole):
        told = f"test set {plan.get('dataset')} {plan.get('split')} ({images} images)"
        found.append(f"{told}, {claim.test or 'not named'} there")
    named, most = _COUNTED_BOXES.fullmatch(claim.part), plan.get("max_proposals")
    if named and most != int(named[1]):
        found.append(f"at most {most} boxes an image, {named[1]} there")
    return found


def _source_of_boxes(summary: Mapping[str, Any]) -> list[str]:
    """Boxes that a file holds may be those that the authors published; what makes boxes anew makes others."""
    spec = summary["plan"].get("proposals")
    if spec is None:
        return ["source of the proposals not recorded, the authors' boxes there"]
    name, colon, mode = str(spec).partition(":")
    if name == "selective-search":
        return [f"selective search of OpenCV{f' ({mode})' if mode else ''}, the authors' boxes there"]
    if name == "uniform":
        return ["proposals drawn at random, selective search there"]
    read = not colon and ("/" in name or PurePath(name).suffix in _FILES)
    return [] if read else [f"proposals {spec}, the authors' boxes there"]


def _policy(summary: Mapping[str, Any]) -> list[str]:
    policy = summary["plan"].get("policy")
    return [] if policy == "paper" else [f"policy {policy or 'not recorded'}, the paper's there"]


def _training_set(claim: Claim, summary: Mapping[str, Any]) -> list[str]:
    plan, images = summary["plan"], (summary.get("dataset") or {}).get("train_images")
    whole = _is_voc07(plan) and plan.get("train_split") == "trainval" and images == _TRAIN_IMAGES
    if claim.train in _TRAINVAL and whole:
        return []
    told = f"training set {plan.get('dataset')} {plan.get('train_split')} ({images} images)"
    return [f"{told}, {claim.train or 'not named'} there"]
