"""Whether enough was measured, and what was not."""

from __future__ import annotations

from harness.findings.evidence import Evidence
from harness.findings.finding import Finding, note, ok
from harness.findings.stopwatch import lost_synchronisation
from harness.wording import counted, listed, percent

__all__ = ["failed", "images", "interval", "out_of_memory", "parts", "resident"]

FEWEST_IMAGES = 2
"""For an interval of any width."""
WIDEST_INTERVAL = 0.10
"""Of the ratio, from end to end."""
_OUT_OF_MEMORY = "out of memory"
"""Of the notices of a method, those that contain these words tell that it went on in smaller parts. A notice is text
for a reader and has no kind; `detectors.parts.chunks` writes these words."""


def images(evidence: Evidence) -> Finding:
    """An interval over images needs two of them."""
    numbers = {method: len({one.image for one in of}) for method, of in evidence.by_method.items()}
    fewest = min(numbers, key=lambda method: numbers[method], default=None)
    number = numbers[fewest] if fewest is not None else 0
    text = f"{counted(number, 'image')} measured" + (f" of {fewest}" if len(set(numbers.values())) > 1 else "")
    if number < FEWEST_IMAGES:
        return Finding("images", "inconclusive", f"{text}; no figure has an interval; measure at least 2, better 24")
    return ok("images", text)


def interval(evidence: Evidence) -> Finding:
    """The speed-up in total should be known to a tenth."""
    name = "interval"
    if evidence.speedups is None:
        return note(name, "not checked: the speed-ups were not computed; harness report RUN does")
    totals = {method: of["total"] for method, of in evidence.speedups.items() if of.get("total")}
    totals = {method: found for method, found in totals.items() if found.get("value") is not None}
    if not totals:
        return ok(name, "there is no speed-up to judge")
    bare = [method for method, found in totals.items() if found.get("low") is None or found.get("high") is None]
    if bare:
        reason = totals[bare[0]].get("reason") or "too little was measured"
        text = f"the speed-up of {listed(bare)} has no interval ({reason})"
        return Finding(name, "inconclusive", f"{text}; measure more images, --repeats or --processes")
    widths = {method: (found["high"] - found["low"]) / found["value"] for method, found in totals.items()}
    wide = {method: width for method, width in widths.items() if width > WIDEST_INTERVAL}
    if wide:
        every = listed((f"{method} {percent(width)}" for method, width in wide.items()), len(wide))
        text = f"the interval of the total speed-up is wider than 10 % of it ({every})"
        return Finding(name, "inconclusive", f"{text}; measure more images, --repeats or --processes")
    return ok(name, f"the interval of the total speed-up is at most {percent(max(widths.values()))} of it wide")


def out_of_memory(evidence: Evidence) -> Finding:
    """Memory that does not suffice is a fact of the method on this machine: told, and never a time."""
    name = "out-of-memory"
    samples = [one for one in evidence.samples if one.status == "oom"]
    methods = [method for method, about in _methods(evidence) if about.get("status") == "oom"]
    halved = [one for one in evidence.manifest.get("notices") or () if _OUT_OF_MEMORY in str(one.get("text")).lower()]
    told = []
    if samples:
        names = listed(dict.fromkeys(one.method for one in samples))
        told.append(f"{counted(len(samples), 'sample')} of {names} without a time")
    elif methods:
        told.append(f"{listed(methods)} could not be measured")
    if halved:
        one = halved[0]
        where = f" on {one['image']}" if one.get("image") else ""
        told.append(f"{one['method']}{where} went on in smaller parts ({counted(len(halved), 'notice')} in all)")
    if told:
        return note(
            name, f"memory ran out: {'; '.join(told)}; give fewer boxes (--max-proposals) or a device with more memory"
        )
    return ok(name, "memory sufficed")


def _methods(evidence: Evidence) -> list[tuple[str, dict[str, str]]]:
    return list((evidence.manifest.get("methods") or {}).items())


def failed(evidence: Evidence) -> Finding:
    """Whatever else has no time, counted."""
    name = "failed"
    samples = [one for one in evidence.samples if one.status not in ("ok", "oom") and not lost_synchronisation(one)]
    told = []
    if samples:
        first = samples[0]
        text = f"{len(samples):,} of {len(evidence.samples):,} samples failed"
        told.append(f"{text} (first: {first.method} on {first.image}: {first.reason})")
    begun = {one.method for one in evidence.samples}
    never = [
        f"{method} ({about.get('reason')})"
        for method, about in _methods(evidence)
        if about.get("status", "ok") not in ("ok", "oom") and method not in begun
    ]
    if never:
        told.append(f"{listed(never)} could not be measured")
    ended = [each for each in evidence.processes if each.get("status", "ok") != "ok"]
    if ended:
        why = ended[0].get("reason") or ended[0]["status"]
        told.append(f"process {ended[0].get('process')} did not finish ({why})")
    if told:
        return note(name, f"{'; '.join(told)}; they are in no figure, see errors/ in the run folder")
    return ok(name, f"all {counted(len(evidence.samples), 'sample')} have a time")


def resident(evidence: Evidence) -> Finding:
    """Whether the methods were in memory together."""
    alone = [each for each in evidence.processes if each.get("resident") is False]
    if alone or any(not one.resident for one in evidence.measured):
        reason = next((each["resident_reason"] for each in alone if each.get("resident_reason")), "no reason was kept")
        apart = sum(not one.resident for one in evidence.measured)
        where = f"in {len(alone):,} of {len(evidence.processes):,} processes"
        where = where if alone else f"for {apart:,} of {len(evidence.measured):,} samples"
        text = f"methods were loaded block by block {where} ({reason})"
        return note("resident", f"{text}; what loading leaves in caches is the same for all")
    return ok("resident", "all methods stayed in memory")


def parts(evidence: Evidence) -> Finding:
    """Whether each process measured in one go, or was interrupted and begun again."""
    attempts: dict[int, set[int]] = {}
    for one in evidence.samples:
        attempts.setdefault(one.process, set()).add(one.attempt)
    several = {process: len(of) for process, of in sorted(attempts.items()) if len(of) > 1}
    if not several:
        return ok("parts", f"{counted(len(attempts), 'process', 'processes')} measured in one go")
    which = listed(f"process {process} in {number} parts" for process, number in several.items())
    text = f"measured in several parts, each by a process of its own: {which}"
    return note("parts", f"{text}; to know what one process does, measure again without interruption")
