"""What is other in a run than in the papers, in plain words: what keeps published numbers from being compared."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.networks import network_of
from harness.rendering import caption
from harness.tables import Summary, methods
from harness.webpage.introductions import plain

__all__ = ["Difference", "differences", "networks_that_ran", "of_its_own", "unnamed"]

_MOST_NAMED = 7
_PACKAGED = "mini"
"""The network whose pretrained weights come with the package [`harness.options`]."""

_OF_ITS_OWN = re.compile(r"no .+ in this run, which it is relative to|at most .+ boxes an image, .+ there")
"""Concerns one number, and is no condition of the run."""
_OF_HARDWARE, _NOT_NAMED = "hardware: ", "not named"
_COUNTED = re.compile(r"[\d,]+ boxes an image, [\d,]+ there")
_NETWORK = re.compile(r"(?:the baseline's )?network .+, (.+?) there")
_HARDWARE = re.compile(r"other hardware: (.+) there, (.+) here")
_SIDES = re.compile(r"(.+), (.+?) there")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is other here than in the papers."""

    here: str
    there: str | None
    """What the papers have in its place."""


def differences(summary: Summary, reasons: Iterable[str]) -> list[Difference]:
    """Reasons taken apart at ``;``, those with the same side here put together, the most frequent first."""
    there: dict[str, dict[str, None]] = {}
    counts = Counter[str]()
    for reason in reasons:
        for part in reason.split("; "):
            if _is_its_own(part):
                continue
            here, other = _sides(summary, part)
            counts[here] += 1
            there.setdefault(here, {}).update({other: None} if other else {})
    return [Difference(here, _all(here, list(there[here]))) for here, _ in counts.most_common()]


def _all(here: str, there: Sequence[str]) -> str | None:
    if here.startswith(_OF_HARDWARE):
        return _one_of(there)
    return _listed([each for each in there if each != _NOT_NAMED] or there)


def of_its_own(reason: str) -> str | None:
    """The parts of a reason that concern one number alone; None where all are conditions of the run."""
    return "; ".join(part for part in reason.split("; ") if _is_its_own(part)) or None


def networks_that_ran(summary: Summary) -> dict[str, list[str]]:
    """Each network with the methods that ran on it; those that failed too where none ran."""
    found: dict[str, list[str]] = {}
    results = methods(summary)
    ran = [name for name, result in results.items() if result.get("status") == "ok"]
    for name in ran or results:
        found.setdefault(network_of({"backbone": "?", **caption.plan(summary)}, name), []).append(name)
    return found


def _is_its_own(part: str) -> bool:
    return bool(_OF_ITS_OWN.fullmatch(part) or _COUNTED.fullmatch(part))


def _sides(summary: Summary, part: str) -> tuple[str, str | None]:
    """What is here and what is there, of ``NAME ours, theirs there`` or ``other hardware: theirs there, ours here``."""
    if found := _NETWORK.fullmatch(part):
        return _networks(summary), found[1]
    if found := _HARDWARE.fullmatch(part):
        return f"{_OF_HARDWARE}{found[2]}", found[1]
    if part in _PLAIN:
        return _PLAIN[part]
    if found := _SIDES.fullmatch(part):
        here, there = found.groups()
        for start, words in _WORDS.items():
            if here.startswith(start):
                return words(here.removeprefix(start), summary), _THERE.get(start, there)
        return here, there
    return part, None


def _networks(summary: Summary) -> str:
    ran = networks_that_ran(summary)
    if len(ran) == 1:
        return f"network {next(iter(ran))}"
    return "networks: " + ", ".join(f"{network} ({', '.join(map(_short, names))})" for network, names in ran.items())


def _short(name: str) -> str:
    return plain(name.partition("@")[0])


def unnamed(hardware: str) -> str:
    """``GPU, not named beside the table`` and the like in words; the name where there is one."""
    kind, _, rest = hardware.partition(", ")
    return f"a {kind} that is not named" if rest.startswith(_NOT_NAMED) else hardware


def _one_of(hardware: Sequence[str]) -> str:
    """Such as ``Nvidia K40, or a GPU or CPU that is not named``."""
    named = [each for each in hardware if _NOT_NAMED not in each]
    kinds = list(
        dict.fromkeys(each.partition(", ")[0] for each in hardware if each.partition(", ")[2] and each not in named)
    )
    if kinds:
        named.append(f"a {' or '.join(kinds)} that is {_NOT_NAMED}")
    elif len(named) < len(hardware):
        named.append(f"hardware that is {_NOT_NAMED}")
    return _listed(named) or _NOT_NAMED


def _training(iterations: str, _: Summary) -> str:
    return "short training (quick)" if iterations == "quick" else f"training of {iterations} iterations"


def _pretrained(_: str, summary: Summary) -> str:
    plan = caption.plan(summary)
    own = _PACKAGED in networks_that_ran(summary) and plan.get("weights") == "auto"
    origin = f"packaged with this harness for {_PACKAGED}" if own else "of torchvision"
    return f"pretrained weights {origin}"


_PLAIN: dict[str, tuple[str, str | None]] = {
    "untrained": ("untrained", "trained"),
    "its two times are of two machines there": ("both times of a ratio on one machine", "on two machines"),
}
_WORDS: dict[str, Callable[[str, Summary], str]] = {
    "iterations ": _training,
    "pretrained weights": _pretrained,
    "test set ": lambda name, _: f"tested on {name}",
    "training set ": lambda name, _: f"trained on {name}",
    "selective search of OpenCV": lambda mode, _: f"boxes by the selective search of OpenCV{mode}",
    "policy ": lambda name, _: f"one rule for all of which detections are kept (policy {name})",
}
_THERE = {
    "iterations ": "the papers’ full schedules",
    "pretrained weights": "the authors’ own",
    "selective search of OpenCV": "the authors’ boxes",
    "policy ": "each paper’s own",
}


def _listed(names: Sequence[str]) -> str | None:
    """The first few; a comma and ``or`` between them."""
    more = len(names) - _MOST_NAMED
    shown = [*names[:_MOST_NAMED], *([f"{more} more"] if more > 0 else [])]
    return ", or ".join(part for part in (", ".join(shown[:-1]), shown[-1]) if part) if shown else None
