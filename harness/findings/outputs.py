"""Whether a method detects the same each time, and whether what is scored is what was timed."""

from __future__ import annotations

from harness.findings.evidence import Evidence
from harness.findings.finding import Finding, note, ok
from harness.record import Sample
from harness.wording import counted, listed, percent

__all__ = ["proof", "repeats"]

UNMATCHED_SHARE = 0.01
"""Of the detections of both outputs. Sums that threads of a device race to make differ in their last bits, which moves
a detection across a threshold now and then, but not one in a hundred."""


def repeats(evidence: Evidence) -> Finding:
    """On a CPU the same input gives the same output to the bit; on a device, nearly."""
    name = "repeats"
    taken: dict[tuple[str, str], list[Sample]] = {}
    for one in evidence.samples:
        if one.status == "ok" and one.role != "sweep" and one.digest is not None:
            taken.setdefault((one.method, one.image), []).append(one)
    again = {key: of for key, of in taken.items() if len(of) > 1}
    if not again:
        return note(name, "not checked: nothing was measured twice; give --repeats 2")
    differing = {key: of for key, of in again.items() if len({one.digest for one in of}) > 1}
    if not differing:
        return ok(name, f"all {counted(len(again), 'output')} that were made twice or more are equal to the bit")
    methods = list(dict.fromkeys(method for method, _ in differing))
    text = f"repeats of {listed(methods)} detected different boxes on {len(differing):,} of {len(again):,} inputs"
    if evidence.device == "cpu":
        return Finding(name, "inconclusive", f"{text}; look for what they draw at random or keep between calls")
    return _on_device(name, text, [one for of in differing.values() for one in of], differing)


def _on_device(name: str, text: str, samples: list[Sample], differing: dict[tuple[str, str], list[Sample]]) -> Finding:
    known = [(one, one.disagreement) for one in samples if one.disagreement is not None]
    if not known:
        return note(name, f"{text}; by how much was not recorded, measure again to know")
    largest = {key: max(by.get(key, 0.0) for _, by in known) for key in ("largest_box_px", "largest_score")}
    shares = {method: _unmatched(known, differing, method) for method in dict.fromkeys(one.method for one, _ in known)}
    worst = max(shares, key=lambda method: shares[method])
    text += f": {percent(shares[worst])} without a partner" + (f" ({worst})" if len(shares) > 1 else "")
    text += f", others off by up to {largest['largest_box_px']:.2g} px and {largest['largest_score']:.2g} of score"
    if shares[worst] > UNMATCHED_SHARE:
        return Finding(name, "inconclusive", f"{text}; look for what it draws or keeps")
    return note(name, f"{text}; sums on a device behave so")


def _unmatched(
    known: list[tuple[Sample, dict[str, float]]], differing: dict[tuple[str, str], list[Sample]], method: str
) -> float:
    """Share of the detections without a partner, over all outputs of a method on images where any differed."""
    alone = sum(by.get("unmatched", 0.0) for one, by in known if one.method == method)
    compared = 0
    for (name, _), of in differing.items():
        if name == method:
            compared += sum((one.detections or 0) + (of[0].detections or 0) for one in of[1:])
    return alone / compared if compared else float(alone > 0)


def proof(evidence: Evidence) -> Finding:
    """The detections on disk, which are scored, are those of the first measured sample of each image."""
    name = "proof"
    if evidence.proofs is None:
        return note(name, "not checked: the detections were not read; harness report RUN does")
    wrong = {method: list(images) for method, images in evidence.proofs.items() if images}
    if not wrong:
        return ok(name, "the detections that are scored are those that were timed")
    method, images = max(wrong.items(), key=lambda each: len(each[1]))
    total = sum(len(each) for each in wrong.values())
    text = f"detections on disk are not those that were timed on {counted(total, 'image')}"
    text += f" of {listed(wrong)} (first of {method}: {listed(images, 1)})"
    return Finding(name, "inconclusive", f"{text}; leave the files of a run alone and measure again")
